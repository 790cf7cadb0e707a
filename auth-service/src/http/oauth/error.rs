//! What went wrong, in the words of RFC 6749, 5.2. Nothing that was sent is repeated.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::http::problem::Problem;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A parameter is missing, there twice, or contradicts another.
    InvalidRequest(&'static str),
    /// No API key of an active service from where it may be used, under its own id. Which part is wrong is not said.
    InvalidClient,
    /// The refresh token is not good.
    InvalidGrant(&'static str),
    /// There is no such grant here.
    UnsupportedGrantType,
    /// A scope that is none, or that the key has not.
    InvalidScope,
    /// The client is not at fault.
    Other(Problem),
}

#[derive(Serialize)]
struct Document {
    error: &'static str,
    error_description: &'static str,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<auth_domain::BeginError> for Refused {
    fn from(error: auth_domain::BeginError) -> Self {
        Self::Other(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (error, error_description) = match self {
            Self::InvalidRequest(why) => ("invalid_request", why),
            Self::InvalidClient => {
                ("invalid_client", "a client is an API key of an active service: its id, and the key as the secret")
            }
            Self::InvalidGrant(reason) => ("invalid_grant", reason),
            Self::UnsupportedGrantType => ("unsupported_grant_type", "client_credentials or refresh_token"),
            Self::InvalidScope => ("invalid_scope", "only scopes that the key has"),
            Self::Other(problem) => return problem.into_response(),
        };
        let body = Json(Document { error, error_description });
        if self != Self::InvalidClient {
            return (StatusCode::BAD_REQUEST, body).into_response();
        }
        let challenge = HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\"");
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], body).into_response()
    }
}
