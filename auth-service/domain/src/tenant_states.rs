//! Whether a tenant may act, and what people call it.
//!
//! Suspending ends every session in the tenant for ever by one event, and refuses the rest by state: API keys, passwords
//! and certificates work again when it is reinstated. How a tenant ends is in `tenant_deletion`.

use portcullis_types::TenantId;

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::batch::{Batch, Reason, Target};
use crate::{Authority, BeginError, Committed, Label, ReadView, StoreError, Tenant, TenantState, WriteTx};

/// Why a tenant was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeTenantError {
    /// There is no such tenant.
    #[error("no such tenant")]
    NotFound,
    /// Nobody could administer any more.
    #[error("the system tenant cannot be suspended or deleted")]
    System,
    /// Only a suspended tenant can be deleted.
    #[error("the tenant is not suspended: suspend it first, and delete it when nobody misses it")]
    NotSuspended,
    /// It was changed since it was read.
    #[error("the tenant was changed since it was read")]
    Stale,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Sets what people call a tenant, if it is still at the version, when one is given.
    pub async fn update_tenant(
        &self,
        actor: &Actor,
        name: &TenantId,
        display_name: Option<Label>,
        from_version: Option<u64>,
    ) -> Result<Tenant, ChangeTenantError> {
        let mut change = match self.begin_named(actor, name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(before.tenant(name).await?),
        };
        let mut tenant = living(&mut *change, name).await?;
        if from_version.is_some_and(|version| version != tenant.version) {
            return Err(ChangeTenantError::Stale);
        }
        tenant.display_name = display_name;
        let tenant = self.put_tenant(&mut *change, actor, tenant, "tenant.update").await?;
        change.commit(tenant.name.to_string(), self.now()).await?;
        Ok(tenant)
    }

    /// Refuses everything in a tenant from now on, and ends its sessions for ever.
    pub async fn suspend_tenant(
        &self,
        actor: &Actor,
        name: &TenantId,
    ) -> Result<(Tenant, Committed), ChangeTenantError> {
        if name.is_system() {
            return Err(ChangeTenantError::System);
        }
        let mut change = match self.begin_named_urgently(actor, name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.tenant(name).await?, before.committed()?)),
        };
        let mut tenant = living(&mut *change, name).await?;
        tenant.state = TenantState::Suspended;
        let mut tenant = self.put_tenant(&mut *change, actor, tenant, "tenant.suspend").await?;
        let batch = Batch::kill(Target::Tenant(name.clone()), Reason::Disabled);
        let committed = change.commit_with(batch, name.to_string(), self.now()).await?;
        tenant.revoked_seq = Some(committed.revision.seq);
        Ok((tenant, committed))
    }

    /// Allows a tenant's people and programs to act again. What was revoked stays dead.
    pub async fn reinstate_tenant(&self, actor: &Actor, name: &TenantId) -> Result<Tenant, ChangeTenantError> {
        let mut change = match self.begin_named(actor, name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(before.tenant(name).await?),
        };
        let mut tenant = living(&mut *change, name).await?;
        tenant.state = TenantState::Active;
        let tenant = self.put_tenant(&mut *change, actor, tenant, "tenant.reinstate").await?;
        change.commit(tenant.name.to_string(), self.now()).await?;
        Ok(tenant)
    }

    /// Writes the row with its line in the trail; the tenant as it is then.
    async fn put_tenant(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        mut tenant: Tenant,
        action: &'static str,
    ) -> Result<Tenant, ChangeTenantError> {
        if !tx.update_tenant(&tenant, tenant.version, self.now()).await? {
            return Err(ChangeTenantError::Stale);
        }
        tenant.version += 1;
        tx.insert_audit(&self.audit(actor, &tenant.name, action, About::Tenant(tenant.name.clone()))).await?;
        Ok(tenant)
    }
}

/// A tenant that exists and is not deleted.
async fn living(view: &mut dyn ReadView, name: &TenantId) -> Result<Tenant, ChangeTenantError> {
    let found = view.tenant(name).await?;
    found.filter(|tenant| tenant.state != TenantState::Deleted).ok_or(ChangeTenantError::NotFound)
}
