//! `AuthenticationService`.

use std::net::IpAddr;

use auth_domain::{
    Brought, Challenge, Challenged, LoginAttempt, LoginMode, LoginOutcome, NewSession, Proof, Refusal, Scope,
};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_service_server::AuthenticationService;
use portcullis_types::{IdentityName, Secret};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::tokens_of;
use super::errors::Failure;
use super::{Api, wire};
use crate::metrics::logins;

impl Api {
    async fn log_in(
        &self,
        request: Request<v1::BeginAuthenticationRequest>,
    ) -> Result<v1::BeginAuthenticationResponse, Failure> {
        use v1::begin_authentication_response::Outcome;
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
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
            from: client_address(&asked.client_address)?,
            brought: brought(asked.device_token, asked.remember_device),
        };
        let outcome = self.authority.log_in(&actor, attempt).await;
        self.metrics.logins.ended(logins::PASSWORD, &outcome);
        let outcome = match outcome? {
            LoginOutcome::Granted(session) => Outcome::Authenticated(authenticated(*session)?),
            LoginOutcome::Challenged(challenged) => Outcome::Challenged(challenge(*challenged)?),
            LoginOutcome::Denied(refusal) => Outcome::Denied(denied(refusal)),
        };
        Ok(v1::BeginAuthenticationResponse { outcome: Some(outcome) })
    }

    async fn go_on(
        &self,
        request: Request<v1::ContinueAuthenticationRequest>,
    ) -> Result<v1::ContinueAuthenticationResponse, Failure> {
        use v1::continue_authentication_request::Proof as Given;
        use v1::continue_authentication_response::Outcome;
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
        let continuation = Secret::from(asked.continuation);
        let brought = brought(asked.device_token, asked.remember_device);
        let proof = match asked.proof.ok_or_else(|| Failure::field("proof", "is needed"))? {
            Given::TotpCode(code) => Proof::TotpCode(Secret::from(code)),
            Given::RecoveryCode(code) => Proof::RecoveryCode(Secret::from(code)),
            Given::NewPassword(password) => Proof::NewPassword(Secret::from(password)),
        };
        let method = logins::method_of(&proof);
        let outcome = self.authority.continue_login(&actor, &continuation, proof, brought).await;
        self.metrics.logins.ended(method, &outcome);
        let outcome = match outcome? {
            LoginOutcome::Granted(session) => Outcome::Authenticated(authenticated(*session)?),
            LoginOutcome::Challenged(challenged) => Outcome::Challenged(challenge(*challenged)?),
            LoginOutcome::Denied(refusal) => Outcome::Denied(denied(refusal)),
        };
        Ok(v1::ContinueAuthenticationResponse { outcome: Some(outcome) })
    }
}

/// What a back end keeps for a device. It knows sessions by their tokens, and replaces none.
fn brought(device: String, remember: bool) -> Brought {
    let device = (!device.is_empty()).then(|| Secret::from(device));
    Brought { replaces: None, device, remember }
}

/// From where a person comes, as a back end says it.
pub(super) fn client_address(text: &str) -> Result<Option<IpAddr>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Failure::field("client_address", "must be an IPv4 or IPv6 address, or empty"))
}

fn authenticated(session: NewSession) -> Result<v1::Authenticated, Failure> {
    Ok(v1::Authenticated {
        identity: Some(wire::identity_to_wire(session.identity)),
        session_id: session.session.id.to_string(),
        tokens: Some(tokens_of(session.credentials)?),
        device_token: session.device.as_ref().map_or(Ok(String::new()), |device| wire::secret(&device.value))?,
        device_expires_in_ms: session.device.map_or(0, |device| wire::millis(device.expires_in)),
    })
}

fn challenge(challenged: Challenged) -> Result<v1::AuthenticationChallenge, Failure> {
    use v1::authentication_challenge::Challenge as Asked;
    Ok(v1::AuthenticationChallenge {
        continuation: wire::secret(&challenged.continuation)?,
        expires_in_ms: wire::millis(challenged.expires_in),
        challenge: Some(match challenged.challenge {
            Challenge::SecondFactor { recovery_codes_left } => {
                Asked::SecondFactor(v1::SecondFactorChallenge { recovery_codes_left })
            }
            Challenge::NewPassword => Asked::NewPassword(v1::NewPasswordChallenge {}),
        }),
        refused_before: challenged.refused_before,
    })
}

fn denied(refusal: Refusal) -> v1::AuthenticationDenied {
    v1::AuthenticationDenied { retry_after_ms: wire::millis_up(refusal.retry_after) }
}

#[tonic::async_trait]
impl AuthenticationService for Api {
    async fn begin_authentication(
        &self,
        request: Request<v1::BeginAuthenticationRequest>,
    ) -> Result<Response<v1::BeginAuthenticationResponse>, Status> {
        Ok(Response::new(self.log_in(request).await?))
    }

    async fn continue_authentication(
        &self,
        request: Request<v1::ContinueAuthenticationRequest>,
    ) -> Result<Response<v1::ContinueAuthenticationResponse>, Status> {
        Ok(Response::new(self.go_on(request).await?))
    }
}
