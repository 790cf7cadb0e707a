//! What went wrong, as RFC 9457 problem documents.
//!
//! Owns every reason that the HTTP edge gives, with its status and title. Refuses to say what was sent or what failed
//! inside: details are fixed texts.

use std::borrow::Cow;

use auth_domain::{DenyReason, InvalidJwk, InvalidPassword, InvalidProof};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::denial;

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The body is not what the route takes.
    InvalidRequest,
    /// The URL has a query.
    ParametersInUrl,
    /// A name or text in the body breaks its rule.
    InvalidField(&'static str),
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is too large.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Name and password are not those of an active identity, or it is too early for another attempt.
    InvalidCredentials {
        /// Before so many seconds the next attempt is refused.
        retry_after: u64,
    },
    /// The login asks for another kind of proof.
    ProofUnwanted,
    /// The password cannot be one.
    InvalidPassword(InvalidPassword),
    /// Neither a bearer nor a cookie.
    NoCredential,
    /// The `Authorization` header is there and no bearer.
    Malformed,
    /// More than one credential of a kind.
    TwoCredentials,
    /// The credential was judged and refused.
    Denied(DenyReason),
    /// The cookie came without an origin that may use it.
    OriginNotAllowed,
    /// The credential belongs to no session that could end.
    NoSession,
    /// An authenticator app counts already.
    SecondFactorExists,
    /// There is no authenticator app that this could be about.
    NoSecondFactor,
    /// What is sent is no key that can be registered.
    InvalidKey(InvalidJwk),
    /// Nothing shows that the private half of the key is there.
    InvalidKeyProof(InvalidProof),
    /// The key is known already, perhaps as a revoked one.
    SignatureKeyKnown,
    /// The session has as many keys as it may have.
    TooManyKeys,
    /// The session has no such key.
    NoSignatureKey,
    /// More requests than an address may make.
    TooMany {
        /// Before so many seconds the next is refused.
        retry_after: u64,
    },
    /// More tickets at once than a session, or a key, may have.
    TooManyTickets {
        /// Before so many seconds the next is refused.
        retry_after: u64,
    },
    /// No such route.
    NotFound,
    /// The route is there, for another method.
    MethodNotAllowed,
    /// Too many passwords wait to be hashed.
    Overloaded,
    /// The store did not answer.
    Unavailable,
    /// The keys of the credential's issuer cannot be fetched.
    IssuerUnavailable,
    /// A bug or damage; the log says which.
    Internal,
}

impl Problem {
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::ParametersInUrl
            | Self::InvalidField(_)
            | Self::ProofUnwanted
            | Self::TwoCredentials
            | Self::NoSession => StatusCode::BAD_REQUEST,
            Self::InvalidPassword(_) | Self::InvalidKey(_) | Self::InvalidKeyProof(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::InvalidCredentials { .. } | Self::NoCredential | Self::Malformed | Self::Denied(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::OriginNotAllowed => StatusCode::FORBIDDEN,
            Self::TooMany { .. } | Self::TooManyTickets { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound | Self::NoSecondFactor | Self::NoSignatureKey => StatusCode::NOT_FOUND,
            Self::SecondFactorExists | Self::SignatureKeyKnown | Self::TooManyKeys => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Overloaded | Self::Unavailable | Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::ParametersInUrl | Self::InvalidField(_) => "invalid_request",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::InvalidCredentials { .. } => "invalid_credentials",
            Self::ProofUnwanted => "proof_unwanted",
            Self::InvalidPassword(InvalidPassword::Length { .. }) => "password_length",
            Self::InvalidPassword(InvalidPassword::Common) => "password_common",
            Self::InvalidPassword(InvalidPassword::Name) => "password_name",
            Self::InvalidPassword(InvalidPassword::Unchanged) => "password_unchanged",
            Self::NoCredential => "no_credential",
            Self::Malformed => "malformed",
            Self::TwoCredentials => "two_credentials",
            Self::Denied(reason) => denial::text(reason),
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NoSession => "no_session",
            Self::TooMany { .. } => "too_many_requests",
            Self::TooManyTickets { .. } => "too_many_tickets",
            Self::SecondFactorExists => "second_factor_exists",
            Self::NoSecondFactor => "no_second_factor",
            Self::InvalidKey(_) => "key_refused",
            Self::InvalidKeyProof(_) => "key_proof_refused",
            Self::SignatureKeyKnown => "key_known",
            Self::TooManyKeys => "too_many_keys",
            Self::NoSignatureKey => "no_signature_key",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::Internal => "internal",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::ParametersInUrl | Self::InvalidField(_) => "The request cannot be understood",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::TooLarge => "The body is too large",
            Self::TooSlow => "The request took too long",
            Self::InvalidCredentials { .. } => "Login refused",
            Self::ProofUnwanted => "The login asks for something else",
            Self::InvalidPassword(_) => "The password cannot be used",
            Self::NoCredential => "A credential is needed",
            Self::Malformed | Self::TwoCredentials | Self::Denied(_) => "The credential is refused",
            Self::OriginNotAllowed => "The origin is not allowed",
            Self::NoSession => "There is no session",
            Self::TooMany { .. } => "Too many requests",
            Self::TooManyTickets { .. } => "Too many tickets",
            Self::SecondFactorExists => "There is an authenticator app already",
            Self::NoSecondFactor => "There is no such authenticator app",
            Self::InvalidKey(_) => "The key cannot be registered",
            Self::InvalidKeyProof(_) => "The proof is refused",
            Self::SignatureKeyKnown => "The key is known already",
            Self::TooManyKeys => "There are too many keys",
            Self::NoSignatureKey => "There is no such key",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Overloaded | Self::Unavailable | Self::IssuerUnavailable => "Try again later",
            Self::Internal => "Something failed inside",
        }
    }

    fn detail(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::InvalidPassword(rule) => return Cow::Owned(rule.to_string()),
            Self::InvalidKey(rule) => return Cow::Owned(rule.to_string()),
            Self::InvalidKeyProof(rule) => return Cow::Owned(rule.to_string()),
            Self::InvalidRequest => "The body is not the JSON object that this route takes.",
            Self::ParametersInUrl => "Parameters are in the body, never in the URL.",
            Self::InvalidField(rule) => rule,
            Self::UnsupportedMediaType => "Send `Content-Type: application/json`.",
            Self::TooLarge => "A body here has at most 16384 bytes.",
            Self::TooSlow => "The whole request must arrive and be answered in time, by default within 10 seconds.",
            Self::InvalidCredentials { .. } => {
                "This does not log anybody in, or it is too early after other attempts: see `retry_after`."
            }
            Self::ProofUnwanted => "Present what the challenge of this login asks for.",
            Self::NoCredential => "Send `Authorization: Bearer …`, or the session cookie from an allowed origin.",
            Self::Malformed => "The `Authorization` header is not `Bearer` and one token.",
            Self::TwoCredentials => "Send one `Authorization` header and one session cookie at most.",
            Self::Denied(_) => "The credential was judged and is not good; `reason` says why.",
            Self::OriginNotAllowed => "Only pages of an allowed origin may do this; nothing was looked at.",
            Self::NoSession => "This credential was not issued by a login.",
            Self::TooMany { .. } => "This address has made too many requests in this minute: see `retry_after`.",
            Self::TooManyTickets { .. } => "This session or key has as many as it may have: see `retry_after`.",
            Self::SecondFactorExists => "Remove the one that counts first.",
            Self::NoSecondFactor => "There is none that could be confirmed or removed.",
            Self::SignatureKeyKnown => "It is registered, or was; a revoked key is never good again: make another.",
            Self::TooManyKeys => "Revoke one of this session first.",
            Self::NoSignatureKey => "This session has none of this id.",
            Self::NotFound => "See the documentation for the routes of this service.",
            Self::MethodNotAllowed => "See the documentation for the methods of this route.",
            Self::Overloaded => "Too many logins are waiting.",
            Self::Unavailable => "The authority's store did not answer.",
            Self::IssuerUnavailable => "The keys of the credential's issuer cannot be fetched.",
            Self::Internal => "The operator finds the cause in the log.",
        })
    }

    /// Before so many seconds the same is refused again.
    const fn retry_after(self) -> Option<u64> {
        match self {
            Self::InvalidCredentials { retry_after: 0 } => None,
            Self::InvalidCredentials { retry_after }
            | Self::TooMany { retry_after }
            | Self::TooManyTickets { retry_after } => Some(retry_after),
            Self::Overloaded | Self::Unavailable | Self::IssuerUnavailable => Some(1),
            Self::InvalidRequest
            | Self::ParametersInUrl
            | Self::InvalidField(_)
            | Self::UnsupportedMediaType
            | Self::TooLarge
            | Self::TooSlow
            | Self::ProofUnwanted
            | Self::InvalidPassword(_)
            | Self::NoCredential
            | Self::Malformed
            | Self::TwoCredentials
            | Self::Denied(_)
            | Self::OriginNotAllowed
            | Self::NoSession
            | Self::SecondFactorExists
            | Self::NoSecondFactor
            | Self::InvalidKey(_)
            | Self::InvalidKeyProof(_)
            | Self::SignatureKeyKnown
            | Self::TooManyKeys
            | Self::NoSignatureKey
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Internal => None,
        }
    }
}

#[derive(Serialize)]
struct Document {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let reason = self.reason();
        let document = Document {
            r#type: format!("urn:portcullis:problem:{reason}"),
            title: self.title(),
            status: self.status().as_u16(),
            detail: self.detail(),
            reason,
            retry_after: self.retry_after(),
        };
        let mut response = (self.status(), Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn document(problem: Problem) -> (Response<()>, serde_json::Value) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("it is in memory");
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).expect("it is JSON"))
    }

    #[tokio::test]
    async fn a_problem_has_the_members_of_rfc_9457_and_its_media_type() {
        let (response, document) = document(Problem::OriginNotAllowed).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(document["status"], 403);
        assert_eq!(document["reason"], "origin_not_allowed");
        assert_eq!(document["type"], "urn:portcullis:problem:origin_not_allowed");
        for member in ["title", "detail"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
        }
    }

    #[tokio::test]
    async fn what_needs_a_credential_says_which_scheme() {
        let (response, document) = document(Problem::Denied(DenyReason::Expired)).await;
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!((&document["status"], &document["reason"]), (&401.into(), &"expired".into()));
    }

    #[tokio::test]
    async fn what_may_work_later_says_when_to_try_again() {
        let (response, _) = document(Problem::Overloaded).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
