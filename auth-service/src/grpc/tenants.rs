//! `TenantsService`.

use auth_domain::{Scope, TenantState};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tenants_service_server::TenantsService;
use portcullis_types::LeaseClass;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::{Failure, tenant_not_found};
use super::{Api, wire};

impl Api {
    async fn make_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<v1::CreateTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let asked = request.into_inner();
        let (name, class) = (wire::tenant("name", &asked.name)?, lease_class(asked.lease_class)?);
        let actor = self.named(actor, "CreateTenant", &asked.request_id, &asked)?;
        let display_name = wire::label("display_name", &asked.display_name)?;
        let tenant = self.authority.create_tenant(&actor, name, class, display_name).await?;
        Ok(v1::CreateTenantResponse { tenant: Some(wire::tenant_to_wire(tenant)) })
    }

    async fn change_lease_class(
        &self,
        request: Request<v1::SetLeaseClassRequest>,
    ) -> Result<v1::SetLeaseClassResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (name, class) = (wire::tenant("tenant", &asked.tenant)?, lease_class(asked.lease_class)?);
        let actor = admitted.act(Scope::Admin, &name)?;
        let actor = self.named(actor, "SetLeaseClass", &asked.request_id, &asked)?;
        let (tenant, committed) = self.authority.set_lease_class(&actor, &name, class).await?;
        Ok(v1::SetLeaseClassResponse {
            tenant: Some(wire::tenant_to_wire(tenant)),
            revision: committed.map(|committed| committed.revision.into()),
            enforced_within_ms: committed.map_or(0, |_| self.enforced_within_ms()),
        })
    }

    async fn read_tenant(&self, request: Request<v1::GetTenantRequest>) -> Result<v1::GetTenantResponse, Failure> {
        let admitted = admitted(&request)?;
        let name = wire::tenant("name", &request.get_ref().name)?;
        admitted.act(Scope::Admin, &name)?;
        let tenant = self.authority.tenant(&name).await?.ok_or_else(tenant_not_found)?;
        Ok(v1::GetTenantResponse { tenant: Some(wire::tenant_to_wire(tenant)) })
    }

    async fn change_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Result<v1::UpdateTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let asked = request.into_inner();
        let name = wire::tenant("name", &asked.name)?;
        let actor = self.named(actor, "UpdateTenant", &asked.request_id, &asked)?;
        let paths = asked.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        if paths.iter().any(|path| path != "display_name") {
            return Err(Failure::field("update_mask", "must hold display_name only"));
        }
        if paths.is_empty() && asked.display_name.is_empty() {
            return Err(Failure::field("update_mask", "must name display_name to take it away"));
        }
        let (display_name, version) = (wire::label("display_name", &asked.display_name)?, wire::version(&asked.etag)?);
        let tenant = self.authority.update_tenant(&actor, &name, display_name, version).await?;
        Ok(v1::UpdateTenantResponse { tenant: Some(wire::tenant_to_wire(tenant)) })
    }

    async fn suspend(&self, request: Request<v1::SuspendTenantRequest>) -> Result<v1::SuspendTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let asked = request.into_inner();
        let name = wire::tenant("name", &asked.name)?;
        let actor = self.named(actor, "SuspendTenant", &asked.request_id, &asked)?;
        let (tenant, committed) = self.authority.suspend_tenant(&actor, &name).await?;
        Ok(v1::SuspendTenantResponse {
            tenant: Some(wire::tenant_to_wire(tenant)),
            revision: Some(committed.revision.into()),
            committed_at: Some(wire::timestamp(committed.committed_at)),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn reinstate(
        &self,
        request: Request<v1::ReinstateTenantRequest>,
    ) -> Result<v1::ReinstateTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let asked = request.into_inner();
        let name = wire::tenant("name", &asked.name)?;
        let actor = self.named(actor, "ReinstateTenant", &asked.request_id, &asked)?;
        let tenant = self.authority.reinstate_tenant(&actor, &name).await?;
        Ok(v1::ReinstateTenantResponse { tenant: Some(wire::tenant_to_wire(tenant)) })
    }

    async fn bury_tenant(
        &self,
        request: Request<v1::DeleteTenantRequest>,
    ) -> Result<v1::DeleteTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let asked = request.into_inner();
        let (name, version) = (wire::tenant("name", &asked.name)?, wire::version(&asked.etag)?);
        let actor = self.named(actor, "DeleteTenant", &asked.request_id, &asked)?;
        let (tenant, committed) = self.authority.delete_tenant(&actor, &name, version).await?;
        Ok(v1::DeleteTenantResponse {
            tenant: Some(wire::tenant_to_wire(tenant)),
            revision: Some(committed.revision.into()),
            committed_at: Some(wire::timestamp(committed.committed_at)),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn read_tenants(&self, request: Request<v1::ListTenantsRequest>) -> Result<v1::ListTenantsResponse, Failure> {
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Admin)?;
        let asked = request.into_inner();
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let state = tenant_state(asked.state)?;
        let page = self.authority.tenants_seen_by(admitted.caller(), state, page).await?;
        let (tenants, next_page_token) = wire::paged(page, wire::tenant_to_wire);
        Ok(v1::ListTenantsResponse { tenants, next_page_token })
    }
}

/// A state that this version does not know is no tenant's.
fn tenant_state(number: i32) -> Result<Option<TenantState>, Failure> {
    match v1::TenantState::try_from(number) {
        Ok(v1::TenantState::Unspecified) => Ok(None),
        Ok(v1::TenantState::Active) => Ok(Some(TenantState::Active)),
        Ok(v1::TenantState::Suspended) => Ok(Some(TenantState::Suspended)),
        Ok(v1::TenantState::Deleted) => Ok(Some(TenantState::Deleted)),
        Err(_) => Err(Failure::field("state", "must be one of the states")),
    }
}

/// A class that this version does not know cannot be kept.
fn lease_class(number: i32) -> Result<Option<LeaseClass>, Failure> {
    let known =
        v1::LeaseClass::try_from(number).map_err(|_| Failure::field("lease_class", "must be one of the classes"));
    Ok(known?.into())
}

#[tonic::async_trait]
impl TenantsService for Api {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<Response<v1::CreateTenantResponse>, Status> {
        Ok(Response::new(self.make_tenant(request).await?))
    }

    async fn get_tenant(
        &self,
        request: Request<v1::GetTenantRequest>,
    ) -> Result<Response<v1::GetTenantResponse>, Status> {
        Ok(Response::new(self.read_tenant(request).await?))
    }

    async fn update_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Result<Response<v1::UpdateTenantResponse>, Status> {
        Ok(Response::new(self.change_tenant(request).await?))
    }

    async fn suspend_tenant(
        &self,
        request: Request<v1::SuspendTenantRequest>,
    ) -> Result<Response<v1::SuspendTenantResponse>, Status> {
        Ok(Response::new(self.suspend(request).await?))
    }

    async fn reinstate_tenant(
        &self,
        request: Request<v1::ReinstateTenantRequest>,
    ) -> Result<Response<v1::ReinstateTenantResponse>, Status> {
        Ok(Response::new(self.reinstate(request).await?))
    }

    async fn delete_tenant(
        &self,
        request: Request<v1::DeleteTenantRequest>,
    ) -> Result<Response<v1::DeleteTenantResponse>, Status> {
        Ok(Response::new(self.bury_tenant(request).await?))
    }

    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Result<Response<v1::ListTenantsResponse>, Status> {
        Ok(Response::new(self.read_tenants(request).await?))
    }

    async fn set_lease_class(
        &self,
        request: Request<v1::SetLeaseClassRequest>,
    ) -> Result<Response<v1::SetLeaseClassResponse>, Status> {
        Ok(Response::new(self.change_lease_class(request).await?))
    }
}
