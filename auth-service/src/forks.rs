//! The word that this log has lost a branch: a backup was restored, or a failover lost its tail.
//!
//! Owns what was seen of it since this process began. A gateway that comes with a cursor which is not on this log was
//! told, and has applied, entries that are gone: revocations among them may be gone too, which no program can put right.
//! So it is said loudly, once for each gateway that comes, and stays visible until the next start.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_types::{GatewayId, Revision, Timestamp};

use crate::metrics::Metrics;

/// A gateway's cursor that is not on this log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fork {
    /// Whose.
    pub(crate) gateway: GatewayId,
    /// Where it stood.
    pub(crate) cursor: Revision,
    /// The head of this log then.
    pub(crate) head: Revision,
    /// When it came.
    pub(crate) at: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Forks {
    last: Mutex<Option<Fork>>,
    metrics: Arc<Metrics>,
}

impl Forks {
    /// None seen.
    pub(crate) const fn new(metrics: Arc<Metrics>) -> Self {
        Self { last: Mutex::new(None), metrics }
    }

    /// One was seen.
    pub(crate) fn note(&self, fork: Fork) {
        let Fork { gateway, cursor, head, .. } = &fork;
        tracing::error!(
            %gateway, %cursor, %head,
            "a gateway stands on a branch of the log that is gone: a backup was restored or a failover lost its tail; \
             revocations that were acknowledged on that branch may be lost"
        );
        self.metrics.forks.inc();
        // Only an assignment happens under the lock.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(fork);
    }

    /// The last that was seen, and how many.
    pub(crate) fn seen(&self) -> Option<(Fork, u64)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((last, self.metrics.forks.get()))
    }
}
