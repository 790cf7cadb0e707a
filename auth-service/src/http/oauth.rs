//! The token endpoint as RFC 6749 has it: `client_credentials` (4.4) and `refresh_token` (6).
//!
//! Owns the words of OAuth, and no rules. A service's client id is the id of its API key and its client secret is the key,
//! so a client library needs nothing that the service does not have; what it gets is what `IssueServiceToken` gives.
//! Refuses: a parameter that is there twice, two ways to authenticate in one request, a URL with anything in it (secrets
//! in URLs are written down on their way), and the refresh token of another client's session.

mod client;
mod error;
mod parameters;

use std::net::IpAddr;

use auth_domain::{Actor, BeginError, CallerError, RefreshOutcome, Scopes, ServiceTokenError};
use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use portcullis_types::InvalidName;
use serde::Serialize;

use self::error::Refused;
use self::parameters::Parameters;
use super::login::Tokens;
use super::problem::Problem;
use super::{Edge, text_of};
use crate::denial;

/// A token of a service, in the words of OAuth.
#[derive(Serialize)]
struct ServiceToken {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    /// What it may do; absent where that is nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
}

/// Does what the form asks.
pub(super) async fn answer(
    edge: &Edge,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    query: Option<&str>,
    form: &[u8],
) -> Result<Response, Refused> {
    if query.is_some() {
        return Err(Refused::InvalidRequest("parameters are in the body, never in the URL"));
    }
    let asked = Parameters::read(form)?;
    let answer = match asked.grant_type.as_deref() {
        Some("client_credentials") => Json(exchange(edge, from, headers, asked).await?).into_response(),
        Some("refresh_token") => Json(refresh(edge, from, headers, asked).await?).into_response(),
        Some(_) => return Err(Refused::UnsupportedGrantType),
        None => return Err(Refused::InvalidRequest("`grant_type` is needed")),
    };
    // For caches of HTTP/1.0, as RFC 6749 asks; `Cache-Control` is on every answer.
    Ok(([(header::PRAGMA, HeaderValue::from_static("no-cache"))], answer).into_response())
}

/// A service's key for a token with all of its scopes, or with those that are asked for.
async fn exchange(
    edge: &Edge,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    asked: Parameters,
) -> Result<ServiceToken, Refused> {
    let key = client::key(headers, asked.client_id.as_deref(), asked.client_secret)?;
    let caller = edge.authority.authenticate_caller(&key, from).await?;
    let scopes = asked.scope.as_deref().map(scopes).transpose()?;
    let issued = edge.authority.issue_service_token(&caller, scopes, None).await?;
    // Nobody names a request here, so none was answered before.
    let token = issued.token.ok_or(Problem::Internal)?;
    Ok(ServiceToken {
        access_token: text_of(&token)?,
        token_type: "Bearer",
        expires_in: issued.expires_in.as_secs(),
        scope: issued.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
    })
}

/// A refresh token for the next pair. Clients of ours are public: one that proves who it is means something else.
async fn refresh(edge: &Edge, from: Option<IpAddr>, headers: &HeaderMap, asked: Parameters) -> Result<Tokens, Refused> {
    if headers.contains_key(header::AUTHORIZATION) || asked.client_secret.is_some() {
        return Err(Refused::InvalidClient);
    }
    // What a session may do is its identity's roles: there is nothing to narrow.
    if asked.scope.is_some() {
        return Err(Refused::InvalidScope);
    }
    let token = asked.refresh_token.ok_or(Refused::InvalidRequest("`refresh_token` is needed"))?;
    match edge.authority.refresh_tokens_of(&Actor::edge().at(from), &token, asked.client_id.as_deref()).await? {
        RefreshOutcome::Granted(pair) => Ok(Tokens::of(&pair)?),
        RefreshOutcome::Denied(reason) => Err(Refused::InvalidGrant(denial::text(reason))),
    }
}

fn scopes(text: &str) -> Result<Scopes, Refused> {
    let mut names = text.split(' ').filter(|name| !name.is_empty()).peekable();
    if names.peek().is_none() {
        return Err(Refused::InvalidScope);
    }
    names.map(|name| name.try_into().map_err(|_: InvalidName| Refused::InvalidScope)).collect()
}

impl From<CallerError> for Refused {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Unauthenticated => Self::InvalidClient,
            CallerError::Store(error) => Self::Other(error.into()),
        }
    }
}

impl From<ServiceTokenError> for Refused {
    fn from(error: ServiceTokenError) -> Self {
        match error {
            ServiceTokenError::ScopesBeyondKey => Self::InvalidScope,
            // It died while this waited.
            ServiceTokenError::Begin(BeginError::CallerRefused) | ServiceTokenError::NotByKey => Self::InvalidClient,
            ServiceTokenError::Begin(error) => Self::Other(error.into()),
            // No life is asked for, so it is as long as it may be.
            ServiceTokenError::TooLong => Self::Other(Problem::Internal),
            ServiceTokenError::Store(error) => Self::Other(error.into()),
        }
    }
}
