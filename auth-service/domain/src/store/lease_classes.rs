//! What a store keeps of lease classes: one for each tenant, or none.

use async_trait::async_trait;
use portcullis_types::{LeaseClass, TenantId};

use crate::{StoreError, Tenant};

/// What is read of them.
#[async_trait]
pub trait LeaseClassReads: Send {
    /// Tenants that have one of these classes, by name, at most `limit`.
    async fn tenants_of_class(&mut self, classes: &[LeaseClass], limit: u32) -> Result<Vec<Tenant>, StoreError>;
}

/// What is written of them.
#[async_trait]
pub trait LeaseClassWrites: Send {
    /// Another class, or none. False when there is no such tenant.
    async fn set_lease_class(&mut self, tenant: &TenantId, class: Option<LeaseClass>) -> Result<bool, StoreError>;
}
