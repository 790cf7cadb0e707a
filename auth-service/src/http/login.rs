//! `POST /v1/login`: a name and a password for tokens, or for a cookie; and `POST /v1/login/continue`, when more is
//! needed.

use auth_domain::{
    Actor, Challenge, Challenged, ContinueError, Label, LoginAttempt, LoginError, LoginMode, LoginOutcome, NewSession,
    Proof, SessionCredentials,
};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use portcullis_types::{ClientId, IdentityName, InvalidName, Secret, TenantId};
use serde::{Deserialize, Serialize};

use super::client::ClientAddress;
use super::problem::Problem;
use super::{Edge, body, credential, seconds_up, session_cookie, text_of};
use crate::metrics::logins;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    tenant: String,
    name: String,
    password: String,
    mode: Mode,
    #[serde(default)]
    device: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Token,
    Cookie,
}

/// A session that was opened now.
#[derive(Serialize)]
pub(super) struct LoginResponse {
    identity: Identity,
    session: String,
    #[serde(flatten)]
    tokens: Option<Tokens>,
}

/// Who it is.
#[derive(Serialize)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) name: String,
}

impl LoginResponse {
    /// As it is told: tokens are in it, a cookie is not.
    pub(super) fn of(opened: &NewSession) -> Result<Self, Problem> {
        Ok(Self {
            identity: Identity { id: opened.identity.id.to_string(), name: opened.identity.name.to_string() },
            session: opened.session.id.to_string(),
            tokens: match &opened.credentials {
                SessionCredentials::Tokens(pair) => Some(Tokens::of(pair)?),
                SessionCredentials::Cookie { .. } => None,
            },
        })
    }
}

/// A pair of tokens, in the words of OAuth.
#[derive(Serialize)]
pub(super) struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
    refresh_expires_in: u64,
}

impl Tokens {
    /// The pair as it is handed out.
    pub(super) fn of(pair: &auth_domain::TokenPair) -> Result<Self, Problem> {
        Ok(Self {
            access_token: text_of(&pair.access)?,
            token_type: "Bearer",
            expires_in: pair.access_expires_in.as_secs(),
            refresh_token: text_of(&pair.refresh)?,
            refresh_expires_in: pair.refresh_expires_in.as_secs(),
        })
    }
}

/// A login that goes on.
#[derive(Serialize)]
struct ChallengeResponse {
    continuation: String,
    expires_in: u64,
    challenge: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes_left: Option<u32>,
    refused_before: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContinueRequest {
    continuation: String,
    proof: Given,
}

/// What the challenge asks for: one of these.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    TotpCode(String),
    RecoveryCode(String),
    NewPassword(String),
}

/// Logs in, or says what else is needed.
pub(super) async fn login(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    body::Json(asked): body::Json<LoginRequest>,
) -> Result<Response, Problem> {
    let replaces = credential::take_before_login(&edge, &headers, matches!(asked.mode, Mode::Cookie))?;
    let attempt = LoginAttempt { from, replaces, ..attempt(asked)? };
    let outcome = edge.authority.log_in(&Actor::edge(), attempt).await;
    edge.metrics.logins.ended(logins::PASSWORD, &outcome);
    answer(outcome?)
}

/// Goes on with a login that was asked for more.
pub(super) async fn go_on(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    body::Json(asked): body::Json<ContinueRequest>,
) -> Result<Response, Problem> {
    // Whether a cookie will come of it was said at the beginning, so the stricter rule holds for all.
    let replaces = credential::take_before_login(&edge, &headers, true)?;
    let proof = match asked.proof {
        Given::TotpCode(code) => Proof::TotpCode(Secret::from(code)),
        Given::RecoveryCode(code) => Proof::RecoveryCode(Secret::from(code)),
        Given::NewPassword(password) => Proof::NewPassword(Secret::from(password)),
    };
    let continuation = Secret::from(asked.continuation);
    let method = logins::method_of(&proof);
    let outcome = edge.authority.continue_login(&Actor::edge().at(from), &continuation, proof, replaces).await;
    edge.metrics.logins.ended(method, &outcome);
    answer(outcome?)
}

fn answer(outcome: LoginOutcome) -> Result<Response, Problem> {
    match outcome {
        LoginOutcome::Granted(session) => granted(&session),
        LoginOutcome::Challenged(challenged) => challenge(&challenged),
        LoginOutcome::Denied(refusal) => {
            Err(Problem::InvalidCredentials { retry_after: seconds_up(refusal.retry_after) })
        }
    }
}

fn challenge(challenged: &Challenged) -> Result<Response, Problem> {
    let (challenge, recovery_codes_left) = match challenged.challenge {
        Challenge::SecondFactor { recovery_codes_left } => ("second_factor", Some(recovery_codes_left)),
        Challenge::NewPassword => ("new_password", None),
    };
    let body = ChallengeResponse {
        continuation: text_of(&challenged.continuation)?,
        expires_in: challenged.expires_in.as_secs(),
        challenge,
        recovery_codes_left,
        refused_before: challenged.refused_before,
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn attempt(asked: LoginRequest) -> Result<LoginAttempt, Problem> {
    let field = |invalid: InvalidName| Problem::InvalidField(invalid.rule);
    Ok(LoginAttempt {
        tenant: TenantId::try_from(asked.tenant.as_str()).map_err(field)?,
        name: IdentityName::try_from(asked.name.as_str()).map_err(field)?,
        password: Secret::from(asked.password),
        mode: match asked.mode {
            Mode::Token => LoginMode::Tokens,
            Mode::Cookie => LoginMode::Cookie,
        },
        device: asked.device.as_deref().map(Label::try_from).transpose().map_err(field)?,
        client: asked.client_id.as_deref().map(ClientId::try_from).transpose().map_err(field)?,
        from: None,
        replaces: None,
    })
}

fn granted(opened: &NewSession) -> Result<Response, Problem> {
    let cookie = session_cookie::of(&opened.credentials)?.map(|cookie| [(header::SET_COOKIE, cookie)]);
    Ok((cookie, Json(LoginResponse::of(opened)?)).into_response())
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Hash(error) => error.into(),
            LoginError::Begin(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<ContinueError> for Problem {
    fn from(error: ContinueError) -> Self {
        match error {
            ContinueError::OtherProofWanted => Self::ProofUnwanted,
            ContinueError::Password(rule) => Self::InvalidPassword(rule),
            ContinueError::Login(error) => error.into(),
        }
    }
}
