//! The enforcer's view of its watch: how the stream stands, and every step that a message of it causes.
//!
//! Guarantees: a checkpoint renews the lease only when everything up to its head has been applied on the same chain (I13),
//! and a resync never extends the lease (I15). How an entry is applied is in `entries`.

use std::time::Duration;

use portcullis_types::{Boottime, Revision, Timestamp};

use super::messages::{Input, Output, Welcome};
use super::{Enforcer, Settings, close_of};
use crate::close::CloseReason;
use crate::connection_id::ConnectionId;
use crate::faults::{Fault, is_broken};
use crate::guard::Fence;
use crate::index::{RevocationIndex, Standing};
use crate::verdict::{CredentialReference, Judgement};

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Down,
    /// Start was sent.
    Opening,
    /// Welcomed.
    Up,
}

#[derive(Debug)]
pub(super) struct Stream {
    phase: Phase,
    /// The cursor was refused, or cannot be trusted: begin from the head and judge everybody again.
    must_resync: bool,
    probe_interval: Duration,
    last_probe: Option<Boottime>,
    opened_at: Boottime,
    /// When a probe was last answered, whether or not the answer renewed the lease.
    heard_at: Boottime,
    /// When an answer last renewed the lease.
    renewed_at: Boottime,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            phase: Phase::Down,
            must_resync: false,
            probe_interval: Duration::from_millis(500),
            last_probe: None,
            opened_at: Boottime::ZERO,
            heard_at: Boottime::ZERO,
            renewed_at: Boottime::ZERO,
        }
    }
}

impl Stream {
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    pub(super) const fn must_resync(&self) -> bool {
        self.must_resync
    }
}

impl Enforcer {
    /// One step: what happened, and when. The outputs are to be carried out in order.
    pub fn step(&mut self, input: Input, now: Boottime) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::StreamOpened => self.stream_opened(now, &mut out),
            Input::Welcome(welcome) => self.welcomed(welcome, now, &mut out),
            Input::Moved(welcome) => self.moved(welcome, now, &mut out),
            Input::Entry { revision, previous_chain, payload } => {
                self.entry(revision, previous_chain, &payload, now, &mut out);
            }
            Input::Checkpoint { probe_id, head, age } => self.checkpoint(probe_id, head, age, now),
            Input::ResyncRequired(_) => {
                self.stream.must_resync = true;
                self.unproven_since = (!is_broken(Fault::AdmittedUnproven)).then_some(now);
                self.drop_stream(&mut out);
            }
            Input::StreamLost => self.stream_lost(),
            Input::Tick { wall } => self.tick(wall, now, &mut out),
            Input::Reverified { connection, reference, judgement } => {
                self.reverified(connection, &reference, judgement, now);
            }
            Input::Leaving => self.leave(&mut out),
            Input::ReverifyFailed { connection } => self.questions.repeat(connection),
        }
        out
    }

    fn stream_opened(&mut self, now: Boottime, out: &mut Vec<Output>) {
        self.stream.phase = Phase::Opening;
        self.stream.opened_at = now;
        self.stream.last_probe = None;
        self.lease.forget_probes();
        let cursor = if self.stream.must_resync { None } else { self.applied() };
        out.push(Output::SendStart { cursor });
    }

    /// Whoever is not fenced passes frames until the lease has run out: then nothing is said, and the authority waits.
    fn leave(&mut self, out: &mut Vec<Output>) {
        self.is_leaving = true;
        let mut known = self.registry.iter().filter(|(_, member)| member.reference.is_some());
        let is_over = known.all(|(_, member)| member.guard.fenced().is_some()) || is_broken(Fault::ReleasedEarly);
        if self.stream.phase == Phase::Up && is_over {
            out.push(Output::Release);
        }
    }

    fn stream_lost(&mut self) {
        self.stream.phase = Phase::Down;
        self.lease.forget_probes();
    }

    pub(super) fn drop_stream(&mut self, out: &mut Vec<Output>) {
        self.stream_lost();
        out.push(Output::Reconnect);
    }

    fn welcomed(&mut self, welcome: Welcome, now: Boottime, out: &mut Vec<Output>) {
        let sane = !welcome.probe_interval.is_zero()
            // A longer lease would make the bound that callers are promised a lie.
            && welcome.terms.longest() <= welcome.bound
            && self.stream.phase == Phase::Opening;
        let asked_to_resume = self.index.is_some() && !self.stream.must_resync;
        let as_asked =
            welcome.resumed == asked_to_resume && (!welcome.resumed || self.applied() == Some(welcome.position));
        if !sane || !as_asked {
            return self.drop_stream(out);
        }
        self.stream.phase = Phase::Up;
        self.stream.probe_interval = welcome.probe_interval;
        self.lease.set_terms(welcome.terms);
        if !welcome.resumed {
            self.begin_from(welcome.position);
        }
        if is_broken(if welcome.resumed { Fault::ThawBeforeCatchUp } else { Fault::ResyncExtendsLease }) {
            let unasked = self.lease.probe_sent(now);
            self.lease.renew(unasked, Duration::ZERO);
        }
        self.probe(now, out);
        self.send_questions(out);
    }

    /// What was passed since the cursor comes again, and is known.
    fn moved(&mut self, welcome: Welcome, now: Boottime, out: &mut Vec<Output>) {
        let is_at = |index: &RevocationIndex| index.chain_at(welcome.position.seq) == Some(welcome.position.chain);
        let is_ours = welcome.resumed && self.index.as_ref().is_some_and(is_at);
        self.stream_lost();
        let Some(position) = self.applied().filter(|_| is_ours && !self.stream.must_resync) else {
            return out.push(Output::Reconnect);
        };
        self.stream.phase = Phase::Opening;
        self.stream.opened_at = now;
        self.stream.last_probe = None;
        self.welcomed(Welcome { position, ..welcome }, now, out);
    }

    /// Nothing before `position` is known: whoever was admitted before is judged again, and until then rests on nothing
    /// newer than the beginning, so that any entry that names it ends it.
    fn begin_from(&mut self, position: Revision) {
        let known_before = self.index.is_some();
        let Settings { index_keys, index_window, .. } = self.settings;
        self.index = Some(RevocationIndex::starting_at(position, index_keys, index_window));
        self.stream.must_resync = false;
        if !known_before || is_broken(Fault::ReconcileSkipped) {
            return;
        }
        let everybody: Vec<_> = self.registry.iter().map(|(id, member)| (id, member.reference.is_some())).collect();
        for (connection, has_credential) in everybody {
            if let Some(member) = self.registry.get_mut(connection) {
                if is_broken(Fault::OldBranchKept) && member.seq >= position.seq {
                    continue;
                }
                member.seq = 0;
            }
            if has_credential {
                self.questions.repeat(connection);
                self.questions.ask(connection, None, true);
            }
        }
    }

    fn checkpoint(&mut self, probe_id: u64, head: Revision, age: Duration, now: Boottime) {
        let Some(index) = self.index.as_ref().filter(|_| self.stream.phase == Phase::Up) else { return };
        self.stream.heard_at = now;
        let on_chain = index.chain_at(head.seq) == Some(head.chain) || is_broken(Fault::NoChain);
        let caught_up = index.applied().seq >= head.seq && on_chain || is_broken(Fault::RenewedBehindHead);
        let was_served = self.lease.serves_each(now);
        if !caught_up || !self.is_synced() {
            return;
        }
        let probe_id = if is_broken(Fault::LeaseFromReceipt) { self.lease.probe_sent(now) } else { probe_id };
        if let Some(anchor) = self.lease.renew(probe_id, age) {
            self.stream.renewed_at = now;
            self.unproven_since = self.unproven_since.filter(|since| anchor < *since);
            self.thaw(was_served, now);
        }
    }

    fn tick(&mut self, wall: Timestamp, now: Boottime, out: &mut Vec<Output>) {
        if self.freeze.clocks_disagree(wall, now) {
            self.lease.drop_now();
            // Ask at once.
            self.stream.last_probe = None;
        }
        if let Some(index) = &mut self.index {
            index.forget_old(now);
        }
        self.freeze(now);
        self.close_in_turn(now);
        for connection in self.questions.overdue(now) {
            self.end(connection, CloseReason::AuthorityChanged, now);
        }
        self.revalidate(now);
        if self.stream.phase == Phase::Up {
            if self.stream_is_useless(now) {
                return self.drop_stream(out);
            }
            if self.stream.last_probe.is_none_or(|last| now.saturating_since(last) >= self.stream.probe_interval) {
                self.probe(now, out);
            }
        }
        self.send_questions(out);
    }

    /// Nobody answers on it, or the answers have not renewed the lease for as long as the strictest one in use lasts.
    fn stream_is_useless(&self, now: Boottime) -> bool {
        let since = |what: Boottime| now.saturating_since(what.max(self.stream.opened_at));
        let length = self.lease.length(self.strictest_in_use());
        let silent = since(self.stream.heard_at) >= length / 2;
        silent || (self.is_synced() && since(self.stream.renewed_at) >= length)
    }

    fn probe(&mut self, now: Boottime, out: &mut Vec<Output>) {
        if self.index.is_none() {
            return;
        }
        // What was applied since a resync is not enforced on those who were admitted before it.
        let is_enforced = self.is_synced() || is_broken(Fault::AcknowledgedWhileReconciling);
        let applied = self.applied().filter(|_| is_enforced);
        self.stream.last_probe = Some(now);
        let sockets = (self.registry.len() - self.anonymous) as u64;
        out.push(Output::SendProbe { probe_id: self.lease.probe_sent(now), applied, sockets });
    }

    fn end(&mut self, connection: ConnectionId, reason: CloseReason, now: Boottime) {
        self.questions.withdraw(connection);
        if let Some(member) = self.registry.get(connection) {
            member.guard.fence(Fence { reason, by: None, at: now });
        }
    }

    fn revalidate(&mut self, now: Boottime) {
        while let Some((at, connection)) = self.revalidations.first().copied().filter(|(at, _)| *at <= now) {
            self.revalidations.remove(&(at, connection));
            let next = now + super::spread(self.settings.revalidate_every, connection);
            if let Some(member) = self.registry.get_mut(connection) {
                member.revalidate_at = Some(next);
                self.revalidations.insert((next, connection));
                self.questions.ask(connection, None, false);
            }
        }
    }

    pub(super) fn send_questions(&mut self, out: &mut Vec<Output>) {
        let applied = self.applied().map_or(0, |applied| applied.seq);
        for connection in self.questions.take_unsent(applied) {
            if let Some(reference) = self.registry.get(connection).and_then(|member| member.reference.clone()) {
                out.push(Output::Reverify { connection, reference });
            }
        }
    }

    fn reverified(
        &mut self,
        connection: ConnectionId,
        reference: &CredentialReference,
        judgement: Judgement,
        now: Boottime,
    ) {
        // The connection may have moved to another credential since: then the answer is about the past.
        if self.registry.get(connection).is_none_or(|member| member.reference.as_ref() != Some(reference)) {
            return;
        }
        let verdict = match judgement {
            Judgement::Denied(refused) => return self.end(connection, refused.denial.into(), now),
            Judgement::Allowed(verdict) => verdict,
        };
        match self.standing_of(&verdict) {
            None => {}
            Some(Standing::Killed(kind)) => self.end(connection, close_of(kind), now),
            // From before the entry that made us ask, or one that ended something which the connection has no part in yet.
            Some(Standing::Stale) => self.questions.repeat(connection),
            Some(Standing::Ahead) => self.questions.repeat_after(connection, verdict.revision.seq),
            Some(Standing::Current) => self.adopt(connection, &verdict, now),
        }
    }
}
