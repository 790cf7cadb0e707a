//! Which class of leases a tenant's sockets have.
//!
//! Guarantees: no tenant is given a class that lasts longer than the bound, and a change reaches live sockets by an entry
//! of the log that commits with it. A class that no longer fits, because the bound has been lowered since, is told to
//! gateways as `standard`.

use portcullis_types::{ClassOverBound, LeaseClass, TenantId};

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::batch::{Batch, Reason, Target};
use crate::{Authority, BeginError, Committed, StoreError, Tenant, TenantState};

/// Why a tenant has no other class.
#[derive(Debug, thiserror::Error)]
pub enum SetLeaseClassError {
    /// There is no such tenant.
    #[error("no such tenant")]
    TenantNotFound,
    /// The class lasts longer than the bound.
    #[error(transparent)]
    OverBound(#[from] ClassOverBound),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Gives a tenant another class and has its live sockets judged again; no entry when it has that class already.
    pub async fn set_lease_class(
        &self,
        actor: &Actor,
        name: &TenantId,
        class: Option<LeaseClass>,
    ) -> Result<(Tenant, Option<Committed>), SetLeaseClassError> {
        self.fits(class)?;
        let mut tx = match self.begin_named_urgently(actor, name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.tenant(name).await?, before.maybe_committed())),
        };
        let tenant = tx.tenant(name).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        let mut tenant = tenant.ok_or(SetLeaseClassError::TenantNotFound)?;
        if tenant.lease_class == class {
            tx.commit(name.to_string(), self.now()).await?;
            return Ok((tenant, None));
        }
        if !tx.set_lease_class(name, class).await? {
            return Err(SetLeaseClassError::TenantNotFound);
        }
        (tenant.lease_class, tenant.version) = (class, tenant.version + 1);
        tx.insert_audit(&self.audit(actor, name, action(class), About::Tenant(name.clone()))).await?;
        let batch = Batch::reauthorize_for(Target::Tenant(name.clone()), Reason::Administrative);
        Ok((tenant, Some(tx.commit_with(batch, name.to_string(), self.now()).await?)))
    }

    /// Tenants with a class that does not fit into the bound, at most `limit` of them: they are served as `standard`.
    pub async fn tenants_over_bound(&self, limit: u32) -> Result<Vec<Tenant>, StoreError> {
        let over: Vec<_> = LeaseClass::ALL.into_iter().filter(|class| self.fits(Some(*class)).is_err()).collect();
        if over.is_empty() { Ok(Vec::new()) } else { self.store().read().await?.tenants_of_class(&over, limit).await }
    }

    pub(crate) fn fits(&self, class: Option<LeaseClass>) -> Result<(), ClassOverBound> {
        class.map_or(Ok(()), |class| self.settings().leases.fits(class))
    }

    /// The class that gateways are told.
    pub(crate) fn served_class(&self, tenant: &Tenant) -> Option<LeaseClass> {
        tenant.lease_class.map(|class| self.settings().leases.within_bound(class))
    }
}

/// What the audit trail calls it: which class was chosen is seen there, above all when it weakens the bound.
const fn action(class: Option<LeaseClass>) -> &'static str {
    match class {
        None => "tenant.lease_class.none",
        Some(LeaseClass::Strict) => "tenant.lease_class.strict",
        Some(LeaseClass::Standard) => "tenant.lease_class.standard",
        Some(LeaseClass::Tolerant) => "tenant.lease_class.tolerant",
        Some(LeaseClass::Hold) => "tenant.lease_class.hold",
    }
}
