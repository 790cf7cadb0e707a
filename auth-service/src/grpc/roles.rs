//! `RolesService`.

use auth_domain::{Role, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::roles_service_server::RolesService;
use portcullis_types::RoleName;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn make_role(&self, request: Request<v1::PutRoleRequest>) -> Result<v1::PutRoleResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner().role.ok_or_else(|| Failure::field("role", "is needed"))?;
        let tenant = wire::tenant("role.tenant", &asked.tenant)?;
        let actor = admitted.act(Scope::IdentityWrite, &tenant)?;
        let role = Role {
            tenant,
            name: RoleName::try_from(asked.name.as_str()).map_err(Failure::name("role.name"))?,
            grants: wire::grants(&asked.grants)?,
        };
        let (role, committed) = self.authority.put_role(&actor, role).await?;
        Ok(v1::PutRoleResponse {
            role: Some(wire::role_to_wire(role)),
            revision: committed.map(|committed| committed.revision.into()),
            enforced_within_ms: committed.map_or(0, |_| self.enforced_within_ms()),
        })
    }

    async fn read_roles(&self, request: Request<v1::ListRolesRequest>) -> Result<v1::ListRolesResponse, Failure> {
        let admitted = admitted(&request)?;
        let tenant = wire::tenant("tenant", &request.get_ref().tenant)?;
        admitted.act(Scope::IdentityRead, &tenant)?;
        let roles = self.authority.roles(&tenant).await?;
        Ok(v1::ListRolesResponse { roles: roles.into_iter().map(wire::role_to_wire).collect() })
    }
}

#[tonic::async_trait]
impl RolesService for Api {
    async fn put_role(&self, request: Request<v1::PutRoleRequest>) -> Result<Response<v1::PutRoleResponse>, Status> {
        Ok(Response::new(self.make_role(request).await?))
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        Ok(Response::new(self.read_roles(request).await?))
    }
}
