//! Follows the revocation log and shares what is new with every watch.
//!
//! Owns the ring, the wake-up, and the one log line and count for each revocation, whoever caused it.
//! Refuses to go on when the log is not the one it read before: then the process ends, because a replica whose watches
//! stand still must not look alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use auth_domain::watch::{Entry, Ring, RingLimits};
use auth_domain::{LogEntry, Store, StoreError};
use portcullis_proto::auth::v1;
use portcullis_types::{Backoff, Clock, Entropy, Revision, Shutdown};
use prost::Message as _;
use tokio::sync::watch;

use crate::metrics::Metrics;

const PAGE: u32 = 500;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is new in the log, for any number of readers.
#[derive(Debug)]
pub(crate) struct LogTail {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    ring: RwLock<Ring>,
    head: watch::Sender<u64>,
    broken: AtomicBool,
}

/// Why the tail cannot go on.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    NotContiguous(#[from] auth_domain::watch::NotContiguous),
    #[error(transparent)]
    Invalid(#[from] auth_domain::watch::InvalidEntry),
}

impl LogTail {
    /// Begins at the head of the log.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let head = store.head().await?.revision();
        let ring = RwLock::new(Ring::starting_at(head, RingLimits::default(), clock.boottime()));
        metrics.log_head.set(head.seq.cast_signed());
        let broken = AtomicBool::new(false);
        Ok(Self { store, clock, metrics, ring, head: watch::Sender::new(head.seq), broken })
    }

    /// Reads the ring, for as short as that takes.
    pub(crate) fn with_ring<T>(&self, read: impl FnOnce(&Ring) -> T) -> T {
        read(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last entry that was read.
    pub(crate) fn head(&self) -> Revision {
        self.with_ring(Ring::head)
    }

    /// Whether a proven head is of the log that had been read up to `known` before the proof began. If it is not, the
    /// process ends.
    pub(crate) fn still_holds(&self, known: Revision, head: Revision, shutdown: &Shutdown) -> bool {
        let here = self.with_ring(|ring| ring.revision_at(head.seq));
        if head.seq >= known.seq && here.is_none_or(|here| here == head) {
            return true;
        }
        tracing::error!(%head, %known, "the revocation log is not the one that was read before; stopping");
        self.give_up(shutdown);
        false
    }

    fn give_up(&self, shutdown: &Shutdown) {
        self.broken.store(true, Ordering::Release);
        shutdown.request();
    }

    /// Where it is counted.
    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Wakes its holder whenever the ring has grown.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Whether the log turned out not to be the one it was.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Follows the log until shutdown.
    pub(crate) async fn follow(self: Arc<Self>, entropy: Arc<dyn Entropy>, shutdown: Shutdown) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let known = self.with_ring(|ring| ring.head().seq);
            let step = tokio::select! {
                () = shutdown.requested() => return,
                step = self.next(known) => step,
            };
            let appended = match step {
                Ok(entries) => self.append(entries),
                Err(error) => {
                    tracing::warn!(%error, cause = error.source_text(), "cannot read the revocation log");
                    tokio::time::sleep(backoff.next_delay(&*entropy)).await;
                    continue;
                }
            };
            backoff.reset();
            if let Err(error) = appended {
                self.tell_why(&error, known).await;
                self.give_up(&shutdown);
                return;
            }
        }
    }

    /// A process that was stopped for long finds that what it had not read is forgotten; its log is the same nevertheless.
    async fn tell_why(&self, error: &Stop, known: u64) {
        if self.store.horizon().await.is_ok_and(|horizon| horizon > known) {
            tracing::error!(known, "this process stood still for longer than the log is kept; stopping");
        } else {
            tracing::error!(%error, "the revocation log is not the one that was read before; stopping");
        }
    }

    async fn next(&self, known: u64) -> Result<Vec<LogEntry>, StoreError> {
        self.store.head_after(known).await?;
        self.store.log_after(known, PAGE).await
    }

    fn append(&self, entries: Vec<LogEntry>) -> Result<(), Stop> {
        for entry in entries {
            let entry = Arc::new(Entry::from_log(entry)?);
            self.tell(&entry);
            let now = self.clock.boottime();
            self.ring.write().unwrap_or_else(PoisonError::into_inner).append(entry, now)?;
        }
        let head = self.with_ring(|ring| ring.head().seq);
        self.metrics.log_head.set(head.cast_signed());
        self.head.send_replace(head);
        Ok(())
    }

    fn tell(&self, entry: &Entry) {
        let batch = v1::RevocationBatch::decode(entry.payload().clone()).unwrap_or_default();
        for fact in batch.revocations {
            let effect = match fact.effect() {
                v1::Effect::Kill => "kill",
                v1::Effect::Reauthorize => "reauthorize",
                v1::Effect::Unspecified => "unknown",
            };
            self.metrics.revocation(effect);
            let kind = fact.keys.first().map_or("none", |key| key.kind().as_str_name());
            let (revision, reason) = (entry.revision(), fact.reason().as_str_name());
            tracing::info!(%revision, effect, kind, reason, "revocation");
        }
    }
}

/// The cause below an error, for the log alone.
pub(crate) trait SourceText {
    /// All causes, outermost first.
    fn source_text(&self) -> String;
}

impl<E: std::error::Error> SourceText for E {
    fn source_text(&self) -> String {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.join(": ")
    }
}
