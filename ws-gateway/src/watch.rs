//! The driver of the enforcer: the one task that takes its steps.
//!
//! Owns the watch on the authority's log. It opens the stream, feeds what comes, carries out what the enforcer wants in
//! order, and opens another stream after any end of this one, whatever its code says: a cut network ends a stream with
//! `Unknown`, and a stream that is silent does not end at all.
//! What is said about single entries is best effort: it leaves room for probes, and gives way when the line is stuck.
//! Guarantees that time passes for the enforcer whether or not the authority can be reached, and that a probe's time is
//! read before it is sent.

mod line;
mod moving;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Input, Output, ResyncReason, Welcome};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::watch_request::Message as Said;
use portcullis_proto::auth::v1::watch_response::Message as Heard;
use portcullis_types::{Backoff, BootId, Boottime, Clock, Entropy, GatewayId, Revision, Shutdown, UuidSource};

use self::line::{Event, Line, Opened};
use self::moving::{Next, arrival};
use crate::authority::Authority;
use crate::closings::News;
use crate::enforcement::Enforcement;
use crate::metrics::{Metrics, Reason};
use crate::reverify::{BATCH, Question, Reverifier};

/// Of these, how many stay free for probes and what opens the watch.
const FOR_PROBES: usize = 4;

/// Acknowledgements that wait for the line. Full: the oldest is left out, and a probe says the same without figures.
const ACKNOWLEDGEMENTS: usize = 1_024;

/// The first and the last ceiling of the pause before another stream.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long a stream may stand without a welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the authority may take to hear that this run is over, and to write it down for its other replicas.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often time passes for the enforcer: a fifth of a usual probe interval, drawn evenly around it.
const TICK: Duration = Duration::from_millis(100);

/// How often it passes at most: what is closed at a pace is closed in small groups.
const SHORTEST_TICK: Duration = Duration::from_millis(5);

/// What the driver works with.
#[derive(Debug)]
pub struct Parts {
    /// The enforcer.
    pub enforcement: Arc<Enforcement>,
    /// The line.
    pub authority: Arc<Authority>,
    /// Who asks again about connections.
    pub reverifier: Reverifier,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// This gateway's name.
    pub gateway: GatewayId,
    /// The route that is served.
    pub path: Box<str>,
}

/// See the module.
pub struct Driver {
    parts: Parts,
    boot: BootId,
    line: Line,
    /// Which replica it goes to.
    replica: usize,
    /// What is to take its place.
    next: Option<Next>,
    backoff: Backoff,
    welcomed: bool,
    questions: Vec<Question>,
    acknowledgements: VecDeque<v1::Applied>,
    /// When the watch may be moved to newer lines; they may be ones on which nobody takes it yet.
    renew_after: Boottime,
}

impl Driver {
    /// Before the first stream.
    pub fn new(parts: Parts) -> Self {
        let boot = BootId::new(UuidSource::new(&*parts.clock, &*parts.entropy));
        let line = Line::pausing(Duration::ZERO);
        let backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let (questions, acknowledgements) = (Vec::new(), VecDeque::new());
        let (replica, next, welcomed, renew_after) = (0, None, false, Boottime::ZERO);
        Self { parts, boot, line, replica, next, backoff, welcomed, questions, acknowledgements, renew_after }
    }

    /// Drives until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut tick = Box::pin(tokio::time::sleep(TICK));
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return self.leave().await,
                () = tick.as_mut() => {
                    tick.set(tokio::time::sleep(self.until_next_tick()));
                    self.tick();
                }
                Some(answers) = self.parts.reverifier.answers.recv() => {
                    for answer in answers {
                        self.step(answer);
                    }
                }
                event = self.line.next() => self.on_event(event),
                event = arrival(&mut self.next) => self.on_next(event),
            }
            self.send_questions();
        }
    }

    /// Says what is still to be said and, if nobody passes a frame any more, that this run is over.
    async fn leave(mut self) {
        self.acknowledge();
        self.tell_closings();
        self.step(Input::Leaving);
        let Line::Open { requests, mut stream, .. } = self.line else { return };
        drop(requests);
        // The authority ends the stream when it has read the last of it.
        let read = async {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        };
        if !tokio::time::timeout(LAST_WORDS, read).await.unwrap_or(false) {
            tracing::warn!("the authority may not have heard that this gateway ends; receipts wait for its lease");
        }
    }

    fn until_next_tick(&self) -> Duration {
        let jitter = u32::try_from(self.parts.entropy.u64() % 1_000).unwrap_or(0);
        let tick = TICK / 2 + TICK * jitter / 1_000;
        let next_close = self.parts.enforcement.until_next_close();
        next_close.map_or(tick, |next| next.max(SHORTEST_TICK).min(tick))
    }

    fn tick(&mut self) {
        if let Line::Open { since, .. } = &self.line
            && !self.welcomed
            && self.parts.clock.boottime().saturating_since(*since) >= WELCOME_TIMEOUT
        {
            tracing::warn!("the authority does not welcome the watch");
            self.lost();
        }
        self.tick_next();
        self.renew();
        self.step(Input::Tick { wall: self.parts.clock.now() });
        self.acknowledge();
        self.tell_closings();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Paused => self.open(),
            Event::Opened(Ok(opened)) => self.opened(opened),
            Event::Opened(Err(no_answer)) => {
                tracing::warn!(error = %no_answer, "the watch cannot be opened");
                self.lost();
            }
            Event::Heard(Ok(Some(response))) => self.heard(response),
            Event::Heard(Ok(None)) => {
                tracing::info!("the authority ended the watch");
                self.lost();
            }
            Event::Heard(Err(status)) => {
                tracing::warn!(code = ?status.code(), "the watch broke");
                self.lost();
            }
        }
    }

    fn open(&mut self) {
        self.next = None;
        self.welcomed = false;
        self.line = Line::opening(&self.parts.authority, self.replica, self.parts.clock.boottime());
        self.step(Input::StreamOpened);
    }

    fn opened(&mut self, opened: Opened) {
        self.parts.metrics.watches.inc();
        self.line.stands(opened, self.parts.clock.boottime());
    }

    /// Another replica may do better; one that is about to is waited for.
    fn lost(&mut self) {
        if self.next.is_some() {
            self.line = Line::pausing(WELCOME_TIMEOUT);
        } else {
            self.try_another();
        }
        self.step(Input::StreamLost);
    }

    fn try_another(&mut self) {
        self.replica = (self.replica + 1) % self.parts.authority.replicas();
        self.pause();
    }

    fn pause(&mut self) {
        self.line = Line::pausing(self.backoff.next_delay(&*self.parts.entropy));
    }

    fn heard(&mut self, response: v1::WatchResponse) {
        match response.message {
            Some(Heard::Welcome(welcome)) => match read_welcome(welcome) {
                Some(welcome) => {
                    let revision = welcome.position;
                    let lease = welcome.terms.lengths();
                    tracing::info!(resumed = welcome.resumed, %revision, ?lease, "the watch stands");
                    self.welcomed = true;
                    self.parts.enforcement.closings().tell_again();
                    self.step(Input::Welcome(welcome));
                    if let Some(over) = self.parts.enforcement.route_over_bound() {
                        tracing::error!(path = &*self.parts.path, %over, "this route is not served");
                    }
                }
                None => self.nonsense("welcome"),
            },
            Some(Heard::Entry(entry)) => self.entry(entry),
            Some(Heard::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint),
            Some(Heard::ResyncRequired(resync)) => self.resync(resync.reason()),
            Some(Heard::Drain(v1::Drain {})) => {
                tracing::info!("the authority is leaving");
                self.move_away();
            }
            // Something newer than this gateway.
            None => {}
        }
    }

    fn entry(&mut self, entry: v1::LogEntry) {
        let received = self.parts.clock.boottime();
        let Some(revision) = entry.revision.and_then(|revision| Revision::try_from(revision).ok()) else {
            return self.nonsense("entry");
        };
        let previous_chain = entry.previous_chain;
        let before = self.parts.enforcement.applied();
        self.step(Input::Entry { revision, previous_chain, payload: entry.payload });
        if self.parts.enforcement.applied() == before {
            // Refused; or known, because it came on the watch before this one as well.
            return;
        }
        let took = self.parts.clock.boottime().saturating_since(received);
        self.parts.enforcement.closings().took(revision, took);
        let of_this = Some(v1::Revision::from(revision));
        if let Some(applied) = self.acknowledgements.back_mut().filter(|applied| applied.revision == of_this) {
            applied.apply_us = micros(took);
        }
        self.acknowledge();
        self.parts.metrics.entries.inc();
        self.parts.metrics.fence.observe(took.as_secs_f64());
        tracing::debug!(%revision, ?took, "entry applied");
    }

    fn checkpoint(&mut self, checkpoint: &v1::Checkpoint) {
        let head = checkpoint.head.and_then(|head| Revision::try_from(head).ok());
        let (Some(head), Ok(age)) = (head, u64::try_from(checkpoint.age_us)) else {
            return self.nonsense("checkpoint");
        };
        // Only now it is known to work: a welcome may still be one that the enforcer refuses.
        self.backoff.reset();
        let probe_id = checkpoint.probe_id;
        let applied = self.parts.enforcement.applied().map_or(0, |applied| applied.seq);
        self.parts.metrics.lag_entries.set(head.seq.saturating_sub(applied));
        self.step(Input::Checkpoint { probe_id, head, age: Duration::from_micros(age) });
    }

    fn resync(&mut self, reason: v1::ResyncReason) {
        let (reason, word) = match reason {
            v1::ResyncReason::Fork | v1::ResyncReason::Unspecified => (ResyncReason::Fork, "fork"),
            v1::ResyncReason::Horizon => (ResyncReason::Horizon, "horizon"),
            v1::ResyncReason::Lagged => (ResyncReason::Lagged, "lagged"),
        };
        match reason {
            ResyncReason::Fork => tracing::error!(
                applied = ?self.parts.enforcement.applied(),
                "the authority's log is not the one that was applied here: a backup was restored or a failover lost its \
                 tail; every socket is judged again, and what rests on the lost branch ends"
            ),
            ResyncReason::Horizon | ResyncReason::Lagged => {
                tracing::warn!(reason = word, "the watch must begin anew; every socket is judged again");
            }
        }
        self.parts.metrics.resyncs.get_or_create(&Reason { reason: word }).inc();
        self.step(Input::ResyncRequired(reason));
    }

    fn nonsense(&mut self, what: &'static str) {
        tracing::error!(what, "the authority's message makes no sense");
        self.lost();
    }

    fn step(&mut self, input: Input) {
        for output in self.parts.enforcement.step(input) {
            match output {
                Output::SendStart { cursor } => self.send(Said::Start(self.start_at(cursor))),
                Output::SendProbe { probe_id, applied, sockets } => {
                    let applied = applied.map(Into::into);
                    self.send(Said::Probe(v1::Probe { probe_id, applied, sockets }));
                }
                Output::Acknowledge { revision, fenced } => {
                    if self.acknowledgements.len() == ACKNOWLEDGEMENTS {
                        self.acknowledgements.pop_front();
                    }
                    let revision = Some(revision.into());
                    self.acknowledgements.push_back(v1::Applied { revision, fenced, apply_us: 0 });
                }
                Output::Release => self.send(Said::Released(v1::Released {})),
                Output::Reconnect => {
                    // It may be this replica that answers too late, or not at all.
                    self.next = None;
                    self.try_another();
                }
                Output::Reverify { connection, reference } => self.questions.push((connection, reference)),
            }
        }
    }

    fn start_at(&self, cursor: Option<Revision>) -> v1::WatchStart {
        v1::WatchStart {
            gateway_id: self.parts.gateway.as_str().to_owned(),
            boot_id: self.boot.as_bytes().to_vec(),
            cursor: cursor.map(Into::into),
            observer: false,
        }
    }

    fn send(&self, message: Said) {
        let Some(requests) = self.line.requests() else { return };
        // Full or closed: the stream is stuck or lost, which the missing answer tells the enforcer.
        let _sent = requests.try_send(v1::WatchRequest { message: Some(message) });
    }

    /// Says what is enforced, as far as there is room.
    fn acknowledge(&mut self) {
        while self.room() > 0
            && let Some(applied) = self.acknowledgements.pop_front()
        {
            self.send(Said::Applied(applied));
        }
    }

    /// Says how many sockets are closed, as far as there is room.
    fn tell_closings(&self) {
        for News { revision, fenced, apply, closed, again } in self.parts.enforcement.closings().take_news(self.room())
        {
            let (revision, apply_us) = (Some(revision.into()), micros(apply));
            self.send(Said::Closed(v1::Closed { revision, closed, fenced, apply_us, again }));
        }
    }

    /// How many more messages the line takes that may be left out.
    fn room(&self) -> usize {
        match &self.line {
            Line::Open { requests, .. } if self.welcomed => requests.capacity().saturating_sub(FOR_PROBES),
            Line::Pausing(_) | Line::Opening { .. } | Line::Open { .. } => 0,
        }
    }

    /// Hands questions over in batches; what does not fit fails, and the enforcer asks again.
    fn send_questions(&mut self) {
        while !self.questions.is_empty() {
            let rest = self.questions.split_off(self.questions.len().min(BATCH));
            let batch = std::mem::replace(&mut self.questions, rest);
            if let Err(full) = self.parts.reverifier.questions.try_send(batch) {
                for (connection, _) in full.into_inner() {
                    self.step(Input::ReverifyFailed { connection });
                }
            }
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn read_welcome(welcome: v1::WatchWelcome) -> Option<Welcome> {
    let millis = |ms: i64| u64::try_from(ms).ok().map(Duration::from_millis);
    Some(Welcome {
        resumed: welcome.resumed,
        position: welcome.position?.try_into().ok()?,
        terms: welcome.terms?.try_into().ok()?,
        probe_interval: millis(welcome.probe_interval_ms)?,
        bound: millis(welcome.bound_ms)?,
    })
}
