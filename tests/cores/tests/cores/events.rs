//! What may happen, and how often, in one setting.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::Union;

use crate::world::{LEASE, PEOPLE};

/// How the authority proves that its head is the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heads {
    /// A replicated write for each probe, after the probe came.
    Fresh,
    /// One beat for all probes, begun after the probe was recorded.
    Beats,
    /// The last beat there was, however old: it carries its age. Nothing is said about receipts.
    Aged,
}

/// What there is, and what may go wrong. Everything may be late and every stream may break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) heads: Heads,
    /// 1 or 2; with 2 the registrations are shared, otherwise they are in memory.
    pub(crate) replicas: usize,
    pub(crate) gateways: usize,
    /// Receipts are asked for.
    pub(crate) receipts: bool,
    /// Verdicts are used again.
    pub(crate) cache: bool,
    /// The last row may be lost, unless somebody was told of it.
    pub(crate) failover: bool,
    /// The first replica may stay with a deposed primary, which answers reads.
    pub(crate) deposed: bool,
    /// A gateway may move its watch to another replica while the old one stands.
    pub(crate) moves: bool,
    /// Cursors may be refused.
    pub(crate) refusals: bool,
    /// The authority may restart.
    pub(crate) restarts: bool,
    /// A gateway's process may be another one, while the old one is only stopped.
    pub(crate) replaced: bool,
    /// The index remembers one key.
    pub(crate) forgetful: bool,
}

impl Setting {
    /// Only messages are late.
    pub(crate) const CALM: Self = Self {
        heads: Heads::Fresh,
        replicas: 1,
        gateways: 1,
        receipts: false,
        cache: false,
        failover: false,
        deposed: false,
        moves: false,
        refusals: false,
        restarts: false,
        replaced: false,
        forgetful: false,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// Real time passes.
    Wait(Duration),
    /// Somebody is logged out everywhere, and whoever asked for it is told.
    Revoke(u8),
    /// The same, but nobody was told yet when the next event happens: the row may be lost.
    Unacknowledged(u8),
    /// The last row is lost, if it may be.
    Failover,
    /// The first replica stays with a deposed primary.
    Depose,
    /// Somebody logs in again.
    LogIn(u8),
    /// A replica reads the log; if it can write, that is a beat.
    Poll(usize),
    /// The authority's process is another one.
    Restart,
    /// A gateway opens a stream to a replica.
    Connect(usize, usize),
    /// A gateway opens its next stream at a replica while the one it has still stands.
    Move(usize, usize),
    /// The next stream takes the place of the one that stands, if the replica took the cursor.
    MoveOver(usize),
    /// A stream breaks.
    Break(usize),
    /// The next cursor is refused.
    Refuse(usize),
    /// The authority receives the oldest message of a gateway.
    Hear(usize),
    /// The authority answers the oldest probe that it received.
    Answer(usize),
    /// The authority says so many things.
    Speak(usize, u8),
    /// The gateway receives so many of them.
    Deliver(usize, u8),
    /// Time passes for a gateway.
    Tick(usize),
    /// Nothing is late for a moment, but for what replicas read if they do not poll.
    Flow { gateway: usize, polls: bool },
    /// A gateway asks a replica about somebody; the verdict is on its way.
    Verify(usize, u8, usize),
    /// The oldest verdict arrives and is used, by the first who waits for it.
    Use(usize),
    /// The next who waited for the same verdict uses it.
    Share(usize),
    /// The last verdict that admitted somebody is used again.
    Reuse(usize),
    /// A replica answers the oldest question about a connection.
    Ask(usize, usize),
    /// The oldest such answer arrives.
    Learn(usize),
    /// A gateway's process is asked to end, with its sockets closed or some still open.
    Leave(usize, bool),
    /// A gateway's process is another one; the old one is gone, or only stopped.
    Replace(usize, bool),
}

fn wait() -> impl Strategy<Value = Event> {
    let nearly = LEASE - LEASE / 2_000;
    prop_oneof![
        2 => (1..900_u64).prop_map(Duration::from_millis),
        1 => Just(nearly),
        1 => Just(LEASE + Duration::from_millis(2)),
    ]
    .prop_map(Event::Wait)
}

/// One event in this setting.
pub(crate) fn event(setting: Setting) -> BoxedStrategy<Event> {
    let gateway = move || 0..setting.gateways;
    let replica = move || 0..setting.replicas;
    let somebody = || 0..PEOPLE;
    let mut events: Vec<(u32, BoxedStrategy<Event>)> = vec![
        (4, wait().boxed()),
        (3, somebody().prop_map(Event::Revoke).boxed()),
        (1, somebody().prop_map(Event::LogIn).boxed()),
        (2, replica().prop_map(Event::Poll).boxed()),
        (3, (gateway(), replica()).prop_map(|(gateway, replica)| Event::Connect(gateway, replica)).boxed()),
        (1, gateway().prop_map(Event::Break).boxed()),
        (4, gateway().prop_map(Event::Hear).boxed()),
        (3, gateway().prop_map(Event::Answer).boxed()),
        (4, (gateway(), 1..4_u8).prop_map(|(gateway, many)| Event::Speak(gateway, many)).boxed()),
        (4, (gateway(), 1..4_u8).prop_map(|(gateway, many)| Event::Deliver(gateway, many)).boxed()),
        (2, gateway().prop_map(Event::Tick).boxed()),
        (5, (gateway(), any::<bool>()).prop_map(|(gateway, polls)| Event::Flow { gateway, polls }).boxed()),
        (5, (gateway(), somebody(), replica()).prop_map(|(at, who, replica)| Event::Verify(at, who, replica)).boxed()),
        (4, gateway().prop_map(Event::Use).boxed()),
        (1, (gateway(), replica()).prop_map(|(gateway, replica)| Event::Ask(gateway, replica)).boxed()),
        (1, gateway().prop_map(Event::Learn).boxed()),
    ];
    let mut may = |happens: bool, weight: u32, event: BoxedStrategy<Event>| {
        if happens {
            events.push((weight, event));
        }
    };
    may(setting.moves, 3, (gateway(), replica()).prop_map(|(gateway, replica)| Event::Move(gateway, replica)).boxed());
    may(setting.moves, 3, gateway().prop_map(Event::MoveOver).boxed());
    may(setting.failover, 3, somebody().prop_map(Event::Unacknowledged).boxed());
    may(setting.failover, 3, Just(Event::Failover).boxed());
    may(setting.deposed, 2, Just(Event::Depose).boxed());
    may(setting.refusals, 2, gateway().prop_map(Event::Refuse).boxed());
    may(setting.restarts, 2, Just(Event::Restart).boxed());
    may(setting.cache, 3, gateway().prop_map(Event::Share).boxed());
    may(setting.cache, 3, gateway().prop_map(Event::Reuse).boxed());
    may(setting.replaced, 1, (gateway(), any::<bool>()).prop_map(|(at, closes)| Event::Leave(at, closes)).boxed());
    may(setting.replaced, 1, (gateway(), any::<bool>()).prop_map(|(at, stopped)| Event::Replace(at, stopped)).boxed());
    Union::new_weighted(events).boxed()
}
