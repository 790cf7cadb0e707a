//! `POST /v1/token`: a refresh token for the next pair.

use auth_domain::{Actor, RefreshOutcome};
use axum::Json;
use axum::extract::State;
use portcullis_types::Secret;
use serde::Deserialize;

use super::login::Tokens;
use super::problem::Problem;
use super::{Edge, body};

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

/// Spends a refresh token.
pub(super) async fn token(
    State(edge): State<Edge>,
    body::Json(asked): body::Json<TokenRequest>,
) -> Result<Json<Tokens>, Problem> {
    match edge.authority.refresh_tokens(&Actor::edge(), &Secret::from(asked.refresh_token)).await? {
        RefreshOutcome::Granted(pair) => Ok(Json(Tokens::of(&pair)?)),
        RefreshOutcome::Denied(reason) => Err(Problem::Denied(reason)),
    }
}
