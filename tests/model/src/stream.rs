//! The watch between authority and gateway, seen from the authority.
//!
//! Owns what goes on the wire: entries after the cursor, registrations and acknowledgements taken from probes, and the
//! answers to them. A stream keeps its order; it may be slow, break at any time, and then begins again from the
//! cursor, so that an entry may come twice, on another replica that knows less or more.
//! Guarantees: a registration is written before its probe is answered, and the answer rests on a beat begun after that.

use crate::config::{Config, Fault, Heads};
use crate::prefix::Prefix;
use crate::state::{Message, Probe, Registration, State, Stream};

impl State {
    /// Opens a watch. A replica that has not tailed as far as the cursor cannot judge it and is left.
    pub(crate) fn connect(&mut self, config: &Config, replica: u8) -> Option<()> {
        let tail = self.replicas[usize::from(replica)].tail;
        let mut stream = Stream { replica, sent: 0, queue: Default::default(), probe: None };
        if self.gateway.begins_anew {
            stream.sent = tail.len();
            stream.push(Message::FromHead(tail));
            self.stream = Some(stream);
            return Some(());
        }
        let cursor = self.gateway.applied;
        if config.is_chained() && tail.len() < cursor.len() {
            return None;
        }
        if config.is_chained() && !cursor.is_on(tail) {
            self.gateway.give_up_cursor(self.clock());
            return Some(());
        }
        stream.sent = cursor.len();
        self.stream = Some(stream);
        let frozen = self.gateway.has_admitted() && !self.has_lease();
        if config.breaks(Fault::ThawBeforeCatchUp) && frozen {
            self.gateway.deadline = self.clock() + config.served() as i8;
        }
        Some(())
    }

    pub(crate) fn refuse_cursor(&mut self) {
        self.spent.refusals += 1;
        self.gateway.give_up_cursor(self.clock());
        self.stream = None;
    }

    pub(crate) fn break_stream(&mut self) {
        self.stream = None;
        self.spent.breaks += 1;
    }

    pub(crate) fn send_entry(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let tail = self.replicas[usize::from(stream.replica)].tail;
        let Some(seq) = (stream.sent + 1..=tail.len()).find(|seq| tail.row(*seq) != 0) else { return };
        stream.sent = seq;
        stream.push(Message::Entry { seq, row: tail.row(seq), before: tail.cut(seq - 1) });
    }

    /// The registration is renewed, durably, and what came with the probe is acknowledged.
    pub(crate) fn hear(&mut self, config: &Config) {
        let boot = if config.breaks(Fault::RegisteredByName) { 0 } else { usize::from(self.gateway.boot) };
        let Some(probe) = self.stream.as_mut().and_then(|stream| stream.probe.as_mut()) else { return };
        probe.heard = true;
        probe.beaten = config.breaks(Fault::BeatBeforeRenewal) && self.registered[boot].is_some();
        let fresh = Registration { renewed: self.now, acknowledged: Prefix::EMPTY };
        let registration = self.registered[boot].get_or_insert(fresh);
        if !config.breaks(Fault::RegistrationNotRenewed) {
            registration.renewed = self.now;
        }
        if probe.acknowledged.len() > 0 {
            registration.acknowledged = probe.acknowledged;
        }
    }

    pub(crate) fn can_answer(&self, config: &Config, stream: &Stream) -> bool {
        let Some(probe) = stream.probe else { return false };
        // A deposed primary cannot commit the write that proves a head.
        if config.heads == Heads::Fresh && self.is_on_zombie(stream.replica) && !config.breaks(Fault::PlainRead) {
            return false;
        }
        !config.has_receipts() || may_answer(config, probe)
    }

    pub(crate) fn answer(&mut self, config: &Config) {
        let Some(replica) = self.stream.map(|stream| stream.replica) else { return };
        let known = self.replicas[usize::from(replica)];
        let head = self.view(replica);
        let now = self.now;
        let Some(stream) = &mut self.stream else { return };
        let Some(probe) = stream.probe.take() else { return };
        let (age, head) = match config.heads {
            _ if config.breaks(Fault::StaleTail) => (0, known.tail),
            Heads::Beats => (now - known.beat_at, known.tail),
            Heads::Fresh => (0, head),
        };
        stream.push(Message::Checkpoint { anchor: Some(probe.sent - age as i8), head });
    }

    pub(crate) fn heartbeat(&mut self) {
        let Some(replica) = self.stream.map(|stream| stream.replica) else { return };
        let head = self.view(replica);
        if let Some(stream) = &mut self.stream {
            stream.push(Message::Checkpoint { anchor: None, head });
        }
    }

    /// The gateway asks, and acknowledges what it has applied *and* fenced; while somebody from before a resync is not
    /// judged again, nothing.
    pub(crate) fn send_probe(&mut self, config: &Config) {
        let gateway = &self.gateway;
        let owing = !gateway.is_synced() && !config.breaks(Fault::AcknowledgedWhileReconciling);
        let mut acknowledged = if owing || !config.has_receipts() { Prefix::EMPTY } else { gateway.applied };
        if gateway.applying != 0 && config.breaks(Fault::AcknowledgedBeforeFence) {
            acknowledged = acknowledged.with(gateway.applying, crate::prefix::REVOCATION);
        }
        let sent = self.clock();
        if let Some(stream) = &mut self.stream {
            stream.probe = Some(Probe { sent, acknowledged, heard: false, beaten: false });
        }
    }
}

fn may_answer(config: &Config, probe: Probe) -> bool {
    if config.breaks(Fault::AnsweredUnregistered) {
        return true;
    }
    let confirmed = match config.heads {
        Heads::Beats => probe.beaten || config.breaks(Fault::BeatBeforeRegistration),
        // The head is read by the answer itself.
        Heads::Fresh => true,
    };
    probe.heard && confirmed
}
