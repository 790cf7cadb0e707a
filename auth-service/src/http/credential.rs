//! What a request presents: a bearer, or the session cookie from an allowed origin.
//!
//! An explicit bearer overrides the cookie, and never falls back to it.

use http::{HeaderMap, header};
use portcullis_types::Secret;

use super::Edge;
use super::problem::Problem;
use super::session_cookie;

/// Takes the credential of a request that changes something.
pub(super) fn take(edge: &Edge, headers: &HeaderMap) -> Result<Secret, Problem> {
    if let Some(bearer) = bearer(headers)? {
        return Ok(bearer);
    }
    let cookie = session_cookie::read(headers)?.ok_or(Problem::NoCredential)?;
    if is_allowed(edge, headers) { Ok(cookie) } else { Err(Problem::OriginNotAllowed) }
}

/// The session cookie that comes with a login: the login ends its session. A foreign page must not be able to log a
/// browser into an account of its choosing, nor to end the session that it has.
pub(super) fn take_before_login(
    edge: &Edge,
    headers: &HeaderMap,
    cookie_wanted: bool,
) -> Result<Option<Secret>, Problem> {
    let foreign = headers.contains_key(header::ORIGIN) && !is_allowed(edge, headers);
    match session_cookie::read(headers)? {
        Some(_) | None if foreign && cookie_wanted => Err(Problem::OriginNotAllowed),
        Some(cookie) if is_allowed(edge, headers) => Ok(Some(cookie)),
        Some(_) | None => Ok(None),
    }
}

/// Whether the request says one origin, and that one may use the cookie.
pub(super) fn is_allowed(edge: &Edge, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => edge.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
        (None, _) | (_, Some(_)) => false,
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::TwoCredentials);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Problem::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Problem::Malformed);
    }
    Ok(Some(Secret::from(token)))
}
