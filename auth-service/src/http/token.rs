//! `POST /v1/token`: a refresh token for the next pair; and, for whoever speaks OAuth, a service's API key for a token.
//!
//! The body says which language is spoken. In JSON a page of ours refreshes, and is told problems as everywhere here. In
//! a form it is RFC 6749 that any client library speaks (`oauth`), with the errors of its section 5.2.

use std::net::IpAddr;

use auth_domain::{Actor, RefreshOutcome};
use axum::Json;
use axum::extract::{FromRequest, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, header};
use portcullis_types::Secret;
use serde::Deserialize;

use super::client::ClientAddress;
use super::login::Tokens;
use super::problem::Problem;
use super::{Edge, body, oauth};

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    #[serde(rename = "grant_type")]
    _grant: Grant,
    refresh_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Grant {
    RefreshToken,
}

/// A body in either language.
pub(super) enum Asked {
    Json(TokenRequest),
    Form(Bytes),
}

impl FromRequest<Edge> for Asked {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if media.eq_ignore_ascii_case(FORM) {
            return Ok(Self::Form(body::whole(request, edge).await?));
        }
        body::Json::from_request(request, edge).await.map(|body::Json(asked)| Self::Json(asked))
    }
}

/// Spends a refresh token, or exchanges a service's key.
pub(super) async fn token(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    asked: Asked,
) -> Response {
    match asked {
        Asked::Json(asked) => refresh(&edge, from, &Secret::from(asked.refresh_token)).await.into_response(),
        Asked::Form(form) => oauth::answer(&edge, from, &headers, query.as_deref(), &form).await.into_response(),
    }
}

async fn refresh(edge: &Edge, from: Option<IpAddr>, token: &Secret) -> Result<Json<Tokens>, Problem> {
    match edge.authority.refresh_tokens(&Actor::edge().at(from), token).await? {
        RefreshOutcome::Granted(pair) => Ok(Json(Tokens::of(&pair)?)),
        RefreshOutcome::Denied(reason) => Err(Problem::Denied(reason)),
    }
}
