//! What a store does to delete a tenant: at once in one row, and beneath it a little at a time.

use async_trait::async_trait;
use portcullis_types::{TenantId, Timestamp};

use crate::StoreError;

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait TenantDeletionReads: Send {
    /// A deleted tenant of which something is still there; the one that was deleted first.
    async fn tenant_to_empty(&mut self) -> Result<Option<TenantId>, StoreError>;

    /// How many tenants were deleted before an instant, have nothing beneath them and are still looked after; at most
    /// `limit` are counted.
    async fn count_emptied(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

/// Writes of this area.
#[async_trait]
pub trait TenantDeletionWrites: Send {
    /// Makes a suspended tenant that is still at the version a tombstone, one version on: nothing is said of it any more,
    /// and it trusts nobody. False when it is not, or is one already.
    async fn bury_tenant(&mut self, name: &TenantId, from_version: u64, at: Timestamp) -> Result<bool, StoreError>;

    /// Removes rows of a deleted tenant, what rests on something before that on which it rests; about `limit`, and nothing of
    /// a tenant that is not deleted. What stays: its own row, the audit trail, and answers to named requests, which go by
    /// their age. How many are gone: when it is none, nothing is left.
    async fn remove_of_tenant(&mut self, name: &TenantId, limit: u32) -> Result<u64, StoreError>;

    /// Looks no more after what [`TenantDeletionReads::count_emptied`] counts; how many, at most `limit`.
    async fn note_emptied(&mut self, before: Timestamp, at: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
