//! What is explored: the protocol, one rule of it broken or none, and what may happen around it.
//!
//! Owns the switches. Every rule is named by the [`Fault`] that breaks it; a configuration breaks at most one.

/// One rule of the protocol, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Rows are numbered by a sequence when they begin, not by a counter row when they commit; no chain.
    SequenceColumn,
    /// A cursor is a bare number.
    NoChain,
    /// A verdict admits without a look into the index.
    HandshakeUnchecked,
    /// A handshake looks into the index, then inserts.
    CheckThenInsert,
    /// Applying an entry looks through the registry, then writes the index.
    RegistryBeforeIndex,
    /// A cached verdict admits unchecked; the cache is emptied when an entry is applied.
    CacheByInvalidation,
    /// Who waited for another's look-up shares its outcome unchecked.
    CoalescedUnchecked,
    /// A verdict from below the floor of the index is judged by what is left of the index.
    FloorUnchecked,
    /// The index forgets without raising its floor.
    ForgottenSilently,
    /// Verify reads the revision on one session and the state on another.
    TwoViews,
    /// The lease counts from the receipt of unasked heartbeats.
    LeaseFromReceipt,
    /// A probe is answered from what was tailed last, without its age.
    StaleTail,
    /// The head is read without a replicated write.
    PlainRead,
    /// The lease is renewed though entries up to the head are missing.
    RenewedBehindHead,
    /// Frames pass until a timer fires; none looks at the deadline itself.
    TimerOnly,
    /// After a resync sockets keep revisions of the lost branch, and those that look new enough are not judged again.
    OldBranchKept,
    /// After a resync sockets are taken over as they are.
    ReconcileSkipped,
    /// After a resync, which may go back to before what was known, handshakes are admitted on the lease from before it.
    AdmittedUnproven,
    /// The same, but verdicts under way and cached are dropped at the resync.
    GenerationOnly,
    /// A resync starts a new lease.
    ResyncExtendsLease,
    /// Frozen sockets thaw when the stream is back.
    ThawBeforeCatchUp,
    /// A session that is older than "log out everywhere" by its issue revision, and was inserted after it, lives.
    IssueRevisionIgnored,
    /// A login goes on across a failover with the issue revision it read before.
    LoginSpansFailover,
    /// A probe is answered before the registration has committed.
    AnsweredUnregistered,
    /// A probe is answered from a beat begun before the registration committed.
    BeatBeforeRegistration,
    /// A probe of a registered process is answered from a beat begun before its registration was renewed.
    BeatBeforeRenewal,
    /// A registration is replaced by that of a newer process of the same gateway.
    RegisteredByName,
    /// A registration lives on but is not renewed by the probes it backs.
    RegistrationNotRenewed,
    /// An entry is acknowledged when it is in the index, before the sockets are fenced.
    AcknowledgedBeforeFence,
    /// The position after a resync is acknowledged before everybody was judged again.
    AcknowledgedWhileReconciling,
    /// Acknowledgements are compared by number alone.
    AcknowledgedByNumber,
    /// The receipt looks at registrations that were read before X committed.
    RegistrationsReadEarly,
    /// An authority that lost its registrations answers from what it has.
    EmptyAfterRestart,
    /// The receipt waits for the lease only, not for the drift of the clock.
    ElapsedWithoutDrift,
    /// Who can pass frames is reckoned by the lease, and not by the longest time that sockets are served.
    HoldUncounted,
}

/// How the authority proves that its head is the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heads {
    /// A replicated write for each probe, after the probe came: age 0.
    Fresh,
    /// One beat for all probes; the answer carries its age.
    Beats,
}

/// Where registrations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registrations {
    /// Not modelled, no receipts.
    None,
    /// In the database, with the log.
    Shared,
    /// In the memory of the one authority.
    Memory,
}

/// The protocol with at most one fault, and what may happen around it. Durations are in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The rule that is broken, if any.
    pub fault: Option<Fault>,
    /// How heads are proven.
    pub heads: Heads,
    /// Where registrations are kept; with any, receipts are asked for.
    pub registrations: Registrations,
    /// Replicas of the authority, 1 or 2.
    pub replicas: u8,
    /// Other rows than X that may be written, at most 3.
    pub others: u8,
    /// Verdicts are cached.
    pub cache: bool,
    /// A second handshake may wait for the look-up of the first.
    pub coalesce: bool,
    /// The session is opened by a login during the run, otherwise it is there from the start.
    pub login: bool,
    /// The gateway may be stopped and continued, once.
    pub pause: bool,
    /// While it is stopped, another process may be started under its name.
    pub replace: bool,
    /// The gateway may crash and start again, once.
    pub crash: bool,
    /// The authority may restart, once.
    pub restart: bool,
    /// The database may lose the last row, unless it is X, once.
    pub failover: bool,
    /// Replica 0 may stay with a deposed primary.
    pub zombie: bool,
    /// How often a stream may break.
    pub breaks: u8,
    /// How often a cursor may be refused.
    pub refusals: u8,
    /// The index may forget X.
    pub evict: bool,
    /// At the deadline sockets are kept, frozen; otherwise they are closed.
    pub freeze: bool,
    /// By how many ticks the gateway's clock may fall behind, in all.
    pub drift: u8,
    /// L: for so long handshakes are admitted.
    pub lease: u8,
    /// For how long after it open sockets are served: another class of leases, seen from a bound that fits both.
    pub hold: u8,
    /// When time ends.
    pub end: u8,
    /// Sockets at a time, 1 or 2.
    pub sockets: u8,
    /// Handshakes in all.
    pub handshakes: u8,
    /// Messages under way on the stream, at most 3.
    pub queue: u8,
}

impl Config {
    /// The whole protocol in a world where only messages are late.
    pub const CALM: Self = Self {
        fault: None,
        heads: Heads::Fresh,
        registrations: Registrations::None,
        replicas: 1,
        others: 0,
        cache: false,
        coalesce: false,
        login: false,
        pause: false,
        replace: false,
        crash: false,
        restart: false,
        failover: false,
        zombie: false,
        breaks: 0,
        refusals: 0,
        evict: false,
        freeze: true,
        drift: 0,
        lease: 2,
        hold: 0,
        end: 4,
        sockets: 1,
        handshakes: 1,
        queue: 2,
    };

    /// For how long open sockets are served.
    pub const fn served(&self) -> u8 {
        self.lease + self.hold
    }

    /// B.
    pub const fn bound(&self) -> u8 {
        self.served() + self.drift
    }

    /// After how long a receipt takes a silent gateway for one that passes nothing.
    pub(crate) fn patience(&self) -> u8 {
        match self.fault {
            Some(Fault::ElapsedWithoutDrift) => self.served(),
            Some(Fault::HoldUncounted) => self.lease + self.drift,
            Some(_) | None => self.bound(),
        }
    }

    /// Whether this rule is broken.
    pub fn breaks(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(crate) fn is_chained(&self) -> bool {
        !self.breaks(Fault::NoChain) && !self.breaks(Fault::SequenceColumn)
    }

    pub(crate) fn has_receipts(&self) -> bool {
        self.registrations != Registrations::None
    }
}
