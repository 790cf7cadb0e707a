//! The scripted authority.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_server::{RevocationsService, RevocationsServiceServer};
use portcullis_proto::auth::v1::verification_service_server::{VerificationService, VerificationServiceServer};
use portcullis_proto::auth::v1::verify_request::Credential;
use portcullis_proto::auth::v1::watch_request::Message as Said;
use portcullis_proto::auth::v1::watch_response::Message as Heard;
use portcullis_types::{Chain, CredentialId, IdentityId, KeyDigest, KeyKind, Revision, SessionId, TenantId};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// L, unless a test waits for its end.
const LEASE_MS: i64 = 10_000;

#[derive(Clone)]
struct Entry {
    revision: Revision,
    previous_chain: u64,
    payload: Vec<u8>,
}

struct Script {
    log: Vec<Entry>,
    chain: Chain,
    /// By token: the number of who it is, or why it is refused.
    credentials: HashMap<String, Result<u8, v1::DenyReason>>,
    /// By credential id: the number of who it is.
    admitted: HashMap<String, u8>,
    grants: Vec<(v1::Action, String)>,
    /// The number of a public key that verdicts carry.
    carried: Option<u8>,
    /// Verdicts are on API keys.
    without_sessions: bool,
    /// The revision of verdicts, where it is not the head.
    lagging: Option<Revision>,
    asked: Vec<v1::VerifyRequest>,
    answers_probes: bool,
    lease_ms: i64,
    refuses_watches: bool,
    /// How often it forked.
    history: u32,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct StandIn {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    grown: watch::Sender<u64>,
    /// Verdicts made and not yet given wait while this is true.
    held: watch::Sender<bool>,
    asked: watch::Sender<usize>,
    asked_again: watch::Sender<usize>,
    replica: Arc<Replica>,
}

/// What is one replica's own.
struct Replica {
    leaving: watch::Sender<bool>,
    /// It answers no probe, whatever the others do.
    mute: std::sync::atomic::AtomicBool,
    /// Open watches.
    watches: watch::Sender<usize>,
    server: Mutex<Option<tokio::task::JoinHandle<Result<(), tonic::transport::Error>>>>,
}

/// Counts a watch while it is open.
struct Counted(Arc<Replica>);

impl Counted {
    fn new(replica: &Arc<Replica>) -> Self {
        replica.watches.send_modify(|open| *open += 1);
        Self(Arc::clone(replica))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.watches.send_modify(|open| *open -= 1);
    }
}

impl StandIn {
    /// Listens, with an empty log, and answers probes.
    pub(crate) async fn start() -> Self {
        let script = Script {
            log: Vec::new(),
            chain: Chain::from_bytes([0; 16]),
            credentials: HashMap::new(),
            admitted: HashMap::new(),
            grants: vec![(v1::Action::Subscribe, "news".into()), (v1::Action::Publish, "news".into())],
            carried: None,
            without_sessions: false,
            lagging: None,
            asked: Vec::new(),
            answers_probes: true,
            lease_ms: LEASE_MS,
            refuses_watches: false,
            history: 0,
        };
        let standin = Self {
            address: ([127, 0, 0, 1], 0).into(),
            script: Arc::new(Mutex::new(script)),
            grown: watch::Sender::new(0),
            held: watch::Sender::new(false),
            asked: watch::Sender::new(0),
            asked_again: watch::Sender::new(0),
            replica: Arc::new(Replica::new()),
        };
        standin.listening().await
    }

    /// Another replica of the same authority.
    pub(crate) async fn beside(&self) -> Self {
        Self { replica: Arc::new(Replica::new()), ..self.clone() }.listening().await
    }

    async fn listening(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any free port");
        self.address = listener.local_addr().expect("bound");
        let server = tonic::transport::Server::builder()
            .add_service(VerificationServiceServer::new(self.clone()))
            .add_service(RevocationsServiceServer::new(self.clone()));
        // The server's own setting does not reach streams that it did not accept itself.
        let incoming = TcpListenerStream::new(listener).map(|stream| {
            let stream = stream?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        });
        let server = tokio::spawn(server.serve_with_incoming(incoming));
        *self.replica.server.lock().expect("no test panics inside") = Some(server);
        self
    }

    /// This replica says on every watch that it is leaving, and goes on.
    pub(crate) fn leaves(&self) {
        self.replica.leaving.send_replace(true);
    }

    /// This replica dies: its listener and every connection.
    pub(crate) fn dies(&self) {
        if let Some(server) = self.replica.server.lock().expect("no test panics inside").take() {
            server.abort();
        }
        self.replica.leaving.send_replace(true);
    }

    /// Waits until so many watches are open at this replica.
    pub(crate) async fn watched(&self, times: usize) {
        self.replica.watches.subscribe().wait_for(|open| *open == times).await.expect("it lives");
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panics inside")
    }

    /// This token is good and names identity `number`.
    pub(crate) fn knows(&self, token: &str, number: u8) {
        self.script().credentials.insert(token.to_owned(), Ok(number));
        self.script().admitted.insert(credential(number).to_string(), number);
    }

    /// This token is refused.
    pub(crate) fn refuses(&self, token: &str, reason: v1::DenyReason) {
        self.script().credentials.insert(token.to_owned(), Err(reason));
    }

    /// What every verdict grants from now on.
    pub(crate) fn grants(&self, grants: &[(v1::Action, &str)]) {
        self.script().grants = grants.iter().map(|(action, pattern)| (*action, (*pattern).to_owned())).collect();
    }

    /// From now on every verdict carries the public key of this number, or none.
    pub(crate) fn carries(&self, key: Option<u8>) {
        self.script().carried = key;
    }

    /// From now on verdicts are on API keys, which belong to no session.
    pub(crate) fn knows_api_keys(&self) {
        self.script().without_sessions = true;
    }

    /// From now on verdicts know nothing of what is committed, or they do again.
    pub(crate) fn lags(&self, lags: bool) {
        let mut script = self.script();
        script.lagging = lags.then(|| script.head());
    }

    /// Probes are answered or not.
    pub(crate) fn answers_probes(&self, answers: bool) {
        self.script().answers_probes = answers;
    }

    /// Probes that come to this replica are not answered.
    pub(crate) fn is_mute(&self) {
        self.replica.mute.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// L, for watches opened from now on.
    pub(crate) fn lease_ms(&self, lease_ms: i64) {
        self.script().lease_ms = lease_ms;
    }

    /// Ends every watch, and refuses new ones while `refuses`.
    pub(crate) fn refuses_watches(&self, refuses: bool) {
        self.script().refuses_watches = refuses;
        self.grown.send_modify(|_| {});
    }

    /// Verdicts are made when they are asked for, and given only when they are no longer held.
    pub(crate) fn holds_verdicts(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Waits until so many verdicts were asked for.
    pub(crate) async fn asked(&self, times: usize) {
        self.asked.subscribe().wait_for(|asked| *asked >= times).await.expect("it lives");
    }

    /// Waits until so many batches were asked for.
    pub(crate) async fn asked_again(&self, times: usize) {
        self.asked_again.subscribe().wait_for(|asked| *asked >= times).await.expect("it lives");
    }

    /// The credential of identity `number` is not good any more; nobody is told.
    pub(crate) fn forgets(&self, number: u8) {
        self.script().admitted.remove(&credential(number).to_string());
    }

    /// Another history begins, as after a restored backup, and every watch ends.
    pub(crate) fn forks(&self) {
        let mut script = self.script();
        script.log.clear();
        script.chain = Chain::from_bytes([9; 16]);
        script.history += 1;
        drop(script);
        self.grown.send_modify(|_| {});
    }

    /// What was asked.
    pub(crate) fn questions(&self) -> Vec<v1::VerifyRequest> {
        self.script().asked.clone()
    }

    /// Commits an event on what identity `number` rests on.
    pub(crate) fn commits(&self, kind: KeyKind, number: u8, effect: v1::Effect) {
        let key = keys(number).into_iter().find(|key| key.kind == kind).expect("one of its keys");
        let revocation = v1::Revocation {
            keys: vec![key.into()],
            effect: effect.into(),
            reason: v1::RevocationReason::Administrative.into(),
            close_code: 4511,
            closes_per_second: 0,
        };
        let payload = v1::RevocationBatch { revocations: vec![revocation] }.encode_to_vec();
        let mut script = self.script();
        let previous_chain = script.chain.short();
        script.chain = script.chain.extended_by(&payload);
        let revision = Revision { seq: script.log.len() as u64 + 1, chain: script.chain.short() };
        script.log.push(Entry { revision, previous_chain, payload });
        let length = revision.seq;
        drop(script);
        self.grown.send_replace(length);
    }

    /// The session of identity `number` is revoked.
    pub(crate) fn revokes_session_of(&self, number: u8) {
        self.commits(KeyKind::Session, number, v1::Effect::Kill);
    }
}

fn tenant() -> TenantId {
    TenantId::try_from("demo").expect("a valid name")
}

fn identity(number: u8) -> IdentityId {
    IdentityId::from_bytes([number; 16])
}

fn credential(number: u8) -> CredentialId {
    CredentialId::from_bytes([number; 16])
}

fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn keys(number: u8) -> [KeyDigest; 4] {
    let tenant = tenant();
    let key = |kind, id: String| KeyDigest::of(&tenant, kind, &id);
    [
        key(KeyKind::Tenant, "demo".into()),
        key(KeyKind::Identity, identity(number).to_string()),
        key(KeyKind::Session, session(number).to_string()),
        key(KeyKind::Credential, credential(number).to_string()),
    ]
}

impl Replica {
    fn new() -> Self {
        Self {
            leaving: watch::Sender::new(false),
            mute: false.into(),
            watches: watch::Sender::new(0),
            server: Mutex::new(None),
        }
    }

    fn is_dead(&self) -> bool {
        self.server.lock().expect("no test panics inside").is_none()
    }
}

impl Script {
    fn head(&self) -> Revision {
        Revision { seq: self.log.len() as u64, chain: self.chain.short() }
    }

    fn has(&self, position: &v1::Revision) -> bool {
        let head: v1::Revision = self.head().into();
        let is_entry = |entry: &Entry| v1::Revision::from(entry.revision) == *position;
        // Before the first entry, where a gateway stands that has seen none.
        let is_beginning = |first: &Entry| position.seq == 0 && position.chain == first.previous_chain;
        head == *position || self.log.first().is_some_and(is_beginning) || self.log.iter().any(is_entry)
    }

    fn keys(&self, number: u8) -> impl Iterator<Item = KeyDigest> {
        let carried =
            self.carried.map(|key| KeyDigest::of(&tenant(), KeyKind::Credential, &credential(key).to_string()));
        let without_sessions = self.without_sessions;
        let own = keys(number).into_iter().filter(move |key| !(without_sessions && key.kind == KeyKind::Session));
        own.chain(carried)
    }

    fn allowed(&self, number: u8) -> v1::VerifyResponse {
        let id = credential(number).to_string();
        let grants = self
            .grants
            .iter()
            .map(|(action, pattern)| v1::Grant { action: (*action).into(), pattern: pattern.clone() });
        v1::VerifyResponse {
            outcome: v1::Outcome::Allowed.into(),
            deny_reason: 0,
            allowed: Some(v1::Allowed {
                principal: Some(v1::Principal {
                    tenant: "demo".into(),
                    identity_id: identity(number).to_string(),
                    identity_kind: v1::IdentityKind::User.into(),
                    identity_name: "somebody".into(),
                    session_id: if self.without_sessions { String::new() } else { session(number).to_string() },
                    credential_id: id.clone(),
                    credential_kind: v1::CredentialKind::AccessToken.into(),
                    grants: grants.collect(),
                    scopes: Vec::new(),
                }),
                keys: self.keys(number).map(Into::into).collect(),
                reference: Some(v1::CredentialReference { tenant: "demo".into(), credential_id: id }),
                expires_in_ms: 600_000,
                cache_ttl_ms: 60_000,
                constraints: Some(v1::Constraints::default()),
                lease_class: 0,
                signature_keys: Vec::new(),
            }),
            revision: Some(self.lagging.unwrap_or_else(|| self.head()).into()),
        }
    }

    fn denied(&self, reason: v1::DenyReason) -> v1::VerifyResponse {
        v1::VerifyResponse {
            outcome: v1::Outcome::DeniedPermanent.into(),
            deny_reason: reason.into(),
            allowed: None,
            revision: Some(self.head().into()),
        }
    }
}

#[tonic::async_trait]
impl VerificationService for StandIn {
    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        assert!(request.metadata().contains_key("authorization"), "the gateway says who it is");
        if self.replica.is_dead() {
            return Err(Status::unavailable("nobody is there"));
        }
        let question = request.into_inner();
        let presented = match &question.credential {
            Some(Credential::Bearer(token)) => token.clone(),
            Some(Credential::Ticket(ticket)) => ticket.ticket.clone(),
            None => return Err(Status::invalid_argument("no credential")),
        };
        let verdict = {
            let mut script = self.script();
            script.asked.push(question);
            match script.credentials.get(&presented).copied() {
                Some(Ok(number)) => script.allowed(number),
                Some(Err(reason)) => script.denied(reason),
                None => script.denied(v1::DenyReason::Unknown),
            }
        };
        self.asked.send_modify(|asked| *asked += 1);
        // The verdict is made; whatever is committed from here on it does not know.
        self.held.subscribe().wait_for(|held| !held).await.expect("it lives");
        Ok(Response::new(verdict))
    }

    async fn batch_verify(
        &self,
        request: Request<v1::BatchVerifyRequest>,
    ) -> Result<Response<v1::BatchVerifyResponse>, Status> {
        let asked = request.into_inner();
        let verdicts = {
            let script = self.script();
            let verdict = |reference: &v1::CredentialReference| match script.admitted.get(&reference.credential_id) {
                Some(number) => script.allowed(*number),
                None => script.denied(v1::DenyReason::CredentialRevoked),
            };
            asked.references.iter().map(verdict).collect()
        };
        self.asked_again.send_modify(|asked| *asked += 1);
        self.held.subscribe().wait_for(|held| !held).await.expect("it lives");
        Ok(Response::new(v1::BatchVerifyResponse { verdicts }))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RevocationsService for StandIn {
    type WatchStream = Boxed<v1::WatchResponse>;
    type FetchRangeStream = Boxed<v1::FetchRangeResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|request| request.message);
        let Some(Said::Start(start)) = first else { return Err(Status::invalid_argument("no start")) };
        if self.script().refuses_watches {
            return Err(Status::unknown("the network is cut"));
        }
        let (responses, stream) = mpsc::channel(64);
        let standin = self.clone();
        tokio::spawn(async move { standin.serve_watch(start, requests, responses).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn fetch_range(&self, _: Request<v1::FetchRangeRequest>) -> Result<Response<Self::FetchRangeStream>, Status> {
        Err(Status::unimplemented("no gateway asks for it"))
    }

    async fn get_guarantee(
        &self,
        _: Request<v1::GetGuaranteeRequest>,
    ) -> Result<Response<v1::GetGuaranteeResponse>, Status> {
        Err(Status::unimplemented("no gateway asks for it"))
    }
}

impl StandIn {
    async fn serve_watch(
        &self,
        start: v1::WatchStart,
        mut requests: Streaming<v1::WatchRequest>,
        responses: mpsc::Sender<Result<v1::WatchResponse, Status>>,
    ) -> Option<()> {
        let mut grown = self.grown.subscribe();
        let resumed = start.cursor.is_some();
        let position = start.cursor.unwrap_or_else(|| self.script().head().into());
        let mut sent = usize::try_from(position.seq).expect("a short log");
        let say = async |message| {
            let response = v1::WatchResponse { message: Some(message) };
            responses.send(Ok(response)).await.ok()
        };
        let lease_ms = self.script().lease_ms;
        let history = self.script().history;
        if resumed && !self.script().has(&position) {
            let head = Some(self.script().head().into());
            let resync = v1::ResyncRequired { reason: v1::ResyncReason::Fork.into(), head };
            return say(Heard::ResyncRequired(resync)).await;
        }
        let terms = v1::LeaseTerms {
            strict_ms: lease_ms,
            standard_ms: lease_ms,
            tolerant_ms: lease_ms,
            hold_max_ms: 0,
            bound_ms: lease_ms,
        };
        let welcome = v1::WatchWelcome {
            resumed,
            position: Some(position),
            lease_ms,
            probe_interval_ms: 50,
            bound_ms: lease_ms,
            terms: Some(terms),
        };
        say(Heard::Welcome(welcome)).await?;
        let _counted = Counted::new(&self.replica);
        let mut leaving = self.replica.leaving.subscribe();
        loop {
            if self.script().refuses_watches || self.script().history != history {
                return None;
            }
            let entries: Vec<_> = self.script().log[sent..].to_vec();
            sent += entries.len();
            for entry in entries {
                let Entry { revision, previous_chain, payload } = entry;
                let payload = payload.into();
                let entry =
                    v1::LogEntry { revision: Some(revision.into()), previous_chain, payload, committed_at_us: 0 };
                say(Heard::Entry(entry)).await?;
            }
            tokio::select! {
                changed = grown.changed() => changed.ok()?,
                changed = leaving.changed() => {
                    changed.ok()?;
                    if self.replica.is_dead() {
                        return None;
                    }
                    say(Heard::Drain(v1::Drain {})).await?;
                }
                request = requests.next() => {
                    let probe = match request?.ok()?.message {
                        Some(Said::Probe(probe)) => probe,
                        Some(Said::Applied(_) | Said::Closed(_)) => continue,
                        Some(Said::Released(_) | Said::Start(_)) | None => return None,
                    };
                    let mute = self.replica.mute.load(std::sync::atomic::Ordering::SeqCst);
                    if !mute && self.script().answers_probes && self.script().log.len() == sent {
                        let head = Some(self.script().head().into());
                        let checkpoint = v1::Checkpoint { probe_id: probe.probe_id, head, age_us: 0, authority_time_us: 0 };
                        say(Heard::Checkpoint(checkpoint)).await?;
                    }
                }
            }
        }
    }
}
