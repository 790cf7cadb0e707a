//! What the enforcer promises, as sentences.

mod admission;
mod classes;
mod closing;
mod forks;
mod freezing;
mod judging;
mod log;
mod telling;

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

fn credential_key(n: u8) -> KeyDigest {
    KeyDigest::of(&tenant(), KeyKind::Credential, &CredentialId::from_bytes([n; 16]).to_string())
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
            signature_keys: Vec::new(),
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

fn resume(gateway: &mut Gateway, now: Boottime) -> u64 {
    gateway.enforcer.step(Input::StreamOpened, now);
    let out = gateway.welcome(true, now);
    let [Output::SendProbe { probe_id, .. }] = out[..] else { panic!("a probe: {out:?}") };
    probe_id
}

fn asks_about_one(out: &[Output]) -> bool {
    let asked = out.iter().filter_map(|output| match output {
        Output::Reverify { connection, reference } => Some((*connection, reference.clone())),
        _ => None,
    });
    asked.collect::<Vec<_>>() == [(ConnectionId::new(1), reference(1))]
}
