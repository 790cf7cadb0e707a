//! `TenantsService`.

use auth_domain::Scope;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tenants_service_server::TenantsService;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn make_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<v1::CreateTenantResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Admin)?;
        let name = wire::tenant("name", &request.get_ref().name)?;
        let tenant = self.authority.create_tenant(&actor, name).await?;
        Ok(v1::CreateTenantResponse { tenant: Some(wire::tenant_to_wire(tenant)) })
    }

    async fn read_tenants(&self, request: Request<v1::ListTenantsRequest>) -> Result<v1::ListTenantsResponse, Failure> {
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Admin)?;
        let asked = request.into_inner();
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.tenants_seen_by(admitted.caller(), page).await?;
        let (tenants, next_page_token) = wire::paged(page, wire::tenant_to_wire);
        Ok(v1::ListTenantsResponse { tenants, next_page_token })
    }
}

#[tonic::async_trait]
impl TenantsService for Api {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<Response<v1::CreateTenantResponse>, Status> {
        Ok(Response::new(self.make_tenant(request).await?))
    }

    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Result<Response<v1::ListTenantsResponse>, Status> {
        Ok(Response::new(self.read_tenants(request).await?))
    }
}
