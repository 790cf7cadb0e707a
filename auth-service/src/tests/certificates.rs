//! Callers by client certificate: who is known by one, and every certificate that is not believed. The list of attacks is
//! docs/attacks.md.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_client::ApiKeysServiceClient;
use portcullis_proto::auth::v1::certificates_service_client::CertificatesServiceClient;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_proto::auth::v1::service_tokens_service_client::ServiceTokensServiceClient;
use portcullis_proto::auth::v1::tenants_service_client::TenantsServiceClient;
use portcullis_proto::auth::v1::watch_request::Message as Ask;
use portcullis_proto::auth::v1::watch_response::Message as Told;
use portcullis_types::{Boottime, Clock, Shutdown, SystemClock, SystemEntropy, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};

use super::watches::started;
use super::world::{by, config_in, named, reason};
use crate::config::Tls;
use crate::startup::{self, Running, Surroundings};

const SERVER: &str = "authority.test";
const SPIFFE: &str = "spiffe://corp.example/edge/gateway";
const HOST: &str = "gateway.internal";

/// Real time since boot, and a wall clock that a test sets.
#[derive(Debug)]
struct SetClock(Mutex<Timestamp>);

impl SetClock {
    fn set(&self, year: i32, month: u8, day: u8) {
        self.set_before((year, month, day), Duration::ZERO);
    }

    /// So long before the day begins.
    fn set_before(&self, (year, month, day): (i32, u8, u8), early: Duration) {
        let at = Timestamp::from_unix_seconds(date_time_ymd(year, month, day).unix_timestamp());
        *self.0.lock().expect("no panic held it") = at.saturating_sub(early);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic held it")
    }

    fn boottime(&self) -> Boottime {
        SystemClock.boottime()
    }
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority_of_certificates() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ca::self_signed(params, KeyPair::generate().expect("makes a key")).expect("signs itself")
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("ASCII"))
}

/// A caller's certificate of the year 2030, as an authority should make it.
fn params(names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
    params
}

/// What a client shows: its certificate, signed by an authority, or by itself.
fn identity(params: &CertificateParams, by: Option<&Ca>) -> Identity {
    let key = KeyPair::generate().expect("makes a key");
    let certificate = match by {
        Some(ca) => params.signed_by(&key, ca),
        None => params.self_signed(&key),
    };
    Identity::from_pem(certificate.expect("is signed").pem(), key.serialize_pem())
}

/// A service that vouches for callers by certificate, in June 2030. There are the services `gateway` of `system` and
/// `backend` of `demo` and of `other`.
struct World {
    running: Running,
    clock: Arc<SetClock>,
    /// Vouches for callers.
    ca: Ca,
    server_ca: String,
    admin: String,
    folder: TempDir,
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("it can be written");
    path
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (ca, server_ca) = (authority_of_certificates(), authority_of_certificates());
        let key = KeyPair::generate().expect("makes a key");
        let certificate = CertificateParams::new(vec![SERVER.to_owned()]).expect("a valid name");
        let certificate = certificate.signed_by(&key, &server_ca).expect("is signed");
        let mut config = config_in(folder.path().join("data"));
        // So long that no receipt is complete while a test waits for something else.
        config.guarantee.bound_ms = Some(300_000);
        config.grpc.tls = Some(Tls {
            cert_file: write(folder.path(), "cert.pem", &certificate.pem()),
            key_file: write(folder.path(), "key.pem", &key.serialize_pem()),
            client_ca_file: Some(write(folder.path(), "clients.pem", &ca.pem())),
        });
        let clock = Arc::new(SetClock(Mutex::default()));
        clock.set(2030, 6, 1);
        let around = Surroundings {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SystemEntropy),
            shutdown: Shutdown::new(),
        };
        let running = startup::start(&config, around).await.expect("it starts");
        let admin = std::fs::read_to_string(&running.admin_key_file).expect("the first start writes it");
        let world = Self { running, clock, ca, server_ca: server_ca.pem(), admin, folder };
        world.make_service("system", "gateway").await;
        for tenant in ["demo", "other"] {
            let request = v1::CreateTenantRequest { name: tenant.to_owned(), ..Default::default() };
            let mut tenants = TenantsServiceClient::new(world.line(None));
            tenants.create_tenant(by(&world.admin, request)).await.expect("the administrator may");
            world.make_service(tenant, "backend").await;
        }
        world
    }

    async fn make_service(&self, tenant: &str, name: &str) {
        let request = v1::CreateIdentityRequest {
            tenant: tenant.to_owned(),
            kind: v1::IdentityKind::Service.into(),
            name: name.to_owned(),
            ..Default::default()
        };
        let mut identities = IdentitiesServiceClient::new(self.line(None));
        identities.create_identity(by(&self.admin, request)).await.expect("the administrator may");
    }

    /// A new connection, showing this or nothing.
    fn line(&self, shows: Option<Identity>) -> Channel {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.server_ca)).domain_name(SERVER);
        let tls = match shows {
            Some(identity) => tls.identity(identity),
            None => tls,
        };
        let endpoint = Endpoint::from_shared(format!("https://{}", self.running.grpc)).expect("it is an address");
        endpoint.tls_config(tls).expect("it can be used").connect_lazy()
    }

    /// A connection that shows a good certificate with this name.
    fn line_as(&self, name: SanType) -> Channel {
        self.line(Some(identity(&params(&[name]), Some(&self.ca))))
    }

    async fn try_register(
        &self,
        tenant: &str,
        service: &str,
        name: &str,
        scopes: &[&str],
    ) -> Result<v1::ClientCertificate, Status> {
        let request = registration(tenant, service, name, scopes);
        let made = self.certificates().register_certificate(by(&self.admin, request)).await?.into_inner();
        Ok(made.certificate.expect("it is registered"))
    }

    async fn register(&self, tenant: &str, service: &str, name: &str, scopes: &[&str]) -> v1::ClientCertificate {
        self.try_register(tenant, service, name, scopes).await.expect("the administrator may")
    }

    fn certificates(&self) -> CertificatesServiceClient<Channel> {
        CertificatesServiceClient::new(self.line(None))
    }

    async fn revoke(&self, tenant: &str, id: &str) -> v1::RevokeResponse {
        let target = Some(v1::revoke_request::Target::CredentialId(id.to_owned()));
        let request = v1::RevokeRequest { tenant: tenant.to_owned(), target, ..Default::default() };
        let mut credentials = CredentialsServiceClient::new(self.line(None));
        credentials.revoke(by(&self.admin, request)).await.expect("the administrator may").into_inner()
    }
}

fn registration(tenant: &str, service: &str, name: &str, scopes: &[&str]) -> v1::RegisterCertificateRequest {
    v1::RegisterCertificateRequest {
        identity: Some(named(tenant, service)),
        certificate_name: name.to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..Default::default()
    }
}

/// Whether somebody is known: any caller may ask this.
async fn knock(line: &Channel, request: Request<()>) -> Result<(), Status> {
    let request = request.map(|()| v1::GetGuaranteeRequest {});
    RevocationsServiceClient::new(line.clone()).get_guarantee(request).await.map(drop)
}

/// Why somebody is not known.
async fn refused(line: &Channel, request: Request<()>) -> String {
    reason(&knock(line, request).await.expect_err("it is not believed"))
}

/// Whether the service never answered, which it does with details: the handshake failed.
fn said_nothing(status: &Status) -> bool {
    status.details().is_empty()
}

async fn list_identities(line: &Channel, tenant: &str) -> Result<(), Status> {
    let request = v1::ListIdentitiesRequest { tenant: tenant.to_owned(), ..Default::default() };
    IdentitiesServiceClient::new(line.clone()).list_identities(request).await.map(drop)
}

async fn watch(line: &Channel) -> (mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>) {
    let (asks, requests) = mpsc::channel(8);
    asks.send(v1::WatchRequest { message: Some(started(None)) }).await.expect("there is room");
    let request = Request::new(ReceiverStream::new(requests));
    let told = RevocationsServiceClient::new(line.clone()).watch(request).await.expect("it is let in");
    let mut told = told.into_inner();
    let first = hear(&mut told).await;
    assert!(matches!(first, Told::Welcome(_)), "{first:?}");
    (asks, told)
}

async fn hear(told: &mut Streaming<v1::WatchResponse>) -> Told {
    let response = told.message().await.expect("no error").expect("it goes on");
    response.message.expect("the contract says one")
}

/// How many entries a watch tells before it ends, and how it ends. Nothing else is said.
async fn end_of(mut told: Streaming<v1::WatchResponse>) -> (usize, String) {
    let mut entries = 0;
    loop {
        match told.message().await {
            Ok(Some(v1::WatchResponse { message: Some(Told::Entry(_)) })) => entries += 1,
            Ok(other) => panic!("it goes on: {other:?}"),
            Err(status) => return (entries, reason(&status)),
        }
    }
}

#[tokio::test]
async fn a_service_is_known_by_the_spiffe_id_or_the_dns_name_in_its_certificate() {
    let world = World::new().await;
    for (name, shown) in [(SPIFFE, vec![uri(SPIFFE), dns("a.internal"), dns("b.internal")]), (HOST, vec![dns(HOST)])] {
        let line = world.line(Some(identity(&params(&shown), Some(&world.ca))));
        assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "nobody registered {name}");
        let made = world.register("demo", "backend", name, &["identity.read"]).await;
        assert_eq!((&*made.certificate_name, made.revoked), (name, false));
        list_identities(&line, "demo").await.expect("it has the scope");
        let other = list_identities(&line, "other").await.expect_err("another tenant");
        assert_eq!((other.code(), &*reason(&other)), (Code::PermissionDenied, "TENANT_FORBIDDEN"));
        let mut credentials = CredentialsServiceClient::new(line.clone());
        let weak = credentials.revoke(v1::RevokeRequest::default()).await.expect_err("without the scope");
        assert_eq!(reason(&weak), "SCOPE_MISSING");
        world.revoke("demo", &made.id).await;
        assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "on the same connection");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_the_handshake_even_beside_a_good_key() {
    let world = World::new().await;
    world.register("demo", "backend", SPIFFE, &["verify"]).await;
    let good = params(&[uri(SPIFFE)]);
    let dated = |from, until| {
        let mut params = params(&[uri(SPIFFE)]);
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        params
    };
    let mut authority = params(&[uri(SPIFFE)]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let stranger = authority_of_certificates();
    knock(&world.line(Some(identity(&good, Some(&world.ca)))), Request::new(())).await.expect("the good one is good");
    for (what, shown) in [
        ("signed by itself", identity(&good, None)),
        ("signed by another authority", identity(&good, Some(&stranger))),
        ("over", identity(&dated(2029, 2030), Some(&world.ca))),
        ("not yet good", identity(&dated(2031, 2032), Some(&world.ca))),
        ("an authority's own", identity(&authority, Some(&world.ca))),
    ] {
        let line = world.line(Some(shown));
        let alone = knock(&line, Request::new(())).await.expect_err(what);
        assert!(said_nothing(&alone), "{what}: {alone:?}");
        let beside = knock(&line, by(&world.admin, ())).await.expect_err(what);
        assert!(said_nothing(&beside), "{what}: {beside:?}");
    }
    knock(&world.line(None), by(&world.admin, ())).await.expect("the key was good all the time");
}

#[tokio::test]
async fn a_certificate_that_does_not_say_exactly_one_name_is_no_callers() {
    let world = World::new().await;
    for name in [SPIFFE, "spiffe://corp.example/other", HOST, "other.internal"] {
        world.register("demo", "backend", name, &["verify"]).await;
    }
    let wildcard = world.try_register("demo", "backend", "*.internal", &["verify"]).await.expect_err("a wildcard");
    assert_eq!((wildcard.code(), &*reason(&wildcard)), (Code::InvalidArgument, "FIELD_INVALID"));
    for (what, names) in [
        ("two SPIFFE IDs", vec![uri(SPIFFE), uri("spiffe://corp.example/other")]),
        ("the same SPIFFE ID twice", vec![uri(SPIFFE), uri(SPIFFE)]),
        ("a SPIFFE ID and another URI", vec![uri(SPIFFE), uri("https://corp.example/")]),
        ("another URI and a DNS name", vec![uri("https://corp.example/"), dns(HOST)]),
        ("two DNS names", vec![dns(HOST), dns("other.internal")]),
        ("a wildcard", vec![dns("*.internal")]),
        ("a SPIFFE ID as a DNS name", vec![dns(SPIFFE)]),
        ("a DNS name as a URI", vec![uri(HOST)]),
        ("an e-mail address", vec![SanType::Rfc822Name("gateway@internal".try_into().expect("ASCII"))]),
        ("a trust domain alone", vec![uri("spiffe://corp.example")]),
        ("a subject alone", Vec::new()),
    ] {
        let line = world.line(Some(identity(&params(&names), Some(&world.ca))));
        assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "{what}");
    }
    let mut signs_lists = params(&[uri(SPIFFE)]);
    signs_lists.key_usages.push(KeyUsagePurpose::CrlSign);
    let mut signs_nothing = params(&[uri(SPIFFE)]);
    signs_nothing.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let mut says_nothing = params(&[uri(SPIFFE)]);
    says_nothing.key_usages.clear();
    for (what, params) in
        [("for lists", signs_lists), ("not for signatures", signs_nothing), ("for anything", says_nothing)]
    {
        let line = world.line(Some(identity(&params, Some(&world.ca))));
        assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "{what}");
    }
}

#[tokio::test]
async fn a_name_is_one_tenants_until_its_registration_is_dead() {
    let world = World::new().await;
    let made = world.register("other", "backend", SPIFFE, &["identity.read"]).await;
    let line = world.line_as(uri(SPIFFE));
    let demo = list_identities(&line, "demo").await.expect_err("it is registered for another tenant");
    assert_eq!((demo.code(), &*reason(&demo)), (Code::PermissionDenied, "TENANT_FORBIDDEN"));
    let taken = world.try_register("demo", "backend", SPIFFE, &["identity.read"]).await.expect_err("it is taken");
    assert_eq!((taken.code(), &*reason(&taken)), (Code::AlreadyExists, "CERTIFICATE_NAME_TAKEN"));
    world.revoke("other", &made.id).await;
    world.register("demo", "backend", SPIFFE, &["identity.read"]).await;
    list_identities(&line, "demo").await.expect("it is registered for this tenant now");
    assert!(list_identities(&line, "other").await.is_err());
}

#[tokio::test]
async fn a_header_that_names_a_certificate_is_not_believed() {
    let world = World::new().await;
    world.register("system", "gateway", SPIFFE, &["admin"]).await;
    world.register("demo", "backend", HOST, &["verify"]).await;
    let smuggled = || {
        let mut request = Request::new(());
        for (name, value) in [
            ("x-forwarded-client-cert", "By=spiffe://corp.example/proxy;URI=spiffe://corp.example/edge/gateway"),
            ("x-ssl-client-verify", "SUCCESS"),
            ("x-client-cert", "spiffe://corp.example/edge/gateway"),
        ] {
            request.metadata_mut().insert(name, value.parse().expect("ASCII"));
        }
        request
    };
    assert_eq!(refused(&world.line(None), smuggled()).await, "CREDENTIAL_MISSING");
    let request = smuggled().map(|()| v1::ListTenantsRequest::default());
    let weak = TenantsServiceClient::new(world.line_as(dns(HOST))).list_tenants(request).await;
    assert_eq!(reason(&weak.expect_err("its own certificate is another")), "SCOPE_MISSING");
}

#[tokio::test]
async fn a_key_that_is_sent_counts_and_no_certificate_makes_up_for_it() {
    let world = World::new().await;
    world.register("demo", "backend", SPIFFE, &["identity.read"]).await;
    let line = world.line_as(uri(SPIFFE));
    let request = v1::ListTenantsRequest::default();
    let mut tenants = TenantsServiceClient::new(line.clone());
    tenants.list_tenants(by(&world.admin, request)).await.expect("it is the key's call");
    assert_eq!(refused(&line, by("pk_x", ())).await, "CREDENTIAL_REFUSED");
    let mut malformed = Request::new(());
    malformed.metadata_mut().insert("authorization", "Basic YTpi".parse().expect("ASCII"));
    assert_eq!(refused(&line, malformed).await, "CREDENTIAL_MISSING");
    knock(&line, Request::new(())).await.expect("without a key the certificate counts");
}

#[tokio::test]
async fn a_certificate_is_judged_at_every_call_and_no_watch_outlives_it() {
    let world = World::new().await;
    world.register("system", "gateway", SPIFFE, &["watch", "verify"]).await;
    let line = world.line_as(uri(SPIFFE));
    let (asks, told) = watch(&line).await;
    knock(&line, Request::new(())).await.expect("it is good");
    world.clock.set(2030, 12, 31);
    knock(&line, Request::new(())).await.expect("it is good until its last day");
    world.clock.set(2031, 1, 1);
    assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "the connection is older than its end");
    // Anything that stirs the watch: its own timer counts real time.
    let probe = Ask::Probe(v1::Probe { probe_id: 1, applied: None, sockets: 0 });
    // The watch may have ended already: then nobody takes it.
    let _ = asks.send(v1::WatchRequest { message: Some(probe) }).await;
    assert_eq!(end_of(told).await, (0, "CALLER_REVOKED".to_owned()), "not even the probe is answered");
    world.clock.set(2029, 12, 31);
    assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "nor is it good before it begins");
}

/// Nobody asks, nothing is written, and it is not yet time to look at the caller again.
#[tokio::test]
async fn a_watch_that_nothing_stirs_ends_with_its_callers_certificate() {
    let world = World::new().await;
    world.register("system", "gateway", SPIFFE, &["watch"]).await;
    world.clock.set_before((2031, 1, 1), Duration::from_millis(200));
    let (_asks, told) = watch(&world.line_as(uri(SPIFFE))).await;
    world.clock.set(2031, 1, 1);
    let end = tokio::time::timeout(Duration::from_secs(40), end_of(told));
    assert_eq!(end.await.expect("its timer counts"), (0, "CALLER_REVOKED".to_owned()));
}

#[tokio::test]
async fn revoking_a_registration_cuts_the_watch_that_rests_on_it() {
    let world = World::new().await;
    let made = world.register("system", "gateway", SPIFFE, &["watch"]).await;
    let other = world.register("system", "gateway", HOST, &["watch"]).await;
    let (_asks, told) = watch(&world.line_as(uri(SPIFFE))).await;
    world.revoke("system", &made.id).await;
    world.revoke("system", &other.id).await;
    assert_eq!(end_of(told).await, (1, "CALLER_REVOKED".to_owned()), "its own end is the last that it is told");
}

#[tokio::test]
async fn an_authority_that_is_taken_out_of_the_bundle_takes_its_callers_with_it() {
    let world = World::new().await;
    world.register("demo", "backend", SPIFFE, &["verify"]).await;
    let (line, next) = (world.line_as(uri(SPIFFE)), authority_of_certificates());
    knock(&line, Request::new(())).await.expect("it is good");
    let both = format!("{}{}", world.ca.pem(), next.pem());
    stamp(&write(world.folder.path(), "clients.pem", &both), 2);
    let newer = world.line(Some(identity(&params(&[uri(SPIFFE)]), Some(&next))));
    eventually(async || knock(&newer, Request::new(())).await.is_ok()).await;
    knock(&line, Request::new(())).await.expect("both vouch");
    stamp(&write(world.folder.path(), "clients.pem", &next.pem()), 3);
    eventually(async || knock(&line, Request::new(())).await.is_err()).await;
    assert_eq!(refused(&line, Request::new(())).await, "CREDENTIAL_REFUSED", "on a connection from before");
    knock(&newer, Request::new(())).await.expect("the other one vouches still");
}

#[tokio::test]
async fn an_authority_that_is_taken_out_of_the_bundle_cuts_the_streams_of_its_callers_and_no_others() {
    let world = World::new().await;
    world.register("system", "gateway", SPIFFE, &["watch", "revoke"]).await;
    let (line, next) = (world.line_as(uri(SPIFFE)), authority_of_certificates());
    let both = format!("{}{}", world.ca.pem(), next.pem());
    stamp(&write(world.folder.path(), "clients.pem", &both), 2);
    let newer = world.line(Some(identity(&params(&[uri(SPIFFE)]), Some(&next))));
    eventually(async || knock(&newer, Request::new(())).await.is_ok()).await;
    let (asks, mut told) = watch(&line).await;
    let (newer_asks, mut newer_told) = watch(&newer).await;
    let probe = || v1::WatchRequest { message: Some(Ask::Probe(v1::Probe::default())) };
    // From here on it has a lease, and receipts wait for it.
    newer_asks.send(probe()).await.expect("there is room");
    assert!(matches!(hear(&mut newer_told).await, Told::Checkpoint(_)), "a probe is answered");
    let ended = world.revoke("demo", &world.register("demo", "backend", HOST, &[]).await.id).await;
    for told in [&mut told, &mut newer_told] {
        assert!(matches!(hear(told).await, Told::Entry(_)), "both hear of it");
    }
    let follow = || v1::WatchEnforcedRequest { revision: ended.revision, timeout_ms: 60_000 };
    let mut follows = CredentialsServiceClient::new(line.clone());
    let mut receipts = follows.watch_enforced(follow()).await.expect("it may").into_inner();
    let mut by_key = follows.watch_enforced(by(&world.admin, follow())).await.expect("it may").into_inner();

    stamp(&write(world.folder.path(), "clients.pem", &next.pem()), 3);
    let cut = async {
        loop {
            match receipts.message().await {
                Ok(receipt) => assert!(receipt.is_some(), "it ended in order"),
                Err(status) => return reason(&status),
            }
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(50), cut).await.expect("it is cut though nothing stirs it");
    assert_eq!(cut, "CALLER_REVOKED");
    // The watch has ended already: nobody may take it.
    let _ = asks.send(probe()).await;
    assert_eq!(end_of(told).await, (0, "CALLER_REVOKED".to_owned()), "not even the probe is answered");
    // It has applied everything now, and the receipt that was asked for with a key, on the same connection, says so.
    let applied = v1::Probe { applied: ended.revision, ..Default::default() };
    newer_asks.send(v1::WatchRequest { message: Some(Ask::Probe(applied)) }).await.expect("there is room");
    let answer = hear(&mut newer_told).await;
    assert!(matches!(answer, Told::Checkpoint(_)), "another authority vouches: {answer:?}");
    while by_key.message().await.expect("it is the key's").is_some() {}
}

/// As if it had been changed so long after 1970: clocks of file systems are coarse.
fn stamp(path: &Path, seconds: u64) {
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = std::fs::File::options().write(true).open(path).expect("it is there");
    file.set_modified(at).expect("it can be dated");
}

/// Waits for a state.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it came to nothing");
}

#[tokio::test]
async fn a_registration_gives_no_more_than_its_maker_has() {
    let world = World::new().await;
    world.register("system", "gateway", SPIFFE, &["issue", "verify"]).await;
    let line = world.line_as(uri(SPIFFE));
    let mut certificates = CertificatesServiceClient::new(line.clone());
    let beyond = certificates.register_certificate(registration("demo", "backend", HOST, &["admin"])).await;
    assert_eq!(reason(&beyond.expect_err("it lacks the scope")), "SCOPES_EXCEEDED");
    let made = certificates.register_certificate(registration("demo", "backend", HOST, &["issue", "verify"])).await;
    made.expect("it may");

    let other = world.line_as(dns(HOST));
    let mut certificates = CertificatesServiceClient::new(other.clone());
    let tenants = certificates.register_certificate(registration("demo", "backend", "a.internal", &["verify"])).await;
    assert_eq!(reason(&tenants.expect_err("names are for all tenants")), "TENANT_FORBIDDEN");

    let mut short = registration("demo", "backend", "b.internal", &["issue"]);
    short.expires_in_ms = 60_000;
    let short = world.certificates().register_certificate(by(&world.admin, short)).await.expect("it may");
    let end = short.into_inner().certificate.expect("it is registered").expires_at;
    let request = v1::CreateApiKeyRequest { identity: Some(named("demo", "backend")), ..Default::default() };
    let mut keys = ApiKeysServiceClient::new(world.line_as(dns("b.internal")));
    let key = keys.create_api_key(request).await.expect("it may").into_inner().api_key.expect("it is made");
    assert_eq!((key.expires_at, end.is_some()), (end, true), "a key ends with the registration that made it");
    let person = world.try_register("demo", "nobody", "c.internal", &[]).await.expect_err("there is nobody");
    assert_eq!(reason(&person), "IDENTITY_NOT_FOUND");
}

#[tokio::test]
async fn a_registration_that_is_asked_for_twice_under_one_name_is_made_once() {
    let world = World::new().await;
    let request = || {
        let request = registration("demo", "backend", SPIFFE, &["verify"]);
        by(&world.admin, v1::RegisterCertificateRequest { request_id: "r-1".to_owned(), ..request })
    };
    let first = world.certificates().register_certificate(request()).await.expect("it may").into_inner();
    let second = world.certificates().register_certificate(request()).await.expect("it may").into_inner();
    assert_eq!(first, second);
    let mut other = request();
    other.get_mut().label = "another".to_owned();
    let reused = world.certificates().register_certificate(other).await.expect_err("another content");
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");

    let id = first.certificate.expect("it is registered").id;
    let get = v1::GetCertificateRequest { tenant: "demo".to_owned(), id: id.clone() };
    let found = world.certificates().get_certificate(by(&world.admin, get)).await.expect("it may").into_inner();
    let list = v1::ListCertificatesRequest { identity: Some(named("demo", "backend")), ..Default::default() };
    let listed = world.certificates().list_certificates(by(&world.admin, list)).await.expect("it may").into_inner();
    assert_eq!(listed.certificates, [found.certificate.expect("it is there")]);
    let elsewhere = v1::GetCertificateRequest { tenant: "other".to_owned(), id };
    let elsewhere = world.certificates().get_certificate(by(&world.admin, elsewhere)).await;
    assert_eq!(reason(&elsewhere.expect_err("it is demo's")), "CERTIFICATE_NOT_FOUND");
}

#[tokio::test]
async fn a_token_that_a_certificate_was_exchanged_for_dies_with_its_registration() {
    let world = World::new().await;
    let made = world.register("demo", "backend", SPIFFE, &["verify", "identity.read"]).await;
    let mut tokens = ServiceTokensServiceClient::new(world.line_as(uri(SPIFFE)));
    let request = v1::IssueServiceTokenRequest { scopes: vec!["identity.read".to_owned()], ..Default::default() };
    let token = tokens.issue_service_token(request).await.expect("it may have less for itself").into_inner().token;
    let anywhere = world.line(None);
    knock(&anywhere, by(&token, ())).await.expect("it stands for the service");
    world.revoke("demo", &made.id).await;
    assert_eq!(refused(&anywhere, by(&token, ())).await, "CREDENTIAL_REFUSED");
}
