//! Named sets of grants.

use portcullis_types::{RoleName, TenantId};

use crate::audit::Actor;
use crate::batch::{Batch, Target};
use crate::{Authority, Committed, Grant, MAX_GRANTS, StoreError};

/// The most roles that a tenant has.
pub const MAX_ROLES: usize = 1_000;

/// A named set of grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name in the tenant.
    pub name: RoleName,
    /// What it allows.
    pub grants: Vec<Grant>,
}

/// Why a role was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutRoleError {
    /// There is no such tenant.
    #[error("no such tenant")]
    TenantNotFound,
    /// It has more grants than a role may have.
    #[error("a role has at most {MAX_GRANTS} grants")]
    TooManyGrants,
    /// The tenant has as many roles as it may have.
    #[error("a tenant has at most {MAX_ROLES} roles")]
    TooManyRoles,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a role, or gives an existing one other grants and has its holders judged again.
    pub async fn put_role(&self, actor: &Actor, role: Role) -> Result<(Role, Option<Committed>), PutRoleError> {
        if role.grants.len() > MAX_GRANTS {
            return Err(PutRoleError::TooManyGrants);
        }
        let mut tx = self.store().write().await?;
        tx.tenant(&role.tenant).await?.ok_or(PutRoleError::TenantNotFound)?;
        let existed = tx.role(&role.tenant, &role.name).await?.is_some();
        if !existed && tx.roles(&role.tenant).await?.len() >= MAX_ROLES {
            return Err(PutRoleError::TooManyRoles);
        }
        tx.put_role(&role).await?;
        tx.insert_audit(&self.audit(actor, &role.tenant, "role.put", format!("role:{}", role.name))).await?;
        let committed = if existed {
            let batch = Batch::reauthorize(Target::Role(role.tenant.clone(), role.name.clone()));
            Some(tx.commit_with(batch, self.now()).await?)
        } else {
            tx.commit().await?;
            None
        };
        Ok((role, committed))
    }

    /// Reads a tenant's roles, by name.
    pub async fn roles(&self, tenant: &TenantId) -> Result<Vec<Role>, StoreError> {
        self.store().read().await?.roles(tenant).await
    }
}
