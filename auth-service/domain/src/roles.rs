//! Named sets of grants.

use portcullis_types::{RoleName, TenantId};

use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Target};
use crate::outrun::{Outrun, unless_outrun};
use crate::{Authority, BeginError, Committed, Etag, Grant, MAX_GRANTS, ReadView, StoreError, TenantState};

/// The most roles that a tenant has.
pub const MAX_ROLES: u64 = 1_000;

/// The most bytes of grants that one role has, and that one identity holds over all its roles: 256 verdicts fit in one
/// answer.
pub const MAX_GRANT_BYTES: u64 = 12 * 1024;

/// The most bytes of grants that a tenant's roles have together: they are listed in one answer.
pub const MAX_TENANT_GRANT_BYTES: u64 = 3 * 1024 * 1024;

/// What a grant takes in an answer beside its pattern, at most.
const GRANT_OVERHEAD: u64 = 8;

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

impl Role {
    /// What its grants take in an answer, at most.
    pub fn bytes(&self) -> u64 {
        self.grants.iter().map(Grant::bytes).sum()
    }

    /// What it allows, in short.
    pub fn etag(&self) -> Etag {
        let parts = self.grants.iter().flat_map(|grant| [grant.action.name(), grant.pattern.as_str()]);
        Etag::of(parts.map(str::as_bytes))
    }
}

impl Grant {
    /// What it takes in an answer, at most.
    pub(crate) fn bytes(&self) -> u64 {
        self.pattern.as_str().len() as u64 + GRANT_OVERHEAD
    }
}

/// What a tenant's roles come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleTotals {
    /// How many there are.
    pub roles: u64,
    /// The sum of [`Role::bytes`].
    pub bytes: u64,
}

/// Why a role was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRoleError {
    /// There is no such role.
    #[error("no such role: {0}")]
    NotFound(RoleName),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// It was changed since it was read, or deleted.
    #[error("the role was changed since it was read")]
    Stale,
    /// The tenant has as many roles as it may have.
    #[error("a tenant has at most {MAX_ROLES} roles")]
    TooManyRoles,
    /// Its grants are longer than a role's may be.
    #[error("the grants of a role have at most {MAX_GRANT_BYTES} bytes")]
    TooLarge,
    /// An identity that has it would hold more than it may.
    #[error("the grants of an identity have at most {MAX_GRANT_BYTES} bytes")]
    HolderTooLarge,
    /// The tenant's grants are longer than they may be.
    #[error("the grants of a tenant's roles have at most {MAX_TENANT_GRANT_BYTES} bytes")]
    TenantTooLarge,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Outrun for PutRoleError {
    fn is_outrun(&self) -> bool {
        match self {
            Self::Begin(error) => error.is_outrun(),
            Self::Store(error) => error.is_outrun(),
            _ => false,
        }
    }
}

impl Authority {
    /// Makes a role, or gives an existing one other grants and has its holders judged again; if it is still what it was,
    /// where that is said.
    pub async fn put_role(
        &self,
        actor: &Actor,
        role: Role,
        from: Option<Etag>,
    ) -> Result<(Role, Option<Committed>), PutRoleError> {
        unless_outrun(|| self.put_role_once(actor, role.clone(), from)).await
    }

    async fn put_role_once(
        &self,
        actor: &Actor,
        role: Role,
        from: Option<Etag>,
    ) -> Result<(Role, Option<Committed>), PutRoleError> {
        if role.grants.len() > MAX_GRANTS {
            return Err(PutRoleError::TooManyGrants);
        }
        if role.bytes() > MAX_GRANT_BYTES {
            return Err(PutRoleError::TooLarge);
        }
        // In a snapshot, because it reads every holder. A change that it misses breaks no answer: 64 roles of the
        // largest size still fit in one.
        spare_holders(self.store().read().await?.as_mut(), &role).await?;
        let mut tx = match self.begin_named_urgently(actor, &role.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok((role, before.maybe_committed())),
        };
        let tenant = tx.tenant(&role.tenant).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        tenant.ok_or(PutRoleError::TenantNotFound)?;
        tx.hold_role(&role.tenant, &role.name).await?;
        let before = tx.role(&role.tenant, &role.name).await?;
        if from.is_some_and(|from| before.as_ref().map(Role::etag) != Some(from)) {
            return Err(PutRoleError::Stale);
        }
        let existed = before.is_some();
        let totals = tx.role_totals(&role.tenant).await?;
        if !existed && totals.roles >= MAX_ROLES {
            return Err(PutRoleError::TooManyRoles);
        }
        let others = totals.bytes.saturating_sub(before.as_ref().map_or(0, Role::bytes));
        if others + role.bytes() > MAX_TENANT_GRANT_BYTES {
            return Err(PutRoleError::TenantTooLarge);
        }
        // Another transaction made it meanwhile, so that somebody may hold it already: that is a change, with its entry.
        if tx.put_role(&role).await? == existed {
            return Err(StoreError::Conflict.into());
        }
        let entry = self.audit(actor, &role.tenant, "role.put", About::Role(role.name.clone()));
        let detail = Detail::default().and_grants("grants", &role.grants);
        let detail = match &before {
            Some(before) => detail.and_grants("before", &before.grants),
            None => detail,
        };
        tx.insert_audit(&entry.telling(detail)).await?;
        let subject = role.name.to_string();
        let committed = if existed {
            let batch = Batch::reauthorize(Target::Role(role.tenant.clone(), role.name.clone()));
            Some(tx.commit_with(batch, subject, self.now()).await?)
        } else {
            tx.commit(subject, self.now()).await?;
            None
        };
        Ok((role, committed))
    }

    /// Takes a role from everybody who has it, removes it, and has their live sockets judged again.
    pub async fn delete_role(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &RoleName,
    ) -> Result<Committed, DeleteRoleError> {
        let mut change = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        if !change.delete_role(tenant, name).await? {
            return Err(DeleteRoleError::NotFound(name.clone()));
        }
        change.insert_audit(&self.audit(actor, tenant, "role.delete", About::Role(name.clone()))).await?;
        let batch = Batch::reauthorize(Target::Role(tenant.clone(), name.clone()));
        Ok(change.commit_with(batch, name.to_string(), self.now()).await?)
    }

    /// Reads a role.
    pub async fn role(&self, tenant: &TenantId, name: &RoleName) -> Result<Option<Role>, StoreError> {
        self.store().read().await?.role(tenant, name).await
    }

    /// Reads a tenant's roles, by name.
    pub async fn roles(&self, tenant: &TenantId) -> Result<Vec<Role>, StoreError> {
        self.store().read().await?.roles(tenant).await
    }
}

/// Refuses a role that somebody who has it could not hold as it shall be.
async fn spare_holders(view: &mut dyn ReadView, role: &Role) -> Result<(), PutRoleError> {
    let Some(before) = view.role(&role.tenant, &role.name).await? else { return Ok(()) };
    let more = role.bytes().saturating_sub(before.bytes());
    if more == 0 {
        return Ok(());
    }
    let most = view.most_bytes_held_with(&role.tenant, &role.name).await?;
    if most + more > MAX_GRANT_BYTES { Err(PutRoleError::HolderTooLarge) } else { Ok(()) }
}
