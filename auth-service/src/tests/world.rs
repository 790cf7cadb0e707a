//! A service of its own for each test, and clients for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderName, Method, Request as HttpRequest, Response as HttpResponse};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_client::ApiKeysServiceClient;
use portcullis_proto::auth::v1::audit_service_client::AuditServiceClient;
use portcullis_proto::auth::v1::certificates_service_client::CertificatesServiceClient;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use portcullis_proto::auth::v1::passwords_service_client::PasswordsServiceClient;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_proto::auth::v1::roles_service_client::RolesServiceClient;
use portcullis_proto::auth::v1::second_factors_service_client::SecondFactorsServiceClient;
use portcullis_proto::auth::v1::tenants_service_client::TenantsServiceClient;
use portcullis_proto::auth::v1::verification_service_client::VerificationServiceClient;
use portcullis_types::{Clock as _, Shutdown, SystemClock, SystemEntropy};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::config::Config;
use crate::startup::{self, Running, Surroundings};

pub(super) const ORIGIN: &str = "https://app.example";
pub(super) const PASSWORD: &str = "correct horse battery";

/// A running service with the tenant `demo` and the user `ada` in it.
pub(super) struct World {
    // Absent only while it restarts.
    pub(super) running: Option<Running>,
    pub(super) channel: Channel,
    pub(super) admin: String,
    pub(super) ada: String,
    pub(super) config: Config,
    _folder: TempDir,
}

pub(super) fn config_in(folder: PathBuf) -> Config {
    let mut config = Config { data_dir: folder, ..Config::default() };
    config.grpc.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.http.listen = config.grpc.listen;
    config.http.allowed_origins = vec![ORIGIN.to_owned()];
    config.password.memory_kib = 8;
    config.password.iterations = 1;
    config
}

pub(super) async fn start(config: &Config) -> Running {
    let shutdown = Shutdown::new();
    let around = Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), shutdown };
    startup::start(config, around).await.expect("it starts")
}

pub(super) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("it is an address");
    endpoint.connect().await.expect("it listens")
}

/// A message with a caller's key.
pub(super) fn by<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {key}").parse().expect("a key is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// The reason in `google.rpc.ErrorInfo`.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| format!("none: {status:?}"), |info| info.reason)
}

pub(super) fn named(tenant: &str, name: &str) -> v1::IdentityReference {
    let identity = Some(v1::identity_reference::Identity::Name(name.to_owned()));
    v1::IdentityReference { tenant: tenant.to_owned(), identity }
}

/// What an authenticator app with this secret shows now.
pub(super) fn totp_code(app: &str) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(app.as_bytes()).expect("base 32");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let step = SystemClock.now().as_unix_seconds() / 30;
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let from = usize::from(tag.as_ref()[19] & 0x0f);
    let word: [u8; 4] = tag.as_ref()[from..from + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut config = config_in(folder.path().join("data"));
        change(&mut config);
        let running = start(&config).await;
        let admin = std::fs::read_to_string(&running.admin_key_file).expect("the first start writes it");
        let channel = connect(running.grpc).await;
        let mut world = Self { running: Some(running), channel, admin, ada: String::new(), config, _folder: folder };
        world.make_tenant("demo").await;
        world.ada = world.make_identity("demo", "ada", v1::IdentityKind::User).await;
        world
    }

    pub(super) fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    pub(super) async fn make_tenant(&self, name: &str) {
        let request = by(&self.admin, v1::CreateTenantRequest { name: name.to_owned(), ..Default::default() });
        self.tenants().create_tenant(request).await.expect("the administrator may");
    }

    pub(super) async fn make_identity(&self, tenant: &str, name: &str, kind: v1::IdentityKind) -> String {
        let request = v1::CreateIdentityRequest {
            tenant: tenant.to_owned(),
            kind: kind.into(),
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let made = self.identities().create_identity(by(&self.admin, request)).await.expect("the administrator may");
        made.into_inner().identity.expect("it was made").id
    }

    /// A key of a new service; and its id.
    pub(super) async fn service_key(&self, tenant: &str, name: &str, scopes: &[&str]) -> (String, String) {
        self.make_identity(tenant, name, v1::IdentityKind::Service).await;
        let request = v1::CreateApiKeyRequest {
            identity: Some(named(tenant, name)),
            label: "test".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..Default::default()
        };
        let made = self.api_keys().create_api_key(by(&self.admin, request)).await.expect("the administrator may");
        let made = made.into_inner();
        (made.secret, made.api_key.expect("it was made").id)
    }

    pub(super) async fn issue(&self) -> (String, v1::TokenPair) {
        let identity = Some(named("demo", "ada"));
        let request = v1::IssueTokensRequest { identity, ..Default::default() };
        let issued = self.credentials().issue_tokens(by(&self.admin, request)).await.expect("the administrator may");
        let issued = issued.into_inner();
        (issued.session_id, issued.tokens.expect("they were issued"))
    }

    pub(super) async fn verify(&self, key: &str, bearer: &str) -> v1::VerifyResponse {
        let credential = Some(v1::verify_request::Credential::Bearer(bearer.to_owned()));
        let request = v1::VerifyRequest { credential, context: None };
        self.verification().verify(by(key, request)).await.expect("a denial is a verdict").into_inner()
    }

    pub(super) async fn revoke(&self, target: v1::revoke_request::Target) -> v1::RevokeResponse {
        let request = v1::RevokeRequest { tenant: "demo".to_owned(), target: Some(target), ..Default::default() };
        self.credentials().revoke(by(&self.admin, request)).await.expect("the administrator may").into_inner()
    }

    /// What the HTTP edge shows at a path.
    pub(super) async fn get(&self, path: &str) -> String {
        let request = HttpRequest::get(format!("http://{}{path}", self.running().http));
        let request = request.body(Full::<Bytes>::default()).expect("it is a request");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let body = client.request(request).await.expect("it answers").into_body();
        let body = body.collect().await.expect("it ends").to_bytes();
        String::from_utf8(body.to_vec()).expect("it is text")
    }

    /// A request to the HTTP edge, and its answer byte for byte.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: &str,
    ) -> HttpResponse<Bytes> {
        let mut request = HttpRequest::builder().method(method).uri(format!("http://{}{path}", self.running().http));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("it is a request");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.expect("it answers").into_parts();
        HttpResponse::from_parts(parts, body.collect().await.expect("it ends").to_bytes())
    }

    /// A JSON request to the HTTP edge.
    pub(super) async fn http(
        &self,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: &str,
    ) -> (HttpResponse<()>, serde_json::Value) {
        let (parts, body) = self.send(Method::POST, path, headers, body).await.into_parts();
        (HttpResponse::from_parts(parts, ()), serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Ada has a password that she must replace.
    pub(super) async fn set_temporary_password(&self, password: &str) {
        let request = v1::ResetPasswordRequest {
            identity: Some(named("demo", "ada")),
            temporary_password: password.to_owned(),
            ..Default::default()
        };
        self.passwords().reset_password(by(&self.admin, request)).await.expect("the administrator may");
    }

    /// A one-time token for Ada's password.
    pub(super) async fn reset_token(&self) -> String {
        let request = v1::ResetPasswordRequest { identity: Some(named("demo", "ada")), ..Default::default() };
        let reset = self.passwords().reset_password(by(&self.admin, request)).await.expect("the administrator may");
        reset.into_inner().reset_token
    }

    /// Ada has an authenticator app.
    pub(super) async fn enrol(&self) {
        let identity = || Some(named("demo", "ada"));
        let request = by(&self.admin, v1::EnrolTotpRequest { identity: identity(), ..Default::default() });
        let secret =
            self.second_factors().enrol_totp(request).await.expect("the administrator may").into_inner().secret;
        let code = totp_code(&secret);
        let request = by(&self.admin, v1::ConfirmTotpRequest { identity: identity(), code, ..Default::default() });
        let confirmed = self.second_factors().confirm_totp(request).await.expect("the administrator may").into_inner();
        assert!(matches!(confirmed.outcome, Some(v1::confirm_totp_response::Outcome::Confirmed(_))), "{confirmed:?}");
    }

    pub(super) fn passwords(&self) -> PasswordsServiceClient<Channel> {
        PasswordsServiceClient::new(self.channel.clone())
    }

    pub(super) fn second_factors(&self) -> SecondFactorsServiceClient<Channel> {
        SecondFactorsServiceClient::new(self.channel.clone())
    }

    pub(super) fn tenants(&self) -> TenantsServiceClient<Channel> {
        TenantsServiceClient::new(self.channel.clone())
    }

    pub(super) fn identities(&self) -> IdentitiesServiceClient<Channel> {
        IdentitiesServiceClient::new(self.channel.clone())
    }

    pub(super) fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
    }

    pub(super) fn roles(&self) -> RolesServiceClient<Channel> {
        RolesServiceClient::new(self.channel.clone())
    }

    pub(super) fn certificates(&self) -> CertificatesServiceClient<Channel> {
        CertificatesServiceClient::new(self.channel.clone())
    }

    pub(super) fn api_keys(&self) -> ApiKeysServiceClient<Channel> {
        ApiKeysServiceClient::new(self.channel.clone())
    }

    pub(super) fn credentials(&self) -> CredentialsServiceClient<Channel> {
        CredentialsServiceClient::new(self.channel.clone())
    }

    pub(super) fn verification(&self) -> VerificationServiceClient<Channel> {
        VerificationServiceClient::new(self.channel.clone())
    }

    pub(super) fn revocations(&self) -> RevocationsServiceClient<Channel> {
        RevocationsServiceClient::new(self.channel.clone())
    }
}
