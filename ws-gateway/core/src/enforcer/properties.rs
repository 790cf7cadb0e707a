//! The promise, held against the real enforcer under arbitrary interleavings.
//!
//! A simulated authority commits revocations; everything between it and the enforcer (entries, checkpoints, verdicts,
//! answers, the stream itself) is delayed, lost or interleaved as proptest pleases, and time passes in between.
//! What is checked after every step is the promise itself and not the rules that are meant to keep it:
//! no guard passes a frame for something revoked B ago, or as long ago as its class is served, nor for anything whose
//! revocation was applied here, paced or not; nobody is let in later than their class allows after the authority was last
//! heard; and nobody is closed whom no revocation concerns.
//! Each person is a tenant with a class that changes, and the route may name one.
//! Not covered: the authority's own faults (its state and its log are one vector here) and clock drift.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use portcullis_proto::auth::v1;
use portcullis_types::CredentialId;
use proptest::prelude::*;
use prost::Message as _;

use portcullis_types::{LeaseLengths, LeaseTerms};

use super::tests::{rev, session_key, verdict, wall_at};
use super::*;
use crate::verdict::{CredentialReference, Judgement, Refused};

const PEOPLE: u8 = 4;

fn terms() -> LeaseTerms {
    let seconds = Duration::from_secs;
    let (strict, standard, tolerant, hold_max, bound) = (seconds(4), seconds(8), seconds(12), seconds(8), seconds(16));
    LeaseTerms::new(LeaseLengths { strict, standard, tolerant, hold_max, bound }).expect("they are in order")
}

#[derive(Clone, Debug)]
enum Event {
    /// The authority commits a revocation of this person's session, to be closed at a pace or at once.
    Revoke(u8, bool),
    /// The authority gives this person's tenant another class of leases.
    Reclass(u8, Option<LeaseClass>),
    /// The authority judges this person's credential; the verdict is on its way.
    Verify(u8),
    /// The oldest verdict under way arrives and is used, or used again as from a cache.
    Use { keep: bool },
    /// The authority answers the oldest probe.
    AnswerProbe,
    /// So many messages of the stream arrive.
    Deliver(u8),
    /// The authority answers the oldest question about a connection.
    AnswerQuestion,
    /// The oldest answer about a connection arrives, or is lost.
    DeliverAnswer { lost: bool },
    /// The newest connection refreshes with a newer credential; the one before is over for the authority.
    Refresh,
    /// The stream breaks and a new one is opened, on which the cursor is resumed or refused.
    Reconnect { refused: bool },
    /// Time passes.
    Wait(u16),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..PEOPLE, any::<bool>()).prop_map(|(person, paced)| Event::Revoke(person, paced)),
        1 => (0..PEOPLE, class()).prop_map(|(person, class)| Event::Reclass(person, class)),
        4 => (0..PEOPLE).prop_map(Event::Verify),
        4 => any::<bool>().prop_map(|keep| Event::Use { keep }),
        6 => Just(Event::AnswerProbe),
        6 => (1..5_u8).prop_map(Event::Deliver),
        3 => Just(Event::AnswerQuestion),
        3 => proptest::bool::weighted(0.2).prop_map(|lost| Event::DeliverAnswer { lost }),
        2 => Just(Event::Refresh),
        1 => proptest::bool::weighted(0.3).prop_map(|refused| Event::Reconnect { refused }),
        4 => (1..4_000_u16).prop_map(Event::Wait),
    ]
}

fn class() -> impl Strategy<Value = Option<LeaseClass>> {
    proptest::option::of(prop::sample::select(&LeaseClass::ALL[..]))
}

/// What an entry of the log says.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Kill { paced: bool },
    Class(Option<LeaseClass>),
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

struct Connection {
    person: u8,
    /// The verdict it rests on was made here.
    seq: u64,
    /// The credential it rests on.
    reference: CredentialReference,
    guard: Arc<Guard>,
}

struct World {
    enforcer: Enforcer,
    now: Boottime,
    route: Option<LeaseClass>,
    /// Whom entry `n + 1` concerns, what it says, and when it was committed.
    log: Vec<(u8, Fact, Boottime)>,
    /// What is on its way to the gateway on the stream.
    stream: VecDeque<Input>,
    /// Up to where entries were put on the stream.
    sent: u64,
    /// Probes under way, with when they were sent.
    probes: VecDeque<(u64, Boottime)>,
    /// Those that were answered; the answer is under way.
    answered: VecDeque<Boottime>,
    /// When the newest probe was sent whose answer arrived.
    heard: Option<Boottime>,
    verdicts: VecDeque<(u8, Verdict)>,
    questions: VecDeque<(ConnectionId, CredentialReference)>,
    answers: VecDeque<(ConnectionId, CredentialReference, Judgement)>,
    connections: Vec<Connection>,
    admitted: usize,
    /// Somebody was let in later than their class allows.
    too_late: bool,
    credentials: u128,
    /// Entries that the gateway took from the stream; a resync jumps over others.
    applied: BTreeSet<u64>,
    /// Entries that the gateway said it enforces, one by one or as a whole.
    claimed: BTreeSet<u64>,
}

impl World {
    fn new(route: Option<LeaseClass>) -> Self {
        // Questions come often, so that answers meet everything else.
        let settings = Settings { revalidate_every: Duration::from_secs(2), route_class: route, ..Settings::default() };
        let mut world = Self {
            enforcer: Enforcer::new(settings),
            route,
            now: Boottime::from_nanos(3_600_000_000_000),
            log: Vec::new(),
            stream: VecDeque::new(),
            sent: 0,
            probes: VecDeque::new(),
            answered: VecDeque::new(),
            heard: None,
            verdicts: VecDeque::new(),
            questions: VecDeque::new(),
            answers: VecDeque::new(),
            connections: Vec::new(),
            admitted: 0,
            too_late: false,
            credentials: 1_000,
            applied: BTreeSet::new(),
            claimed: BTreeSet::new(),
        };
        world.reconnect(false);
        world
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Revoke(person, paced) => self.log.push((person, Fact::Kill { paced }, self.now)),
            Event::Reclass(person, class) => self.log.push((person, Fact::Class(class), self.now)),
            Event::Verify(person) => self.verify(person),
            Event::Use { keep } => self.use_verdict(keep),
            Event::AnswerProbe => self.answer_probe(),
            Event::Deliver(count) => {
                for _ in 0..count {
                    self.deliver();
                }
            }
            Event::AnswerQuestion => self.answer_question(),
            Event::DeliverAnswer { lost } => {
                if let Some((connection, reference, judgement)) = self.answers.pop_front() {
                    self.step(if lost {
                        Input::ReverifyFailed { connection }
                    } else {
                        Input::Reverified { connection, reference, judgement }
                    });
                }
            }
            Event::Refresh => self.refresh(),
            Event::Reconnect { refused } => self.reconnect(refused),
            Event::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis.into());
                self.step(Input::Tick { wall: wall_at(self.now) });
            }
        }
    }

    fn deliver(&mut self) {
        let Some(input) = self.stream.pop_front() else { return };
        let entry = if let Input::Entry { revision, .. } = &input { Some(*revision) } else { None };
        if matches!(input, Input::Checkpoint { .. }) {
            self.heard = self.heard.max(self.answered.pop_front());
        }
        self.step(input);
        if entry.is_some() && self.enforcer.applied() == entry {
            self.applied.extend(entry.map(|revision| revision.seq));
        }
    }

    /// The authority's judgement now: a session once revoked is dead.
    fn judge(&self, person: u8) -> Judgement {
        if self.kills(person).next().is_some() {
            return Judgement::Denied(Refused { denial: Denial::SessionRevoked, permanent: true });
        }
        let mut good = verdict(person, rev(self.head()));
        good.expires_at = None;
        good.lease_class = self.class_at(person, self.head());
        Judgement::Allowed(good)
    }

    fn verify(&mut self, person: u8) {
        if let Judgement::Allowed(verdict) = self.judge(person) {
            self.verdicts.push_back((person, verdict));
        }
    }

    fn use_verdict(&mut self, keep: bool) {
        let Some((person, verdict)) = self.verdicts.pop_front() else { return };
        let id = ConnectionId::new(self.connections.len() as u64);
        if let Ok(guard) = self.enforcer.register(id, &verdict, Arc::new(Silent), self.now) {
            self.too_late |= self.is_too_late(verdict.lease_class);
            let (seq, reference) = (verdict.revision.seq, verdict.reference.clone());
            self.connections.push(Connection { person, seq, reference, guard });
            self.admitted += 1;
        }
        if keep {
            self.verdicts.push_back((person, verdict));
        }
    }

    /// Everything up to the head goes on the stream before the checkpoint does.
    fn answer_probe(&mut self) {
        let Some((probe_id, sent)) = self.probes.pop_front() else { return };
        while self.sent < self.head() {
            let (person, fact, _) = self.log[usize::try_from(self.sent).expect("it fits")];
            let (effect, closes_per_second) = match fact {
                Fact::Kill { paced } => (v1::Effect::Kill, u32::from(paced)),
                Fact::Class(_) => (v1::Effect::Reauthorize, 0),
            };
            let batch = v1::RevocationBatch {
                revocations: vec![v1::Revocation {
                    keys: vec![session_key(person).into()],
                    effect: effect as i32,
                    closes_per_second,
                    ..Default::default()
                }],
            };
            let previous_chain = rev(self.sent).chain;
            self.sent += 1;
            let payload = Bytes::from(batch.encode_to_vec());
            self.stream.push_back(Input::Entry { revision: rev(self.sent), previous_chain, payload });
        }
        self.answered.push_back(sent);
        self.stream.push_back(Input::Checkpoint { probe_id, head: rev(self.head()), age: Duration::ZERO });
    }

    fn answer_question(&mut self) {
        let Some((id, reference)) = self.questions.pop_front() else { return };
        let connection = &self.connections[usize::try_from(id.get()).expect("it fits")];
        let mut judgement = self.judge(connection.person);
        if connection.reference != reference {
            judgement = Judgement::Denied(Refused { denial: Denial::Expired, permanent: true });
        } else if let Judgement::Allowed(verdict) = &mut judgement {
            verdict.reference = reference.clone();
        }
        self.answers.push_back((id, reference, judgement));
    }

    fn refresh(&mut self) {
        let Some(last) = self.connections.len().checked_sub(1) else { return };
        let Judgement::Allowed(mut newer) = self.judge(self.connections[last].person) else { return };
        self.credentials += 1;
        newer.reference.credential = CredentialId::from_bytes(self.credentials.to_be_bytes());
        if self.enforcer.replace(ConnectionId::new(last as u64), &newer, self.now).is_ok() {
            let connection = &mut self.connections[last];
            (connection.seq, connection.reference) = (newer.revision.seq, newer.reference);
        }
    }

    fn reconnect(&mut self, refused: bool) {
        self.step(Input::StreamLost);
        if refused {
            self.open();
            self.step(Input::ResyncRequired(ResyncReason::Horizon));
        } else {
            self.open();
        }
    }

    fn open(&mut self) {
        self.stream.clear();
        self.probes.clear();
        self.answered.clear();
        self.step(Input::StreamOpened);
    }

    fn step(&mut self, input: Input) {
        for output in self.enforcer.step(input, self.now) {
            match output {
                Output::SendStart { cursor } => {
                    let position = cursor.unwrap_or(rev(self.head()));
                    self.sent = position.seq;
                    self.stream.push_back(Input::Welcome(Welcome {
                        resumed: cursor.is_some(),
                        position,
                        terms: terms(),
                        probe_interval: Duration::from_millis(500),
                        bound: terms().bound(),
                    }));
                }
                Output::SendProbe { probe_id, applied, .. } => {
                    self.probes.push_back((probe_id, self.now));
                    self.claimed.extend(1..=applied.map_or(0, |applied| applied.seq));
                }
                Output::Release => {}
                Output::Reconnect => self.open(),
                Output::Reverify { connection, reference } => self.questions.push_back((connection, reference)),
                Output::Acknowledge { revision, .. } => {
                    self.claimed.insert(revision.seq);
                }
            }
        }
    }

    fn kills(&self, person: u8) -> impl Iterator<Item = (u64, Boottime)> {
        let entries = (1..).zip(&self.log);
        entries.filter_map(move |(seq, (of, fact, at))| match fact {
            Fact::Kill { .. } if *of == person => Some((seq, *at)),
            Fact::Kill { .. } | Fact::Class(_) => None,
        })
    }

    fn classes(&self, person: u8) -> impl DoubleEndedIterator<Item = (u64, Option<LeaseClass>)> {
        let entries = self.log.iter().enumerate().map(|(place, entry)| (place as u64 + 1, entry));
        entries.filter_map(move |(seq, (of, fact, _))| match fact {
            Fact::Class(class) if *of == person => Some((seq, *class)),
            Fact::Class(_) | Fact::Kill { .. } => None,
        })
    }

    fn class_at(&self, person: u8, seq: u64) -> Option<LeaseClass> {
        self.classes(person).rfind(|(at, _)| *at <= seq).and_then(|(_, class)| class)
    }

    /// For how long this connection may be served at most: by the class it had when the gateway learned of it last, or by
    /// any that came later.
    fn served(&self, connection: &Connection) -> Duration {
        let person = connection.person;
        let known = |seq: &u64| self.applied.contains(seq) || self.claimed.contains(seq);
        let since = self.classes(person).map(|(seq, _)| seq).filter(known).max().unwrap_or(0).max(connection.seq);
        let later = self.classes(person).filter(|(seq, _)| *seq > since).map(|(_, class)| class);
        let classes = later.chain([self.class_at(person, since)]);
        classes.map(|class| terms().served(LeaseClass::of(class, self.route))).max().expect("there is one")
    }

    /// Whether somebody of this class is let in though the authority was last heard too long ago.
    fn is_too_late(&self, tenant: Option<LeaseClass>) -> bool {
        let named = [tenant, self.route, Some(LeaseClass::of(tenant, self.route))];
        let admitted = named.into_iter().flatten().map(|class| terms().admitted(class)).min().expect("there is one");
        self.heard.is_none_or(|heard| heard + admitted <= self.now)
    }

    /// The promise.
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(!self.too_late, "somebody was let in too late");
        for connection in &self.connections {
            let concerned = self.kills(connection.person).next().is_some();
            let fenced = connection.guard.fenced().filter(|reason| *reason != CloseReason::LeaseLost);
            // Whoever's class changed is judged again, and closed without an answer.
            let unanswered =
                fenced == Some(CloseReason::AuthorityChanged) && self.classes(connection.person).count() > 0;
            prop_assert!(concerned || unanswered || fenced.is_none(), "closed as {fenced:?} without a revocation");
            if connection.guard.check(self.now).is_err() {
                continue;
            }
            let (served, bound) = (self.served(connection), terms().bound());
            for (seq, committed) in self.kills(connection.person).filter(|(seq, _)| *seq > connection.seq) {
                prop_assert!(committed + bound > self.now, "a frame passes {bound:?} after entry {seq}");
                prop_assert!(committed + served > self.now, "a frame passes {served:?} after entry {seq}");
                prop_assert!(!self.applied.contains(&seq), "a frame passes though entry {seq} was applied");
                prop_assert!(!self.claimed.contains(&seq), "a frame passes though entry {seq} was said to be enforced");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_passes_for_what_was_revoked_a_lease_ago_or_applied_here(
        route in class(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut world = World::new(route);
        for event in &events {
            world.apply(event);
            world.check()?;
        }
    }
}

/// The property says something: under the same events people are admitted, outlive a lease and are closed.
#[test]
fn the_simulated_gateway_admits_serves_and_closes() {
    let mut world = World::new(None);
    let serve = [Event::AnswerProbe, Event::Deliver(4), Event::Wait(500)];
    for event in [Event::Deliver(1), Event::AnswerProbe, Event::Deliver(4), Event::Verify(1), Event::Use { keep: true }]
    {
        world.apply(&event);
    }
    for event in serve.iter().cycle().take(150) {
        world.apply(event);
    }
    assert_eq!((world.admitted, world.connections[0].guard.check(world.now)), (1, Ok(())));
    for event in [Event::Revoke(1, false), Event::AnswerProbe, Event::Deliver(4), Event::Use { keep: false }] {
        world.apply(&event);
    }
    assert!(world.connections[0].guard.fenced().is_some());
    assert_eq!(world.admitted, 1, "the verdict from before the revocation admits nobody");
}
