//! Which pages of other origins may read the answers (CORS, in the Fetch standard).
//!
//! Guarantees: only origins that are exactly on the allow-list, each named back alone, never a wildcard; an answer that
//! depends on the origin says so to caches.

use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::problem::Problem;
use super::{Edge, credential};

/// The headers that a page may send beyond those that need no permission.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");
/// The headers that a page may read beyond those that need no permission.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("etag, retry-after, www-authenticate");
/// For how many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Whether a browser asks whether it may ask.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that, where these methods are. Nothing else is looked at: what is sent then is judged then.
pub(super) fn preflight(edge: &Edge, headers: &HeaderMap, methods: &'static str) -> Response {
    if !credential::is_allowed(edge, headers) {
        return Problem::OriginNotAllowed.into_response();
    }
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

/// Names an allowed origin back; says to caches on what the answer depends in any case.
pub(super) fn name_origin(edge: &Edge, asked: &HeaderMap, answer: &mut HeaderMap) {
    answer.append(VARY, HeaderValue::from_static("origin"));
    if !credential::is_allowed(edge, asked) {
        return;
    }
    if let Some(origin) = asked.get(ORIGIN) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
}
