//! What a store that was restored from a backup owes the gateways.
//!
//! What was issued after the backup is gone with it, and where no entry of the log was lost a gateway's cursor still
//! fits: nothing would tell it. So everybody is judged again, by entries that every gateway applies.

use portcullis_types::Timestamp;

use crate::audit::{About, AuditEntry};
use crate::batch::{Batch, Effect, Fact, Reason, Target};
use crate::{Committed, MAX_PAGE, Store, StoreError, Tenant};

/// Has the sockets of every tenant judged again: an entry for each thousand of tenants. The last one; none where there
/// is no tenant.
pub async fn reauthorize_everybody(store: &dyn Store, at: Timestamp) -> Result<Option<Committed>, StoreError> {
    let (mut last, mut after) = (None, None::<String>);
    loop {
        let mut tx = store.write().await?;
        let tenants = tx.tenants(None, after.as_deref(), MAX_PAGE).await?;
        let Some(batch) = of_all(&tenants) else { return Ok(last) };
        for tenant in &tenants {
            let about = About::Tenant(tenant.name.clone());
            tx.insert_audit(&AuditEntry::of_the_authority(at, &tenant.name, "store.restored", about)).await?;
        }
        last = Some(tx.commit_with(batch, at).await?);
        after = tenants.last().map(|tenant| tenant.name.to_string());
    }
}

fn of_all(tenants: &[Tenant]) -> Option<Batch> {
    let (first, others) = tenants.split_first()?;
    let target = |tenant: &Tenant| Target::Tenant(tenant.name.clone());
    let mut batch = Batch::reauthorize_for(target(first), Reason::Administrative);
    for tenant in others {
        let (effect, reason) = (Effect::Reauthorize, Reason::Administrative);
        batch = batch.and(Fact { target: target(tenant), effect, reason, pace: None });
    }
    Some(batch)
}
