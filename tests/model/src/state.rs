//! The state of the world.
//!
//! Owns what there is: the authority's log and replicas, what is on the wire, the gateway, and the budgets of what may
//! still go wrong. Small and `Copy`, because millions of it are explored.
//! Guarantees: two states that differ only in how long ago something lapsed are one ([`State::normalise`]).

use crate::config::Config;
use crate::prefix::Prefix;

/// Sockets at most.
pub(crate) const SOCKETS: usize = 2;
/// Messages on the stream at most.
const QUEUE: usize = 3;

/// The session that every credential of the model rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Session {
    /// Not opened.
    Absent,
    /// A login has read its issue revision.
    Opening(Prefix),
    /// In the store.
    Open {
        /// The issue revision.
        issue: Prefix,
        /// Inserted after X committed: X could not mark it.
        late: bool,
    },
}

impl Session {
    /// Whether X kills what rests on it: it was issued before X.
    pub(crate) fn is_covered(self) -> bool {
        match self {
            Self::Open { issue, .. } => !issue.has_revocation(),
            Self::Absent | Self::Opening(_) => true,
        }
    }
}

/// What an authority knows of one boot of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Registration {
    /// When a probe was last heard; the leases it backs count from before.
    pub(crate) renewed: u8,
    /// What was acknowledged.
    pub(crate) acknowledged: Prefix,
}

/// By boot.
pub(crate) type Registered = [Option<Registration>; 2];

/// A deposed primary that still answers reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Zombie {
    pub(crate) log: Prefix,
    pub(crate) has_session: bool,
    pub(crate) registered: Registered,
}

/// One replica of the authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    /// What it has tailed.
    pub(crate) tail: Prefix,
    /// When its last beat began.
    pub(crate) beat_at: u8,
}

/// `AwaitEnforced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Receipt {
    /// Not asked for.
    None,
    /// Registrations were read.
    Waiting {
        /// On this replica.
        replica: u8,
        /// At this time, which is also its first read of X.
        since: u8,
        /// Boots that were registered and had not acknowledged X.
        missing: u8,
    },
    /// Said to be enforced.
    Said(Proof),
}

/// What a receipt rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// At least one gateway acknowledged, and none is missing.
    Acknowledged,
    /// Nobody acknowledged and nobody can hold a lease.
    NoLease,
    /// B has elapsed.
    Elapsed,
}

/// On the stream, to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    /// The watch begins here; nothing older is known.
    FromHead(Prefix),
    /// An entry.
    Entry { seq: u8, row: u8, before: Prefix },
    /// The answer to a probe: where the lease counts from (`None`: from receipt, a fault) and the head.
    Checkpoint { anchor: Option<i8>, head: Prefix },
}

/// The gateway's question how fresh the authority is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probe {
    /// When it was sent, on the gateway's clock.
    pub(crate) sent: i8,
    /// What is acknowledged with it; empty: nothing.
    pub(crate) acknowledged: Prefix,
    /// The registration was renewed by it, durably.
    pub(crate) heard: bool,
    /// A beat began after that.
    pub(crate) beaten: bool,
}

/// A watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) replica: u8,
    /// Up to where entries were sent.
    pub(crate) sent: u8,
    pub(crate) queue: [Option<Message>; QUEUE],
    pub(crate) probe: Option<Probe>,
}

impl Stream {
    pub(crate) fn push(&mut self, message: Message) {
        let free = self.queue.iter_mut().find(|slot| slot.is_none());
        *free.expect("only pushed to while `has_room`") = Some(message);
    }

    pub(crate) fn has_room(&self, config: &Config) -> bool {
        self.queue.iter().flatten().count() < usize::from(config.queue)
    }
}

/// A call of `Verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// None is open.
    Idle,
    /// On its way to the authority.
    Asked,
    /// The authority has read the revision, not yet the state.
    Read { revision: Prefix, replica: u8 },
    /// A verdict is on its way back, or held.
    Allowed(Prefix),
    /// A denial is.
    Denied,
    /// The verdict was found good, nobody is inserted (only the check-then-insert mutant).
    Checked(Prefix),
}

/// A socket that rests on the session, in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Socket {
    /// Of its verdict.
    pub(crate) revision: Prefix,
    /// Admitted; otherwise inserted and not yet checked.
    pub(crate) admitted: bool,
    /// Its verdict came from the cache.
    pub(crate) cached: bool,
    /// Its verdict was looked up for another.
    pub(crate) shared: bool,
    /// It outlived a lease and was thawed.
    pub(crate) thawed: bool,
}

/// One process of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gateway {
    /// Which start of the process.
    pub(crate) boot: u8,
    pub(crate) paused: bool,
    /// It has no cursor, or cannot use it.
    pub(crate) begins_anew: bool,
    /// When it gave up a cursor, on its own clock, until a checkpoint anchored later was accepted: what it knew then
    /// it may not know now, so it admits nobody.
    pub(crate) unproven: Option<i8>,
    /// A.
    pub(crate) applied: Prefix,
    /// The index is complete above this.
    pub(crate) floor: u8,
    /// V: where X stands; 0: not in the index.
    pub(crate) revoked: u8,
    /// X is half applied, as this entry; 0: not.
    pub(crate) applying: u8,
    /// Until when frames pass, on its own clock.
    pub(crate) deadline: i8,
    pub(crate) cache: Option<Prefix>,
    pub(crate) sockets: [Option<Socket>; SOCKETS],
    /// The look-up for handshakes.
    pub(crate) lookup: Call,
    /// Handshakes that wait for it.
    pub(crate) waiting: u8,
    /// The question about sockets from before a resync; while there is one nothing is admitted or renewed.
    pub(crate) reconciling: Call,
}

impl Gateway {
    pub(crate) const fn started(boot: u8) -> Self {
        Self {
            boot,
            paused: false,
            begins_anew: true,
            unproven: None,
            applied: Prefix::EMPTY,
            floor: 0,
            revoked: 0,
            applying: 0,
            deadline: NEVER,
            cache: None,
            sockets: [None; SOCKETS],
            lookup: Call::Idle,
            waiting: 0,
            reconciling: Call::Idle,
        }
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().flatten()
    }

    pub(crate) fn has_admitted(&self) -> bool {
        self.sockets().any(|socket| socket.admitted)
    }

    pub(crate) fn insert(&mut self, socket: Socket) {
        let free = self.sockets.iter_mut().find(|slot| slot.is_none());
        *free.expect("only inserted while there is room") = Some(socket);
    }

    /// Verdicts under way and cached are dropped, and who waits for one.
    pub(crate) fn forget_verdicts(&mut self) {
        self.cache = None;
        self.lookup = Call::Idle;
        self.waiting = 0;
        for slot in &mut self.sockets {
            slot.take_if(|socket| !socket.admitted);
        }
    }

    /// The cursor cannot be used any more; sockets are served until the deadline.
    pub(crate) fn give_up_cursor(&mut self, clock: i8) {
        self.begins_anew = true;
        self.unproven = Some(clock);
    }

    pub(crate) fn is_synced(&self) -> bool {
        !self.begins_anew && self.reconciling == Call::Idle
    }
}

/// A process that was stopped and replaced, and may be continued with its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    pub(crate) deadline: i8,
    pub(crate) paused: bool,
}

/// What has been used up of what may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spent {
    pub(crate) others: u8,
    pub(crate) breaks: u8,
    pub(crate) refusals: u8,
    pub(crate) handshakes: u8,
    pub(crate) paused: bool,
    pub(crate) failed_over: bool,
    /// An entry has ended an admitted socket (for a goal).
    pub(crate) fenced: bool,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Real time, which is also the authority's elapsed time.
    pub(crate) now: u8,
    /// By how much the gateway's clock is behind it.
    pub(crate) lag: u8,
    pub(crate) log: Prefix,
    /// Rows that have a number and are not committed (only the sequence-column mutant).
    pub(crate) hidden: u16,
    /// X was begun.
    pub(crate) revoking: bool,
    /// t_X.
    pub(crate) revoked_at: Option<u8>,
    pub(crate) session: Session,
    pub(crate) zombie: Option<Zombie>,
    pub(crate) replicas: [Replica; 2],
    pub(crate) registered: Registered,
    /// When the authority was started again.
    pub(crate) restarted: Option<u8>,
    pub(crate) receipt: Receipt,
    pub(crate) stream: Option<Stream>,
    pub(crate) gateway: Gateway,
    pub(crate) ghost: Option<Ghost>,
    pub(crate) spent: Spent,
}

/// A deadline that has passed, on any clock.
pub(crate) const NEVER: i8 = -100;

impl State {
    pub(crate) fn initial(config: &Config) -> Self {
        let session = if config.login { Session::Absent } else { Session::Open { issue: Prefix::EMPTY, late: false } };
        Self {
            now: 0,
            lag: 0,
            log: Prefix::EMPTY,
            hidden: 0,
            revoking: false,
            revoked_at: None,
            session,
            zombie: None,
            replicas: [Replica::default(); 2],
            registered: [None; 2],
            restarted: None,
            receipt: Receipt::None,
            stream: None,
            gateway: Gateway::started(0),
            ghost: None,
            spent: Spent::default(),
        }
    }

    /// The gateway's clock.
    pub(crate) const fn clock(&self) -> i8 {
        self.now as i8 - self.lag as i8
    }

    pub(crate) const fn has_lease(&self) -> bool {
        self.clock() < self.gateway.deadline
    }

    /// Whether handshakes are admitted: not while open sockets are only held.
    pub(crate) fn is_live(&self, config: &Config) -> bool {
        let is_held = self.clock() + config.hold as i8 >= self.gateway.deadline;
        self.gateway.is_synced() && self.gateway.unproven.is_none() && self.has_lease() && !is_held
    }

    /// Forgets how long ago something lapsed: nothing depends on it.
    pub(crate) fn normalise(&mut self, config: &Config) {
        let clock = self.clock();
        let oldest = clock - config.served() as i8;
        lapse(&mut self.gateway.deadline, clock);
        if let Some(since) = &mut self.gateway.unproven {
            *since = (*since).max(oldest);
        }
        if let Some(ghost) = &mut self.ghost {
            lapse(&mut ghost.deadline, clock);
        }
        let long_ago = self.now.saturating_sub(config.bound());
        self.registered.iter_mut().flatten().for_each(|known| known.renewed = known.renewed.max(long_ago));
        self.revoked_at = self.revoked_at.map(|at| at.max(long_ago));
        self.restarted = self.restarted.map(|at| at.max(long_ago));
        for replica in &mut self.replicas {
            replica.beat_at = replica.beat_at.max(self.now.saturating_sub(config.served()));
        }
        let Some(stream) = &mut self.stream else { return };
        if let Some(probe) = &mut stream.probe {
            probe.sent = probe.sent.max(oldest);
        }
        for message in stream.queue.iter_mut().flatten() {
            if let Message::Checkpoint { anchor: Some(anchor), .. } = message {
                *anchor = (*anchor).max(oldest);
            }
        }
    }
}

fn lapse(deadline: &mut i8, clock: i8) {
    if *deadline <= clock {
        *deadline = NEVER;
    }
}
