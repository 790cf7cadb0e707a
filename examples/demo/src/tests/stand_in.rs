//! A stand-in authority: it writes down what it is asked, with the caller's key, and answers the same thing always.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request as HttpRequest;
use axum::response::IntoResponse;
use http_body_util::BodyExt as _;
use portcullis_proto::auth::v1::credentials_service_server::{CredentialsService, CredentialsServiceServer};
use portcullis_proto::auth::v1::identities_service_server::{IdentitiesService, IdentitiesServiceServer};
use portcullis_proto::auth::v1::identity_reference::Identity as By;
use portcullis_proto::auth::v1::revoke_request::Target;
use portcullis_proto::auth::v1::*;
use tokio::net::TcpListener;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The stand-in and what it was asked.
pub(super) struct StandIn {
    /// Its gRPC address.
    pub(super) grpc: String,
    /// Its HTTP host and port.
    pub(super) http: String,
    calls: Calls,
}

#[derive(Clone, Default)]
struct Calls {
    asked: Arc<Mutex<Vec<String>>>,
    broken: Arc<AtomicBool>,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let calls = Calls::default();
        let listen = || TcpListener::bind("127.0.0.1:0");
        let (grpc, http) = (listen().await.expect("a free port"), listen().await.expect("a free port"));
        let address = |listener: &TcpListener| listener.local_addr().expect("it listens").to_string();
        let stand_in = Self { grpc: format!("http://{}", address(&grpc)), http: address(&http), calls: calls.clone() };
        let server = tonic::transport::Server::builder()
            .add_service(IdentitiesServiceServer::new(calls.clone()))
            .add_service(CredentialsServiceServer::new(calls))
            .serve_with_incoming(TcpIncoming::from(grpc));
        tokio::spawn(async move { server.await.expect("it serves until the test ends") });
        let edge = axum::Router::new().fallback(echo);
        tokio::spawn(async move { axum::serve(http, edge).await.expect("it serves until the test ends") });
        stand_in
    }

    /// What was asked so far, each with the caller's authorization.
    pub(super) fn asked(&self) -> Vec<String> {
        self.calls.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on every call is answered by "unavailable".
    pub(super) fn break_down(&self) {
        self.calls.broken.store(true, Ordering::SeqCst);
    }
}

impl Calls {
    fn write_down(&self, metadata: &MetadataMap, call: &str) -> Result<(), Status> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Status::unavailable("broken on purpose"));
        }
        let key = metadata.get("authorization").map_or("", |key| key.to_str().expect("ASCII"));
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{key}: {call}"));
        Ok(())
    }
}

fn named(reference: Option<IdentityReference>) -> String {
    let reference = reference.expect("an identity is named");
    match reference.identity.expect("by one of the two") {
        By::Id(id) => format!("{} id {id}", reference.tenant),
        By::Name(name) => format!("{} name {name}", reference.tenant),
    }
}

const COMMITTED: (i64, i32) = (1_700_000_000, 123_456_000);

macro_rules! timestamp {
    () => {
        // The type belongs to a crate that is no dependency of ours: made from its default.
        Some({
            let mut at = RevokeResponse::default().committed_at.unwrap_or_default();
            (at.seconds, at.nanos) = COMMITTED;
            at
        })
    };
}

fn revision() -> Option<Revision> {
    Some(Revision { shard: 0, seq: 42, chain: 0xab })
}

/// Answers 401 with what it was sent, two cookies, and a header that is nobody's business.
async fn echo(request: HttpRequest) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let text = |value: &http::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers: BTreeMap<_, _> = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let target = format!("{} {}", head.method, head.uri);
    let seen = serde_json::json!({ "target": target, "headers": headers, "body": String::from_utf8_lossy(&body) });
    let mut answer = (http::StatusCode::UNAUTHORIZED, seen.to_string()).into_response();
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("set-cookie", "a=1"),
        ("x-internal", "1"),
        ("cache-control", "public"),
    ] {
        answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    answer.headers_mut().append("set-cookie", http::HeaderValue::from_static("b=2"));
    answer
}

#[tonic::async_trait]
impl IdentitiesService for Calls {
    async fn get_identity(
        &self,
        request: Request<GetIdentityRequest>,
    ) -> Result<Response<GetIdentityResponse>, Status> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Status::unavailable("broken on purpose"));
        }
        let Some(By::Name(name)) = request.into_inner().identity.and_then(|reference| reference.identity) else {
            return Err(Status::invalid_argument("asked by name only"));
        };
        let id = format!("id-of-{name}");
        let identity = Identity { id, name, state: IdentityState::Active.into(), ..Identity::default() };
        Ok(Response::new(GetIdentityResponse { identity: Some(identity) }))
    }

    async fn disable_identity(
        &self,
        request: Request<DisableIdentityRequest>,
    ) -> Result<Response<DisableIdentityResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.write_down(&metadata, &format!("disable {}", named(request.identity)))?;
        let response = DisableIdentityResponse {
            identity: None,
            revision: revision(),
            committed_at: timestamp!(),
            enforced_within_ms: 17_000,
        };
        Ok(Response::new(response))
    }

    async fn enable_identity(
        &self,
        request: Request<EnableIdentityRequest>,
    ) -> Result<Response<EnableIdentityResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.write_down(&metadata, &format!("enable {}", named(request.identity)))?;
        Ok(Response::new(EnableIdentityResponse::default()))
    }

    async fn create_identity(
        &self,
        _: Request<CreateIdentityRequest>,
    ) -> Result<Response<CreateIdentityResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn list_identities(
        &self,
        _: Request<ListIdentitiesRequest>,
    ) -> Result<Response<ListIdentitiesResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn batch_get_identities(
        &self,
        _: Request<BatchGetIdentitiesRequest>,
    ) -> Result<Response<BatchGetIdentitiesResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn update_identity(
        &self,
        _: Request<UpdateIdentityRequest>,
    ) -> Result<Response<UpdateIdentityResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn delete_identity(
        &self,
        _: Request<DeleteIdentityRequest>,
    ) -> Result<Response<DeleteIdentityResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn set_password(&self, _: Request<SetPasswordRequest>) -> Result<Response<SetPasswordResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn set_identity_roles(
        &self,
        _: Request<SetIdentityRolesRequest>,
    ) -> Result<Response<SetIdentityRolesResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }
}

#[tonic::async_trait]
impl CredentialsService for Calls {
    type WatchEnforcedStream = tonic::Streaming<WatchEnforcedResponse>;

    async fn await_enforced(
        &self,
        request: Request<AwaitEnforcedRequest>,
    ) -> Result<Response<AwaitEnforcedResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.write_down(&metadata, &format!("receipt of {}", request.revision.expect("a revision").seq))?;
        let part = |name: &str, state: GatewayState, acknowledgement| GatewayReceipt {
            gateway_id: name.to_owned(),
            state: state.into(),
            acknowledgement,
            ..GatewayReceipt::default()
        };
        let said = GatewayAcknowledgement { fenced: 2, closed: 1, apply_us: 80 };
        let receipt = Receipt {
            status: ReceiptStatus::Pending.into(),
            elapsed_ms: 3,
            certain_in_ms: 9,
            gateways: vec![
                part("gateway-1", GatewayState::Applied, Some(said)),
                part("gateway-2", GatewayState::Lagging, None),
            ],
            ..Receipt::default()
        };
        Ok(Response::new(AwaitEnforcedResponse { receipt: Some(receipt) }))
    }

    async fn watch_enforced(
        &self,
        _: Request<WatchEnforcedRequest>,
    ) -> Result<Response<Self::WatchEnforcedStream>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn revoke(&self, request: Request<RevokeRequest>) -> Result<Response<RevokeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let target = match request.target.expect("a target") {
            Target::SessionId(id) => format!("{} session {id}", request.tenant),
            Target::Identity(reference) => named(Some(reference)),
            other => panic!("not asked: {other:?}"),
        };
        self.write_down(&metadata, &format!("revoke {target}"))?;
        let response = RevokeResponse {
            revision: revision(),
            enforced_within_ms: 17_000,
            committed_at: timestamp!(),
            sessions: 0,
            keys: 0,
        };
        Ok(Response::new(response))
    }

    async fn list_sessions(&self, _: Request<ListSessionsRequest>) -> Result<Response<ListSessionsResponse>, Status> {
        let session = Session {
            id: "s-1".to_owned(),
            state: SessionState::Revoked.into(),
            device: "This page".to_owned(),
            created_at: timestamp!(),
            ..Session::default()
        };
        Ok(Response::new(ListSessionsResponse { sessions: vec![session], next_page_token: String::new() }))
    }

    async fn get_session(&self, _: Request<GetSessionRequest>) -> Result<Response<GetSessionResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn get_credential(
        &self,
        _: Request<GetCredentialRequest>,
    ) -> Result<Response<GetCredentialResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn list_credentials(
        &self,
        _: Request<ListCredentialsRequest>,
    ) -> Result<Response<ListCredentialsResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn issue_tokens(&self, _: Request<IssueTokensRequest>) -> Result<Response<IssueTokensResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }

    async fn refresh_tokens(
        &self,
        _: Request<RefreshTokensRequest>,
    ) -> Result<Response<RefreshTokensResponse>, Status> {
        Err(Status::unimplemented("not asked by the demonstration"))
    }
}
