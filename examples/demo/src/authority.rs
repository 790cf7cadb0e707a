//! The authority as this back end sees it: six calls of `portcullis.auth.v1`, made with its API key.
//!
//! Guarantees: the key travels only in the `authorization` metadata and is marked sensitive; every call has a deadline.
//! The connection is made when it is first needed and again after it broke.

use std::time::Duration;

use http::StatusCode;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use portcullis_proto::auth::v1::identity_reference::Identity as By;
use portcullis_proto::auth::v1::revoke_request::Target;
use portcullis_proto::auth::v1::{
    AwaitEnforcedRequest, DisableIdentityRequest, EnableIdentityRequest, GetIdentityRequest, Identity,
    IdentityReference, ListSessionsRequest, Receipt, RevocationReason, RevokeRequest, RevokeResponse, Session,
};
use portcullis_proto::auth::v1::{DisableIdentityResponse, EnableIdentityResponse};
use portcullis_types::{Revision, Secret, SessionId, TenantId};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::problem::Problem;

const DEADLINE: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(10);
/// So many sessions are shown; the page does not turn pages.
const SESSIONS: u32 = 20;

/// Adds this back end's key to every call.
#[derive(Clone)]
struct WithKey(MetadataValue<Ascii>);

impl tonic::service::Interceptor for WithKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Calls the authority about the users of one tenant.
#[derive(Clone)]
pub(crate) struct Authority {
    tenant: TenantId,
    identities: IdentitiesServiceClient<InterceptedService<Channel, WithKey>>,
    credentials: CredentialsServiceClient<InterceptedService<Channel, WithKey>>,
}

impl Authority {
    /// Does not connect yet: the authority may start later.
    pub(crate) fn new(address: &http::Uri, key: &Secret, tenant: TenantId) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(address.to_string())?
            .connect_timeout(DEADLINE)
            .timeout(DEADLINE)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(DEADLINE)
            .connect_lazy();
        let bearer = format!("Bearer {}", key.expose_str().unwrap_or_default());
        let mut bearer = MetadataValue::try_from(bearer).expect("a key's form was checked: ASCII without blanks");
        bearer.set_sensitive(true);
        let with_key = WithKey(bearer);
        Ok(Self {
            tenant,
            identities: IdentitiesServiceClient::with_interceptor(channel.clone(), with_key.clone()),
            credentials: CredentialsServiceClient::with_interceptor(channel, with_key),
        })
    }

    /// The tenant.
    pub(crate) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Who has this name.
    pub(crate) async fn identity(&self, name: &str) -> Result<Option<Identity>, Status> {
        let request = GetIdentityRequest { identity: Some(self.named(name)) };
        Ok(self.identities.clone().get_identity(request).await?.into_inner().identity)
    }

    /// The newest sessions of a user.
    pub(crate) async fn sessions(&self, name: &str) -> Result<Vec<Session>, Status> {
        let identity = Some(self.named(name));
        let request = ListSessionsRequest { identity, page_size: SESSIONS, ..Default::default() };
        Ok(self.credentials.clone().list_sessions(request).await?.into_inner().sessions)
    }

    /// Ends one session and what was issued under it.
    pub(crate) async fn revoke_session(&self, session: SessionId) -> Result<RevokeResponse, Status> {
        self.revoke(Target::SessionId(session.to_string())).await
    }

    /// Ends every session a user has now: log out everywhere.
    pub(crate) async fn revoke_identity(&self, name: &str) -> Result<RevokeResponse, Status> {
        self.revoke(Target::Identity(self.named(name))).await
    }

    /// Refuses a user from now on.
    pub(crate) async fn disable(&self, name: &str) -> Result<DisableIdentityResponse, Status> {
        let request = DisableIdentityRequest { identity: Some(self.named(name)), ..Default::default() };
        Ok(self.identities.clone().disable_identity(request).await?.into_inner())
    }

    /// Lets a user log in again; what was ended stays ended.
    pub(crate) async fn enable(&self, name: &str) -> Result<EnableIdentityResponse, Status> {
        let request = EnableIdentityRequest { identity: Some(self.named(name)), ..Default::default() };
        Ok(self.identities.clone().enable_identity(request).await?.into_inner())
    }

    /// How a revocation stands now.
    pub(crate) async fn receipt(&self, revision: Revision) -> Result<Option<Receipt>, Status> {
        let request = AwaitEnforcedRequest { revision: Some(revision.into()), timeout_ms: 0 };
        Ok(self.credentials.clone().await_enforced(request).await?.into_inner().receipt)
    }

    async fn revoke(&self, target: Target) -> Result<RevokeResponse, Status> {
        let request = RevokeRequest {
            tenant: self.tenant.as_str().to_owned(),
            target: Some(target),
            reason: RevocationReason::Administrative.into(),
            ..Default::default()
        };
        Ok(self.credentials.clone().revoke(request).await?.into_inner())
    }

    fn named(&self, name: &str) -> IdentityReference {
        IdentityReference { tenant: self.tenant.as_str().to_owned(), identity: Some(By::Name(name.to_owned())) }
    }
}

/// What the page is told when a call has no answer. The status' own message stays in the log.
impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        tracing::warn!(code = ?status.code(), message = status.message(), "a call to the authority failed");
        match status.code() {
            Code::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", "The authority knows no such thing."),
            Code::InvalidArgument | Code::OutOfRange => {
                Self::new(StatusCode::BAD_REQUEST, "malformed", "The authority calls the request malformed.")
            }
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
                Self::new(StatusCode::CONFLICT, "conflict", "The authority cannot do that in the present state.")
            }
            Code::ResourceExhausted => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "The authority asks to slow down.")
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                Self::new(StatusCode::BAD_GATEWAY, "key_refused", "The authority refuses this back end's API key.")
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => UNAVAILABLE,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                Self::new(StatusCode::BAD_GATEWAY, "authority_failed", "The authority failed to answer.")
            }
        }
    }
}

/// The authority does not answer.
pub(crate) const UNAVAILABLE: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "authority_unavailable", "The authority does not answer.");
