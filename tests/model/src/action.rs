//! What can happen next.
//!
//! Owns the steps of the model and which of them are possible in a state; what each does is in the module of the one
//! who does it. A step that would change nothing does not exist.

use crate::config::{Config, Fault, Heads, Registrations};
use crate::prefix::REVOCATION;
use crate::state::{Call, Receipt, Session, State};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Time passes.
    Tick,
    /// Time passes, not on the gateway's clock.
    TickUnnoticed,
    /// A row of no interest is written.
    Write(u8),
    /// X is written.
    Revoke,
    /// A row written earlier commits (only the sequence-column mutant).
    CommitRow(u8),
    /// The database loses its last row.
    Failover,
    /// A new primary takes over; replica 0 stays with the old one.
    Depose,
    /// A replica tails the log and begins a beat.
    Poll(u8),
    /// The authority starts again.
    RestartAuthority,
    /// A login reads its issue revision.
    LoginRead,
    /// It inserts its session.
    LoginInsert,
    /// Verify reads the revision, for a handshake or for the reconciliation.
    ReadRevision(Asker, u8),
    /// Verify reads the state and answers.
    ReadState(Asker, u8),
    /// The authority sends the next entry.
    Send,
    /// The authority hears the probe: it writes the registration and what is acknowledged.
    Hear,
    /// It answers the probe.
    Answer,
    /// It sends a heartbeat nobody asked for (only the mutant that counts from receipt).
    Heartbeat,
    /// The stream breaks.
    Break,
    /// The gateway opens a watch.
    Connect(u8),
    /// Its cursor is refused: too old, or lagging.
    Refuse,
    /// It sends a probe.
    Probe,
    /// It takes the next message.
    Receive,
    /// It finishes applying X.
    FinishApplying,
    /// Its index forgets X.
    Evict,
    /// It takes the answer about sockets from before a resync.
    Reconcile,
    /// A handshake asks the authority.
    LookUp,
    /// Another joins it.
    Join,
    /// A handshake inserts its socket by the verdict looked up.
    Insert,
    /// A handshake inserts its socket by a cached verdict.
    InsertCached,
    /// A handshake checks what it inserted.
    Check,
    /// The gateway's process is stopped.
    Pause,
    /// It is continued.
    Continue,
    /// It crashes and starts again.
    Crash,
    /// A new process takes its name while it is stopped.
    Replace,
    /// The replaced process is continued.
    ContinueReplaced,
    /// `AwaitEnforced` reads the registrations.
    Await(u8),
    /// It says: enforced.
    SayEnforced,
}

/// For what Verify is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// Handshakes.
    Handshake,
    /// Sockets from before a resync.
    Reconciliation,
}

impl State {
    pub(crate) fn possible(&self, config: &Config, out: &mut Vec<Action>) {
        if self.now < config.end {
            out.push(Action::Tick);
            if self.lag < config.drift {
                out.push(Action::TickUnnoticed);
            }
        }
        self.possible_in_store(config, out);
        self.possible_at_authority(config, out);
        self.possible_on_stream(config, out);
        if config.has_receipts() {
            self.possible_receipts(config, out);
        }
        if self.ghost.is_some_and(|ghost| ghost.paused) {
            out.push(Action::ContinueReplaced);
        }
        if self.gateway.paused {
            out.push(Action::Continue);
            if config.replace && self.gateway.boot == 0 {
                out.push(Action::Replace);
            }
            return;
        }
        self.possible_in_gateway(config, out);
        self.possible_handshakes(config, out);
    }

    fn possible_in_store(&self, config: &Config, out: &mut Vec<Action>) {
        if self.spent.others < config.others {
            out.push(Action::Write(self.spent.others + 1));
        }
        if !self.revoking {
            out.push(Action::Revoke);
        }
        if self.hidden != 0 {
            out.extend((1..=self.log.len()).filter(|seq| self.is_hidden(*seq)).map(Action::CommitRow));
        }
        let losable = self.log.len() > 0 && self.log.row(self.log.len()) != REVOCATION;
        if config.failover && !self.spent.failed_over && losable {
            out.push(Action::Failover);
        }
        if config.zombie && self.zombie.is_none() {
            out.push(Action::Depose);
        }
        match self.session {
            Session::Absent => out.push(Action::LoginRead),
            Session::Opening(_) => out.push(Action::LoginInsert),
            Session::Open { .. } => {}
        }
    }

    fn possible_at_authority(&self, config: &Config, out: &mut Vec<Action>) {
        for replica in 0..config.replicas {
            if self.would_poll(config, replica) {
                out.push(Action::Poll(replica));
            }
        }
        if config.restart && self.restarted.is_none() {
            out.push(Action::RestartAuthority);
        }
        let calls = [(Asker::Handshake, self.gateway.lookup), (Asker::Reconciliation, self.gateway.reconciling)];
        for (asker, call) in calls {
            for replica in 0..config.replicas {
                match call {
                    Call::Asked => out.push(Action::ReadRevision(asker, replica)),
                    Call::Read { replica: same, .. } if same == replica || config.breaks(Fault::TwoViews) => {
                        out.push(Action::ReadState(asker, replica));
                    }
                    Call::Read { .. } | Call::Idle | Call::Allowed(_) | Call::Denied | Call::Checked(_) => {}
                }
            }
        }
    }

    fn would_poll(&self, config: &Config, replica: u8) -> bool {
        let known = &self.replicas[usize::from(replica)];
        let beats = config.heads == Heads::Beats && !self.is_on_zombie(replica);
        let unconfirmed = self.stream.is_some_and(|stream| {
            stream.replica == replica && stream.probe.is_some_and(|probe| probe.heard && !probe.beaten)
        });
        known.tail != self.view(replica) || (beats && (known.beat_at != self.now || unconfirmed))
    }

    fn possible_on_stream(&self, config: &Config, out: &mut Vec<Action>) {
        let Some(stream) = &self.stream else { return };
        if stream.probe.is_some_and(|probe| !probe.heard) && self.can_register(config, stream.replica) {
            out.push(Action::Hear);
        }
        if stream.has_room(config) {
            if self.replicas[usize::from(stream.replica)].tail.len() > stream.sent {
                out.push(Action::Send);
            }
            if config.breaks(Fault::LeaseFromReceipt) {
                out.push(Action::Heartbeat);
            } else if self.can_answer(config, stream) {
                out.push(Action::Answer);
            }
        }
        if self.spent.breaks < config.breaks {
            out.push(Action::Break);
        }
    }

    fn possible_receipts(&self, config: &Config, out: &mut Vec<Action>) {
        match self.receipt {
            Receipt::None => {
                let readable = |replica: &u8| self.can_await(config, *replica);
                out.extend((0..config.replicas).filter(readable).map(Action::Await));
            }
            Receipt::Waiting { replica, since, missing } => {
                if self.proof(config, replica, since, missing).is_some() {
                    out.push(Action::SayEnforced);
                }
            }
            Receipt::Said(_) => {}
        }
    }

    fn possible_in_gateway(&self, config: &Config, out: &mut Vec<Action>) {
        let gateway = &self.gateway;
        if config.pause && !self.spent.paused {
            out.push(Action::Pause);
        }
        if config.crash && gateway.boot == 0 {
            out.push(Action::Crash);
        }
        match &self.stream {
            None => out.extend((0..config.replicas).map(Action::Connect)),
            Some(stream) => {
                if stream.probe.is_none() && !gateway.begins_anew && !config.breaks(Fault::LeaseFromReceipt) {
                    out.push(Action::Probe);
                }
                if stream.queue[0].is_some() && gateway.applying == 0 {
                    out.push(Action::Receive);
                }
            }
        }
        if self.spent.refusals < config.refusals && !gateway.begins_anew && gateway.applying == 0 {
            out.push(Action::Refuse);
        }
        if gateway.applying != 0 {
            out.push(Action::FinishApplying);
        } else if config.evict && gateway.revoked > 0 {
            out.push(Action::Evict);
        }
        if matches!(gateway.reconciling, Call::Allowed(_) | Call::Denied) {
            out.push(Action::Reconcile);
        }
    }

    fn possible_handshakes(&self, config: &Config, out: &mut Vec<Action>) {
        let gateway = &self.gateway;
        let coming = usize::from(gateway.waiting) + gateway.sockets().count();
        let may_begin =
            self.spent.handshakes < config.handshakes && coming < usize::from(config.sockets) && self.session_is_open();
        if may_begin && gateway.lookup == Call::Idle {
            out.push(Action::LookUp);
            if gateway.cache.is_some() {
                out.push(Action::InsertCached);
            }
        }
        if may_begin && config.coalesce && matches!(gateway.lookup, Call::Asked | Call::Read { .. }) {
            out.push(Action::Join);
        }
        if matches!(gateway.lookup, Call::Allowed(_) | Call::Checked(_)) {
            out.push(Action::Insert);
        }
        if gateway.sockets().any(|socket| !socket.admitted) {
            out.push(Action::Check);
        }
    }

    fn session_is_open(&self) -> bool {
        matches!(self.session, Session::Open { .. })
    }

    fn can_register(&self, config: &Config, replica: u8) -> bool {
        match config.registrations {
            Registrations::None => false,
            Registrations::Shared => !self.is_on_zombie(replica),
            Registrations::Memory => true,
        }
    }

    /// Carries out one step; `None` if it cannot be.
    pub(crate) fn take(&mut self, config: &Config, action: Action) -> Option<()> {
        match action {
            Action::Tick => self.tick(config, true),
            Action::TickUnnoticed => self.tick(config, false),
            Action::Write(row) => self.write(config, row),
            Action::Revoke => self.write(config, REVOCATION),
            Action::CommitRow(seq) => self.commit_row(seq),
            Action::Failover => self.fail_over(config),
            Action::Depose => self.depose(),
            Action::Poll(replica) => self.poll(config, replica),
            Action::RestartAuthority => self.restart_authority(),
            Action::LoginRead => self.session = Session::Opening(self.log),
            Action::LoginInsert => self.insert_session(),
            Action::ReadRevision(asker, replica) => self.read_revision(asker, replica),
            Action::ReadState(asker, replica) => self.read_state(config, asker, replica),
            Action::Send => self.send_entry(),
            Action::Hear => self.hear(config),
            Action::Answer => self.answer(config),
            Action::Heartbeat => self.heartbeat(),
            Action::Break => self.break_stream(),
            Action::Connect(replica) => return self.connect(config, replica),
            Action::Refuse => self.refuse_cursor(),
            Action::Probe => self.send_probe(config),
            Action::Receive => self.receive(config),
            Action::FinishApplying => self.finish_applying(config),
            Action::Evict => self.evict(config),
            Action::Reconcile => self.reconcile(config),
            Action::LookUp => self.look_up(),
            Action::Join => self.join(),
            Action::Insert => self.insert_looked_up(config),
            Action::InsertCached => self.insert_cached(config),
            Action::Check => return self.check(config),
            Action::Pause => self.pause(),
            Action::Continue => self.gateway.paused = false,
            Action::Crash => self.restart_gateway(),
            Action::Replace => self.replace_gateway(),
            Action::ContinueReplaced => self.continue_replaced(),
            Action::Await(replica) => self.await_enforced(config, replica),
            Action::SayEnforced => self.say_enforced(config),
        }
        Some(())
    }
}
