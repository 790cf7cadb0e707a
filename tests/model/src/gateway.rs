//! The gateway: index, registry, lease, handshakes, resync, and what may happen to its process.
//!
//! Owns every step taken by the gateway's process.
//! Guarantees: entries are applied in the order of the chain (I8), index first, then registry, then position (I9); a
//! handshake inserts, then checks (I10), whatever its verdict came from (I12); the lease counts from when the probe was
//! sent and is renewed only with everything up to the head applied, on one branch, with nobody left to be judged again
//! (I13, I15). Verdicts and cache entries from before a resync are kept: the check refuses what it cannot judge.

use crate::config::{Config, Fault, Heads};
use crate::prefix::{Prefix, REVOCATION};
use crate::state::{Call, Gateway, Ghost, Message, Socket, State};

impl State {
    pub(crate) fn receive(&mut self, config: &Config) {
        let Some(stream) = &mut self.stream else { return };
        let Some(message) = stream.queue[0].take() else { return };
        stream.queue.rotate_left(1);
        match message {
            Message::FromHead(position) => self.begin_from(config, position),
            Message::Entry { seq, row, before } => self.receive_entry(config, seq, row, before),
            Message::Checkpoint { anchor, head } => self.receive_checkpoint(config, anchor, head),
        }
    }

    /// Nothing before `position` is known: everybody admitted is judged again, and rests on nothing until then.
    fn begin_from(&mut self, config: &Config, position: Prefix) {
        let keeps = config.breaks(Fault::OldBranchKept);
        let trusts = config.breaks(Fault::ReconcileSkipped);
        let fresh_lease = self.clock() + config.served() as i8;
        let gateway = &mut self.gateway;
        gateway.begins_anew = false;
        gateway.applied = position;
        gateway.floor = position.len();
        gateway.revoked = 0;
        if config.breaks(Fault::AdmittedUnproven) || config.breaks(Fault::GenerationOnly) {
            gateway.unproven = None;
        }
        if config.breaks(Fault::GenerationOnly) {
            gateway.forget_verdicts();
        }
        let mut doubtful = false;
        for socket in gateway.sockets.iter_mut().flatten().filter(|socket| socket.admitted) {
            let looks_new = keeps && socket.revision.len() >= position.len();
            doubtful |= !trusts && !looks_new;
            if !keeps {
                socket.revision = if trusts { position } else { Prefix::EMPTY };
            }
        }
        // An answer already under way is judged like any other verdict.
        if doubtful && gateway.reconciling == Call::Idle {
            gateway.reconciling = Call::Asked;
        }
        if config.breaks(Fault::ResyncExtendsLease) {
            gateway.deadline = fresh_lease;
        }
    }

    fn receive_entry(&mut self, config: &Config, seq: u8, row: u8, before: Prefix) {
        let gateway = &mut self.gateway;
        if seq <= gateway.applied.len() {
            return;
        }
        if config.is_chained() && (seq != gateway.applied.len() + 1 || before != gateway.applied) {
            return self.resync();
        }
        if row != REVOCATION {
            gateway.applied = gateway.applied.with(seq, row);
            return;
        }
        // Two steps, so that handshakes and probes may come between them.
        gateway.applying = seq;
        if config.breaks(Fault::RegistryBeforeIndex) { self.fence(seq) } else { gateway.revoked = seq }
    }

    pub(crate) fn finish_applying(&mut self, config: &Config) {
        let seq = std::mem::take(&mut self.gateway.applying);
        if config.breaks(Fault::RegistryBeforeIndex) {
            self.gateway.revoked = seq
        } else {
            self.fence(seq)
        }
        if config.breaks(Fault::CacheByInvalidation) {
            self.gateway.cache = None;
        }
        self.gateway.applied = self.gateway.applied.with(seq, REVOCATION);
    }

    /// Ends every socket whose verdict is older than entry `seq`.
    fn fence(&mut self, seq: u8) {
        let gateway = &mut self.gateway;
        for slot in &mut gateway.sockets {
            let ended = slot.take_if(|socket| socket.revision.len() < seq);
            self.spent.fenced |= ended.is_some_and(|socket| socket.admitted);
        }
        self.forget_question();
    }

    fn forget_question(&mut self) {
        if !self.gateway.has_admitted() {
            self.gateway.reconciling = Call::Idle;
        }
    }

    fn receive_checkpoint(&mut self, config: &Config, anchor: Option<i8>, head: Prefix) {
        let gateway = &mut self.gateway;
        let caught_up = gateway.applied.len() >= head.len() || config.breaks(Fault::RenewedBehindHead);
        if !caught_up || !gateway.is_synced() {
            return;
        }
        if config.is_chained() && !config.breaks(Fault::RenewedBehindHead) && !head.is_on(gateway.applied) {
            return self.resync();
        }
        let clock = self.clock();
        let deadline = anchor.unwrap_or(clock) + config.served() as i8;
        let thaws = !self.has_lease() && deadline > clock;
        let gateway = &mut self.gateway;
        let proven = |since: i8| anchor.is_none_or(|anchor| is_after(config, anchor, since));
        gateway.unproven = gateway.unproven.filter(|since| !proven(*since));
        gateway.deadline = gateway.deadline.max(deadline);
        gateway.sockets.iter_mut().flatten().for_each(|socket| socket.thawed |= thaws && socket.admitted);
    }

    fn resync(&mut self) {
        self.gateway.give_up_cursor(self.clock());
        self.stream = None;
    }

    /// The index forgets the oldest: first the floor rises.
    pub(crate) fn evict(&mut self, config: &Config) {
        if !config.breaks(Fault::ForgottenSilently) {
            self.gateway.floor = self.gateway.applied.len();
        }
        self.gateway.revoked = 0;
    }

    /// Whether a verdict of this revision can be judged here: not too old, of this branch.
    fn is_comparable(&self, config: &Config, revision: Prefix) -> bool {
        let gateway = &self.gateway;
        let on_branch = !config.is_chained() || revision.is_on(gateway.applied);
        on_branch && (revision.len() >= gateway.floor || config.breaks(Fault::FloorUnchecked))
    }

    pub(crate) fn reconcile(&mut self, config: &Config) {
        let call = self.gateway.reconciling;
        self.gateway.reconciling = Call::Idle;
        let end_everybody = |gateway: &mut Gateway| {
            for slot in &mut gateway.sockets {
                slot.take_if(|socket| socket.admitted);
            }
        };
        match call {
            Call::Allowed(revision) if !self.is_comparable(config, revision) => self.gateway.reconciling = Call::Asked,
            Call::Allowed(revision) if self.gateway.revoked <= revision.len() => {
                let admitted = self.gateway.sockets.iter_mut().flatten().filter(|socket| socket.admitted);
                admitted.for_each(|socket| socket.revision = revision);
            }
            Call::Allowed(_) | Call::Denied => end_everybody(&mut self.gateway),
            Call::Idle | Call::Asked | Call::Read { .. } | Call::Checked(_) => {}
        }
    }

    pub(crate) fn look_up(&mut self) {
        self.spent.handshakes += 1;
        self.gateway.lookup = Call::Asked;
        self.gateway.waiting = 1;
    }

    pub(crate) fn join(&mut self) {
        self.spent.handshakes += 1;
        self.gateway.waiting += 1;
    }

    /// One of those who wait takes the verdict.
    pub(crate) fn insert_looked_up(&mut self, config: &Config) {
        let live = self.is_live(config);
        let gateway = &mut self.gateway;
        let (revision, checked) = match gateway.lookup {
            Call::Allowed(revision) => (revision, false),
            Call::Checked(revision) => (revision, true),
            Call::Idle | Call::Asked | Call::Read { .. } | Call::Denied => return,
        };
        if config.breaks(Fault::CheckThenInsert) && !checked {
            let good = live && gateway.revoked <= revision.len();
            gateway.lookup = if good { Call::Checked(revision) } else { Call::Idle };
            gateway.waiting = u8::from(good);
            return;
        }
        gateway.waiting -= 1;
        if gateway.waiting == 0 {
            gateway.lookup = Call::Idle;
        }
        if config.cache {
            gateway.cache = Some(revision);
        }
        let shared = gateway.waiting == 0 && config.coalesce && self.spent.handshakes > 1;
        let unchecked =
            checked || config.breaks(Fault::HandshakeUnchecked) || (shared && config.breaks(Fault::CoalescedUnchecked));
        if live || !unchecked {
            let socket = Socket { revision, admitted: unchecked, cached: false, shared, thawed: false };
            self.gateway.insert(socket);
        }
    }

    pub(crate) fn insert_cached(&mut self, config: &Config) {
        self.spent.handshakes += 1;
        let Some(revision) = self.gateway.cache else { return };
        let admitted = config.breaks(Fault::CacheByInvalidation);
        self.gateway.insert(Socket { revision, admitted, cached: true, shared: false, thawed: false });
    }

    /// Judges the oldest socket that was inserted and not yet checked. One ahead of what is applied waits.
    pub(crate) fn check(&mut self, config: &Config) -> Option<()> {
        let slot = self.gateway.sockets.iter().position(|slot| slot.is_some_and(|socket| !socket.admitted))?;
        let revision = self.gateway.sockets[slot]?.revision;
        if config.is_chained() && revision.len() > self.gateway.applied.len() && self.is_live(config) {
            return None;
        }
        let good =
            self.is_live(config) && self.is_comparable(config, revision) && self.gateway.revoked <= revision.len();
        if good {
            self.gateway.sockets[slot].as_mut()?.admitted = true;
        } else {
            self.gateway.sockets[slot] = None;
        }
        Some(())
    }

    pub(crate) fn pause(&mut self) {
        self.gateway.paused = true;
        self.spent.paused = true;
    }

    /// A new process: no sockets, no cursor, no lease.
    pub(crate) fn restart_gateway(&mut self) {
        self.stream = None;
        self.gateway = Gateway::started(1);
    }

    pub(crate) fn replace_gateway(&mut self) {
        if self.gateway.has_admitted() {
            self.ghost = Some(Ghost { deadline: self.gateway.deadline, paused: true });
        }
        self.restart_gateway();
    }

    pub(crate) fn continue_replaced(&mut self) {
        if let Some(ghost) = &mut self.ghost {
            ghost.paused = false;
        }
    }
}

/// Whether a head anchored at tick `anchor` was proven after something that happened in tick `since`. A probe is sent
/// on the new stream, hence later; a beat in the same tick may have been earlier.
fn is_after(config: &Config, anchor: i8, since: i8) -> bool {
    match config.heads {
        Heads::Fresh => anchor >= since,
        Heads::Beats => anchor > since,
    }
}
