//! Has signing keys rotated by their schedule. Every replica does: what is due is done by one of them.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::Authority;
use portcullis_types::Shutdown;

use crate::tailer::SourceText as _;

/// How often is looked; far below what a key is published before it signs.
const EVERY: Duration = Duration::from_secs(20);

/// Looks until shutdown.
pub(crate) async fn tend(authority: Arc<Authority>, shutdown: Shutdown) {
    loop {
        match authority.tend_signing_keys().await {
            Ok(true) => tracing::info!("a signing key moved on by its schedule"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, cause = error.source_text(), "cannot look after the signing keys"),
        }
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
