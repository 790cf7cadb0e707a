//! What a store knows of whether sessions can still be used.

use async_trait::async_trait;
use portcullis_types::{SessionId, Timestamp};

use crate::StoreError;

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait SessionUseReads: Send {
    /// Of these sessions, those with an access token, a refresh token or a cookie that is neither over at `at`, nor spent,
    /// nor revoked by itself: with which they are used, or go on. What rests on these is no longer.
    async fn usable_sessions(&mut self, of: &[SessionId], at: Timestamp) -> Result<Vec<SessionId>, StoreError>;
}
