//! `/health`, `/ready` and `/metrics`: for those who watch over the process.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use serde_json::{Value, json};

use super::Edge;
use super::problem::Problem;
use crate::metrics;

/// The process runs.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The process can answer: its store does, and its watches stand on the log.
pub(super) async fn ready(State(edge): State<Edge>) -> Result<Json<Value>, Problem> {
    edge.authority.store().head().await?;
    if edge.log.is_broken() { Err(Problem::Unavailable) } else { Ok(Json(json!({ "status": "ready" }))) }
}

/// What was counted; unless that is shown by a listener of its own.
pub(super) async fn metrics(State(edge): State<Edge>) -> Response {
    match &edge.metrics_page {
        Some(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page.text()).into_response(),
        None => Problem::NotFound.into_response(),
    }
}
