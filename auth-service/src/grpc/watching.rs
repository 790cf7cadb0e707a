//! One open watch: feeds the domain's state machine with requests, wake-ups and pages of the log, and sends what it says.
//!
//! Guarantees: one task and no queue; the stream holds at most [`BUFFERED`](super::revocations::BUFFERED) messages,
//! then HTTP/2 holds the task back, and a gateway that does not read for half a lease is ended as lagged. The caller's
//! right is judged again every minute, so that a key which expires does not watch for ever, and at the end of its
//! certificate.

mod hearing;
mod judgement;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::StoreError;
use auth_domain::watch::{End, Entry, Freshness, Message, Next, Position, Resync, Ring, Run, Watcher};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Revision, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::{Status, Streaming};

use self::judgement::caller_revoked;
use super::caller::Admitted;
use super::errors::{Failure, Reason};
use super::{Api, wire};

const START_TIME: Duration = Duration::from_secs(5);
const JUDGED_AGAIN: Duration = Duration::from_secs(60);
/// How long a gateway may take to open its watch elsewhere when this replica leaves.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
const PAGE: u32 = 250;

/// Why the task ends; what is sent for it is in [`Watching::run`].
enum Ended {
    /// The gateway left.
    Left,
    /// The gateway's run is over.
    Released,
    /// This replica ends before the gateway has left.
    Drained,
    /// Start again without a cursor.
    Resync(Resync, Revision),
    /// With an error.
    Failed(Failure),
}

impl Ended {
    /// Its name in the metrics.
    const fn word(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Released => "released",
            Self::Drained => "drained",
            Self::Resync(Resync::Fork, _) => "fork",
            Self::Resync(Resync::Horizon, _) => "horizon",
            Self::Resync(Resync::Lagged, _) => "lagged",
            Self::Failed(_) => "failed",
        }
    }
}

impl<E: Into<Failure>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// An open watch.
pub(super) struct Watching {
    api: Api,
    admitted: Arc<Admitted>,
    requests: Streaming<v1::WatchRequest>,
    out: mpsc::Sender<Result<v1::WatchResponse, Status>>,
    _place: OwnedSemaphorePermit,
}

/// Counts a watch while it lives.
struct Counted(Api);

impl Counted {
    fn new(api: &Api) -> Self {
        api.metrics.watchers.inc();
        Self(api.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.watchers.dec();
    }
}

impl Watching {
    /// Not begun yet.
    pub(super) const fn new(
        api: Api,
        admitted: Arc<Admitted>,
        requests: Streaming<v1::WatchRequest>,
        out: mpsc::Sender<Result<v1::WatchResponse, Status>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { api, admitted, requests, out, _place: place }
    }

    /// Runs to the end of the watch.
    pub(super) async fn run(mut self) {
        let ended = match self.converse().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        self.api.metrics.watch_end(ended.word());
        let last = match ended {
            Ended::Left | Ended::Released | Ended::Drained => return,
            Ended::Resync(reason, head) => Ok(resync_to_wire(reason, head)),
            Ended::Failed(failure) => Err(failure.into()),
        };
        // The gateway may have stopped reading: what was sent for it may not hold this task.
        let _ = self.out.send_timeout(last, START_TIME).await;
    }

    async fn converse(&mut self) -> Result<Infallible, Ended> {
        let shutdown = self.api.shutdown.clone();
        let start = tokio::select! {
            () = shutdown.requested() => return Err(Ended::Drained),
            start = tokio::time::timeout(START_TIME, self.start()) => {
                start.map_err(|_| Failure::new(Reason::WatchStartLate, "a watch begins with `start` within 5 seconds"))??
            }
        };
        let watcher = self.open(&start).await?;
        let _counted = Counted::new(&self.api);
        let Run { gateway, boot } = &start.run;
        tracing::info!(%gateway, %boot, observer = start.observer, from = %watcher.cursor(), "a gateway watches");
        let ended = self.follow(watcher, start.registered()).await;
        tracing::info!(%gateway, %boot, "a gateway's watch ended");
        ended
    }

    /// For how long a gateway may leave what is sent unread: which classes it serves is not known here, so it is that of
    /// `standard`. A gateway that serves stricter ones gives a stream up by itself.
    fn patience(&self) -> Duration {
        self.api.leases.lengths().standard / 2
    }

    async fn follow(&mut self, watcher: Watcher, run: Option<&Run>) -> Result<Infallible, Ended> {
        let mut following = Following {
            watcher,
            run: run.cloned(),
            proofs: FuturesOrdered::new(),
            grown: self.api.log.subscribe(),
            judged_again: tokio::time::interval(JUDGED_AGAIN),
            held_since: None,
            leave_by: Boottime::ZERO,
            idle: false,
        };
        following.judged_again.reset();
        loop {
            match self.next_event(&mut following).await {
                Event::Left => return Err(Ended::Left),
                Event::StayedTooLong => return Err(Ended::Drained),
                Event::Leaving => {
                    following.leave_by = self.api.clock.boottime() + LEAVE_WITHIN;
                    following.wake(|watcher| watcher.drain());
                }
                Event::Grown => following.wake(|_| ()),
                Event::JudgeAgain => self.judge_again().await?,
                Event::Request(request) => self.hear(&mut following, request).await?,
                Event::Proven(proven) => Self::hear_proof(&mut following, proven)?,
                Event::Room => self.speak(&mut following).await?,
                Event::Stalled => return Err(self.end(End::Resync(Resync::Lagged))),
            }
        }
    }

    async fn next_event(&mut self, following: &mut Following) -> Event {
        let speaking = !following.idle;
        let (held_for, patience) = (following.held_for(speaking, self.api.clock.boottime()), self.patience());
        let Following { watcher, grown, judged_again, proofs, leave_by, .. } = following;
        let may_stay = leave_by.saturating_since(self.api.clock.boottime());
        let ends_at = self.admitted.ends_at();
        // A later end is looked for again when it is judged again, which comes sooner.
        let until = |end: Timestamp| end.saturating_since(self.api.clock.now()).min(2 * JUDGED_AGAIN);
        let certified_for = ends_at.map_or(2 * JUDGED_AGAIN, until);
        if certified_for.is_zero() {
            // Whatever else has happened: nothing more is said.
            return Event::JudgeAgain;
        }
        tokio::select! {
            biased;
            () = self.out.closed() => Event::Left,
            () = self.api.shutdown.requested(), if !watcher.is_leaving() => Event::Leaving,
            () = tokio::time::sleep(may_stay), if watcher.is_leaving() => Event::StayedTooLong,
            () = tokio::time::sleep(certified_for), if ends_at.is_some() => Event::JudgeAgain,
            Some(proven) = proofs.next(), if watcher.accepts_probe() => Event::Proven(proven),
            request = self.requests.message(), if watcher.accepts_probe() && proofs.len() < Watcher::MOST_PROBES => {
                Event::Request(request)
            }
            _ = judged_again.tick() => Event::JudgeAgain,
            Ok(()) = grown.changed(), if !speaking => Event::Grown,
            room = self.out.reserve(), if speaking => match room {
                Ok(_) => Event::Room,
                Err(_) => Event::Left,
            },
            () = tokio::time::sleep(patience.saturating_sub(held_for)), if speaking => Event::Stalled,
        }
    }

    /// One step, when there is room for what it says.
    async fn speak(&self, following: &mut Following) -> Result<(), Ended> {
        following.held_since = None;
        // Seen before the ring is read: what comes after it wakes again.
        following.grown.borrow_and_update();
        let now = self.api.clock.boottime();
        let watcher = &mut following.watcher;
        match self.api.log.with_ring(|ring| watcher.next(ring, now)) {
            Next::Send(message) => {
                match message {
                    Message::Entry(_) => drop(self.api.metrics.watch_entries.inc()),
                    Message::Checkpoint { .. } => drop(self.api.metrics.probes_answered.inc()),
                    Message::Welcome(_) | Message::Drain => {}
                }
                let message = self.to_wire(message, following.run.is_some());
                self.out.try_send(Ok(message)).map_err(|_| Ended::Left)?;
            }
            Next::Load { after } => watcher.loaded(self.load(after).await?),
            Next::Wait => following.idle = true,
            Next::End(end) => return Err(self.end(end)),
        }
        Ok(())
    }

    async fn load(&self, after: u64) -> Result<Vec<Arc<Entry>>, Ended> {
        let entries = self.api.authority.store().log_after(after, PAGE).await?;
        let decoded = entries.into_iter().map(|entry| Entry::from_log(entry).map(Arc::new));
        decoded.collect::<Result<_, _>>().map_err(|error| {
            tracing::error!(%error, "the revocation log is damaged");
            Failure::new(Reason::Internal, "internal error").into()
        })
    }

    fn end(&self, end: End) -> Ended {
        match end {
            End::Resync(reason) => Ended::Resync(reason, self.api.log.with_ring(Ring::head)),
            End::CallerRevoked => caller_revoked().into(),
        }
    }

    fn to_wire(&self, message: Message, may_hold_lease: bool) -> v1::WatchResponse {
        use v1::watch_response::Message as Wire;
        let wire = match message {
            Message::Welcome(position) => Wire::Welcome(v1::WatchWelcome {
                resumed: matches!(position, Position::Resumed(_)),
                position: Some(position.revision().into()),
                lease_ms: if may_hold_lease { wire::millis(self.api.leases.lengths().standard) } else { 0 },
                probe_interval_ms: wire::millis(self.api.probe_interval),
                bound_ms: self.api.enforced_within_ms(),
                terms: may_hold_lease.then(|| self.api.leases.into()),
            }),
            Message::Entry(entry) => Wire::Entry(entry.to_wire()),
            Message::Checkpoint { probe, head, age } => Wire::Checkpoint(v1::Checkpoint {
                probe_id: probe,
                head: Some(head.into()),
                age_us: i64::try_from(age.as_micros()).unwrap_or(i64::MAX),
                authority_time_us: self.api.clock.now().as_micros(),
            }),
            Message::Drain => Wire::Drain(v1::Drain {}),
        };
        v1::WatchResponse { message: Some(wire) }
    }
}

/// What can happen to an open watch.
enum Event {
    /// The gateway closed its stream.
    Left,
    /// This replica shuts down.
    Leaving,
    /// It does, and has waited for the gateway for long enough.
    StayedTooLong,
    /// The ring has new entries.
    Grown,
    /// It is time to look at the caller again.
    JudgeAgain,
    /// The gateway said something, or no more.
    Request(Result<Option<v1::WatchRequest>, Status>),
    /// A head is proven, for the probe that has waited for longest.
    Proven(Proven),
    /// There is room for a message.
    Room,
    /// There has been no room for half a lease.
    Stalled,
}

/// A probe, when it arrived, and the proof that answers it.
type Proven = (u64, Boottime, Result<Freshness, StoreError>);

/// A watch that has begun.
struct Following {
    watcher: Watcher,
    // Absent for an observer.
    run: Option<Run>,
    /// Probes whose head is not proven yet; at most as many as a watcher holds of those that are.
    proofs: FuturesOrdered<BoxFuture<'static, Proven>>,
    grown: tokio::sync::watch::Receiver<u64>,
    judged_again: tokio::time::Interval,
    // When this replica ends the watch, once it has said that it is leaving.
    leave_by: Boottime,
    // Since when something waits for room.
    held_since: Option<Boottime>,
    // Nothing to send until something happens.
    idle: bool,
}

impl Following {
    fn wake<T>(&mut self, change: impl FnOnce(&mut Watcher) -> T) -> T {
        self.idle = false;
        change(&mut self.watcher)
    }

    fn held_for(&mut self, speaking: bool, now: Boottime) -> Duration {
        if !speaking {
            self.held_since = None;
            return Duration::ZERO;
        }
        now.saturating_since(*self.held_since.get_or_insert(now))
    }
}

fn resync_to_wire(reason: Resync, head: Revision) -> v1::WatchResponse {
    let reason = match reason {
        Resync::Fork => v1::ResyncReason::Fork,
        Resync::Horizon => v1::ResyncReason::Horizon,
        Resync::Lagged => v1::ResyncReason::Lagged,
    };
    let resync = v1::ResyncRequired { reason: reason.into(), head: Some(head.into()) };
    v1::WatchResponse { message: Some(v1::watch_response::Message::ResyncRequired(resync)) }
}
