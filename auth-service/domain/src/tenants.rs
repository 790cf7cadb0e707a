//! The customers whose worlds are apart.

use portcullis_types::{TenantId, Timestamp};

use crate::audit::Actor;
use crate::{Authority, BeginError, Caller, ListError, Page, Paged, StoreError};

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, for ever.
    pub name: TenantId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
}

/// Why a tenant was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTenantError {
    /// The name is taken.
    #[error("a tenant of this name exists")]
    Exists,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a tenant.
    pub async fn create_tenant(&self, actor: &Actor, name: TenantId) -> Result<Tenant, CreateTenantError> {
        let tenant = Tenant { name, created_at: self.now(), revoked_seq: None };
        let mut tx = self.begin(actor).await?;
        if !tx.insert_tenant(&tenant).await? {
            return Err(CreateTenantError::Exists);
        }
        tx.insert_audit(&self.audit(actor, &tenant.name, "tenant.create", format!("tenant:{}", tenant.name))).await?;
        tx.commit().await?;
        Ok(tenant)
    }

    /// Reads the tenants that a caller may see, by name: its own, or all.
    pub async fn tenants_seen_by(&self, caller: &Caller, page: Page) -> Result<Paged<Tenant>, ListError> {
        if caller.tenant.is_system() {
            return self.tenants(page).await;
        }
        let after = page.position("tenants")?;
        let own = self.store().read().await?.tenant(&caller.tenant).await?;
        let items = own.into_iter().filter(|own| after.as_deref().is_none_or(|after| own.name.as_str() > after));
        Ok(Paged { items: items.collect(), next: None })
    }

    /// Reads tenants, by name.
    pub async fn tenants(&self, page: Page) -> Result<Paged<Tenant>, ListError> {
        let after = page.position("tenants")?;
        let rows = self.store().read().await?.tenants(after.as_deref(), page.fetch()).await?;
        Ok(page.cut("tenants", rows, |tenant| tenant.name.to_string()))
    }
}
