//! Bodies: JSON, and a form at the token endpoint, capped, and never repeated in an error.
//!
//! Refuses parameters in the URL beside JSON: secrets in URLs are written down on their way.

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The largest body that any route takes.
pub(super) const MOST_BYTES: usize = 16 * 1024;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        nothing_in_url(&request)?;
        let body = <axum::Json<T> as FromRequest<S>>::from_request(request, state).await;
        body.map(|axum::Json(value)| Self(value)).map_err(|rejection| match rejection {
            JsonRejection::MissingJsonContentType(_) => Problem::UnsupportedMediaType,
            JsonRejection::BytesRejection(rejection) => unread(rejection),
            // A syntax error, a wrong member, or whatever a later version of the framework tells apart.
            _ => Problem::InvalidRequest,
        })
    }
}

/// No declared type, no body.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            nothing_in_url(&request)?;
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

fn nothing_in_url(request: &Request) -> Result<(), Problem> {
    request.uri().query().map_or(Ok(()), |_| Err(Problem::ParametersInUrl))
}

/// A body byte for byte.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(unread)
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::TooLarge
    } else {
        Problem::InvalidRequest
    }
}
