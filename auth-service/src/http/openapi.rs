//! `GET /openapi.json`: what this edge takes and answers, as OpenAPI 3.1. A test drives all of it against the edge.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;

use super::public;

/// The document.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// Reads it.
pub(super) async fn openapi(headers: HeaderMap) -> Response {
    public::document(&headers, Bytes::from_static(DOCUMENT.as_bytes()), Duration::from_secs(300))
}
