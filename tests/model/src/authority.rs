//! The authority: log, sessions, replicas, and what Verify reads.
//!
//! Owns every step taken in the store and by replicas, and time itself.
//! Guarantees: a row is numbered when it commits (I1, I2), X is acknowledged when it commits (I4), a replica's
//! knowledge is as old as its last replicated write (I5), and Verify reads revision, then state, in one view (I6).

use crate::action::Asker;
use crate::config::{Config, Fault};
use crate::prefix::{Prefix, REVOCATION};
use crate::state::{Call, Receipt, Registered, Session, State, Zombie};

impl State {
    pub(crate) fn tick(&mut self, config: &Config, noticed: bool) {
        self.now += 1;
        self.lag += u8::from(!noticed);
        // Whoever does not freeze closes at the deadline, if it runs; a stopped process has no timers.
        let closes = !config.freeze && !self.gateway.paused;
        if closes && !self.has_lease() {
            self.gateway.sockets = Default::default();
            self.gateway.reconciling = Call::Idle;
        }
    }

    pub(crate) const fn is_on_zombie(&self, replica: u8) -> bool {
        replica == 0 && self.zombie.is_some()
    }

    /// What a session of the store sees through this replica.
    pub(crate) fn view(&self, replica: u8) -> Prefix {
        match self.zombie {
            Some(zombie) if replica == 0 => zombie.log,
            _ if self.hidden == 0 => self.log,
            _ => self.log.without(self.hidden),
        }
    }

    pub(crate) fn registered_in_view(&self, replica: u8) -> &Registered {
        match &self.zombie {
            Some(zombie) if replica == 0 => &zombie.registered,
            _ => &self.registered,
        }
    }

    pub(crate) fn is_hidden(&self, seq: u8) -> bool {
        self.hidden & Prefix::mask(seq) != 0
    }

    pub(crate) fn write(&mut self, config: &Config, row: u8) {
        self.log = self.log.then(row);
        if config.breaks(Fault::SequenceColumn) {
            self.hidden |= Prefix::mask(self.log.len());
        } else if row == REVOCATION {
            self.revoked_at = Some(self.now);
        }
        if row == REVOCATION {
            self.revoking = true;
        } else {
            self.spent.others += 1;
        }
    }

    pub(crate) fn commit_row(&mut self, seq: u8) {
        self.hidden &= !Prefix::mask(seq);
        if self.log.row(seq) == REVOCATION {
            self.revoked_at = Some(self.now);
        }
    }

    /// The last row was never acknowledged, and is lost.
    pub(crate) fn fail_over(&mut self, config: &Config) {
        self.log = self.log.cut(self.log.len() - 1);
        self.spent.failed_over = true;
        if matches!(self.session, Session::Opening(_)) && !config.breaks(Fault::LoginSpansFailover) {
            self.session = Session::Absent;
        }
    }

    pub(crate) fn depose(&mut self) {
        let has_session = matches!(self.session, Session::Open { .. });
        self.zombie = Some(Zombie { log: self.log, has_session, registered: self.registered });
    }

    pub(crate) fn insert_session(&mut self) {
        if let Session::Opening(issue) = self.session {
            let late = self.revoked_at.is_some() && !issue.has_revocation();
            self.session = Session::Open { issue, late };
        }
    }

    /// Tails the log; the same transaction is a beat, unless it cannot commit.
    pub(crate) fn poll(&mut self, config: &Config, replica: u8) {
        let view = self.view(replica);
        let beats = !self.is_on_zombie(replica);
        let known = &mut self.replicas[usize::from(replica)];
        let mut forked = false;
        if config.is_chained() {
            forked = !known.tail.is_on(view);
            known.tail = view;
        } else {
            // WHERE seq > cursor.
            for seq in known.tail.len() + 1..=view.len() {
                if view.row(seq) != 0 {
                    known.tail = known.tail.with(seq, view.row(seq));
                }
            }
        }
        if beats {
            known.beat_at = self.now;
        }
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.replica == replica) else { return };
        if let Some(probe) = stream.probe.as_mut().filter(|probe| beats && probe.heard) {
            probe.beaten = true;
        }
        if forked {
            self.stream = None;
        }
    }

    /// Its registrations are gone if they were in memory; whoever awaited a receipt must ask again.
    pub(crate) fn restart_authority(&mut self) {
        self.restarted = Some(self.now);
        self.registered = Registered::default();
        self.stream = None;
        if matches!(self.receipt, Receipt::Waiting { .. }) {
            self.receipt = Receipt::None;
        }
    }

    fn call(&mut self, asker: Asker) -> &mut Call {
        match asker {
            Asker::Handshake => &mut self.gateway.lookup,
            Asker::Reconciliation => &mut self.gateway.reconciling,
        }
    }

    pub(crate) fn read_revision(&mut self, asker: Asker, replica: u8) {
        let revision = self.view(replica);
        *self.call(asker) = Call::Read { revision, replica };
    }

    pub(crate) fn read_state(&mut self, config: &Config, asker: Asker, replica: u8) {
        let good = self.session_is_good(config, replica);
        let call = self.call(asker);
        let Call::Read { revision, .. } = *call else { return };
        *call = match (good, asker) {
            (true, _) => Call::Allowed(revision),
            (false, Asker::Reconciliation) => Call::Denied,
            (false, Asker::Handshake) => Call::Idle,
        };
        if self.gateway.lookup == Call::Idle {
            self.gateway.waiting = 0;
        }
    }

    /// The session in this view: there, not marked by X, and not issued before it (I18).
    fn session_is_good(&self, config: &Config, replica: u8) -> bool {
        let Session::Open { issue, late } = self.session else { return false };
        if self.zombie.is_some_and(|zombie| replica == 0 && !zombie.has_session) {
            return false;
        }
        let revoked = self.view(replica).revocation();
        let marked = revoked != 0 && !late && !issue.has_revocation();
        let outdated = issue.len() < revoked && !config.breaks(Fault::IssueRevisionIgnored);
        !marked && !outdated
    }
}
