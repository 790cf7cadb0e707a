//! `POST /v1/login`: a name and a password for tokens, or for a cookie.

use std::time::Duration;

use auth_domain::{Actor, Label, LoginAttempt, LoginError, LoginMode, LoginOutcome, NewSession, SessionCredentials};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use portcullis_types::{ClientId, IdentityName, InvalidName, Secret, TenantId};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{Edge, body, credential, session_cookie, text_of};

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

#[derive(Serialize)]
struct LoginResponse {
    identity: Identity,
    session: String,
    #[serde(flatten)]
    tokens: Option<Tokens>,
}

#[derive(Serialize)]
struct Identity {
    id: String,
    name: String,
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

/// Logs in.
pub(super) async fn login(
    State(edge): State<Edge>,
    headers: HeaderMap,
    body::Json(asked): body::Json<LoginRequest>,
) -> Result<Response, Problem> {
    // A foreign page must not be able to log a browser into an account of its choosing.
    let foreign = headers.contains_key(header::ORIGIN) && !credential::is_allowed(&edge, &headers);
    if matches!(asked.mode, Mode::Cookie) && foreign {
        return Err(Problem::OriginNotAllowed);
    }
    match edge.authority.log_in(&Actor::edge(), attempt(asked)?).await? {
        LoginOutcome::Granted(session) => granted(*session),
        LoginOutcome::Denied => Err(Problem::InvalidCredentials),
    }
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
    })
}

fn granted(opened: NewSession) -> Result<Response, Problem> {
    let answer = |tokens| {
        Json(LoginResponse {
            identity: Identity { id: opened.identity.id.to_string(), name: opened.identity.name.to_string() },
            session: opened.session.id.to_string(),
            tokens,
        })
    };
    match &opened.credentials {
        SessionCredentials::Tokens(pair) => Ok(answer(Some(Tokens::of(pair)?)).into_response()),
        SessionCredentials::Cookie { value, expires_in } => cookie(value, *expires_in, answer(None)),
    }
}

fn cookie(value: &Secret, expires_in: Duration, answer: Json<LoginResponse>) -> Result<Response, Problem> {
    let cookie = session_cookie::set(value, expires_in.as_secs()).ok_or(Problem::Internal)?;
    Ok(([(header::SET_COOKIE, cookie)], answer).into_response())
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
