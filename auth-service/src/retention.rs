//! Removes what is kept no longer, a little at a time.
//!
//! Every replica looks, at times of its own; one does a piece of work at a time. Between two pieces other writers come
//! first.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Authority, CompactError, RetentionRules, Tidied};
use portcullis_types::{Entropy, Shutdown};

use crate::metrics::Metrics;
use crate::tailer::SourceText as _;

/// Between two pieces of work, at least; and at least as long as the last one took.
const BREATH: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    pub(crate) authority: Arc<Authority>,
    pub(crate) rules: RetentionRules,
    pub(crate) every: Duration,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) shutdown: Shutdown,
}

impl Housekeeping {
    /// Looks until shutdown. Not at once: whoever starts has more urgent things to do.
    pub(crate) async fn tend(self) {
        loop {
            let pause = self.every - self.every.mul_f64(0.25 * fraction(&*self.entropy));
            if !self.rest(pause).await {
                return;
            }
            self.compact().await;
            match self.authority.store().horizon().await {
                Ok(horizon) => drop(self.metrics.log_horizon.set(horizon.cast_signed())),
                Err(error) => tracing::warn!(%error, cause = error.source_text(), "the horizon cannot be read"),
            }
        }
    }

    /// Whether to go on after it.
    async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.requested() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    async fn compact(&self) {
        let mut removed = 0;
        loop {
            match self.authority.compact_log(&self.rules).await {
                Ok(Tidied::Removed { rows, held }) => {
                    removed += rows;
                    self.metrics.removed("log", rows, held);
                    if !self.rest(BREATH.max(held)).await {
                        break;
                    }
                }
                Ok(Tidied::Nothing | Tidied::Elsewhere) => break,
                Err(error @ CompactError::Damaged(_)) => {
                    tracing::error!(%error, "run `auth-service doctor`");
                    self.metrics.retention_failed.inc();
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, cause = error.source_text(), "the log cannot be compacted now");
                    self.metrics.retention_failed.inc();
                    break;
                }
            }
        }
        if removed > 0 {
            tracing::info!(removed, "entries of the log that were kept long enough are gone");
        }
    }
}

/// From 0 to 1.
fn fraction(entropy: &dyn Entropy) -> f64 {
    f64::from(u16::from_be_bytes(entropy.array())) / f64::from(u16::MAX)
}
