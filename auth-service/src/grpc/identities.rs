//! `IdentitiesService`.

use auth_domain::{Attributes, FirstPassword, IdentityFilter, IdentityUpdate, NewIdentity, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::identities_service_server::IdentitiesService;
use portcullis_types::{IdentityName, RoleName, Secret};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::{Failure, identity_not_found};
use super::{Api, wire};

/// The most references of one call.
const MOST_REFERENCES: usize = 100;

impl Api {
    async fn make_identity(
        &self,
        request: Request<v1::CreateIdentityRequest>,
    ) -> Result<v1::CreateIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "CreateIdentity", &asked.request_id, &asked)?;
        let new = NewIdentity {
            kind: wire::identity_kind(asked.kind())?,
            tenant,
            name: IdentityName::try_from(asked.name.as_str()).map_err(Failure::name("name"))?,
            display_name: wire::label("display_name", &asked.display_name)?,
            attributes: Attributes::try_from(asked.attributes).map_err(Failure::name("attributes"))?,
            roles: wire::roles("roles", &asked.roles)?,
            password: first_password(asked.password, asked.password_hash)?,
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
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let identity = self.authority.identity(&tenant, &which).await?.ok_or_else(identity_not_found)?;
        Ok(v1::GetIdentityResponse { identity: Some(wire::identity_to_wire(identity)) })
    }

    async fn read_some_identities(
        &self,
        request: Request<v1::BatchGetIdentitiesRequest>,
    ) -> Result<v1::BatchGetIdentitiesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        if !(1..=MOST_REFERENCES).contains(&asked.identities.len()) {
            return Err(Failure::field("identities", "must be 1 to 100"));
        }
        let which = asked.identities.into_iter().map(|reference| wire::identity_ref_in(&tenant, Some(reference)));
        let which = which.collect::<Result<Vec<_>, _>>()?;
        let found = self.authority.identities_by_reference(&tenant, &which).await?;
        let results = found
            .into_iter()
            .map(|identity| v1::BatchGetIdentitiesResult { identity: identity.map(wire::identity_to_wire) });
        Ok(v1::BatchGetIdentitiesResponse { results: results.collect() })
    }

    async fn read_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<v1::ListIdentitiesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let filter = filter_of(&asked)?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.identities(&tenant, &filter, page).await?;
        let (identities, next_page_token) = wire::paged(page, wire::identity_to_wire);
        Ok(v1::ListIdentitiesResponse { identities, next_page_token })
    }

    async fn change_identity(
        &self,
        request: Request<v1::UpdateIdentityRequest>,
    ) -> Result<v1::UpdateIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "UpdateIdentity", &asked.request_id, &asked)?;
        let mut update = IdentityUpdate {
            tenant,
            which,
            name: None,
            display_name: None,
            attributes: None,
            roles: None,
            from_version: wire::version(&asked.etag)?,
        };
        let paths = asked.update_mask.map(|mask| mask.paths).unwrap_or_default();
        if paths.is_empty() {
            return Err(Failure::field("update_mask", "must name what is updated"));
        }
        for path in &paths {
            match path.as_str() {
                "name" => update.name = Some(IdentityName::try_from(&*asked.name).map_err(Failure::name("name"))?),
                "display_name" => update.display_name = Some(wire::label("display_name", &asked.display_name)?),
                "attributes" => {
                    let attributes = Attributes::try_from(asked.attributes.clone());
                    update.attributes = Some(attributes.map_err(Failure::name("attributes"))?);
                }
                "roles" => update.roles = Some(wire::roles("roles", &asked.roles)?),
                _ => {
                    return Err(Failure::field(
                        "update_mask",
                        "must hold name, display_name, attributes and roles only",
                    ));
                }
            }
        }
        let (identity, committed) = self.authority.update_identity(&actor, update).await?;
        Ok(v1::UpdateIdentityResponse {
            identity: Some(wire::identity_to_wire(identity)),
            revision: committed.map(|committed| committed.revision.into()),
            enforced_within_ms: committed.map_or(0, |_| self.enforced_within_ms()),
        })
    }

    async fn disable(
        &self,
        request: Request<v1::DisableIdentityRequest>,
    ) -> Result<v1::DisableIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "DisableIdentity", &asked.request_id, &asked)?;
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
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "EnableIdentity", &asked.request_id, &asked)?;
        let identity = self.authority.enable_identity(&actor, &tenant, &which).await?;
        Ok(v1::EnableIdentityResponse { identity: Some(wire::identity_to_wire(identity)) })
    }

    async fn bury(&self, request: Request<v1::DeleteIdentityRequest>) -> Result<v1::DeleteIdentityResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "DeleteIdentity", &asked.request_id, &asked)?;
        let (identity, committed) = self.authority.delete_identity(&actor, &tenant, &which).await?;
        Ok(v1::DeleteIdentityResponse {
            identity: Some(wire::identity_to_wire(identity)),
            revision: Some(committed.revision.into()),
            committed_at: Some(wire::timestamp(committed.committed_at)),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn change_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<v1::SetPasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "SetPassword", &asked.request_id, &asked)?;
        let password = Secret::from(asked.password);
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
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "SetIdentityRoles", &asked.request_id, &asked)?;
        let roles = wire::roles("roles", &asked.roles)?;
        let (identity, committed) = self.authority.set_identity_roles(&actor, &tenant, &which, roles).await?;
        Ok(v1::SetIdentityRolesResponse {
            identity: Some(wire::identity_to_wire(identity)),
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }
}

fn filter_of(asked: &v1::ListIdentitiesRequest) -> Result<IdentityFilter, Failure> {
    let name_prefix = match asked.name_prefix.as_str() {
        "" => None,
        prefix => Some(IdentityName::try_from(prefix).map_err(Failure::name("name_prefix"))?),
    };
    let role = match asked.role.as_str() {
        "" => None,
        role => Some(RoleName::try_from(role).map_err(Failure::name("role"))?),
    };
    let kind = match wire::one_of("kind", asked.kind)? {
        v1::IdentityKind::Unspecified => None,
        kind => Some(wire::identity_kind(kind)?),
    };
    let state = wire::identity_state(wire::one_of("state", asked.state)?);
    Ok(IdentityFilter { state, kind, name_prefix, role })
}

fn first_password(password: String, hash: String) -> Result<Option<FirstPassword>, Failure> {
    match (password.is_empty(), hash.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(FirstPassword::Chosen(Secret::from(password)))),
        (true, false) => Ok(Some(FirstPassword::Imported(Secret::from(hash)))),
        (false, false) => Err(Failure::field("password_hash", "stands instead of a password, not beside one")),
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

    async fn batch_get_identities(
        &self,
        request: Request<v1::BatchGetIdentitiesRequest>,
    ) -> Result<Response<v1::BatchGetIdentitiesResponse>, Status> {
        Ok(Response::new(self.read_some_identities(request).await?))
    }

    async fn update_identity(
        &self,
        request: Request<v1::UpdateIdentityRequest>,
    ) -> Result<Response<v1::UpdateIdentityResponse>, Status> {
        Ok(Response::new(self.change_identity(request).await?))
    }

    async fn delete_identity(
        &self,
        request: Request<v1::DeleteIdentityRequest>,
    ) -> Result<Response<v1::DeleteIdentityResponse>, Status> {
        Ok(Response::new(self.bury(request).await?))
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
