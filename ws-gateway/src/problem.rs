//! Refusals over HTTP as RFC 9457 problem documents.
//!
//! Guarantees that a document holds fixed words only: nothing of the request is repeated. A refusal that time can heal
//! says when to come back, drawn at random, so that those who were refused together do not return together.

use axum::body::Body;
use gateway_core::Denial;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use portcullis_types::Entropy;

/// A client that was refused for now comes back after 1 to this many seconds.
const MOST_RETRY_SECONDS: u64 = 5;

/// A problem document.
pub fn problem(status: StatusCode, reason: &str, detail: &str) -> Response<Body> {
    let document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "reason": reason,
    });
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A handshake that is refused before the upgrade.
pub fn refusal(denial: Denial, entropy: &dyn Entropy) -> Response<Body> {
    let status = StatusCode::from_u16(denial.http_status()).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = problem(status, denial.text(), detail(denial));
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from(retry_seconds(entropy)));
    }
    response
}

/// When to come back, in seconds.
pub fn retry_seconds(entropy: &dyn Entropy) -> u64 {
    1 + entropy.u64() % MOST_RETRY_SECONDS
}

const fn detail(denial: Denial) -> &'static str {
    match denial {
        Denial::NoCredential => "This route is not for anonymous clients; present a credential.",
        Denial::Malformed => "What was presented is not a credential by its form.",
        Denial::Unknown => "The credential is not known.",
        Denial::Invalid => "The credential's signature, algorithm, type or claims are wrong.",
        Denial::Expired => "The credential's time is over.",
        Denial::CredentialRevoked => "The credential was revoked.",
        Denial::SessionRevoked => "The credential's session was revoked or has ended.",
        Denial::IdentityRevoked => "The sessions of the credential's identity were revoked.",
        Denial::IdentityDisabled => "The credential's identity is disabled.",
        Denial::TenantRevoked => "The credential's tenant was revoked or is suspended.",
        Denial::WrongAudience => "The credential is meant for another audience.",
        Denial::WrongOrigin => "The credential is bound to another origin.",
        Denial::WrongAddress => "The credential is bound to other addresses.",
        Denial::Spent => "The ticket was used before; tickets are for one use.",
        Denial::WrongKind => "This kind of credential cannot be presented here in this way.",
        Denial::CredentialInUrl => "A credential may not stand in a URL; only a one-time ticket may, as `ticket`.",
        Denial::TwoCredentials => "Present one credential.",
        Denial::AnotherIdentity => "The credential names another identity.",
        Denial::AuthorityUnavailable => "The authority does not answer; come back later.",
        Denial::NotReady => "The gateway has not caught up with the authority; come back later.",
        Denial::RouteOverBound => {
            "This route is not served: its class of leases outlasts the bound that the authority promises."
        }
        Denial::OriginNotAllowed => "Pages of this origin may not open sockets here.",
        Denial::ConnectionLimit => "There are as many connections as there may be.",
        Denial::Overloaded => "The gateway holds as many connections as it can; come back later.",
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use portcullis_types::SeededEntropy;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_a_problem_document_with_its_reason() {
        let response = refusal(Denial::Expired, &SeededEntropy::new(1));
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        let body = response.into_body().collect().await.expect("in memory").to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((&document["reason"], &document["status"]), (&"expired".into(), &401.into()));
    }

    #[test]
    fn whoever_may_come_back_is_told_when() {
        for denial in Denial::ALL {
            let response = refusal(denial, &SeededEntropy::new(1));
            let later = matches!(response.status().as_u16(), 429 | 503);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), later, "{denial:?}");
        }
    }
}
