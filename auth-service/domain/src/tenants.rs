//! The customers whose worlds are apart. How they live on is in `tenant_states`.

use portcullis_types::{ClassOverBound, LeaseClass, TenantId, Timestamp};

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::{Authority, BeginError, Caller, Label, ListError, Page, Paged, StoreError};

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TenantState {
    /// Its people and programs may act.
    Active,
    /// Everything in it is refused.
    Suspended,
    /// It is gone for ever: a tombstone, whose name and newest entry are kept and nothing else.
    Deleted,
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, for ever.
    pub name: TenantId,
    /// What people call it.
    pub display_name: Option<Label>,
    /// Where it stands.
    pub state: TenantState,
    /// Counts its changes.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The class of its leases, if it has one of its own.
    pub lease_class: Option<LeaseClass>,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
    /// Before when what began in it is dead; only ever moved forward.
    pub ended_before: Option<Timestamp>,
}

/// Why a tenant was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTenantError {
    /// The name is taken, or was: a deleted tenant's is not given again.
    #[error("a tenant of this name exists, or existed and was deleted")]
    Exists,
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

impl Tenant {
    /// A new one.
    pub fn new(name: TenantId, created_at: Timestamp) -> Self {
        let (state, version) = (TenantState::Active, 1);
        let (display_name, lease_class, revoked_seq, ended_before) = (None, None, None, None);
        Self { name, display_name, state, version, created_at, lease_class, revoked_seq, ended_before }
    }
}

impl Authority {
    /// Makes a tenant.
    pub async fn create_tenant(
        &self,
        actor: &Actor,
        name: TenantId,
        lease_class: Option<LeaseClass>,
        display_name: Option<Label>,
    ) -> Result<Tenant, CreateTenantError> {
        self.fits(lease_class)?;
        let mut change = match self.begin_named(actor, &name).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(before.tenant(&name).await?),
        };
        let tenant = Tenant { lease_class, display_name, ..Tenant::new(name, self.now()) };
        if !change.insert_tenant(&tenant).await? {
            return Err(CreateTenantError::Exists);
        }
        let entry = self.audit(actor, &tenant.name, "tenant.create", About::Tenant(tenant.name.clone()));
        change.insert_audit(&entry).await?;
        change.commit(tenant.name.to_string(), self.now()).await?;
        Ok(tenant)
    }

    /// Reads a tenant.
    pub async fn tenant(&self, name: &TenantId) -> Result<Option<Tenant>, StoreError> {
        self.store().read().await?.tenant(name).await
    }

    /// Reads the tenants that a caller may see, by name: its own, or all; only in this state, where one is given.
    pub async fn tenants_seen_by(
        &self,
        caller: &Caller,
        state: Option<TenantState>,
        page: Page,
    ) -> Result<Paged<Tenant>, ListError> {
        if caller.tenant.is_system() {
            return self.tenants(state, page).await;
        }
        let after = page.position(&query_of(state))?;
        let own = self.store().read().await?.tenant(&caller.tenant).await?;
        let own = own.filter(|own| state.is_none_or(|state| own.state == state));
        let items = own.into_iter().filter(|own| after.as_deref().is_none_or(|after| own.name.as_str() > after));
        Ok(Paged { items: items.collect(), next: None })
    }

    /// Reads tenants, by name; only in this state, where one is given.
    pub async fn tenants(&self, state: Option<TenantState>, page: Page) -> Result<Paged<Tenant>, ListError> {
        let query = query_of(state);
        let after = page.position(&query)?;
        let rows = self.store().read().await?.tenants(state, after.as_deref(), page.fetch()).await?;
        Ok(page.cut(&query, rows, |tenant| tenant.name.to_string()))
    }
}

/// What a page token is bound to.
fn query_of(state: Option<TenantState>) -> String {
    state.map_or_else(|| "tenants".to_owned(), |state| format!("tenants:{state:?}"))
}
