//! A gateway's process: the real enforcer and its guards, between a simulated network and simulated handshakes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auth_domain::watch::Run;
use gateway_core::{
    ConnectionId, CredentialReference, Denial, Enforcer, Guard, Input, Judgement, NotAdmitted, Output, Refused,
    Settings, Verdict, Wake,
};
use portcullis_proto::auth::v1;
use portcullis_types::{
    BootId, Boottime, CredentialId, GatewayId, IdentityId, KeyDigest, KeyKind, Revision, SessionId, TenantId,
};
use protocol_model::Fault;

use crate::authority::Watch;
use crate::broken::unchecked;
use crate::world::{World, clock, connection, wall};

/// What a gateway says on its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Start { cursor: Option<Revision> },
    Probe { id: u64, applied: Option<Revision> },
    Applied { revision: Revision, fenced: u64 },
    Released,
}

/// A stream, and what is on its way in it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) replica: usize,
    pub(crate) watch: Option<Watch>,
    pub(crate) to_authority: VecDeque<Said>,
    pub(crate) to_gateway: VecDeque<Input>,
    /// The authority has ended it: when what is on its way has arrived, it is over.
    pub(crate) is_ended: bool,
}

impl Line {
    const fn new(replica: usize) -> Self {
        Self { replica, watch: None, to_authority: VecDeque::new(), to_gateway: VecDeque::new(), is_ended: false }
    }
}

/// A verdict on its way, kept, or waited for.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    person: u8,
    session: u16,
    verdict: Verdict,
}

/// Somebody who was admitted.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) person: u8,
    pub(crate) session: u16,
    pub(crate) guard: Arc<Guard>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) run: Run,
    drift: i64,
    enforcer: Enforcer,
    pub(crate) line: Option<Line>,
    /// What is to take its place.
    next: Option<Line>,
    pub(crate) connections: Vec<Connection>,
    verdicts: VecDeque<Pending>,
    cached: Option<Pending>,
    shared: Option<Pending>,
    /// Checked and not inserted yet; only a fault does that.
    checked: Option<Pending>,
    questions: VecDeque<(ConnectionId, CredentialReference)>,
    answers: VecDeque<Input>,
    /// Acknowledged before it was applied; only a fault does that.
    announced: Option<Revision>,
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

impl Process {
    pub(crate) fn new(gateway: usize, boot: u8, drift: i64, forgetful: bool) -> Self {
        let settings = Settings {
            index_keys: if forgetful { 1 } else { 1_000 },
            revalidate_every: Duration::from_secs(20),
            freeze_max: Duration::from_secs(3_600),
            ..Settings::default()
        };
        let name = GatewayId::try_from(format!("gateway-{gateway}").as_str()).expect("a name");
        Self {
            run: Run { gateway: name, boot: BootId::from_bytes([boot; 16]) },
            drift,
            enforcer: Enforcer::new(settings),
            line: None,
            next: None,
            connections: Vec::new(),
            verdicts: VecDeque::new(),
            cached: None,
            shared: None,
            checked: None,
            questions: VecDeque::new(),
            answers: VecDeque::new(),
            announced: None,
        }
    }

    /// Who passes a frame at this real time.
    pub(crate) fn passing(&self, real: u64) -> impl Iterator<Item = &Connection> {
        let now = clock(real, self.drift);
        self.connections.iter().filter(move |connection| connection.guard.check(now).is_ok())
    }

    /// What was to take the line's place goes with its replica.
    pub(crate) fn drop_next(&mut self, replica: usize) {
        self.next.take_if(|next| next.replica == replica);
    }

    fn step(&mut self, input: Input, now: Boottime) {
        for output in self.enforcer.step(input, now) {
            let said = match output {
                Output::SendStart { cursor } => Said::Start { cursor },
                Output::SendProbe { probe_id, applied, .. } => Said::Probe { id: probe_id, applied },
                Output::Acknowledge { revision, fenced } => Said::Applied { revision, fenced },
                Output::Release => Said::Released,
                Output::Reconnect => {
                    self.line = None;
                    continue;
                }
                Output::Reverify { connection, reference } => {
                    self.questions.push_back((connection, reference));
                    continue;
                }
            };
            if let Some(line) = &mut self.line {
                line.to_authority.push_back(said);
            }
        }
    }

    fn register(&mut self, pending: &Pending, now: Boottime) -> Result<Arc<Guard>, NotAdmitted> {
        self.enforcer.register(connection(self.connections.len()), &pending.verdict, Arc::new(Silent), now)
    }

    fn admit(&mut self, pending: &Pending, now: Boottime) -> bool {
        let Ok(guard) = self.register(pending, now) else { return false };
        let Pending { person, session, .. } = *pending;
        self.connections.push(Connection { person, session, guard });
        true
    }
}

fn tenant() -> TenantId {
    TenantId::try_from("acme").expect("a valid name")
}

fn identity(person: u8) -> IdentityId {
    IdentityId::from_bytes([person; 16])
}

pub(crate) fn identity_key(person: u8) -> KeyDigest {
    KeyDigest::of(&tenant(), KeyKind::Identity, &identity(person).to_string())
}

/// A credential for each session.
fn credential(person: u8, session: u16) -> CredentialId {
    CredentialId::from_bytes(session_bytes(person, session))
}

fn session_bytes(person: u8, session: u16) -> [u8; 16] {
    (u128::from(person) << 16 | u128::from(session)).to_be_bytes()
}

fn whose(reference: &CredentialReference) -> (u8, u16) {
    let number = u128::from_be_bytes(*reference.credential.as_bytes());
    (u8::try_from(number >> 16).expect("it fits"), (number & 0xFFFF) as u16)
}

/// A verdict on a session; where and when it was made is filled in.
pub(crate) fn template(person: u8, session: u16) -> Verdict {
    let credential = credential(person, session).to_string();
    let key = |kind, id: &str| KeyDigest::of(&tenant(), kind, id).into();
    let allowed = v1::Allowed {
        principal: Some(v1::Principal {
            tenant: "acme".into(),
            identity_id: identity(person).to_string(),
            session_id: SessionId::from_bytes(session_bytes(person, session)).to_string(),
            credential_id: credential.clone(),
            ..Default::default()
        }),
        keys: vec![key(KeyKind::Tenant, "acme"), identity_key(person).into(), key(KeyKind::Credential, &credential)],
        reference: Some(v1::CredentialReference { tenant: "acme".into(), credential_id: credential }),
        expires_in_ms: 0,
        cache_ttl_ms: 30_000,
        ..Default::default()
    };
    let wire = v1::VerifyResponse {
        outcome: v1::Outcome::Allowed.into(),
        deny_reason: 0,
        revision: Some(Revision { seq: 0, chain: 0 }.into()),
        allowed: Some(allowed),
    };
    match Judgement::from_wire(wire, Boottime::ZERO).expect("well formed") {
        Judgement::Allowed(mut verdict) => {
            verdict.expires_at = None;
            verdict
        }
        Judgement::Denied(_) => unreachable!("it allows"),
    }
}

impl World {
    fn now_at(&self, gateway: usize) -> Boottime {
        clock(self.real, self.gateways[gateway].drift)
    }

    pub(crate) fn connect(&mut self, gateway: usize, replica: usize) {
        let now = self.now_at(gateway);
        let process = &mut self.gateways[gateway];
        if process.line.is_none() {
            process.line = Some(Line::new(replica));
            process.step(Input::StreamOpened, now);
        }
    }

    /// The next stream is opened with the cursor of now, and welcomed or refused at once; it takes over later.
    pub(crate) fn begin_move(&mut self, gateway: usize, replica: usize) {
        let Some(cursor) = self.gateways[gateway].enforcer.applied() else { return };
        let mut next = Line::new(replica);
        next.to_authority.push_back(Said::Start { cursor: Some(cursor) });
        let stands = self.gateways[gateway].line.replace(next);
        self.hear(gateway);
        self.speak(gateway, 1);
        let process = &mut self.gateways[gateway];
        process.next = std::mem::replace(&mut process.line, stands);
    }

    pub(crate) fn move_over(&mut self, gateway: usize) {
        let now = self.now_at(gateway);
        let process = &mut self.gateways[gateway];
        let Some(mut next) = process.next.take() else { return };
        if let Some(Input::Welcome(welcome)) = next.to_gateway.pop_front()
            && welcome.resumed
        {
            process.line = Some(next);
            process.step(Input::Moved(welcome), now);
        }
    }

    pub(crate) fn break_line(&mut self, gateway: usize) {
        let now = self.now_at(gateway);
        let process = &mut self.gateways[gateway];
        if process.line.take().is_some() {
            process.step(Input::StreamLost, now);
        }
    }

    /// The gateway receives at most so many messages.
    pub(crate) fn deliver(&mut self, gateway: usize, most: u8) {
        let now = self.now_at(gateway);
        let announces = self.breaks(Fault::AcknowledgedBeforeFence);
        let (invalidates, drops) = (self.breaks(Fault::CacheByInvalidation), self.breaks(Fault::GenerationOnly));
        let process = &mut self.gateways[gateway];
        for _ in 0..most {
            let Some(line) = &mut process.line else { return };
            if let (true, Some(Input::Entry { revision, .. })) = (announces, line.to_gateway.front())
                && process.announced.replace(*revision) != Some(*revision)
            {
                line.to_authority.push_back(Said::Applied { revision: *revision, fenced: 0 });
                return;
            }
            let Some(input) = line.to_gateway.pop_front() else { break };
            match &input {
                Input::Entry { .. } if invalidates => process.cached = None,
                Input::ResyncRequired(_) if drops => {
                    (process.cached, process.shared) = (None, None);
                    process.verdicts.clear();
                }
                _ => {}
            }
            process.step(input, now);
        }
        if process.line.as_ref().is_some_and(|line| line.is_ended && line.to_gateway.is_empty()) {
            self.break_line(gateway);
        }
    }

    /// The process is asked to end; its sockets are closed first, or some are not in time.
    pub(crate) fn leave(&mut self, gateway: usize, closes: bool) {
        let now = self.now_at(gateway);
        let process = &mut self.gateways[gateway];
        if closes {
            for number in 0..process.connections.len() {
                process.enforcer.remove(connection(number));
            }
            process.connections.clear();
        }
        process.step(Input::Leaving, now);
    }

    pub(crate) fn tick(&mut self, gateway: usize) {
        let now = self.now_at(gateway);
        self.gateways[gateway].step(Input::Tick { wall: wall(now) }, now);
    }

    /// What a replica says about a session now: revision and state from one view.
    fn judge(&mut self, replica: usize, person: u8, session: u16) -> Judgement {
        if !self.is_good(replica, person, session) {
            return Judgement::Denied(Refused { denial: Denial::IdentityRevoked, permanent: true });
        }
        let read_from = if self.breaks(Fault::TwoViews) { self.replicas.len() - 1 } else { replica };
        let revision = self.head_in_view(read_from);
        let made = self.verdicts.entry((person, session)).or_insert_with(|| template(person, session));
        let mut verdict = made.clone();
        verdict.revision = revision;
        Judgement::Allowed(verdict)
    }

    pub(crate) fn verify(&mut self, gateway: usize, person: u8, replica: usize) {
        let session = self.newest_session(replica, person);
        if let Judgement::Allowed(verdict) = self.judge(replica, person, session) {
            self.gateways[gateway].verdicts.push_back(Pending { person, session, verdict });
        }
    }

    pub(crate) fn use_verdict(&mut self, gateway: usize) {
        let (now, checks_first) = (self.now_at(gateway), self.breaks(Fault::CheckThenInsert));
        let caches = self.setting.cache;
        let process = &mut self.gateways[gateway];
        if let Some(checked) = process.checked.take() {
            unchecked(|| process.admit(&checked, now));
            return;
        }
        let Some(pending) = process.verdicts.pop_front() else { return };
        if checks_first {
            let name = connection(process.connections.len());
            if process.register(&pending, now).is_ok() {
                process.enforcer.remove(name);
                process.checked = Some(pending);
            }
            return;
        }
        if caches {
            (process.cached, process.shared) = (Some(pending.clone()), Some(pending.clone()));
        }
        process.admit(&pending, now);
    }

    /// A handshake that waited for another's look-up.
    pub(crate) fn share_verdict(&mut self, gateway: usize) {
        let (now, is_broken) = (self.now_at(gateway), self.breaks(Fault::CoalescedUnchecked));
        let process = &mut self.gateways[gateway];
        if let Some(pending) = process.shared.take() {
            let mut admit = || process.admit(&pending, now);
            if is_broken {
                unchecked(admit)
            } else {
                admit()
            };
        }
    }

    pub(crate) fn reuse_verdict(&mut self, gateway: usize) {
        let (now, is_broken) = (self.now_at(gateway), self.breaks(Fault::CacheByInvalidation));
        let process = &mut self.gateways[gateway];
        if let Some(pending) = process.cached.clone() {
            let mut admit = || process.admit(&pending, now);
            if is_broken {
                unchecked(admit)
            } else {
                admit()
            };
        }
    }

    pub(crate) fn ask(&mut self, gateway: usize, replica: usize) {
        let Some((connection, reference)) = self.gateways[gateway].questions.pop_front() else { return };
        let (person, session) = whose(&reference);
        let judgement = self.judge(replica, person, session);
        self.gateways[gateway].answers.push_back(Input::Reverified { connection, reference, judgement });
    }

    pub(crate) fn learn(&mut self, gateway: usize) {
        let now = self.now_at(gateway);
        let process = &mut self.gateways[gateway];
        if let Some(answer) = process.answers.pop_front() {
            process.step(answer, now);
        }
    }
}
