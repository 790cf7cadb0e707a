//! Writes down every second which logins were refused, as far as it is time to.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::Authority;
use portcullis_types::Shutdown;

use crate::metrics::Metrics;
use crate::tailer::SourceText as _;

const EVERY: Duration = Duration::from_secs(1);

/// Writes until shutdown, and once more then.
pub(crate) async fn write_down(authority: Arc<Authority>, metrics: Arc<Metrics>, shutdown: Shutdown) {
    loop {
        let last = tokio::select! {
            () = shutdown.requested() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let written = match last {
            false => authority.write_down_denied_logins().await,
            true => authority.write_down_all_denied_logins().await,
        };
        match written {
            Ok(unwritten) => drop(metrics.denials_unwritten.inc_by(unwritten)),
            Err(error) => {
                tracing::warn!(%error, cause = error.source_text(), "refused logins were not written to the audit trail");
            }
        }
        if last {
            return;
        }
    }
}
