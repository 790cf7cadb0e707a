//! The promise of a receipt, under arbitrary interleavings: when one has said that a revocation is enforced, no gateway
//! passes a frame that it forbids, ever after.
//!
//! Gateways are simulated with the arithmetic of their lease: it counts from when a probe was sent, on their own clock,
//! which like the authority's runs fast or slow within the assumed drift, and it is renewed only by an answer whose head
//! has been applied. Messages are delayed and lost, gateways die, pause and resync, and the authority restarts.
//! Each fault of [`Fault`] is found, so the simulation is able to find one.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const LEASE: Duration = Duration::from_millis(2_000);
const GATEWAYS: usize = 2;
/// The revocation of interest; others come before and after it.
const FORBIDDEN: u64 = 2;

#[derive(Clone, Debug)]
enum Event {
    /// So many microseconds of real time pass.
    Wait(u32),
    /// The log grows.
    Commit,
    /// A gateway sends a probe.
    Send(usize),
    /// The authority receives the oldest probe of a gateway.
    Arrive(usize),
    /// It reads the head for the oldest probe that arrived, and answers.
    Answer(usize),
    /// The gateway receives the oldest answer.
    Hear(usize),
    /// The gateway applies the next entry and acknowledges it; the acknowledgement may be lost.
    Apply(usize, bool),
    /// The gateway's cursor is refused: it begins from the head, and must judge its sockets again.
    Resync(usize),
    /// It has judged them.
    Reconcile(usize),
    /// The gateway's process is another one now.
    Restart(usize),
    /// What is on its way to and from a gateway is lost.
    Cut(usize),
    /// Another process of the authority.
    RestartAuthority,
}

fn event() -> impl Strategy<Value = Event> {
    let gateway = || 0..GATEWAYS;
    prop_oneof![
        6 => (1..900_000_u32).prop_map(Event::Wait),
        2 => Just(Event::Commit),
        8 => gateway().prop_map(Event::Send),
        8 => gateway().prop_map(Event::Arrive),
        8 => gateway().prop_map(Event::Answer),
        8 => gateway().prop_map(Event::Hear),
        5 => (gateway(), any::<bool>()).prop_map(|(gateway, lost)| Event::Apply(gateway, lost)),
        1 => gateway().prop_map(Event::Resync),
        1 => gateway().prop_map(Event::Reconcile),
        1 => gateway().prop_map(Event::Restart),
        1 => gateway().prop_map(Event::Cut),
        1 => Just(Event::RestartAuthority),
    ]
}

/// What can be done wrong around the registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A probe is recorded when it is answered, after the head was read.
    RecordedLate,
    /// A gateway that began from the head claims what it has not judged its sockets by.
    ClaimedBeforeReconciled,
    /// An authority that follows another thinks that it is the first.
    ThinksItIsFirst,
    /// A gateway acknowledges before it fences.
    AcknowledgedEarly,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    sent: Boottime,
    applied: Option<u64>,
}

#[derive(Debug)]
struct Gateway {
    run: Run,
    /// Its clock gains so many thousandths.
    drift: i64,
    deadline: Boottime,
    /// What it has applied, and what it enforces on sockets from before the revocation.
    applied: u64,
    enforced: u64,
    has_old_socket: bool,
    sent: VecDeque<Probe>,
    arrived: VecDeque<Probe>,
    answered: VecDeque<(Probe, u64)>,
}

impl Gateway {
    fn new(number: usize, boot: u8, drift: i64, applied: u64) -> Self {
        let gateway = GatewayId::try_from(format!("gateway-{number}").as_str()).expect("a name");
        Self {
            run: Run { gateway, boot: BootId::from_bytes([boot; 16]) },
            drift,
            deadline: Boottime::ZERO,
            applied,
            enforced: applied,
            has_old_socket: applied < FORBIDDEN,
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            answered: VecDeque::new(),
        }
    }

    /// As `gateway-core` computes it.
    fn renew(&mut self, sent: Boottime) {
        self.deadline = self.deadline.max(sent + (LEASE - LEASE / DRIFT));
    }

    fn passes_what_is_forbidden(&self, real: u64) -> bool {
        self.has_old_socket && self.enforced < FORBIDDEN && clock(real, self.drift) < self.deadline
    }

    fn cut(&mut self) {
        (self.sent, self.arrived, self.answered) = Default::default();
    }
}

/// A clock that gains so many thousandths, at this real time in nanoseconds.
fn clock(real: u64, drift: i64) -> Boottime {
    Boottime::from_nanos(1_000_000_000 + real.saturating_add_signed(real.cast_signed() / 1_000 * drift))
}

struct World {
    fault: Fault,
    real: u64,
    drift: i64,
    head: u64,
    seen: Option<Boottime>,
    registrations: Registrations,
    gateways: Vec<Gateway>,
    boots: u8,
    promised: bool,
}

const fn terms(lease_before: Option<Duration>) -> Terms {
    Terms { lease: LEASE, bound: LEASE, lease_before }
}

impl World {
    fn new(fault: Fault, drifts: [i64; GATEWAYS + 1]) -> Self {
        let gateways = (0..GATEWAYS).map(|number| Gateway::new(number, number as u8, drifts[number], 0)).collect();
        Self {
            fault,
            real: 0,
            drift: drifts[GATEWAYS],
            head: 0,
            seen: None,
            registrations: Registrations::new(terms(None), clock(0, drifts[GATEWAYS])),
            gateways,
            boots: GATEWAYS as u8,
            promised: false,
        }
    }

    fn now(&self) -> Boottime {
        clock(self.real, self.drift)
    }

    fn step(&mut self, event: &Event) {
        let now = self.now();
        match *event {
            Event::Wait(micros) => self.real += u64::from(micros) * 1_000,
            Event::Commit => {
                self.head += 1;
                if self.head == FORBIDDEN {
                    self.seen = Some(now);
                }
            }
            Event::Send(n) => {
                let gateway = &mut self.gateways[n];
                let is_known = gateway.enforced == gateway.applied || self.fault == Fault::ClaimedBeforeReconciled;
                let applied = is_known.then_some(gateway.applied);
                gateway.sent.push_back(Probe { sent: clock(self.real, gateway.drift), applied });
            }
            Event::Arrive(n) => self.arrive(n, now),
            Event::Answer(n) => self.answer(n, now),
            Event::Hear(n) => {
                let gateway = &mut self.gateways[n];
                if let Some((probe, head)) = gateway.answered.pop_front()
                    && gateway.enforced >= head
                {
                    gateway.renew(probe.sent);
                }
            }
            Event::Apply(n, lost) => self.apply(n, lost, now),
            Event::Resync(n) => self.gateways[n].applied = self.head,
            Event::Reconcile(n) => self.gateways[n].enforced = self.gateways[n].applied,
            Event::Restart(n) => {
                self.boots += 1;
                self.gateways[n] = Gateway::new(n, self.boots, self.gateways[n].drift, self.head);
            }
            Event::Cut(n) => self.gateways[n].cut(),
            Event::RestartAuthority => {
                let before = (self.fault != Fault::ThinksItIsFirst).then_some(LEASE);
                self.registrations = Registrations::new(terms(before), now);
                self.seen = self.seen.map(|_| now);
                self.gateways.iter_mut().for_each(Gateway::cut);
            }
        }
    }

    fn arrive(&mut self, n: usize, now: Boottime) {
        let gateway = &mut self.gateways[n];
        let Some(probe) = gateway.sent.pop_front() else { return };
        if self.fault != Fault::RecordedLate {
            self.registrations.probed(&gateway.run, 1, now).expect("there is room");
        }
        gateway.arrived.push_back(probe);
        if let Some(applied) = probe.applied.filter(|applied| *applied > 0) {
            self.registrations.register(&gateway.run, now).expect("there is room");
            self.registrations.applied(&gateway.run, rev(applied));
        }
        // The head is read now, and not sent before `Answer`.
        let head = self.head;
        gateway.answered.push_back((probe, head));
    }

    fn answer(&mut self, n: usize, now: Boottime) {
        let gateway = &mut self.gateways[n];
        if gateway.arrived.pop_front().is_some() && self.fault == Fault::RecordedLate {
            self.registrations.probed(&gateway.run, 1, now).expect("there is room");
        }
    }

    fn apply(&mut self, n: usize, lost: bool, now: Boottime) {
        let gateway = &mut self.gateways[n];
        if gateway.applied >= self.head {
            return;
        }
        let is_reconciled = gateway.applied == gateway.enforced;
        gateway.applied += 1;
        let is_fenced = self.fault != Fault::AcknowledgedEarly;
        // The entry is enforced on every socket, whatever is not judged from before it.
        if (is_reconciled || gateway.applied == FORBIDDEN) && is_fenced {
            gateway.enforced = gateway.applied;
        }
        if !lost {
            let said = Acknowledgement { fenced: 1, closed: 0, apply: Duration::ZERO };
            self.registrations.acknowledge(&gateway.run, rev(gateway.applied), said, now);
        }
    }

    /// Asks for a receipt, and holds everything against those there were.
    fn check(&mut self) -> Result<(), TestCaseError> {
        if let Some(seen) = self.seen {
            let receipt = self.registrations.receipt(Committed { revision: rev(FORBIDDEN), seen }, self.now());
            self.promised |= receipt.status.is_enforced();
        }
        let passing = self.gateways.iter().position(|gateway| gateway.passes_what_is_forbidden(self.real));
        prop_assert!(!self.promised || passing.is_none(), "gateway {passing:?} passes a frame after the receipt");
        Ok(())
    }
}

const fn rev(seq: u64) -> Revision {
    Revision { seq, chain: seq }
}

fn holds(fault: Fault, drifts: [i64; GATEWAYS + 1], events: &[Event]) -> Result<(), TestCaseError> {
    let mut world = World::new(fault, drifts);
    for event in events {
        world.step(event);
        world.check()?;
    }
    Ok(())
}

fn run(fault: Fault, cases: u32) -> bool {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let drifts = [-1..=1_i64, -1..=1, -1..=1];
    let inputs = (drifts, proptest::collection::vec(event(), 1..100));
    let outcome = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
    .run(&inputs, |(drifts, events)| holds(fault, drifts, &events));
    outcome.is_ok()
}

#[test]
fn no_receipt_says_enforced_while_a_gateway_could_still_pass_a_frame() {
    assert!(run(Fault::None, 1_000));
}

#[test]
fn the_simulation_finds_every_fault() {
    for fault in [Fault::RecordedLate, Fault::ClaimedBeforeReconciled, Fault::ThinksItIsFirst, Fault::AcknowledgedEarly]
    {
        assert!(!run(fault, 20_000), "{fault:?} was not found");
    }
}
