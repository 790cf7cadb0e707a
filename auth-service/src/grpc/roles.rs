//! `RolesService`.

use auth_domain::{Role, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::roles_service_server::RolesService;
use portcullis_types::RoleName;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::{Failure, role_not_found};
use super::{Api, wire};

impl Api {
    async fn make_role(&self, request: Request<v1::PutRoleRequest>) -> Result<v1::PutRoleResponse, Failure> {
        let admitted = admitted(&request)?;
        let whole = request.into_inner();
        let asked = whole.role.as_ref().ok_or_else(|| Failure::field("role", "is needed"))?;
        let tenant = wire::tenant("role.tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "PutRole", &whole.request_id, &whole)?;
        let role = Role {
            tenant,
            name: RoleName::try_from(asked.name.as_str()).map_err(Failure::name("role.name"))?,
            grants: wire::grants(&asked.grants)?,
        };
        let (role, committed) = self.authority.put_role(&actor, role, wire::etag(&whole.etag)?).await?;
        Ok(v1::PutRoleResponse {
            role: Some(wire::role_to_wire(role)),
            revision: committed.map(|committed| committed.revision.into()),
            enforced_within_ms: committed.map_or(0, |_| self.enforced_within_ms()),
        })
    }

    async fn read_role(&self, request: Request<v1::GetRoleRequest>) -> Result<v1::GetRoleResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let name = RoleName::try_from(asked.name.as_str()).map_err(Failure::name("name"))?;
        let role = self.authority.role(&tenant, &name).await?.ok_or_else(|| role_not_found(&asked.name))?;
        Ok(v1::GetRoleResponse { role: Some(wire::role_to_wire(role)) })
    }

    async fn remove_role(&self, request: Request<v1::DeleteRoleRequest>) -> Result<v1::DeleteRoleResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "DeleteRole", &asked.request_id, &asked)?;
        let name = RoleName::try_from(asked.name.as_str()).map_err(Failure::name("name"))?;
        let committed = self.authority.delete_role(&actor, &tenant, &name).await?;
        let enforced_within_ms = self.enforced_within_ms();
        Ok(v1::DeleteRoleResponse { revision: Some(committed.revision.into()), enforced_within_ms })
    }

    async fn read_roles(&self, request: Request<v1::ListRolesRequest>) -> Result<v1::ListRolesResponse, Failure> {
        let admitted = admitted(&request)?;
        let tenant = wire::tenant("tenant", &request.get_ref().tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let roles = self.authority.roles(&tenant).await?;
        Ok(v1::ListRolesResponse { roles: roles.into_iter().map(wire::role_to_wire).collect() })
    }
}

#[tonic::async_trait]
impl RolesService for Api {
    async fn put_role(&self, request: Request<v1::PutRoleRequest>) -> Result<Response<v1::PutRoleResponse>, Status> {
        Ok(Response::new(self.make_role(request).await?))
    }

    async fn get_role(&self, request: Request<v1::GetRoleRequest>) -> Result<Response<v1::GetRoleResponse>, Status> {
        Ok(Response::new(self.read_role(request).await?))
    }

    async fn delete_role(
        &self,
        request: Request<v1::DeleteRoleRequest>,
    ) -> Result<Response<v1::DeleteRoleResponse>, Status> {
        Ok(Response::new(self.remove_role(request).await?))
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        Ok(Response::new(self.read_roles(request).await?))
    }
}
