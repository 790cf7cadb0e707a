//! What a request presents: a bearer, or the session cookie of a page that may use it.
//!
//! An explicit bearer overrides the cookie, and never falls back to it. Cookies rule nothing on a foreign page's word:
//! - a request that changes something needs an `Origin` that is exactly on the allow-list; browsers send one with every
//!   such request, and no page can choose it;
//! - a request that only reads may come without one, because browsers leave it out within one origin: then
//!   `Sec-Fetch-Site: same-origin`, which no page can choose either, must say so.

use auth_domain::CookieUse;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use portcullis_types::Secret;

use super::Edge;
use super::problem::Problem;
use super::session_cookie;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A credential as it was presented.
#[derive(Debug)]
pub(super) enum Taken {
    /// In the `Authorization` header.
    Bearer(Secret),
    /// In the cookie.
    Cookie(Secret),
}

impl Taken {
    /// The credential.
    pub(super) const fn secret(&self) -> &Secret {
        match self {
            Self::Bearer(secret) | Self::Cookie(secret) => secret,
        }
    }

    /// Whether it is the cookie.
    pub(super) const fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie(_))
    }

    /// Notes that a cookie is used. What is good from now on, and the header that sets it when it is another one.
    pub(super) async fn used(self, edge: &Edge) -> Result<(Secret, Option<HeaderValue>), Problem> {
        let cookie = match self {
            Self::Bearer(secret) => return Ok((secret, None)),
            Self::Cookie(secret) => secret,
        };
        match edge.authority.use_cookie(&cookie).await?.map_err(Problem::Denied)? {
            CookieUse::Kept => Ok((cookie, None)),
            CookieUse::Exchanged { value, expires_in } => {
                let header = session_cookie::set(&value, expires_in.as_secs()).ok_or(Problem::Internal)?;
                Ok((value, Some(header)))
            }
        }
    }
}

/// Takes the credential of a request that changes something.
pub(super) fn take(edge: &Edge, headers: &HeaderMap) -> Result<Taken, Problem> {
    take_if(headers, || is_allowed(edge, headers))
}

/// Takes the credential of a request that only reads.
pub(super) fn take_to_read(edge: &Edge, headers: &HeaderMap) -> Result<Taken, Problem> {
    take_if(headers, || is_allowed(edge, headers) || is_of_one_origin(headers))
}

fn take_if(headers: &HeaderMap, cookie_may: impl FnOnce() -> bool) -> Result<Taken, Problem> {
    if let Some(bearer) = bearer(headers)? {
        return Ok(Taken::Bearer(bearer));
    }
    let cookie = session_cookie::read(headers)?.ok_or(Problem::NoCredential)?;
    if cookie_may() { Ok(Taken::Cookie(cookie)) } else { Err(Problem::OriginNotAllowed) }
}

/// The session cookie that comes with a login: the login ends its session. A foreign page must not be able to log a
/// browser into an account of its choosing, nor to end the session that it has.
pub(super) fn take_before_login(
    edge: &Edge,
    headers: &HeaderMap,
    cookie_wanted: bool,
) -> Result<Option<Secret>, Problem> {
    let foreign = says_foreign(headers) && !is_allowed(edge, headers);
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

fn is_of_one_origin(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::ORIGIN) && headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin")
}

/// Programs send neither header.
fn says_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    site || headers.contains_key(header::ORIGIN)
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
