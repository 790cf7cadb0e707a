//! What a store does so that the audit trail may be shortened, and where it begins since.

use async_trait::async_trait;
use portcullis_types::AuditAnchor;

use crate::{AuditRecord, AuditStart, SealMark, StoreError};

/// Where the trail begins, in one snapshot.
#[async_trait]
pub trait AuditRemovalReads: Send {
    /// After which seal; none where nothing was removed.
    async fn audit_start(&mut self) -> Result<Option<AuditStart>, StoreError>;

    /// Rows that carry the number of this seal or an earlier one, by their own numbers. Of seals that were removed there are
    /// none, unless somebody put them there.
    async fn audit_up_to(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;

    /// Rows that carry a later number than this seal's, by their own numbers. Where it is the newest one there are none, unless
    /// somebody put them there or took a seal away.
    async fn audit_above(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;

    /// The marks of seals after a number, by their numbers; empty ones too.
    async fn seal_marks(&mut self, after: u64, limit: u32) -> Result<Vec<SealMark>, StoreError>;

    /// The same, of those that name another key-encryption key than this one.
    async fn seal_marks_not_under(&mut self, kek_id: &str, after: u64, limit: u32)
    -> Result<Vec<SealMark>, StoreError>;
}

/// Deletions of whole batches.
#[async_trait]
pub trait AuditRemovalWrites: Send {
    /// Removes every seal up to that of `next`, and the rows of those after `from`, and has the trail begin there; how many
    /// rows. What carries an earlier number was put there, and stays to be found. None where it does not begin after `from`
    /// any more; an absent one is before the first seal.
    async fn remove_sealed_audit(
        &mut self,
        from: Option<AuditAnchor>,
        next: &AuditStart,
    ) -> Result<Option<u64>, StoreError>;

    /// Changes who vouches for where the trail begins, and nothing else. False where it is not this one any more.
    async fn mark_audit_start(&mut self, start: &AuditStart, anew: &AuditStart) -> Result<bool, StoreError>;

    /// Changes how a seal is vouched for, and nothing else. False where it is not marked so any more.
    async fn mark_seal(&mut self, mark: &SealMark, anew: &SealMark) -> Result<bool, StoreError>;
}
