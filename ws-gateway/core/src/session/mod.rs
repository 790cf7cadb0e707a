//! One connection's side of the client protocol: commands in, outputs out, no I/O.
//!
//! Owns: whether the client has connected, who it is, what it follows, its ping, its rate and its refresh.
//! Guarantees: nothing a client sends before it is admitted has any effect; who it is comes from the verdict alone, never
//! from anything it sends; every command is judged by the grants of now; every command with an id is answered, or the
//! connection is closed.
//! Refuses: to judge credentials ([`Output::Verify`] asks for it), to watch over revocation, expiry and lease (the
//! [`crate::Guard`] does, before every frame), to hold anything unbounded, and to say anything after [`Output::Close`].
//!
//! Whoever runs a session performs its outputs in their order, all of them before the next byte is written: a client
//! that reads the answer to `subscribe` then misses nothing that is published after it could read that.

mod commands;
mod heartbeat;
mod opening;
mod rate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_types::{Boottime, ChannelName, IdentityId, Revision, Secret, TenantId, Timestamp};

use crate::protocol::{EffectiveLimits, FrameLimits, FrameRefused, decode};
use crate::{CloseReason, Denial, Grants, Principal, Refusal};
use heartbeat::{Beat, Heartbeat};
pub use opening::personal_channel;
use rate::Rate;

/// What a hub allows each of its clients, and how it keeps in touch with them. Shared by all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Bytes of one message from a client; also of what may wait for the verdict on its `connect`. Over it: close 1009.
    pub message_bytes: usize,
    /// Depth of its JSON. Over it: close 3501.
    pub json_depth: usize,
    /// Commands in one message. Over it: close 3501. SDKs follow all their channels in one message.
    pub commands_per_message: usize,
    /// Channels one connection follows, its personal one included. Over it: error 106.
    pub subscriptions: usize,
    /// Commands a second in the long run. Over it: error 111.
    pub commands_per_second: u32,
    /// Commands at once after a pause; more than as many refused without a pause: close 4029. It should be above
    /// `subscriptions`, because SDKs follow all their channels at once when they connect.
    pub command_burst: u16,
    /// Bytes of a credential. Over it: denied as malformed, without asking anybody.
    pub credential_bytes: usize,
    /// How long a client may take until it has sent `connect`. Over it: close 3502.
    pub connect_timeout: Duration,
    /// How often a client is pinged.
    pub ping_interval: Duration,
    /// How long it may take to answer. Over it: close 3012.
    pub pong_timeout: Duration,
    /// What the gateway says its version is.
    pub version: Box<str>,
}

impl HubLimits {
    const fn frame(&self) -> FrameLimits {
        FrameLimits { bytes: self.message_bytes, depth: self.json_depth, commands: self.commands_per_message }
    }

    const fn effective(&self) -> EffectiveLimits {
        EffectiveLimits {
            message_bytes: self.message_bytes,
            json_depth: self.json_depth,
            subscriptions: self.subscriptions,
            commands_per_second: self.commands_per_second,
        }
    }
}

/// What the handshake brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// An explicit credential: a header or a ticket. One in `connect` would be a second one.
    Credential,
    /// Nothing, or only a cookie: a credential in `connect` comes first.
    Open,
}

/// Somebody known.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who, and what they may do.
    pub principal: Arc<Principal>,
    /// Until when.
    pub expires: Option<Expiry>,
    /// As of which position in the revocation log.
    pub revision: Revision,
}

/// When a credential's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// On the clock that decides; the client is told how long that is from now.
    pub at: Boottime,
    /// On the clock that clients read; only shown.
    pub shown: Timestamp,
}

/// Somebody unknown, on a route that lets them in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// In which tenant.
    pub tenant: TenantId,
    /// What everybody may do.
    pub grants: Arc<Grants>,
    /// Why they are nobody known; the client is told.
    pub reason: Denial,
}

/// The answer to [`Output::Verify`].
#[derive(Clone, Debug)]
pub enum Ruling {
    /// It is somebody known.
    Admitted(Admission),
    /// Nobody known, and welcome all the same. Never the answer for [`Purpose::Refresh`].
    Anonymous(Guest),
    /// Not let in.
    Refused(Refusal),
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// What the handshake carried, or that it carried nothing.
    Carried,
    /// The credential of a command.
    Token(Secret),
}

/// What for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To open the session.
    Connect,
    /// To go on with a newer credential of the same identity.
    Refresh,
}

/// What whoever runs the session has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Judge, then call [`Session::on_ruling`], within a time of the caller's choosing. At most one is open.
    Verify {
        /// What.
        presented: Presented,
        /// What for.
        purpose: Purpose,
    },
    /// Write this frame to the client, behind what is queued for it.
    Reply(Bytes),
    /// Let the connection follow this channel of its tenant ([`Session::tenant`]).
    Subscribe(ChannelName),
    /// End that.
    Unsubscribe(ChannelName),
    /// Deliver this frame to the channel's followers.
    Publish {
        /// Where, in the tenant of this connection.
        channel: ChannelName,
        /// The push, encoded for all receivers.
        frame: Bytes,
    },
    /// Write what came before, then close. The last output of all.
    Close(CloseReason),
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    limits: Arc<HubLimits>,
    client: Box<str>,
    handshake: Handshake,
    state: State,
    rate: Rate,
}

#[derive(Debug)]
enum State {
    /// Nothing was said yet; closed at this time.
    Awaiting(Boottime),
    /// The verdict on `connect` is being made.
    Opening(Box<Opening>),
    /// Admitted.
    Open(Box<Open>),
    /// Closed, or being closed. Keeps what the caller has to undo.
    Closed(Option<Box<Open>>),
}

#[derive(Debug)]
struct Opening {
    /// The command to answer.
    id: u32,
    presented_token: bool,
    /// Commands that came meanwhile, one a line: SDKs send `subscribe` along with `connect`. Bounded by
    /// [`HubLimits::message_bytes`].
    parked: String,
}

#[derive(Debug)]
struct Open {
    who: Who,
    /// Sorted by nothing: there are few. Bounded by [`HubLimits::subscriptions`].
    subscriptions: Vec<ChannelName>,
    heartbeat: Heartbeat,
    /// The `refresh` to answer, while a verdict is being made on it.
    refreshing: Option<u32>,
}

#[derive(Debug)]
enum Who {
    Known(Admission),
    Nobody(Guest),
}

impl Who {
    fn tenant(&self) -> &TenantId {
        match self {
            Self::Known(admission) => &admission.principal.tenant,
            Self::Nobody(guest) => &guest.tenant,
        }
    }

    fn grants(&self) -> &Arc<Grants> {
        match self {
            Self::Known(admission) => &admission.principal.grants,
            Self::Nobody(guest) => &guest.grants,
        }
    }

    fn identity(&self) -> Option<IdentityId> {
        match self {
            Self::Known(admission) => Some(admission.principal.identity),
            Self::Nobody(_) => None,
        }
    }

    /// For telling the client; the guard decides.
    fn expires(&self) -> Option<Expiry> {
        match self {
            Self::Known(admission) => admission.expires,
            Self::Nobody(_) => None,
        }
    }
}

impl Session {
    /// Of a connection that was just made. `client` is the gateway's public name for it: other clients see it, and it
    /// must tell nothing but connections apart.
    pub fn new(limits: Arc<HubLimits>, client: &str, handshake: Handshake, now: Boottime) -> Self {
        let state = State::Awaiting(now + limits.connect_timeout);
        Self { limits, client: client.into(), handshake, state, rate: Rate::default() }
    }

    /// A text message came from the client.
    pub fn on_frame(&mut self, frame: &str, now: Boottime, out: &mut Vec<Output>) {
        if self.is_closed() {
            return;
        }
        match decode(frame, self.limits.frame()) {
            Ok(commands) => self.run(commands, now, out),
            Err(FrameRefused::TooLong) => self.close(CloseReason::MessageTooBig, out),
            Err(FrameRefused::TooDeep | FrameRefused::TooManyCommands) => self.close(CloseReason::BadRequest, out),
        }
    }

    /// The answer to [`Output::Verify`].
    pub fn on_ruling(&mut self, ruling: Ruling, now: Boottime, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Opening(opening) => {
                let (id, by_token) = (opening.id, opening.presented_token);
                let parked = std::mem::take(&mut opening.parked);
                self.open(id, by_token, ruling, now, out);
                self.run_parked(&parked, now, out);
            }
            State::Open(open) => {
                if let Some(id) = open.refreshing.take() {
                    self.refreshed(id, ruling, now, out);
                }
            }
            State::Awaiting(_) | State::Closed(_) => {}
        }
    }

    /// The connection rests on a new verdict: the client leaves what it may no longer follow, and is told.
    pub fn on_principal(&mut self, principal: Arc<Principal>, out: &mut Vec<Output>) {
        let State::Open(open) = &mut self.state else { return };
        let Who::Known(admission) = &mut open.who else { return };
        admission.principal = principal;
        open.leave_what_is_forbidden(out);
    }

    /// Time has passed: call it at [`Session::next_deadline`]; earlier or later does no harm.
    pub fn on_tick(&mut self, now: Boottime, out: &mut Vec<Output>) {
        match &mut self.state {
            State::Awaiting(until) if now >= *until => self.close(CloseReason::Stale, out),
            State::Open(open) => match open.heartbeat.beat(&self.limits, now) {
                Beat::Quiet => {}
                Beat::Ping => out.push(Output::Reply(crate::protocol::PING)),
                Beat::Dead => self.close(CloseReason::NoPong, out),
            },
            State::Awaiting(_) | State::Opening(_) | State::Closed(_) => {}
        }
    }

    /// The client cannot be heard: its answer to the last ping is not missed.
    pub fn excuse_pong(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.heartbeat.pong();
        }
    }

    /// When something is due. `None`: nothing before the next input.
    pub fn next_deadline(&self) -> Option<Boottime> {
        match &self.state {
            State::Awaiting(until) => Some(*until),
            State::Open(open) => Some(open.heartbeat.next()),
            State::Opening(_) | State::Closed(_) => None,
        }
    }

    /// The connection is being closed for a reason of the caller's: nothing comes out any more.
    pub fn end(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Closed(None));
        self.state = State::Closed(match state {
            State::Open(open) | State::Closed(Some(open)) => Some(open),
            State::Awaiting(_) | State::Opening(_) | State::Closed(None) => None,
        });
    }

    /// The tenant, once the client was admitted.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.last_open().map(|open| open.who.tenant())
    }

    /// Who the client is; `None` for nobody known.
    pub fn identity(&self) -> Option<IdentityId> {
        self.last_open().and_then(|open| open.who.identity())
    }

    /// What the client follows. Still there after the close, so that the caller can undo it.
    pub fn subscriptions(&self) -> &[ChannelName] {
        self.last_open().map_or(&[], |open| &open.subscriptions)
    }

    /// Whether the connection is closed or about to be.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    fn last_open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) | State::Closed(Some(open)) => Some(open),
            State::Awaiting(_) | State::Opening(_) | State::Closed(None) => None,
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut Vec<Output>) {
        self.end();
        out.push(Output::Close(reason));
    }
}
