//! What a store does so that it does not grow for ever.
//!
//! Every deletion is conditional: what was changed since it was looked at stays. A transaction here deletes a bounded
//! number of rows and commits, so that it keeps no writer waiting for long.

use async_trait::async_trait;
use portcullis_types::{SigningKeyId, Timestamp};

use crate::{Ended, StoreError};

/// What is over, in one snapshot.
#[async_trait]
pub trait RetentionReads: Send {
    /// How many rows were over before an instant; at most `limit` are counted.
    async fn count_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Keys that sign no more since before an instant, were not revoked since the horizon, and signed nothing that has a
    /// row. Reads all credentials where there is such a key.
    async fn signing_keys_over(&mut self, before: Timestamp) -> Result<Vec<SigningKeyId>, StoreError>;

    /// How many sessions, and credentials that die by their position, were begun at a position from `from` to `to` that is
    /// not on this log, and do not say that they are dead. At most `limit` of either are counted. Every entry after `from`
    /// is there, and one after `to`.
    async fn count_lost(&mut self, from: u64, to: u64, limit: u32) -> Result<u64, StoreError>;

    /// The latest commit of an entry that the log no longer keeps, whatever the clock said when it was forgotten; none
    /// where none is, or only such as a release before this one forgot.
    async fn forgotten_until(&mut self) -> Result<Option<Timestamp>, StoreError>;
}

/// Deletions. Each transaction begins with [`RetentionWrites::take_turn`].
#[async_trait]
pub trait RetentionWrites: Send {
    /// Whether this transaction is the only one that tidies: until it ends, it is. False while another one does, perhaps
    /// of another process.
    async fn take_turn(&mut self) -> Result<bool, StoreError>;

    /// Marks what [`RetentionReads::count_lost`] counts as dead since `to`; how many rows. Before the horizon moves there.
    async fn mark_lost(&mut self, from: u64, to: u64) -> Result<u64, StoreError>;

    /// Deletes the entries after `from` up to `to` and publishes `to` as the horizon. The last thing its transaction does,
    /// because it takes the lock of the head row. False where the horizon is not `from` any more.
    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError>;

    /// Removes rows that were over before an instant, with what belongs to them alone; about `limit`. How many rows were
    /// changed: when it is none, there is nothing left that may go. See [`Ended`] for what stays.
    async fn remove_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Notes since when API keys are over: those that ended since then, those that were revoked since now. At most `limit` of
    /// either; how many.
    async fn note_ended_api_keys(&mut self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Removes a key that signs no more. False where it is gone, or does.
    async fn remove_signing_key(&mut self, id: SigningKeyId) -> Result<bool, StoreError>;
}
