//! `AuthenticationService`.

use auth_domain::{LoginAttempt, LoginMode, LoginOutcome, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_service_server::AuthenticationService;
use portcullis_types::{IdentityName, Secret};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::tokens_of;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn log_in(
        &self,
        request: Request<v1::BeginAuthenticationRequest>,
    ) -> Result<v1::BeginAuthenticationResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = admitted.act(Scope::Issue, &tenant)?;
        let Some(v1::begin_authentication_request::Method::Password(method)) = asked.method else {
            return Err(Failure::field("method", "is needed"));
        };
        let attempt = LoginAttempt {
            tenant,
            name: IdentityName::try_from(method.name.as_str()).map_err(Failure::name("password.name"))?,
            password: Secret::from(method.password),
            mode: LoginMode::Tokens,
            device: wire::label("device", &asked.device)?,
            client: wire::client("client_id", &asked.client_id)?,
        };
        let outcome = match self.authority.log_in(&actor, attempt).await? {
            LoginOutcome::Granted(session) => {
                let session = *session;
                v1::begin_authentication_response::Outcome::Authenticated(v1::Authenticated {
                    identity: Some(wire::identity_to_wire(session.identity)),
                    session_id: session.session.id.to_string(),
                    tokens: Some(tokens_of(session.credentials)?),
                })
            }
            LoginOutcome::Denied => v1::begin_authentication_response::Outcome::Denied(v1::AuthenticationDenied {}),
        };
        Ok(v1::BeginAuthenticationResponse { outcome: Some(outcome) })
    }
}

#[tonic::async_trait]
impl AuthenticationService for Api {
    async fn begin_authentication(
        &self,
        request: Request<v1::BeginAuthenticationRequest>,
    ) -> Result<Response<v1::BeginAuthenticationResponse>, Status> {
        Ok(Response::new(self.log_in(request).await?))
    }
}
