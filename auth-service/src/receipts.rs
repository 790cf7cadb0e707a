//! Who enforces what: the registrations that watches keep, and the receipts that are read from them.
//!
//! Owns the one lock around the registrations, never held across a wait, and wakes whoever follows a receipt.
//! Guarantees that a receipt reads the registrations after its revocation was read as committed, and that what a gateway
//! claims counts only where it is on this log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_domain::watch::{Acknowledgement, Committed, Receipt, Registrations, Ring, Run, Terms, TooManyGateways};
use auth_domain::{Store, StoreError};
use portcullis_types::{Boottime, Clock, Revision};
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::tailer::LogTail;

/// How long a wait for a receipt sleeps at least.
const SHORTEST: Duration = Duration::from_millis(1);

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoReceipt {
    /// The log has no entry at this position.
    #[error("the log has no such entry")]
    Unknown,
    /// The log no longer keeps the entry, so it cannot be told whether it is on this log.
    #[error("the log no longer keeps this entry")]
    Gone,
    /// The entry at this position is another one.
    #[error("the revision is on another branch of the log")]
    Forked,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Receipts {
    registrations: Mutex<Registrations>,
    changed: watch::Sender<()>,
    log: Arc<LogTail>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Receipts {
    /// Of a process that has not answered a probe yet.
    pub(crate) fn new(terms: Terms, log: Arc<LogTail>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let registrations = Mutex::new(Registrations::new(terms, clock.boottime()));
        let metrics = Arc::clone(log.metrics());
        Self { registrations, changed: watch::Sender::new(()), log, store, clock, metrics }
    }

    /// What is new in the log.
    pub(crate) const fn log(&self) -> &Arc<LogTail> {
        &self.log
    }

    /// B for a revocation that is committed now.
    pub(crate) fn bound(&self) -> Duration {
        self.lock().bound(self.clock.boottime())
    }

    /// A run opens a watch, and was not welcomed yet.
    pub(crate) fn register(&self, run: &Run) -> Result<(), TooManyGateways> {
        self.lock().register(run, self.clock.boottime())
    }

    /// A probe arrived at `now`. The head that answers it is read after this.
    pub(crate) fn probed(&self, run: &Run, sockets: u64, now: Boottime) -> Result<(), TooManyGateways> {
        self.lock().probed(run, sockets, now)
    }

    /// A gateway claims to enforce everything up to `revision`.
    pub(crate) async fn applied(&self, run: &Run, revision: Revision) -> Result<(), StoreError> {
        let known = self.lock().applied_by(run);
        if known != Some(revision) && self.is_on_log(revision).await? && self.lock().applied(run, revision) {
            self.changed.send_replace(());
        }
        Ok(())
    }

    /// A gateway claims to enforce this entry.
    pub(crate) async fn acknowledge(
        &self,
        run: &Run,
        revision: Revision,
        said: Acknowledgement,
    ) -> Result<(), StoreError> {
        if !self.is_on_log(revision).await? {
            return Ok(());
        }
        let now = self.clock.boottime();
        if self.lock().acknowledge(run, revision, said, now)
            && let Some(seen) = self.log.with_ring(|ring| ring.known_since(revision.seq))
        {
            self.metrics.enforced.observe(now.saturating_since(seen).as_secs_f64());
        }
        self.changed.send_replace(());
        Ok(())
    }

    /// A gateway has closed so many of the sockets that it fenced for this entry.
    pub(crate) fn closed(&self, run: &Run, revision: Revision, closed: u64) {
        self.lock().closed(run, revision, closed);
        self.changed.send_replace(());
    }

    /// Looks a revocation up. The registrations are read after this.
    pub(crate) async fn committed(&self, revision: Revision) -> Result<Committed, NoReceipt> {
        if revision.seq == 0 || revision.seq > self.store.head().await?.revision().seq {
            return Err(NoReceipt::Unknown);
        }
        match self.store.revision_at(revision.seq).await? {
            None => return Err(NoReceipt::Gone),
            Some(found) if found != revision => return Err(NoReceipt::Forked),
            Some(_) => {}
        }
        let seen = self.log.with_ring(|ring| ring.known_since(revision.seq));
        Ok(Committed { revision, seen: seen.unwrap_or_else(|| self.clock.boottime()) })
    }

    /// How a revocation stands now.
    pub(crate) fn receipt(&self, of: Committed) -> Receipt {
        let registrations = self.lock();
        registrations.receipt(of, self.clock.boottime())
    }

    /// Wakes its holder when somebody has said something that a receipt may show.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// For how long to wait for news of this receipt before it is read again, until `deadline`.
    pub(crate) fn wait_for(&self, receipt: &Receipt, deadline: Boottime) -> Duration {
        let next = receipt.changes_at.map_or(deadline, |at| at.min(deadline));
        next.saturating_since(self.clock.boottime()).max(SHORTEST)
    }

    /// Counts registrations for the metrics.
    pub(crate) fn measure(&self) {
        let (able, unable) = self.lock().count(self.clock.boottime());
        self.metrics.registrations("may_hold_lease", able);
        self.metrics.registrations("cannot_hold_lease", unable);
    }

    async fn is_on_log(&self, revision: Revision) -> Result<bool, StoreError> {
        match self.log.with_ring(|ring: &Ring| ring.revision_at(revision.seq)) {
            Some(found) => Ok(found == revision),
            None => Ok(self.store.revision_at(revision.seq).await? == Some(revision)),
        }
    }

    // Each step leaves the registrations whole.
    fn lock(&self) -> MutexGuard<'_, Registrations> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
