//! What a store does so that it does not grow for ever.
//!
//! Every deletion is conditional: what was changed since it was looked at stays. A transaction here deletes a bounded
//! number of rows and commits, so that it keeps no writer waiting for long.

use async_trait::async_trait;

use crate::StoreError;

/// Deletions. Each transaction begins with [`RetentionWrites::take_turn`].
#[async_trait]
pub trait RetentionWrites: Send {
    /// Whether this transaction is the only one that tidies: until it ends, it is. False while another one does, perhaps
    /// of another process.
    async fn take_turn(&mut self) -> Result<bool, StoreError>;

    /// Deletes the entries after `from` up to `to` and publishes `to` as the horizon. The last thing its transaction does,
    /// because it takes the lock of the head row. False where the horizon is not `from` any more.
    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError>;
}
