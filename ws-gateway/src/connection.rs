//! One task a connection: what comes in, what goes out, and when it ends.
//!
//! Guarantees (I14): right before every dispatch of a frame from the client and every write of one to it, the guard is
//! asked; a fence calls the task, which abandons what it was writing, says why in one close frame, and ends. A peer that
//! has half a frame is cut off instead, because nothing can be said to it before the other half.
//! While the authority is being asked again, or the gateway has no lease, nothing is read, dispatched or written; a
//! client that is frozen is told so and pinged, because SDKs drop a connection that is silent. One that is fenced and has
//! to wait for its turn to be closed has left everything it followed and is pinged too. Text only: a binary message ends the
//! connection with the protocol's 3501, because a client that sent one would only repeat it.
//! Refuses to wait for a slow peer: writing, closing and the first command have deadlines.

mod conversation;

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gateway_core::session::{Handshake, Output, Purpose, Session};
use gateway_core::{CloseReason, Fence, Guard, Principal, Refusal, Stop};
use portcullis_types::Boottime;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use crate::admission::Entrance;
use crate::credential::Presented;
use crate::farewell::farewell;
use crate::hub::{Hub, Judged, Seat};
use crate::listener::Place;
use crate::metrics::{Code, Kind};
use crate::wire::{Incoming, Wire, Written};

/// Writes in a row before other tasks get a turn.
const WRITES_A_TURN: usize = 16;

/// Later than every deadline; a timer that is not armed.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// What the handshake brought.
#[derive(Debug)]
pub enum Carried {
    /// Nothing; `connect` may bring a credential.
    Nothing,
    /// Something for which nobody is let in, whatever `connect` brings.
    Barred(Refusal),
    /// A credential, to be judged now.
    Presented(Box<Presented>),
    /// A credential that is being judged.
    Judging,
    /// A credential that was judged.
    Judged(Box<Judged>),
}

/// A future that ends with a decision about a credential.
type Judging = Pin<Box<dyn Future<Output = Judged> + Send>>;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a close frame.
    Close(CloseReason),
    /// At once: the peer cannot be told.
    Abort(CloseReason),
    /// The peer closed it, or is gone.
    Gone,
}

enum Event {
    Text(Utf8Bytes),
    Control,
    Judged(Judged),
    News(Arc<Principal>),
    Frozen,
    Thawed,
    Fenced,
    Due,
    End(End),
}

/// Whether the client is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quiet {
    /// It is.
    No,
    /// Nothing passes for now, and it was told so.
    Frozen,
    /// Nothing passes any more, and it waits for its turn to be closed.
    Fenced,
}

/// See the module.
pub struct Connection {
    seat: Seat,
    wire: Wire,
    session: Session,
    entrance: Arc<Entrance>,
    guard: Option<Arc<Guard>>,
    carried: Carried,
    judging: Option<Judging>,
    /// The session waits for what the handshake carried.
    carried_wanted: bool,
    /// Set once: what is queued is written until then, and the connection is closed.
    last_words: Option<(CloseReason, Boottime)>,
    stuck_since: Option<Boottime>,
    quiet: Quiet,
    kind: &'static str,
    _place: Arc<Place>,
}

/// What a handshake leaves for the task of its connection.
#[derive(Debug)]
pub struct Arrival {
    /// Its entries elsewhere.
    pub seat: Seat,
    /// Its place among the connections.
    pub place: Arc<Place>,
    /// Where it came in.
    pub entrance: Arc<Entrance>,
    /// What it brought.
    pub carried: Carried,
}

impl Connection {
    /// On a socket whose handshake is done.
    pub fn new(arrival: Arrival, wire: Wire) -> Self {
        let Arrival { seat, place, entrance, carried } = arrival;
        let hub = seat.hub();
        let handshake = match &carried {
            Carried::Nothing | Carried::Barred(_) => Handshake::Open,
            Carried::Presented(_) | Carried::Judging | Carried::Judged(_) => Handshake::Credential,
        };
        let session = Session::new(Arc::clone(&hub.rules.limits), &hub.client_name(), handshake, hub.clock.boottime());
        hub.metrics.sockets.get_or_create(&Kind { kind: "pending" }).inc();
        let mut connection = Self {
            seat,
            wire,
            session,
            entrance,
            guard: None,
            carried: Carried::Nothing,
            judging: None,
            carried_wanted: false,
            last_words: None,
            stuck_since: None,
            quiet: Quiet::No,
            kind: "pending",
            _place: place,
        };
        connection.begin_with(carried);
        connection
    }

    fn begin_with(&mut self, carried: Carried) {
        self.carried = match carried {
            Carried::Presented(presented) => {
                self.judging = Some(self.judge(*presented, Purpose::Connect));
                Carried::Judging
            }
            Carried::Judged(judged) => {
                self.guard.clone_from(&judged.guard);
                Carried::Judged(judged)
            }
            other @ (Carried::Nothing | Carried::Barred(_) | Carried::Judging) => other,
        };
    }

    /// Runs until the connection has ended.
    pub async fn run(mut self) {
        let mut timer = pin!(tokio::time::sleep(NEVER));
        let mut armed = None;
        let end = loop {
            // A client that always has something to say lets others have a turn.
            tokio::task::consume_budget().await;
            let due = self.next_deadline();
            if due != armed {
                armed = due;
                let now = self.hub().clock.boottime();
                timer.set(tokio::time::sleep(due.map_or(NEVER, |at| at.saturating_since(now))));
            }
            let event = poll_fn(|cx| self.poll_event(cx, timer.as_mut())).await;
            if matches!(event, Event::Due) {
                armed = None;
            }
            if let ControlFlow::Break(end) = self.on_event(event) {
                break end;
            }
        };
        let fence = self.leave(end);
        Box::pin(farewell(self.wire, end)).await;
        if let Some(fence) = fence {
            self.seat.hub().closed(fence);
        }
    }

    fn hub(&self) -> &Hub {
        self.seat.hub()
    }

    fn next_deadline(&self) -> Option<Boottime> {
        let stuck = self.stuck_since.map(|since| since + self.hub().rules.write_timeout);
        // What is over need not end once more.
        let expiry = self.guard.as_ref().and_then(|guard| guard.expires_at()).filter(|_| self.quiet != Quiet::Fenced);
        let last_words = self.last_words.map(|(_, by)| by);
        // A client that cannot be heard is not late.
        let session =
            self.session.next_deadline().filter(|_| self.quiet == Quiet::No || self.session.tenant().is_some());
        [session, stuck, expiry, last_words].into_iter().flatten().min()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<Event> {
        // First of all, so that whatever is left in the mailbox from here on calls again.
        self.seat.mailbox().register(cx.waker());
        if let Some(reason) = self.must_end() {
            return Poll::Ready(Event::End(End::Close(reason)));
        }
        if let Some(judging) = &mut self.judging
            && let Poll::Ready(judged) = judging.as_mut().poll(cx)
        {
            self.judging = None;
            return Poll::Ready(Event::Judged(judged));
        }
        match self.check() {
            Ok(()) => {
                if std::mem::replace(&mut self.quiet, Quiet::No) == Quiet::Frozen {
                    return Poll::Ready(Event::Thawed);
                }
                // After the check and before any frame is judged by it.
                if let Some(principal) = self.take_news() {
                    return Poll::Ready(Event::News(principal));
                }
                if let Some(event) = self.poll_frames(cx) {
                    return Poll::Ready(event);
                }
            }
            Err(Stop::Suspended) => {}
            Err(Stop::Frozen) => {
                if let Some(event) = self.poll_quiet(Quiet::Frozen, Event::Frozen, cx) {
                    return Poll::Ready(event);
                }
            }
            Err(Stop::Fenced(_)) => {
                if let Some(event) = self.poll_quiet(Quiet::Fenced, Event::Fenced, cx) {
                    return Poll::Ready(event);
                }
            }
            Err(Stop::Close(reason)) => return Poll::Ready(Event::End(End::Close(reason))),
        }
        timer.poll(cx).map(|()| Event::Due)
    }

    /// Whether a frame may pass now.
    fn check(&self) -> Result<(), Stop> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(self.hub().clock.boottime()))
    }

    /// What was judged again, for a session that is open; one that is not takes it when it opens.
    fn take_news(&self) -> Option<Arc<Principal>> {
        self.session.tenant()?;
        self.guard.as_ref()?.take_news()
    }

    fn must_end(&self) -> Option<CloseReason> {
        let mailbox = self.seat.mailbox();
        let fenced = match self.check() {
            Err(Stop::Close(reason)) => Some(reason),
            // Its turn comes, unless somebody else closes it; either way the client is told why it is over.
            Err(Stop::Fenced(reason)) => return mailbox.close_requested().map(|_| reason),
            Ok(()) | Err(Stop::Suspended | Stop::Frozen) => None,
        };
        let overflowed = || mailbox.outbox.has_overflowed().then_some(CloseReason::SlowConsumer);
        fenced.or_else(|| mailbox.close_requested()).or_else(overflowed)
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        if let Some(end) = self.poll_outgoing(cx) {
            return Some(Event::End(end));
        }
        // Writing took a while: ask again before anything is taken from the client.
        if self.last_words.is_some() || self.check().is_err() {
            return None;
        }
        match self.wire.poll_read(cx) {
            Poll::Pending => None,
            Poll::Ready(Incoming::Text(text)) => Some(Event::Text(text)),
            Poll::Ready(Incoming::Control) => Some(Event::Control),
            Poll::Ready(Incoming::Closed) => Some(Event::End(End::Gone)),
            Poll::Ready(Incoming::Refused(reason)) => Some(Event::End(End::Close(reason))),
        }
    }

    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Option<End> {
        for _ in 0..WRITES_A_TURN {
            if !self.wire.is_writing() {
                let Some(frame) = self.seat.mailbox().outbox.pop() else { return self.poll_idle(cx) };
                self.wire.begin(frame);
            }
            match self.check() {
                Ok(()) => {}
                Err(Stop::Suspended | Stop::Frozen | Stop::Fenced(_)) => return None,
                Err(Stop::Close(reason)) => return Some(End::Close(reason)),
            }
            match self.wire.poll_write(cx) {
                Poll::Ready(Ok(written)) => {
                    self.stuck_since = None;
                    if written == Written::All {
                        self.hub().metrics.messages_out.inc();
                    }
                }
                Poll::Ready(Err(_)) => return Some(End::Gone),
                Poll::Pending => {
                    let now = self.hub().clock.boottime();
                    self.stuck_since.get_or_insert(now);
                    return None;
                }
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Nothing is under way and nothing waits.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if let Poll::Ready(Err(_)) = self.wire.poll_control(cx) {
            return Some(End::Gone);
        }
        self.last_words.map(|(reason, _)| End::Close(reason))
    }

    fn on_event(&mut self, event: Event) -> ControlFlow<End> {
        let now = self.hub().clock.boottime();
        let mut outputs = Vec::new();
        match event {
            Event::End(end) => return ControlFlow::Break(end),
            // Counted like an empty message: answering pings is not free.
            Event::Control => self.session.on_frame("", now, &mut outputs),
            Event::Text(text) => {
                self.hub().metrics.messages_in.inc();
                self.session.on_frame(&text, now, &mut outputs);
            }
            Event::News(principal) => return self.on_news(principal),
            Event::Judged(judged) if self.session.tenant().is_some() => return self.on_refreshed(judged, now),
            Event::Judged(judged) => self.on_judged(judged, now, &mut outputs),
            Event::Frozen => {
                self.stuck_since = None;
                self.session.excuse_pong();
                self.say(gateway_core::protocol::frozen_push());
            }
            Event::Thawed => self.say(gateway_core::protocol::thawed_push()),
            Event::Fenced => self.let_go(),
            Event::Due if self.quiet != Quiet::No => return self.on_due_quiet(now),
            Event::Due => {
                if let Some(end) = self.out_of_time(now) {
                    return ControlFlow::Break(end);
                }
                self.session.on_tick(now, &mut outputs);
            }
        }
        self.perform(outputs, now);
        ControlFlow::Continue(())
    }

    /// Nothing is said to a client before the answer to its `connect`.
    fn say(&mut self, notice: bytes::Bytes) {
        if self.session.tenant().is_some() {
            self.wire.begin_notice(notice);
        }
    }

    /// Nothing is read and nothing of the application is written; notices and pings go out.
    fn poll_quiet(&mut self, quiet: Quiet, begin: Event, cx: &mut Context<'_>) -> Option<Event> {
        if std::mem::replace(&mut self.quiet, quiet) != quiet {
            return Some(begin);
        }
        match self.wire.poll_control(cx) {
            Poll::Ready(Err(_)) => Some(Event::End(End::Gone)),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Nothing passes any more: nothing is kept for it, and nothing more is done for it.
    fn let_go(&mut self) {
        self.judging = None;
        self.stuck_since = None;
        self.session.excuse_pong();
        self.wire.abandon_unbegun();
        self.seat.mailbox().outbox.shut();
        self.leave_channels();
    }

    fn leave_channels(&self) {
        self.with_tenant(|hub, tenant, seat| {
            for channel in self.session.subscriptions() {
                hub.broker.unsubscribe(tenant, channel, seat.connection());
            }
        });
    }

    /// SDKs drop a connection that is silent, so pings go on; their answers are not read, so none is missed.
    fn on_due_quiet(&mut self, now: Boottime) -> ControlFlow<End> {
        if let Some(end) = self.out_of_time(now) {
            return ControlFlow::Break(end);
        }
        let mut outputs = Vec::new();
        self.session.on_tick(now, &mut outputs);
        self.session.excuse_pong();
        if outputs.iter().any(|output| matches!(output, Output::Reply(_))) {
            self.wire.begin_notice(gateway_core::protocol::PING);
        }
        ControlFlow::Continue(())
    }

    fn out_of_time(&self, now: Boottime) -> Option<End> {
        let stuck = self.stuck_since.is_some_and(|since| now >= since + self.hub().rules.write_timeout);
        if stuck {
            return Some(End::Abort(CloseReason::SlowConsumer));
        }
        self.last_words.filter(|(_, by)| now >= *by).map(|(reason, _)| End::Close(reason))
    }

    /// Leaves everything that names this connection, before the peer is waited for. What had fenced it, if it was.
    fn leave(&mut self, end: End) -> Option<Fence> {
        self.judging = None;
        self.session.end();
        let mailbox = self.seat.mailbox();
        self.hub().metrics.outbox.observe(bytes_waiting(mailbox));
        mailbox.outbox.shut();
        self.leave_channels();
        let fence = self.seat.leave();
        let metrics = &self.hub().metrics;
        metrics.sockets.get_or_create(&Kind { kind: self.kind }).dec();
        if fence.is_some() {
            metrics.fenced.inc();
        }
        let code = match end {
            End::Close(reason) | End::Abort(reason) => u32::from(reason.code()),
            // Closed by the peer; no code of ours.
            End::Gone => 0,
        };
        metrics.closed.get_or_create(&Code { code }).inc();
        tracing::debug!(connection = self.seat.connection().get(), code, kind = self.kind, "socket closed");
        fence
    }
}

fn bytes_waiting(mailbox: &crate::mailbox::Mailbox) -> f64 {
    u32::try_from(mailbox.outbox.queued_bytes()).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F: Future>(_: impl Fn(Connection) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_costs_little_memory() {
        let size = size_of_future(Connection::run);
        assert!(size <= 1_024, "the task of a connection takes {size} bytes");
    }
}
