//! Writes down now and then which API keys were used.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::Authority;
use portcullis_types::Shutdown;

use crate::tailer::SourceText as _;

const EVERY: Duration = Duration::from_secs(60);

/// Writes until shutdown, and once more then.
pub(crate) async fn write_down(authority: Arc<Authority>, shutdown: Shutdown) {
    loop {
        let last = tokio::select! {
            () = shutdown.requested() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        if let Err(error) = authority.write_down_key_uses().await {
            tracing::warn!(%error, cause = error.source_text(), "cannot write down which API keys were used");
        }
        if last {
            return;
        }
    }
}
