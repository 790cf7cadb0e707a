//! The end of a tenant.
//!
//! Guarantees: one event ends everything beneath it, whatever it rests on; from its commit on nothing of the tenant is
//! answered or usable. Its name is never given again, and its row stays a tombstone with its newest entry (I18): a token, a
//! cursor or a page token that names the tenant can never come to mean another one. So everything beneath it may go, in
//! pieces, because what has no row is unknown, and what is unknown is refused. The audit trail stays.
//! Refuses: to delete what is not suspended. Suspending ends the same and can be taken back, so the error is noticed before
//! this cannot.

use std::time::Duration;

use portcullis_types::TenantId;

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::batch::{Batch, Reason, Target};
use crate::retention::Tidied;
use crate::{Authority, ChangeTenantError, Committed, StoreError, Tenant, TenantState};

/// How many rows one transaction removes, or a few times as many where things belong together.
const AT_ONCE: u32 = 200;
/// For how long is looked for what was on its way into the tenant when it was deleted: far longer than a transaction takes.
const LOOKED_AFTER: Duration = Duration::from_secs(86_400);

impl Authority {
    /// Makes a tombstone of a suspended tenant, if it is still at the version, when one is given. Nothing brings it back.
    pub async fn delete_tenant(
        &self,
        actor: &Actor,
        name: &TenantId,
        from_version: Option<u64>,
    ) -> Result<(Tenant, Committed), ChangeTenantError> {
        if name.is_system() {
            return Err(ChangeTenantError::System);
        }
        let mut change = match self.begin_named_urgently(actor, name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.tenant(name).await?, before.committed()?)),
        };
        let tenant = change.tenant(name).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        let tenant = tenant.ok_or(ChangeTenantError::NotFound)?;
        if from_version.is_some_and(|version| version != tenant.version) {
            return Err(ChangeTenantError::Stale);
        }
        if tenant.state != TenantState::Suspended {
            return Err(ChangeTenantError::NotSuspended);
        }
        if !change.bury_tenant(name, tenant.version, self.now()).await? {
            return Err(ChangeTenantError::Stale);
        }
        change.insert_audit(&self.audit(actor, name, "tenant.delete", About::Tenant(name.clone()))).await?;
        let buried = change.tenant(name).await?;
        let mut buried = buried.ok_or(StoreError::Corrupt { what: "a tenant that was there a moment ago" })?;
        let batch = Batch::kill(Target::Tenant(name.clone()), Reason::Disabled);
        let committed = change.commit_with(batch, name.to_string(), self.now()).await?;
        buried.revoked_seq = Some(committed.revision.seq);
        Ok((buried, committed))
    }

    /// Whether a tenant is a tombstone: whoever is not of it is told that there is none. Who is of it is known no more.
    pub async fn is_deleted(&self, name: &TenantId) -> Result<bool, StoreError> {
        let found = self.store().read().await?.tenant(name).await?;
        Ok(found.is_some_and(|tenant| tenant.state == TenantState::Deleted))
    }

    /// Removes some of what is left of deleted tenants.
    pub async fn empty_deleted_tenants(&self) -> Result<Tidied, StoreError> {
        let now = self.now();
        let before = now.saturating_sub(LOOKED_AFTER);
        // In a snapshot first, so that looking for what is not there keeps no writer waiting.
        let mut view = self.store().read().await?;
        let left = view.tenant_to_empty().await?;
        if left.is_none() && view.count_emptied(before, 1).await? == 0 {
            return Ok(Tidied::Nothing);
        }
        drop(view);
        let Some(mut turn) = self.turn().await? else { return Ok(Tidied::Elsewhere) };
        let rows = match left {
            Some(name) => turn.tx.remove_of_tenant(&name, AT_ONCE).await?,
            None => turn.tx.note_emptied(before, now, AT_ONCE).await?,
        };
        if rows == 0 {
            return Ok(Tidied::Nothing);
        }
        self.end_turn(turn, rows).await
    }
}
