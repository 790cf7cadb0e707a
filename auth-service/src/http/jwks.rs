//! `GET /.well-known/jwks.json`: the public keys whose signatures are good.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;

use super::Edge;
use super::problem::Problem;

/// Reads the keys.
pub(super) async fn jwks(State(edge): State<Edge>) -> Result<Response, Problem> {
    let keys = edge.authority.jwks().await?;
    let max_age = edge.authority.settings().keys.jwks_max_age.as_secs();
    Ok(([(header::CACHE_CONTROL, format!("public, max-age={max_age}"))], Json(keys)).into_response())
}
