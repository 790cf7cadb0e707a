//! `IdentitiesService`.

use auth_domain::{Attributes, IdentityFilter, NewIdentity, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::identities_service_server::IdentitiesService;
use portcullis_types::{IdentityName, Secret};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::{Failure, identity_not_found};
use super::{Api, wire};

impl Api {
    async fn make_identity(
        &self,
        request: Request<v1::CreateIdentityRequest>,
    ) -> Result<v1::CreateIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let new = NewIdentity {
            kind: wire::identity_kind(asked.kind())?,
            tenant,
            name: IdentityName::try_from(asked.name.as_str()).map_err(Failure::name("name"))?,
            display_name: None,
            attributes: Attributes::default(),
            roles: wire::roles("roles", &asked.roles)?,
            password: if asked.password.is_empty() { None } else { Some(Secret::from(asked.password)) },
        };
        let identity = self.authority.create_identity(&actor, new).await?;
        Ok(v1::CreateIdentityResponse { identity: Some(wire::identity_to_wire(identity)) })
    }

    async fn read_identity(
        &self,
        request: Request<v1::GetIdentityRequest>,
    ) -> Result<v1::GetIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, which) = wire::identity_ref(request.into_inner().identity)?;
        admitted.act(Scope::IdentityRead, &tenant)?;
        let identity = self.authority.identity(&tenant, &which).await?.ok_or_else(identity_not_found)?;
        Ok(v1::GetIdentityResponse { identity: Some(wire::identity_to_wire(identity)) })
    }

    async fn read_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<v1::ListIdentitiesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        admitted.act(Scope::IdentityRead, &tenant)?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.identities(&tenant, &IdentityFilter::default(), page).await?;
        let (identities, next_page_token) = wire::paged(page, wire::identity_to_wire);
        Ok(v1::ListIdentitiesResponse { identities, next_page_token })
    }

    async fn disable(
        &self,
        request: Request<v1::DisableIdentityRequest>,
    ) -> Result<v1::DisableIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, which) = wire::identity_ref(request.into_inner().identity)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let (identity, committed) = self.authority.disable_identity(&actor, &tenant, &which).await?;
        Ok(v1::DisableIdentityResponse {
            identity: Some(wire::identity_to_wire(identity)),
            revision: Some(committed.revision.into()),
            committed_at: Some(wire::timestamp(committed.committed_at)),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn enable(&self, request: Request<v1::EnableIdentityRequest>) -> Result<v1::EnableIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, which) = wire::identity_ref(request.into_inner().identity)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let identity = self.authority.enable_identity(&actor, &tenant, &which).await?;
        Ok(v1::EnableIdentityResponse { identity: Some(wire::identity_to_wire(identity)) })
    }

    async fn change_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<v1::SetPasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let password = Secret::from(asked.password);
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let committed = self.authority.set_password(&actor, &tenant, &which, password).await?;
        let enforced_within_ms = self.enforced_within_ms();
        Ok(v1::SetPasswordResponse { revision: Some(committed.revision.into()), enforced_within_ms })
    }

    async fn change_roles(
        &self,
        request: Request<v1::SetIdentityRolesRequest>,
    ) -> Result<v1::SetIdentityRolesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let roles = wire::roles("roles", &asked.roles)?;
        let (identity, committed) = self.authority.set_identity_roles(&actor, &tenant, &which, roles).await?;
        Ok(v1::SetIdentityRolesResponse {
            identity: Some(wire::identity_to_wire(identity)),
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }
}

#[tonic::async_trait]
impl IdentitiesService for Api {
    async fn create_identity(
        &self,
        request: Request<v1::CreateIdentityRequest>,
    ) -> Result<Response<v1::CreateIdentityResponse>, Status> {
        Ok(Response::new(self.make_identity(request).await?))
    }

    async fn get_identity(
        &self,
        request: Request<v1::GetIdentityRequest>,
    ) -> Result<Response<v1::GetIdentityResponse>, Status> {
        Ok(Response::new(self.read_identity(request).await?))
    }

    async fn list_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        Ok(Response::new(self.read_identities(request).await?))
    }

    async fn disable_identity(
        &self,
        request: Request<v1::DisableIdentityRequest>,
    ) -> Result<Response<v1::DisableIdentityResponse>, Status> {
        Ok(Response::new(self.disable(request).await?))
    }

    async fn enable_identity(
        &self,
        request: Request<v1::EnableIdentityRequest>,
    ) -> Result<Response<v1::EnableIdentityResponse>, Status> {
        Ok(Response::new(self.enable(request).await?))
    }

    async fn set_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<Response<v1::SetPasswordResponse>, Status> {
        Ok(Response::new(self.change_password(request).await?))
    }

    async fn set_identity_roles(
        &self,
        request: Request<v1::SetIdentityRolesRequest>,
    ) -> Result<Response<v1::SetIdentityRolesResponse>, Status> {
        Ok(Response::new(self.change_roles(request).await?))
    }
}
