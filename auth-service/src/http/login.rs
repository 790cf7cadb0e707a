//! `POST /v1/login`: a name and a password for tokens, or for a cookie; and `POST /v1/login/continue`, when more is
//! needed.

use auth_domain::{
    Actor, Brought, Challenge, Challenged, ContinueError, KnownDevice, Label, LoginAttempt, LoginError, LoginMode,
    LoginOutcome, NewSession, Proof, SessionCredentials,
};
use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use portcullis_types::{ClientId, IdentityName, InvalidName, Secret, TenantId};
use serde::{Deserialize, Serialize};

use super::client::ClientAddress;
use super::problem::Problem;
use super::{Edge, body, credential, device_cookie, seconds_up, session_cookie, text_of};
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
    #[serde(default)]
    device_token: Option<String>,
    #[serde(default)]
    remember_device: bool,
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
    #[serde(flatten)]
    device: Option<Device>,
}

/// What the device is remembered by, for whoever asked for it.
#[derive(Serialize)]
struct Device {
    device_token: String,
    device_expires_in: u64,
}

/// Who it is.
#[derive(Serialize)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) name: String,
}

impl LoginResponse {
    /// As it is told: tokens are in it, a cookie is not.
    fn of(opened: &NewSession) -> Result<Self, Problem> {
        Ok(Self {
            identity: Identity { id: opened.identity.id.to_string(), name: opened.identity.name.to_string() },
            session: opened.session.id.to_string(),
            tokens: match &opened.credentials {
                SessionCredentials::Tokens(pair) => Some(Tokens::of(pair)?),
                SessionCredentials::Cookie { .. } => None,
            },
            device: None,
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
    #[serde(default)]
    device_token: Option<String>,
    #[serde(default)]
    remember_device: bool,
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
    let device = ShownDevice::of(&headers, asked.device_token.as_deref(), asked.remember_device);
    let attempt = LoginAttempt { from, brought: device.brought(replaces), ..attempt(asked)? };
    let outcome = edge.authority.log_in(&Actor::edge(), attempt).await;
    edge.metrics.logins.ended(logins::PASSWORD, &outcome);
    device.answer(outcome?)
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
    let device = ShownDevice::of(&headers, asked.device_token.as_deref(), asked.remember_device);
    let (method, brought) = (logins::method_of(&proof), device.brought(replaces));
    let outcome = edge.authority.continue_login(&Actor::edge().at(from), &continuation, proof, brought).await;
    edge.metrics.logins.ended(method, &outcome);
    device.answer(outcome?)
}

/// What a request says of the device that it comes from: in its body, where whoever takes tokens keeps what it is known
/// by; otherwise in the cookie, which no answer's body tells to a script.
struct ShownDevice {
    value: Option<Secret>,
    remember: bool,
    in_body: bool,
}

impl ShownDevice {
    fn of(headers: &HeaderMap, token: Option<&str>, remember: bool) -> Self {
        let in_body = remember || token.is_some();
        let value = if in_body { token.map(Secret::from) } else { device_cookie::read(headers) };
        Self { value, remember, in_body }
    }

    fn brought(&self, replaces: Option<Secret>) -> Brought {
        Brought { replaces, device: self.value.clone(), remember: self.remember }
    }

    fn answer(&self, outcome: LoginOutcome) -> Result<Response, Problem> {
        match outcome {
            LoginOutcome::Granted(session) => {
                let (answer, cookies) = told(&session, self.in_body)?;
                Ok((cookies, Json(answer)).into_response())
            }
            LoginOutcome::Challenged(challenged) => challenge(&challenged),
            LoginOutcome::Denied(refusal) => {
                Err(Problem::InvalidCredentials { retry_after: seconds_up(refusal.retry_after) })
            }
        }
    }
}

/// What an answer sets besides its body.
type Cookies = AppendHeaders<Vec<(HeaderName, HeaderValue)>>;

/// A session that was opened, as it is told, and the cookies that it sets. What the device is known by is in the body for
/// programs that said so, and for no script.
pub(super) fn told(opened: &NewSession, in_body: bool) -> Result<(LoginResponse, Cookies), Problem> {
    let mut answer = LoginResponse::of(opened)?;
    let mut cookies: Vec<_> = session_cookie::of(&opened.credentials)?.into_iter().collect();
    match (&opened.credentials, &opened.device) {
        (SessionCredentials::Cookie { .. }, Some(device)) => cookies.push(device_cookie::set(device)?),
        (SessionCredentials::Tokens(_), Some(device)) if in_body => answer.device = Some(Device::of(device)?),
        (SessionCredentials::Cookie { .. } | SessionCredentials::Tokens(_), _) => {}
    }
    Ok((answer, AppendHeaders(cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie)).collect())))
}

impl Device {
    fn of(device: &KnownDevice) -> Result<Self, Problem> {
        Ok(Self { device_token: text_of(&device.value)?, device_expires_in: device.expires_in.as_secs() })
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
        brought: Brought::default(),
    })
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
