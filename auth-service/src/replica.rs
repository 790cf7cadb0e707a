//! This process as one of several on the same store: its beats, and what it and the others tell each other of gateways.
//!
//! Owns the one beat that runs, the probes that wait for it, and the notes that are not written yet. A beat costs a
//! commit, so one serves all probes that arrive meanwhile, and they follow each other at [`BEAT`].
//! Guarantees that a head which a beat proves is judged by the log that was read before: a log that has become another
//! one ends the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_domain::watch::{Acknowledgement, Beats, Freshness, Run, TooManyWaiting};
use auth_domain::{Fleet, Noted, Renewal, ReplicaId};
use portcullis_types::{Backoff, Clock, Entropy, Revision, Shutdown};
use tokio::sync::{Notify, oneshot};

use crate::metrics::Metrics;
use crate::tailer::{LogTail, SourceText as _};

/// From one beat to the next. A probe waits for two.
const BEAT: Duration = Duration::from_millis(125);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long notes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);
/// How many notes wait at most. Of what comes then, the next probe of the run tells: it says up to where all is enforced.
const MOST_NOTES: usize = 4_096;
/// From this many on, only of entries that fenced a socket.
const MANY_NOTES: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Replica {
    fleet: Arc<dyn Fleet>,
    id: ReplicaId,
    log: Arc<LogTail>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    beats: Mutex<Beats<oneshot::Sender<Freshness>>>,
    asked: Notify,
    notes: Mutex<BTreeMap<(u64, Run), Noted>>,
    noted: Notify,
}

impl Replica {
    /// Of a process that has not answered a probe yet.
    pub(crate) fn new(fleet: Arc<dyn Fleet>, log: Arc<LogTail>, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let metrics = Arc::clone(log.metrics());
        Self {
            fleet,
            id: ReplicaId(entropy.array()),
            log,
            clock,
            metrics,
            beats: Mutex::new(Beats::default()),
            asked: Notify::new(),
            notes: Mutex::new(BTreeMap::new()),
            noted: Notify::new(),
        }
    }

    /// What all processes have told.
    pub(crate) const fn fleet(&self) -> &Arc<dyn Fleet> {
        &self.fleet
    }

    /// A probe arrived, with the renewal of its run if that may be given a lease. The proof comes by what is returned,
    /// or its sender is dropped.
    pub(crate) fn ask(&self, renewal: Option<Renewal>) -> Result<oneshot::Receiver<Freshness>, TooManyWaiting> {
        let (answer, proof) = oneshot::channel();
        self.lock().ask(renewal, answer)?;
        self.asked.notify_one();
        Ok(proof)
    }

    /// A run said something about an entry.
    pub(crate) fn say(&self, run: &Run, revision: Revision, said: Acknowledgement) {
        let mut notes = self.notes();
        let full = notes.len() >= MOST_NOTES || notes.len() >= MANY_NOTES && said.fenced == 0;
        if !full {
            notes.insert((revision.seq, run.clone()), Noted { run: run.clone(), revision, said });
            self.noted.notify_one();
        }
    }

    /// Beats for as long as anybody waits for one, until shutdown.
    pub(crate) async fn beat(self: Arc<Self>, entropy: Arc<dyn Entropy>, shutdown: Shutdown) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            if !self.lock().is_needed() {
                tokio::select! {
                    () = shutdown.requested() => return,
                    () = self.asked.notified() => {}
                }
            }
            let proven = tokio::select! {
                () = shutdown.requested() => return,
                proven = self.beat_once(&shutdown) => proven,
            };
            let pause = if proven { BEAT } else { backoff.next_delay(&*entropy) };
            if proven {
                backoff.reset();
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether the head was proven.
    async fn beat_once(&self, shutdown: &Shutdown) -> bool {
        let known = self.log.head();
        let renewals = self.lock().begin(self.clock.boottime());
        let head = match self.fleet.beat(self.id, &renewals).await {
            Ok(head) => head.revision(),
            Err(error) => {
                self.lock().failed();
                self.metrics.beat(false);
                tracing::warn!(%error, cause = error.source_text(), "the head of the log cannot be proven");
                return false;
            }
        };
        self.metrics.beat(true);
        if !self.log.still_holds(known, head, shutdown) {
            return false;
        }
        if let Some((proof, answered)) = self.lock().committed(head) {
            for waiter in answered {
                // It may have left.
                let _ = waiter.send(proof);
            }
        }
        true
    }

    /// Writes down what runs say, until shutdown.
    pub(crate) async fn write_notes(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.noted.notified() => {}
            }
            tokio::time::sleep(GATHER).await;
            let notes: Vec<_> = std::mem::take(&mut *self.notes()).into_values().collect();
            if notes.is_empty() {
                continue;
            }
            if let Err(error) = self.fleet.note(&notes).await {
                tracing::warn!(%error, cause = error.source_text(), "what gateways said cannot be written down");
            }
        }
    }

    // Each step leaves both whole.
    fn lock(&self) -> MutexGuard<'_, Beats<oneshot::Sender<Freshness>>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<(u64, Run), Noted>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
