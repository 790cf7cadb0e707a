//! What the enforcer promises, as sentences.

mod classes;
mod closing;

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use portcullis_proto::auth::v1;
use portcullis_types::{CredentialId, IdentityId, KeyDigest, LeaseLengths, LeaseTerms, SessionId, Timestamp};
use prost::Message as _;

use super::*;
use crate::guard::Stop;
use crate::verdict::{CredentialReference, Judgement, Refused};

const LEASE: Duration = Duration::from_secs(15);
const T0: Boottime = Boottime::from_nanos(3_600_000_000_000);

/// The lengths that are the defaults, with another bound.
pub(super) fn terms(bound: u64) -> LeaseTerms {
    LeaseTerms::new(LeaseLengths {
        strict: Duration::from_secs(5),
        standard: LEASE,
        tolerant: Duration::from_secs(60),
        hold_max: Duration::from_secs(60),
        bound: Duration::from_secs(bound),
    })
    .expect("they are in order")
}

fn after(millis: u64) -> Boottime {
    T0 + Duration::from_millis(millis)
}

/// A wall clock that goes as boot time does.
pub(super) fn wall_at(now: Boottime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(now.as_nanos() / 1_000).expect("it fits"))
}

fn tenant() -> TenantId {
    TenantId::try_from("acme").expect("a valid name")
}

pub(super) fn rev(seq: u64) -> Revision {
    Revision { seq, chain: seq + 1_000 }
}

pub(super) fn session_key(n: u8) -> KeyDigest {
    KeyDigest::of(&tenant(), KeyKind::Session, &SessionId::from_bytes([n; 16]).to_string())
}

fn identity_key(n: u8) -> KeyDigest {
    KeyDigest::of(&tenant(), KeyKind::Identity, &IdentityId::from_bytes([n; 16]).to_string())
}

/// A verdict for identity `n`, session `n`, credential `n`, made at `revision`.
pub(super) fn verdict(n: u8, revision: Revision) -> Verdict {
    let id = |kind: v1::KeyKind, digest: KeyDigest| v1::Key { kind: kind as i32, id: digest.id.to_vec() };
    let credential = CredentialId::from_bytes([n; 16]).to_string();
    let wire = v1::VerifyResponse {
        outcome: v1::Outcome::Allowed as i32,
        deny_reason: 0,
        revision: Some(revision.into()),
        allowed: Some(v1::Allowed {
            principal: Some(v1::Principal {
                tenant: "acme".into(),
                identity_id: IdentityId::from_bytes([n; 16]).to_string(),
                session_id: SessionId::from_bytes([n; 16]).to_string(),
                credential_id: credential.clone(),
                ..Default::default()
            }),
            keys: vec![
                id(v1::KeyKind::Tenant, KeyDigest::of(&tenant(), KeyKind::Tenant, "acme")),
                id(v1::KeyKind::Identity, identity_key(n)),
                id(v1::KeyKind::Session, session_key(n)),
                id(v1::KeyKind::Credential, KeyDigest::of(&tenant(), KeyKind::Credential, &credential)),
            ],
            reference: Some(v1::CredentialReference { tenant: "acme".into(), credential_id: credential }),
            expires_in_ms: 600_000,
            cache_ttl_ms: 30_000,
            constraints: None,
            lease_class: 0,
        }),
    };
    match Judgement::from_wire(wire, T0).expect("a well-formed verdict") {
        Judgement::Allowed(verdict) => verdict,
        Judgement::Denied(_) => unreachable!("it allows"),
    }
}

fn reference(n: u8) -> CredentialReference {
    CredentialReference { tenant: tenant(), credential: CredentialId::from_bytes([n; 16]) }
}

fn asks_about_one(out: &[Output]) -> bool {
    let asked = out.iter().filter_map(|output| match output {
        Output::Reverify { connection, reference } => Some((*connection, reference.clone())),
        _ => None,
    });
    asked.collect::<Vec<_>>() == [(ConnectionId::new(1), reference(1))]
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Gateway {
    enforcer: Enforcer,
    terms: LeaseTerms,
    head: Revision,
    wakes: Arc<Wakes>,
}

impl Gateway {
    /// Welcomed from head 5, nothing answered yet.
    fn welcomed() -> Self {
        Self::welcomed_with(Settings::default(), terms(15))
    }

    fn welcomed_with(settings: Settings, terms: LeaseTerms) -> Self {
        let mut enforcer = Enforcer::new(settings);
        let out = enforcer.step(Input::StreamOpened, T0);
        assert!(matches!(out[..], [Output::SendStart { cursor: None }]));
        let mut gateway = Self { enforcer, terms, head: rev(5), wakes: Arc::default() };
        gateway.welcome(false, T0);
        gateway
    }

    /// Welcomed, and the first probe answered.
    fn live() -> Self {
        Self::live_with(Settings::default(), terms(15))
    }

    fn live_with(settings: Settings, terms: LeaseTerms) -> Self {
        let mut gateway = Self::welcomed_with(settings, terms);
        gateway.answer_probe(1, T0);
        assert_eq!(gateway.enforcer.state(T0), State::Live);
        gateway
    }

    fn welcome(&mut self, resumed: bool, now: Boottime) -> Vec<Output> {
        let welcome = self.welcome_at(self.head, resumed);
        self.enforcer.step(Input::Welcome(welcome), now)
    }

    fn welcome_at(&self, position: Revision, resumed: bool) -> Welcome {
        Welcome {
            resumed,
            position,
            terms: self.terms,
            probe_interval: Duration::from_millis(500),
            bound: self.terms.bound(),
        }
    }

    /// The entry after `before` comes once more.
    fn again(&mut self, before: Revision, keys: &[KeyDigest]) -> Vec<Output> {
        let head = std::mem::replace(&mut self.head, before);
        let out = self.entry(keys, v1::Effect::Kill, after(250));
        self.head = head;
        out
    }

    fn answer_probe(&mut self, probe_id: u64, now: Boottime) {
        self.enforcer.step(Input::Checkpoint { probe_id, head: self.head, age: Duration::ZERO }, now);
    }

    fn entry(&mut self, keys: &[KeyDigest], effect: v1::Effect, now: Boottime) -> Vec<Output> {
        let keys = keys.iter().map(|key| (*key).into()).collect();
        let batch = v1::RevocationBatch {
            revocations: vec![v1::Revocation { keys, effect: effect as i32, ..Default::default() }],
        };
        let previous_chain = self.head.chain;
        self.head = rev(self.head.seq + 1);
        let payload = Bytes::from(batch.encode_to_vec());
        self.enforcer.step(Input::Entry { revision: self.head, previous_chain, payload }, now)
    }

    fn kill(&mut self, key: KeyDigest) {
        self.entry(&[key], v1::Effect::Kill, T0);
    }

    fn register(&mut self, connection: u64, verdict: &Verdict) -> Result<Arc<Guard>, NotAdmitted> {
        self.register_at(connection, verdict, T0)
    }

    fn register_at(&mut self, connection: u64, verdict: &Verdict, now: Boottime) -> Result<Arc<Guard>, NotAdmitted> {
        let wakes: Arc<dyn Wake> = Arc::clone(&self.wakes) as _;
        self.enforcer.register(ConnectionId::new(connection), verdict, wakes, now)
    }

    fn tick(&mut self, now: Boottime) -> Vec<Output> {
        self.enforcer.step(Input::Tick { wall: wall_at(now) }, now)
    }

    /// Ticks every half second, answering every probe, until `millis` after the start.
    fn run_until(&mut self, from: u64, millis: u64) -> Vec<Output> {
        let mut rest = Vec::new();
        for at in (from..=millis).step_by(500) {
            for output in self.tick(after(at)) {
                match output {
                    Output::SendProbe { probe_id, .. } => self.answer_probe(probe_id, after(at)),
                    other => rest.push(other),
                }
            }
        }
        rest
    }
}

const fn closed(reason: CloseReason) -> Result<(), Stop> {
    Err(Stop::Close(reason))
}

#[test]
fn nobody_is_admitted_before_the_first_probe_is_answered() {
    let mut gateway = Gateway::welcomed();
    assert_eq!(gateway.enforcer.state(T0), State::Syncing);
    assert_eq!(gateway.register(1, &verdict(1, rev(5))).err(), Some(NotAdmitted::NotLive));
    gateway.answer_probe(1, T0);
    assert!(gateway.register(1, &verdict(1, rev(5))).is_ok());
}

#[test]
fn a_revocation_fences_and_wakes_exactly_those_who_rest_on_it() {
    let mut gateway = Gateway::live();
    let alice = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let alice_too = gateway.register(2, &verdict(1, rev(5))).expect("admitted");
    let bob = gateway.register(3, &verdict(2, rev(5))).expect("admitted");
    gateway.kill(identity_key(1));
    assert_eq!(alice.check(T0), closed(CloseReason::IdentityRevoked));
    assert_eq!(alice_too.check(T0), closed(CloseReason::IdentityRevoked));
    assert_eq!(bob.check(T0), Ok(()));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 2);
}

#[test]
fn a_verdict_made_before_a_revocation_admits_nobody_after_it_however_late_it_comes() {
    let mut gateway = Gateway::live();
    let late = verdict(1, rev(5));
    gateway.kill(session_key(1));
    assert_eq!(gateway.register(1, &late).err(), Some(NotAdmitted::Revoked(Denial::SessionRevoked)));
    assert_eq!(gateway.enforcer.counts().authenticated, 0);
}

#[test]
fn whoever_logs_in_again_after_the_revocation_is_admitted_and_stays() {
    let mut gateway = Gateway::live();
    gateway.kill(identity_key(1));
    let guard = gateway.register(1, &verdict(1, rev(6))).expect("a newer verdict");
    assert_eq!(guard.check(T0), Ok(()));
}

#[test]
fn a_verdict_newer_than_the_watch_waits_for_the_entry() {
    let mut gateway = Gateway::live();
    assert_eq!(gateway.register(1, &verdict(1, rev(6))).err(), Some(NotAdmitted::Ahead { seq: 6 }));
    gateway.kill(identity_key(2));
    assert!(gateway.register(1, &verdict(1, rev(6))).is_ok());
}

#[test]
fn an_entry_after_the_verdict_of_a_newer_login_does_not_close_it() {
    let mut gateway = Gateway::live();
    gateway.kill(identity_key(9));
    let guard = gateway.register(1, &verdict(1, rev(6))).expect("admitted");
    // The gateway had applied 6 already; an older entry cannot come again, and 7 names somebody else.
    gateway.kill(identity_key(9));
    assert_eq!(guard.check(T0), Ok(()));
}

#[test]
fn a_gap_in_the_log_is_never_skipped() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.head = rev(6);
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Kill, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    assert_eq!(gateway.enforcer.applied(), Some(rev(5)));
    assert_eq!(guard.check(T0), Ok(()), "not applied, so not enforced; the lease is what ends it");
    let out = gateway.enforcer.step(Input::StreamOpened, T0);
    assert!(matches!(out[..], [Output::SendStart { cursor: Some(cursor) }] if cursor == rev(5)));
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_watch_instead_of_being_skipped() {
    let mut gateway = Gateway::live();
    let payload = Bytes::from_static(&[0xff, 0xff]);
    let out = gateway.enforcer.step(Input::Entry { revision: rev(6), previous_chain: rev(5).chain, payload }, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    assert_eq!(gateway.enforcer.applied(), Some(rev(5)));
}

#[test]
fn a_checkpoint_ahead_of_what_is_applied_does_not_renew_the_lease() {
    let mut gateway = Gateway::welcomed();
    gateway.enforcer.step(Input::Checkpoint { probe_id: 1, head: rev(6), age: Duration::ZERO }, T0);
    assert!(!gateway.enforcer.admits(T0));
}

#[test]
fn a_checkpoint_of_another_branch_does_not_renew_the_lease() {
    let mut gateway = Gateway::welcomed();
    let head = Revision { seq: 5, chain: 7 };
    gateway.enforcer.step(Input::Checkpoint { probe_id: 1, head, age: Duration::ZERO }, T0);
    assert!(!gateway.enforcer.admits(T0));
}

#[test]
fn without_the_authority_nothing_passes_after_the_lease_and_everybody_freezes() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let anonymous =
        gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.enforcer.step(Input::StreamLost, T0);
    assert_eq!(gateway.enforcer.state(after(100)), State::Suspect);
    let end = T0 + LEASE;
    assert_eq!(guard.check(end), Err(Stop::Frozen), "no timer is needed for that");
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 0);
    gateway.tick(end);
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), 1, "its task is told, once");
    gateway.tick(end);
    assert_eq!((gateway.wakes.0.load(Ordering::SeqCst), guard.fenced()), (1, None));
    assert_eq!(gateway.enforcer.state(end), State::Isolated);
    assert_eq!(gateway.register_at(3, &verdict(3, rev(5)), end).err(), Some(NotAdmitted::NotLive));
    assert_eq!(anonymous.check(end), Ok(()), "anonymous connections have no lease");
}

/// A gateway whose lease has run out with so many connections, and the guards of these.
fn frozen(connections: u8, settings: Settings) -> (Gateway, Vec<Arc<Guard>>) {
    let mut gateway = Gateway::live();
    gateway.enforcer.settings = settings;
    let guards =
        (1..=connections).map(|n| gateway.register(n.into(), &verdict(n, rev(5))).expect("admitted")).collect();
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.tick(T0 + LEASE);
    (gateway, guards)
}

fn resume(gateway: &mut Gateway, now: Boottime) -> u64 {
    gateway.enforcer.step(Input::StreamOpened, now);
    let out = gateway.welcome(true, now);
    let [Output::SendProbe { probe_id, .. }] = out[..] else { panic!("a probe: {out:?}") };
    probe_id
}

#[test]
fn whoever_was_revoked_while_frozen_is_closed_and_never_thaws_and_the_others_thaw() {
    let (mut gateway, guards) = frozen(2, Settings::default());
    let now = after(40_000);
    gateway.enforcer.step(Input::StreamOpened, now);
    // The watch resumes at 5, and the head is 6 by now.
    gateway.welcome(true, now);
    let out = gateway.tick(after(40_500));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    let head = rev(6);
    gateway.enforcer.step(Input::Checkpoint { probe_id: *probe_id, head, age: Duration::ZERO }, after(40_600));
    assert_eq!(guards[1].check(after(40_600)), Err(Stop::Frozen), "behind the head nobody thaws");
    gateway.entry(&[session_key(1)], v1::Effect::Kill, after(40_700));
    assert_eq!(guards[0].check(after(40_700)), closed(CloseReason::SessionRevoked));
    assert_eq!(guards[1].check(after(40_700)), Err(Stop::Frozen));
    let out = gateway.tick(after(41_100));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(41_200));
    assert_eq!(guards[0].check(after(41_200)), closed(CloseReason::SessionRevoked));
    assert_eq!(guards[1].check(after(41_200)), Ok(()));
}

#[test]
fn a_thaw_calls_every_task() {
    let (mut gateway, _guards) = frozen(3, Settings::default());
    let before = gateway.wakes.0.load(Ordering::SeqCst);
    let probe = resume(&mut gateway, after(20_000));
    gateway.answer_probe(probe, after(20_000));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst) - before, 3);
}

#[test]
fn what_stays_frozen_for_too_long_is_closed_at_the_stated_pace() {
    let settings = Settings { freeze_max: Duration::from_secs(60), closes_per_second: 2, ..Settings::default() };
    let (mut gateway, guards) = frozen(10, settings);
    let closed = || guards.iter().filter(|guard| guard.fenced() == Some(CloseReason::LeaseLost)).count();
    let end = T0 + LEASE + Duration::from_secs(60);
    gateway.tick(end.saturating_sub(Duration::from_millis(1)));
    assert_eq!(closed(), 0);
    for second in 0..=2_u64 {
        gateway.tick(end + Duration::from_secs(second));
    }
    assert_eq!(closed(), 1 + 2 + 2);
    gateway.tick(end + Duration::from_secs(60));
    assert_eq!(closed(), 10);
}

#[test]
fn without_freezing_everybody_is_closed_at_the_deadline() {
    let settings = Settings { freeze_max: Duration::ZERO, closes_per_second: 1_000_000, ..Settings::default() };
    let (_gateway, guards) = frozen(10, settings);
    assert!(guards.iter().all(|guard| guard.fenced() == Some(CloseReason::LeaseLost)));
}

#[test]
fn a_credential_expires_and_a_revocation_closes_though_the_gateway_is_frozen() {
    let (mut gateway, guards) = frozen(2, Settings { freeze_max: Duration::from_secs(3_600), ..Settings::default() });
    assert_eq!(guards[0].check(after(600_000)), closed(CloseReason::Expired));
    resume(&mut gateway, after(20_000));
    gateway.entry(&[session_key(2)], v1::Effect::Kill, after(20_000));
    assert_eq!(guards[1].check(after(20_000)), closed(CloseReason::SessionRevoked));
}

#[test]
fn a_wall_clock_that_jumps_gives_the_lease_up_until_the_authority_has_answered() {
    for jump in [-3_600_000_000, 3_600_000_000_i64] {
        let mut gateway = Gateway::live();
        let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
        gateway.tick(after(100));
        let wall = Timestamp::from_micros(wall_at(after(200)).as_micros() + jump);
        let out = gateway.enforcer.step(Input::Tick { wall }, after(200));
        assert_eq!(guard.check(after(200)), Err(Stop::Frozen));
        let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("asks at once: {out:?}") };
        gateway.answer_probe(*probe_id, after(210));
        assert_eq!(guard.check(after(210)), Ok(()));
    }
}

#[test]
fn probes_keep_the_lease_alive() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 60_000);
    assert_eq!(guard.check(after(60_000)), Ok(()));
    assert_eq!(gateway.enforcer.state(after(60_000)), State::Live);
}

#[test]
fn a_stream_on_which_nobody_answers_is_given_up_before_the_lease_ends() {
    let mut gateway = Gateway::live();
    let mut given_up = None;
    for at in (500..15_000).step_by(500) {
        let out = gateway.tick(after(at));
        if out.iter().any(|output| matches!(output, Output::Reconnect)) {
            given_up = Some(at);
            break;
        }
    }
    assert_eq!(given_up, Some(7_500));
}

#[test]
fn a_resumed_watch_keeps_everybody() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.enforcer.step(Input::StreamOpened, T0);
    gateway.welcome(true, T0);
    assert_eq!(guard.check(T0), Ok(()));
    gateway.kill(identity_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::IdentityRevoked));
}

#[test]
fn a_welcome_that_was_not_asked_for_is_refused() {
    let mut gateway = Gateway::live();
    gateway.enforcer.step(Input::StreamLost, T0);
    gateway.enforcer.step(Input::StreamOpened, T0);
    // From the head, though a cursor was sent: it would skip what came between.
    let out = gateway.welcome(false, T0);
    assert!(matches!(out[..], [Output::Reconnect]));
}

/// A live gateway with one connection, whose authority came back on another branch.
fn forked() -> (Gateway, Arc<Guard>, Vec<Output>) {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let out = gateway.enforcer.step(Input::ResyncRequired(ResyncReason::Fork), T0);
    assert!(matches!(out[..], [Output::Reconnect]));
    let out = gateway.enforcer.step(Input::StreamOpened, T0);
    assert!(matches!(out[..], [Output::SendStart { cursor: None }]));
    gateway.head = Revision { seq: 3, chain: 77 };
    let out = gateway.welcome(false, T0);
    (gateway, guard, out)
}

#[test]
fn a_fork_has_everybody_judged_again_before_the_lease_is_renewed() {
    let (mut gateway, guard, out) = forked();
    assert!(matches!(out[..], [Output::SendProbe { .. }, Output::Reverify { .. }]));
    let before = gateway.enforcer.deadlines().get(LeaseClass::Standard);
    gateway.answer_probe(2, after(1_000));
    assert_eq!(gateway.enforcer.deadlines().get(LeaseClass::Standard), before);
    assert_eq!(gateway.register(2, &verdict(2, gateway.head)).err(), Some(NotAdmitted::NotLive));

    let judgement = Judgement::Allowed(verdict(1, gateway.head));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, after(1_000));
    gateway.run_until(1_500, 2_000);
    assert!(gateway.enforcer.deadlines().get(LeaseClass::Standard) > before);
    assert_eq!(guard.check(after(2_000)), Ok(()));
}

#[test]
fn a_fork_closes_whom_the_new_branch_does_not_know() {
    let (mut gateway, guard, _) = forked();
    let judgement = Judgement::Denied(Refused { denial: Denial::Unknown, permanent: false });
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert!(matches!(guard.check(T0), Err(Stop::Close(_))));
    gateway.answer_probe(2, T0);
    assert!(gateway.enforcer.admits(T0));
}

#[test]
fn after_a_fork_an_entry_closes_those_not_judged_yet_whatever_their_old_revision() {
    let (mut gateway, guard, _) = forked();
    gateway.kill(identity_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::IdentityRevoked));
}

#[test]
fn a_verdict_of_the_old_branch_is_asked_for_again() {
    let (mut gateway, _, _) = forked();
    gateway.enforcer.remove(ConnectionId::new(1));
    gateway.answer_probe(2, T0);
    assert_eq!(gateway.register(2, &verdict(2, rev(3))).err(), Some(NotAdmitted::Stale));
}

#[test]
fn changed_grants_suspend_until_the_authority_has_answered() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    assert!(asks_about_one(&out), "{out:?}");
    assert_eq!(guard.check(T0), Err(Stop::Suspended));

    let judgement = Judgement::Allowed(verdict(1, rev(6)));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(guard.check(T0), Ok(()));
    assert!(guard.take_news().is_some_and(|news| news.identity == IdentityId::from_bytes([1; 16])));
}

#[test]
fn an_answer_from_before_the_change_of_grants_does_not_count() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    let judgement = Judgement::Allowed(verdict(1, rev(5)));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(guard.check(T0), Err(Stop::Suspended));
    let out = gateway.tick(T0);
    assert!(matches!(out[..], [Output::Reverify { .. }]), "asked once more: {out:?}");
}

#[test]
fn whoever_gets_no_answer_about_changed_grants_in_time_is_closed() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    gateway.enforcer.step(Input::ReverifyFailed { connection: ConnectionId::new(1) }, after(100));
    let out = gateway.tick(after(4_999));
    assert!(out.iter().any(|output| matches!(output, Output::Reverify { .. })));
    gateway.tick(after(5_000));
    assert_eq!(guard.fenced(), Some(CloseReason::AuthorityChanged));
}

#[test]
fn everybody_is_judged_again_now_and_then() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let every = u64::try_from(Settings::default().revalidate_every.as_millis()).expect("it fits");
    let out = gateway.run_until(500, every * 5 / 4);
    assert!(matches!(out[..], [Output::Reverify { .. }]), "{out:?}");
    let judgement = Judgement::Denied(Refused { denial: Denial::Unknown, permanent: false });
    let now = after(every * 5 / 4);
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, now);
    assert!(guard.fenced().is_some());
}

#[test]
fn a_refresh_moves_a_connection_to_its_newer_credential() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.kill(identity_key(9));
    gateway.enforcer.replace(ConnectionId::new(1), &verdict(1, rev(6)), T0).expect("the same identity");
    gateway.kill(session_key(1));
    assert_eq!(guard.check(T0), closed(CloseReason::SessionRevoked));
}

#[test]
fn a_refresh_cannot_name_another_identity_or_a_revoked_credential() {
    let mut gateway = Gateway::live();
    gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    let refused = gateway.enforcer.replace(ConnectionId::new(1), &verdict(2, rev(5)), T0);
    assert_eq!(refused, Err(NotAdmitted::OtherIdentity));
    gateway.kill(session_key(1));
    let refused = gateway.enforcer.replace(ConnectionId::new(1), &verdict(1, rev(5)), T0);
    assert_eq!(refused, Err(NotAdmitted::Revoked(Denial::SessionRevoked)));
    assert_eq!(gateway.enforcer.replace(ConnectionId::new(7), &verdict(1, rev(6)), T0), Err(NotAdmitted::Gone));
}

#[test]
fn a_connection_that_is_over_leaves_nothing_behind() {
    let mut gateway = Gateway::live();
    gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    let of_class = [0, 1, 0, 0];
    assert_eq!(
        gateway.enforcer.counts(),
        Counts { authenticated: 1, anonymous: 1, index_keys: 1, questions: 1, of_class, waiting: 0 }
    );
    gateway.enforcer.remove(ConnectionId::new(1));
    gateway.enforcer.remove(ConnectionId::new(2));
    gateway.enforcer.remove(ConnectionId::new(2));
    assert_eq!(gateway.enforcer.counts(), Counts { index_keys: 1, ..Counts::default() });
    assert!(gateway.enforcer.revalidations.is_empty());
}

#[test]
fn revoking_a_tenant_closes_anonymous_connections_too() {
    let mut gateway = Gateway::live();
    let guard = gateway.enforcer.register_anonymous(ConnectionId::new(2), &tenant(), Arc::clone(&gateway.wakes) as _);
    gateway.kill(KeyDigest::of(&tenant(), KeyKind::Tenant, "acme"));
    assert_eq!(guard.check(T0), closed(CloseReason::TenantRevoked));
}

#[test]
fn a_credential_expires_on_its_own() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 599_500);
    assert_eq!(guard.check(after(599_999)), Ok(()));
    assert_eq!(guard.check(after(600_000)), closed(CloseReason::Expired));
}

#[test]
fn a_verdict_that_names_nothing_is_no_verdict() {
    let wire = v1::VerifyResponse {
        outcome: v1::Outcome::Allowed as i32,
        revision: Some(rev(5).into()),
        allowed: Some(v1::Allowed {
            principal: Some(v1::Principal::default()),
            reference: Some(v1::CredentialReference::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert!(Judgement::from_wire(wire, T0).is_err());
}

#[test]
fn a_late_answer_about_the_credential_before_a_refresh_changes_nothing() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.entry(&[identity_key(1)], v1::Effect::Reauthorize, T0);
    // The answer is under way when the client refreshes with a newer credential.
    let mut newer = verdict(1, rev(6));
    newer.reference.credential = CredentialId::from_bytes([9; 16]);
    newer.expires_at = Some(after(1_200_000));
    gateway.enforcer.replace(ConnectionId::new(1), &newer, T0).expect("the same identity");
    let refused = Judgement::Denied(Refused { denial: Denial::Expired, permanent: true });
    for judgement in [refused, Judgement::Allowed(verdict(1, rev(6)))] {
        let late = Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement };
        gateway.enforcer.step(late, T0);
        assert_eq!((guard.check(T0), guard.expires_at()), (Ok(()), Some(after(1_200_000))));
    }
}

#[test]
fn an_answer_ahead_of_the_log_is_asked_for_again_only_when_the_log_has_caught_up() {
    let mut gateway = Gateway::live();
    let mut lasting = verdict(1, rev(5));
    lasting.expires_at = None;
    gateway.register(1, &lasting).expect("admitted");
    let every = Settings::default().revalidate_every * 5 / 4;
    let late = T0 + every;
    gateway.run_until(500, u64::try_from(every.as_millis()).expect("it fits"));
    let judgement = Judgement::Allowed(verdict(1, rev(6)));
    let ahead = Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement };
    gateway.enforcer.step(ahead, late);
    for millis in (100..1_000).step_by(100) {
        let out = gateway.tick(late + Duration::from_millis(millis));
        assert!(!out.iter().any(|output| matches!(output, Output::Reverify { .. })), "{out:?}");
    }
    let out = gateway.entry(&[identity_key(9)], v1::Effect::Kill, late + Duration::from_secs(1));
    assert!(asks_about_one(&out), "{out:?}");
}

#[test]
fn a_task_that_found_the_lease_run_out_before_any_tick_is_called_when_it_is_renewed() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(1, rev(5))).expect("admitted");
    gateway.run_until(500, 500);
    let out = gateway.tick(after(1_000));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    assert_eq!(guard.check(after(15_500)), Err(Stop::Frozen));
    let before = gateway.wakes.0.load(Ordering::SeqCst);
    gateway.answer_probe(*probe_id, after(15_501));
    assert_eq!(guard.check(after(15_501)), Ok(()));
    assert_eq!(gateway.wakes.0.load(Ordering::SeqCst), before + 1);
}

#[test]
fn a_clock_that_jumps_does_not_cost_a_stream_that_works() {
    let mut gateway = Gateway::live();
    gateway.run_until(500, 60_000);
    let wall = Timestamp::from_micros(wall_at(after(60_100)).as_micros() + 3_600_000_000);
    let out = gateway.enforcer.step(Input::Tick { wall }, after(60_100));
    assert!(matches!(out[..], [Output::SendProbe { .. }]), "{out:?}");
}

#[test]
fn a_lease_longer_than_the_bound_is_refused() {
    let mut enforcer = Enforcer::new(Settings::default());
    enforcer.step(Input::StreamOpened, T0);
    let welcome = Welcome {
        resumed: false,
        position: rev(5),
        terms: terms(15),
        probe_interval: Duration::from_millis(500),
        bound: LEASE.checked_sub(Duration::from_millis(1)).expect("it is longer"),
    };
    assert!(matches!(enforcer.step(Input::Welcome(welcome), T0)[..], [Output::Reconnect]));
}

#[test]
fn after_a_cursor_was_given_up_nobody_is_admitted_on_the_lease_from_before() {
    // The lease was renewed on head 6, which kills alice's session; a replica that lags begins anew from 5.
    let mut gateway = Gateway::live();
    let late = verdict(1, rev(5));
    gateway.kill(session_key(1));
    let out = gateway.tick(after(500));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(500));
    gateway.enforcer.step(Input::ResyncRequired(ResyncReason::Lagged), after(600));
    gateway.enforcer.step(Input::StreamOpened, after(600));
    gateway.head = rev(5);
    let out = gateway.welcome(false, after(700));
    assert_eq!(gateway.register_at(1, &late, after(700)).err(), Some(NotAdmitted::NotLive));
    // A checkpoint that counts from before the cursor was given up proves nothing; one from later does.
    let [Output::SendProbe { probe_id, .. }] = out[..] else { panic!("a probe: {out:?}") };
    let old = Input::Checkpoint { probe_id, head: rev(5), age: Duration::from_millis(200) };
    gateway.enforcer.step(old, after(800));
    assert_eq!(gateway.register_at(1, &late, after(800)).err(), Some(NotAdmitted::NotLive));
    let out = gateway.tick(after(1_300));
    let Some(Output::SendProbe { probe_id, .. }) = out.last() else { panic!("a probe: {out:?}") };
    gateway.answer_probe(*probe_id, after(1_300));
    assert!(gateway.register_at(2, &verdict(2, rev(5)), after(1_300)).is_ok());
}

fn acknowledged(out: &[Output]) -> Option<(Revision, u64)> {
    out.iter().find_map(|output| match output {
        Output::Acknowledge { revision, fenced } => Some((*revision, *fenced)),
        _ => None,
    })
}

fn claimed(out: &[Output]) -> Option<Option<Revision>> {
    out.iter().find_map(|output| match output {
        Output::SendProbe { applied, .. } => Some(*applied),
        _ => None,
    })
}

#[test]
fn an_entry_is_acknowledged_with_the_number_of_those_it_fenced_first() {
    let mut gateway = Gateway::live();
    let guards = [1, 2, 3].map(|n| gateway.register(n, &verdict(1, rev(5))).expect("admitted"));
    let out = gateway.entry(&[identity_key(1), session_key(1)], v1::Effect::Kill, T0);
    assert_eq!(acknowledged(&out), Some((rev(6), 3)), "each once, though two keys cover it");
    assert!(guards.iter().all(|guard| guard.fence_set().is_some_and(|fence| fence.by == Some(rev(6)))));
    let out = gateway.entry(&[identity_key(1)], v1::Effect::Kill, T0);
    assert_eq!(acknowledged(&out), Some((rev(7), 0)), "they were fenced before");
    let removed = gateway.enforcer.remove(ConnectionId::new(1));
    assert_eq!(removed.and_then(|fence| fence.by), Some(rev(6)));
    assert_eq!(gateway.enforcer.remove(ConnectionId::new(1)), None, "said once");
}

#[test]
fn an_entry_that_is_not_the_next_is_not_acknowledged() {
    let mut gateway = Gateway::live();
    let batch = v1::RevocationBatch::default().encode_to_vec();
    let (revision, payload) = (rev(9), Bytes::from(batch));
    let out = gateway.enforcer.step(Input::Entry { revision, previous_chain: rev(8).chain, payload }, T0);
    assert_eq!(acknowledged(&out), None);
}

#[test]
fn nothing_is_claimed_as_a_whole_while_somebody_from_before_a_resync_is_not_judged_again() {
    let (mut gateway, _guard, out) = forked();
    assert_eq!(claimed(&out), Some(None), "a frame may still pass by the old lease");
    let judgement = Judgement::Allowed(verdict(1, gateway.head));
    gateway
        .enforcer
        .step(Input::Reverified { connection: ConnectionId::new(1), reference: reference(1), judgement }, T0);
    assert_eq!(claimed(&gateway.tick(after(1_000))), Some(Some(gateway.head)));
}

#[test]
fn a_run_says_that_it_is_over_when_nobody_passes_a_frame_and_admits_nobody_afterwards() {
    let mut gateway = Gateway::live();
    let guard = gateway.register(1, &verdict(7, rev(5))).expect("admitted");
    assert!(gateway.enforcer.step(Input::Leaving, after(10)).is_empty(), "somebody still passes frames");
    assert!(!gateway.enforcer.admits(after(10)));
    gateway.entry(&[session_key(7)], v1::Effect::Kill, after(20));
    assert!(guard.fenced().is_some());
    let out = gateway.enforcer.step(Input::Leaving, after(30));
    assert!(matches!(out[..], [Output::Release]), "{out:?}");
    assert_eq!(gateway.register(2, &verdict(8, gateway.head)).err(), Some(NotAdmitted::NotLive));
}

#[test]
fn a_run_that_cannot_be_heard_says_nothing() {
    let mut gateway = Gateway::live();
    gateway.enforcer.step(Input::StreamLost, after(10));
    assert!(gateway.enforcer.step(Input::Leaving, after(20)).is_empty());
}

#[test]
fn a_watch_that_moves_keeps_the_lease_and_applies_each_entry_once() {
    let mut gateway = Gateway::live();
    let cursor = gateway.head;
    let guard = gateway.register(1, &verdict(7, cursor)).expect("admitted");
    // Applied on the old stream while the new one was opened with the cursor from before.
    gateway.entry(&[session_key(8)], v1::Effect::Kill, after(100));
    let welcome = gateway.welcome_at(cursor, true);
    let out = gateway.enforcer.step(Input::Moved(welcome), after(200));
    assert!(matches!(out[..], [Output::SendProbe { .. }]), "{out:?}");
    assert_eq!((gateway.enforcer.state(after(200)), guard.check(after(200))), (State::Live, Ok(())));
    let again = gateway.again(cursor, &[session_key(8)]);
    assert!(again.is_empty(), "it is known: {again:?}");
    gateway.entry(&[session_key(7)], v1::Effect::Kill, after(300));
    assert_eq!(gateway.enforcer.applied(), Some(gateway.head));
    assert!(guard.fenced().is_some());
}

#[test]
fn a_watch_does_not_move_to_where_another_log_is() {
    let mut gateway = Gateway::live();
    for welcome in [
        gateway.welcome_at(Revision { chain: 1, ..gateway.head }, true),
        gateway.welcome_at(gateway.head, false),
        gateway.welcome_at(rev(gateway.head.seq + 1), true),
    ] {
        let out = gateway.enforcer.step(Input::Moved(welcome), after(100));
        assert!(matches!(out[..], [Output::Reconnect]), "{out:?}");
    }
}
