//! Where a world keeps its rows: what the rules need of a kind of store beside serving.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::Store;
use portcullis_types::{Entropy, SessionId};

/// Somewhere of its own for one world, empty at first, gone when this is dropped.
#[async_trait]
pub(crate) trait Data: Send + Sync {
    /// Opens it; what the store draws by chance is drawn from `entropy`.
    async fn open(&self, entropy: &dyn Entropy) -> Arc<dyn Store>;

    /// A copy of what is there, as a backup would be. Nothing has it open.
    async fn copy(&self) -> Box<dyn Data>;

    /// What lies on disk, byte for byte. Nothing has it open.
    async fn on_disk(&self) -> Vec<u8>;

    /// Runs a statement behind the store's back, which changes something. Its words are those of every kind.
    async fn tamper(&self, sql: &'static str);

    /// From now on the store does not mark this session as revoked, and does not say so: a fault of its own.
    async fn damage(&self, session: SessionId);
}
