//! `GET /.well-known/jwks.json`: the public keys whose signatures are good.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};

use super::Edge;
use super::problem::Problem;
use super::public;

/// Reads the keys.
pub(super) async fn jwks(State(edge): State<Edge>, headers: HeaderMap) -> Result<Response, Problem> {
    let keys = edge.authority.jwks().await?.to_string();
    let max_age = edge.authority.settings().keys.jwks_max_age;
    let mut response = public::document(&headers, keys.into(), max_age);
    // RFC 7517, 8.5.2.
    if response.headers().contains_key(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/jwk-set+json"));
    }
    Ok(response.into_response())
}
