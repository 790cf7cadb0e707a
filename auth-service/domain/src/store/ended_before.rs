//! What a store does to end what began before a time.

use async_trait::async_trait;
use portcullis_types::{ClientId, TenantId, Timestamp};

use crate::StoreError;

/// Reads of this area, in one snapshot. A tenant's own is on its row.
#[async_trait]
pub trait EndedBeforeReads: Send {
    /// Before when what is a client application's is dead.
    async fn client_ended_before(
        &mut self,
        tenant: &TenantId,
        client: &ClientId,
    ) -> Result<Option<Timestamp>, StoreError>;
}

/// Writes of this area. A time only ever moves forward: an earlier one changes nothing.
#[async_trait]
pub trait EndedBeforeWrites: Send {
    /// Ends what began in a tenant before then. False where there is no such tenant.
    async fn end_tenant_before(&mut self, tenant: &TenantId, at: Timestamp) -> Result<bool, StoreError>;

    /// Ends what is a client application's and began before then.
    async fn end_client_before(
        &mut self,
        tenant: &TenantId,
        client: &ClientId,
        at: Timestamp,
    ) -> Result<(), StoreError>;
}
