//! Both cores, and what is simulated between them.
//!
//! Owns the state and the one step; what each side does is in [`crate::authority`] and [`crate::gateway`].

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use auth_domain::watch::{Registrations, Run, Terms};
use gateway_core::{ConnectionId, Verdict};
use portcullis_types::{Boottime, LeaseLengths, LeaseTerms, Revision, Timestamp};
use protocol_model::Fault;

use crate::authority::{Replica, Row};
use crate::events::{Event, Setting};
use crate::gateway::Process;

pub(crate) const LEASE: Duration = Duration::from_secs(2);
pub(crate) const PEOPLE: u8 = 2;

/// Real time and clocks that run fast or slow by so many thousandths.
pub(crate) type Drifts = [i64; 3];

pub(crate) struct World {
    pub(crate) setting: Setting,
    /// The rule that is broken outside of the cores, if any.
    pub(crate) fault: Option<Fault>,
    /// Nanoseconds.
    pub(crate) real: u64,
    pub(crate) drifts: Drifts,
    /// How many rows were ever written: a chain for each.
    pub(crate) written: u64,
    pub(crate) log: Vec<Row>,
    /// Everybody's newest session.
    pub(crate) sessions: [u16; PEOPLE as usize],
    pub(crate) replicas: Vec<Replica>,
    pub(crate) beats: u64,
    pub(crate) registrations: Registrations,
    /// Runs of which a probe was recorded there.
    pub(crate) recorded: BTreeSet<Run>,
    pub(crate) refuse: Vec<bool>,
    pub(crate) gateways: Vec<Process>,
    /// Stopped, and replaced.
    pub(crate) stopped: Vec<Process>,
    pub(crate) boots: u8,
    pub(crate) failed_over: bool,
    /// When a replica last read the log nobody could hold a lease; only a fault looks at this later.
    pub(crate) early: bool,
    /// What somebody was told of, and when.
    pub(crate) told: Vec<Told>,
    /// Of the first of these, a receipt has said that it is enforced.
    pub(crate) promised: bool,
    /// Verdicts on sessions, made once each.
    pub(crate) verdicts: HashMap<(u8, u16), Verdict>,
    /// People who were ever logged out, told or not.
    pub(crate) concerned: [bool; PEOPLE as usize],
}

/// A revocation that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) revision: Revision,
    pub(crate) person: u8,
    /// This session and all before it.
    pub(crate) session: u16,
    pub(crate) at: u64,
    /// When the authority's process first read it, on its clock.
    pub(crate) seen: Boottime,
}

/// A clock at this real time.
pub(crate) fn clock(real: u64, drift: i64) -> Boottime {
    let drifted = real.cast_signed() / 1_000 * drift;
    Boottime::from_nanos(3_600_000_000_000 + real.saturating_add_signed(drifted))
}

/// A wall clock that goes as boot time does.
pub(crate) fn wall(now: Boottime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(now.as_nanos() / 1_000).expect("it fits"))
}

pub(crate) const fn terms(lease_before: Option<Duration>) -> Terms {
    Terms { lease: LEASE, bound: LEASE, lease_before }
}

/// All classes are of one length here: what tells them apart is in the property tests of the gateway's core.
pub(crate) fn lease_terms() -> LeaseTerms {
    let hold_max = Duration::ZERO;
    LeaseTerms::new(LeaseLengths { strict: LEASE, standard: LEASE, tolerant: LEASE, hold_max, bound: LEASE })
        .expect("they are in order")
}

impl World {
    pub(crate) fn new(setting: Setting, fault: Option<Fault>, drifts: Drifts) -> Self {
        let now = clock(0, drifts[0]);
        let counted = if fault == Some(Fault::HoldUncounted) { LEASE / 2 } else { LEASE };
        let reckoned = Terms { lease: counted, ..terms(None) };
        let mut world = Self {
            setting,
            fault,
            real: 0,
            drifts,
            written: 0,
            log: Vec::new(),
            sessions: [1; PEOPLE as usize],
            replicas: (0..setting.replicas).map(|_| Replica::new(now)).collect(),
            beats: 0,
            registrations: Registrations::new(reckoned, now),
            recorded: BTreeSet::new(),
            refuse: vec![false; setting.gateways],
            gateways: Vec::new(),
            stopped: Vec::new(),
            boots: 0,
            failed_over: false,
            early: false,
            told: Vec::new(),
            promised: false,
            verdicts: HashMap::new(),
            concerned: [false; PEOPLE as usize],
        };
        for gateway in 0..setting.gateways {
            let process = world.started(gateway);
            world.gateways.push(process);
        }
        world
    }

    pub(crate) fn breaks(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// A gateway's new process.
    pub(crate) fn started(&mut self, gateway: usize) -> Process {
        self.boots += 1;
        Process::new(gateway, self.boots, self.drifts[1 + gateway], self.setting.forgetful)
    }

    pub(crate) fn step(&mut self, event: Event) {
        match event {
            Event::Wait(span) => self.real += u64::try_from(span.as_nanos()).expect("it fits"),
            Event::Revoke(person) => self.revoke(person, true),
            Event::Unacknowledged(person) => self.revoke(person, false),
            Event::Failover => self.fail_over(),
            Event::Depose => self.depose(),
            Event::LogIn(person) => self.sessions[usize::from(person)] += 1,
            Event::Poll(replica) => self.poll(replica),
            Event::Restart => self.restart(0),
            Event::Connect(gateway, replica) => self.connect(gateway, replica),
            Event::Move(gateway, replica) => self.begin_move(gateway, replica),
            Event::MoveOver(gateway) => self.move_over(gateway),
            Event::Break(gateway) => self.break_line(gateway),
            Event::Refuse(gateway) => self.refuse[gateway] = true,
            Event::Hear(gateway) => drop(self.hear(gateway)),
            Event::Answer(gateway) => drop(self.answer(gateway)),
            Event::Speak(gateway, most) => self.speak(gateway, most),
            Event::Deliver(gateway, most) => self.deliver(gateway, most),
            Event::Tick(gateway) => self.tick(gateway),
            Event::Flow { gateway, polls } => self.flow(gateway, polls),
            Event::Verify(gateway, person, replica) => self.verify(gateway, person, replica),
            Event::Use(gateway) => self.use_verdict(gateway),
            Event::Share(gateway) => self.share_verdict(gateway),
            Event::Reuse(gateway) => self.reuse_verdict(gateway),
            Event::Ask(gateway, replica) => self.ask(gateway, replica),
            Event::Learn(gateway) => self.learn(gateway),
            Event::Leave(gateway, closes) => self.leave(gateway, closes),
            Event::Replace(gateway, is_stopped) => self.replace(gateway, is_stopped),
        }
    }

    /// See [`Event::Flow`].
    fn flow(&mut self, gateway: usize, polls: bool) {
        let live = self.replicas.iter().position(|replica| replica.deposed.is_none()).unwrap_or(0);
        self.connect(gateway, live);
        for _ in 0..3 {
            while self.hear(gateway) {}
            (0..self.replicas.len()).filter(|_| polls).for_each(|replica| self.poll(replica));
            while self.answer(gateway) {}
            self.speak(gateway, 32);
            self.deliver(gateway, 32);
        }
        self.tick(gateway);
        while self.hear(gateway) {}
    }

    fn replace(&mut self, gateway: usize, is_stopped: bool) {
        let next = self.started(gateway);
        let before = std::mem::replace(&mut self.gateways[gateway], next);
        if is_stopped {
            self.stopped.push(before);
        }
    }
}

/// The name of a gateway's nth connection.
pub(crate) fn connection(number: usize) -> ConnectionId {
    ConnectionId::new(number as u64)
}
