//! Removes what is kept no longer, a little at a time.
//!
//! Every replica looks, at times of its own; one does a piece of work at a time. Between two pieces other writers come
//! first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth_domain::{Authority, CompactError, Ended, RetentionRules, Tidied, TrailFault};
use portcullis_types::{Entropy, Shutdown};

use crate::config::Retention;
use crate::metrics::Metrics;
use crate::tailer::SourceText as _;

/// Between two pieces of work, at least; and at least as long as the last one took.
const BREATH: Duration = Duration::from_millis(20);

/// What is looked after by itself.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Log,
    Ended(Ended),
    DeletedTenants,
    SigningKeys,
    Audit,
}

impl Piece {
    /// Its name in logs and metrics.
    const fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Ended(what) => what.word(),
            Self::DeletedTenants => "deleted_tenants",
            Self::SigningKeys => "signing_keys",
            Self::Audit => "audit",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    authority: Arc<Authority>,
    rules: RetentionRules,
    every: Duration,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    shutdown: Shutdown,
    /// The seal without a mark that was told last.
    unmarked: AtomicU64,
}

impl Housekeeping {
    /// Whose counters stand at 0 until something goes.
    pub(crate) fn new(
        authority: Arc<Authority>,
        config: &Retention,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
        shutdown: Shutdown,
    ) -> Self {
        let pieces = [Piece::Log, Piece::DeletedTenants, Piece::SigningKeys, Piece::Audit];
        pieces.into_iter().chain(Ended::ALL.map(Piece::Ended)).for_each(|piece| metrics.begin_removing(piece.word()));
        let (rules, every) = (config.kept(), config.every());
        Self { authority, rules, every, metrics, entropy, shutdown, unmarked: AtomicU64::new(0) }
    }

    /// Looks until shutdown. Not at once: whoever starts has more urgent things to do.
    pub(crate) async fn tend(self) {
        loop {
            let pause = self.every - self.every.mul_f64(0.25 * fraction(&*self.entropy));
            if !self.rest(pause).await {
                return;
            }
            self.remove(Piece::Log).await;
            for what in Ended::ALL {
                self.remove(Piece::Ended(what)).await;
            }
            self.remove(Piece::DeletedTenants).await;
            self.remove(Piece::SigningKeys).await;
            self.remove(Piece::Audit).await;
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

    /// Piece by piece, until there is nothing left of it.
    async fn remove(&self, piece: Piece) {
        let (what, mut removed) = (piece.word(), 0);
        loop {
            match self.carry_out(piece).await {
                Ok(Tidied::Removed { rows, held }) => {
                    removed += rows;
                    self.metrics.removed(what, rows, held);
                    if !self.rest(BREATH.max(held)).await {
                        break;
                    }
                }
                Ok(Tidied::Nothing | Tidied::Elsewhere) => break,
                Err(error) => {
                    self.tell(what, &error);
                    break;
                }
            }
        }
        if removed > 0 {
            tracing::info!(what, removed, "removed what was kept long enough");
        }
    }

    async fn carry_out(&self, piece: Piece) -> Result<Tidied, CompactError> {
        let (authority, rules) = (&self.authority, &self.rules);
        match piece {
            Piece::Log => authority.compact_log(rules).await,
            Piece::Ended(what) => Ok(authority.remove_ended(rules, what).await?),
            Piece::DeletedTenants => Ok(authority.empty_deleted_tenants().await?),
            Piece::SigningKeys => Ok(authority.remove_signing_keys(rules).await?),
            Piece::Audit => authority.remove_audit(rules).await,
        }
    }

    fn tell(&self, what: &'static str, error: &CompactError) {
        self.metrics.retention_failed.inc();
        match error {
            CompactError::Damaged(_) => tracing::error!(%error, "run `auth-service doctor`"),
            // Nothing changes by itself: once is enough.
            CompactError::Trail(TrailFault::Unmarked(seal)) => {
                if self.unmarked.swap(*seal, Ordering::Relaxed) != *seal {
                    tracing::error!(%error, "nothing is removed from the audit trail: `auth-service vouch`, docs/retention.md");
                }
            }
            CompactError::Trail(_) => tracing::error!(%error, "run `portcullis audit verify`"),
            CompactError::Store(_) => {
                tracing::warn!(%error, cause = error.source_text(), what, "nothing can be removed now");
            }
        }
    }
}

/// From 0 to 1.
fn fraction(entropy: &dyn Entropy) -> f64 {
    f64::from(u16::from_be_bytes(entropy.array())) / f64::from(u16::MAX)
}
