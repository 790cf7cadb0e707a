//! Who enforces what: the registrations that watches keep, and the receipts that are read from them.
//!
//! Owns the one lock around the registrations, never held across a wait, and wakes whoever follows a receipt.
//! Guarantees that a receipt reads the registrations after its revocation was read as committed, and that what a gateway
//! claims counts only where it is on this log. Where other processes answer gateways on the same store, theirs are read
//! with the revocation itself, in one snapshot, and what their gateways say as it comes.

mod calls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_domain::watch::{
    Acknowledgement, Committed, Freshness, Receipt, Registrations, Ring, Run, TooManyGateways, TooManyWaiting,
};
use auth_domain::{Noted, Registered, Renewal, Store, StoreError};
use futures_util::future::BoxFuture;
use portcullis_observe::Page as MetricsPage;
use portcullis_types::{Boottime, Clock, Revision, Shutdown};
use tokio::sync::watch;

use self::calls::{Call, Calls};
use crate::forks::Forks;
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::tailer::{LogTail, SourceText as _};

/// How long a wait for a receipt sleeps at least.
const SHORTEST: Duration = Duration::from_millis(1);
/// How many entries of the log notes are kept for.
const KEPT: u64 = 65_536;

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

/// Why a probe is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoProof {
    /// Its run cannot be registered.
    #[error(transparent)]
    Gateways(#[from] TooManyGateways),
    /// Too many wait.
    #[error(transparent)]
    Waiting(#[from] TooManyWaiting),
}

/// The word that a head is the newest, when it has come.
pub(crate) type Proof = BoxFuture<'static, Result<Freshness, StoreError>>;

/// The process ends before there is a proof.
#[derive(Debug, thiserror::Error)]
#[error("nobody proves the head any more")]
struct Leaving;

/// The log of the snapshot that was read does not have the entry.
#[derive(Debug, thiserror::Error)]
#[error("the database that was read is behind")]
struct Behind;

/// See the module.
#[derive(Debug)]
pub(crate) struct Receipts {
    registrations: Mutex<Registrations>,
    changed: watch::Sender<()>,
    forks: Forks,
    log: Arc<LogTail>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    lease: Duration,
    replica: Option<Arc<Replica>>,
    /// The entries whose receipts are followed, and by how many.
    followed: Mutex<BTreeMap<u64, usize>>,
}

/// While it lives, what others' gateways say about an entry is read.
#[derive(Debug)]
pub(crate) struct Followed {
    receipts: Arc<Receipts>,
    seq: u64,
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut followed = self.receipts.followed();
        if let Some(count) = followed.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                followed.remove(&self.seq);
            }
        }
    }
}

impl Receipts {
    /// Of a process that has not answered a probe yet.
    pub(crate) fn new(
        registrations: Registrations,
        lease: Duration,
        log: Arc<LogTail>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        replica: Option<Arc<Replica>>,
    ) -> Self {
        let registrations = Mutex::new(registrations);
        let metrics = Arc::clone(log.metrics());
        let (changed, followed) = (watch::Sender::new(()), Mutex::new(BTreeMap::new()));
        let forks = Forks::new(Arc::clone(&metrics));
        Self { registrations, forks, changed, log, store, clock, metrics, lease, replica, followed }
    }

    /// What is new in the log.
    pub(crate) const fn log(&self) -> &Arc<LogTail> {
        &self.log
    }

    /// Whether the log lost a branch that somebody stood on.
    pub(crate) const fn forks(&self) -> &Forks {
        &self.forks
    }

    /// B for a revocation that is committed now.
    pub(crate) fn bound(&self) -> Duration {
        self.lock().bound(self.clock.boottime())
    }

    /// A run opens a watch, and was not welcomed yet.
    pub(crate) fn register(&self, run: &Run) -> Result<(), TooManyGateways> {
        self.lock().register(run, self.clock.boottime())
    }

    /// A probe arrived at `now`, of a run that may be given a lease or of an observer. The head that answers it is read
    /// after this; where there are other processes, after it was committed for them to read.
    pub(crate) fn prove(&self, run: Option<(&Run, u64)>, now: Boottime) -> Result<Proof, NoProof> {
        if let Some((run, sockets)) = run {
            self.lock().probed(run, sockets, now)?;
        }
        let Some(replica) = &self.replica else {
            // This process holds the log's lock: what it reads after the probe arrived is the head, without any age.
            let store = Arc::clone(&self.store);
            return Ok(Box::pin(async move { Ok(Freshness { head: store.head().await?.revision(), proven_at: now }) }));
        };
        let renewal = |(run, sockets): (&Run, u64)| {
            let applied = self.lock().applied_by(run);
            Renewal { run: run.clone(), lease: self.lease, sockets, applied }
        };
        let proof = replica.ask(run.map(renewal))?;
        Ok(Box::pin(async move { proof.await.map_err(|_| StoreError::Unavailable(Box::new(Leaving))) }))
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
        let is_news = self.lock().said(run, revision).is_none();
        if is_news && let Some(after) = self.since_commit(revision, now) {
            self.metrics.gateways.applied(&run.gateway, after);
        }
        self.acknowledged(run, revision, said, now);
        self.tell_others(run, revision);
        Ok(())
    }

    /// Whoever said it, and to whom.
    fn acknowledged(&self, run: &Run, revision: Revision, said: Acknowledgement, now: Boottime) {
        let is_last = self.lock().acknowledge(run, revision, said, now);
        if is_last && let Some(after) = self.since_commit(revision, now) {
            self.metrics.enforced.observe(after.as_secs_f64());
        }
        self.changed.send_replace(());
    }

    /// A gateway has closed so many of the sockets that it fenced for this entry. What it says `again` it said on another
    /// watch, which may have been at another process: that one has measured it.
    pub(crate) async fn closed(
        &self,
        run: &Run,
        revision: Revision,
        said: Acknowledgement,
        again: bool,
    ) -> Result<(), StoreError> {
        let is_known = self.lock().said(run, revision).is_some();
        if !is_known && !self.is_on_log(revision).await? {
            return Ok(());
        }
        let are_all = self.lock().closed(run, revision, said);
        if are_all
            && !again
            && let Some(after) = self.since_commit(revision, self.clock.boottime())
        {
            self.metrics.gateways.closed(&run.gateway, after);
        }
        self.tell_others(run, revision);
        self.changed.send_replace(());
        Ok(())
    }

    /// What is known here of what a gateway here said.
    fn tell_others(&self, run: &Run, revision: Revision) {
        if let Some(replica) = &self.replica
            && let Some(said) = self.lock().said(run, revision)
        {
            replica.say(run, revision, said);
        }
    }

    /// A gateway's run is over, here and for whoever reads what is told.
    pub(crate) async fn released(&self, run: &Run) -> Result<(), StoreError> {
        self.lock().released(run, self.clock.boottime());
        self.changed.send_replace(());
        match &self.replica {
            Some(replica) => replica.fleet().release(run).await,
            None => Ok(()),
        }
    }

    /// Reads what other processes have told, before anybody is answered: B counts the leases that they gave.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        match &self.replica {
            Some(replica) => self.look(replica, None).await,
            None => Ok(()),
        }
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

    /// Follows a revocation: from now on what others' gateways say about it is read, and their registrations were read
    /// after it was committed.
    pub(crate) async fn follow(self: &Arc<Self>, of: Committed) -> Result<Followed, StoreError> {
        let seq = of.revision.seq;
        *self.followed().entry(seq).or_insert(0) += 1;
        let followed = Followed { receipts: Arc::clone(self), seq };
        if let Some(replica) = &self.replica {
            self.look(replica, Some(of.revision)).await?;
        }
        Ok(followed)
    }

    /// Reads what other processes have told, until shutdown.
    pub(crate) async fn listen(self: Arc<Self>, shutdown: Shutdown) {
        let Some(replica) = &self.replica else { return };
        let mut calls = Calls::new();
        loop {
            let call = tokio::select! {
                () = shutdown.requested() => return,
                call = calls.next(|| replica.fleet().heard()) => call,
            };
            let asked_for = call != Call::Noted || !self.followed().is_empty();
            if asked_for && let Err(error) = self.look(replica, None).await {
                tracing::warn!(%error, cause = error.source_text(), "what other processes told cannot be read");
            }
            if call == Call::Sweep {
                self.sweep(replica).await;
            }
        }
    }

    /// Reads every run, with a revocation in one snapshot if one is named, and what was said about what is followed.
    async fn look(&self, replica: &Replica, holding: Option<Revision>) -> Result<(), StoreError> {
        let fleet = replica.fleet();
        let rows = fleet.registered(holding).await?;
        let rows = rows.ok_or_else(|| StoreError::Unavailable(Box::new(Behind)))?;
        let now = self.clock.boottime();
        for row in &rows {
            self.lock().registered(row, now);
        }
        for Registered { run, applied, .. } in rows {
            if let Some(applied) = applied {
                self.applied(&run, applied).await?;
            }
        }
        let followed: Vec<u64> = self.followed().keys().copied().collect();
        if followed.is_empty() {
            return Ok(());
        }
        for Noted { run, revision, said } in fleet.noted(&followed).await? {
            if self.is_on_log(revision).await? {
                self.acknowledged(&run, revision, said, self.clock.boottime());
                self.lock().closed(&run, revision, said);
            }
        }
        self.changed.send_replace(());
        Ok(())
    }

    /// Has the store forget runs that are gone, and notes about what is long over.
    async fn sweep(&self, replica: &Replica) {
        let fleet = replica.fleet();
        let gone = self.lock().gone(self.clock.boottime());
        let swept = async {
            for (run, renewals) in gone {
                fleet.forget(&run, renewals).await?;
            }
            // Of an entry that the log does not keep there is no receipt.
            let up_to = self.log.head().seq.saturating_sub(KEPT).max(self.store.horizon().await?);
            fleet.forget_notes(up_to).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, cause = error.source_text(), "what is over cannot be forgotten yet");
        }
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

    /// Reads for the metrics what stands, and is not counted as it happens.
    fn measure(&self) {
        let now = self.clock.boottime();
        let head = self.log.with_ring(|ring| ring.head().seq);
        let behind = self.lock().furthest_behind(head, now);
        self.metrics.watch_backlog.set(i64::try_from(behind).unwrap_or(i64::MAX));
        self.metrics.pools(&self.store.connections());
        let registrations = self.lock();
        self.metrics.gateways.stand(registrations.able(now), head);
        let (able, unable) = registrations.count(now);
        self.metrics.registrations("may_hold_lease", able);
        self.metrics.registrations("cannot_hold_lease", unable);
    }

    /// All metrics, as they stand whenever it is called.
    pub(crate) fn page(self: &Arc<Self>) -> MetricsPage {
        let this = Arc::clone(self);
        MetricsPage::new(move || {
            this.measure();
            this.metrics.encode()
        })
    }

    /// How long an entry has been known here, if it is.
    fn since_commit(&self, revision: Revision, now: Boottime) -> Option<Duration> {
        Some(now.saturating_since(self.log.with_ring(|ring| ring.known_since(revision.seq))?))
    }

    async fn is_on_log(&self, revision: Revision) -> Result<bool, StoreError> {
        match self.log.with_ring(|ring: &Ring| ring.revision_at(revision.seq)) {
            Some(found) => Ok(found == revision),
            None => Ok(self.store.revision_at(revision.seq).await? == Some(revision)),
        }
    }

    fn followed(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Each step leaves the registrations whole.
    fn lock(&self) -> MutexGuard<'_, Registrations> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
