//! `GET /v1/session`: who is logged in, and until when.

use auth_domain::{Judgement, PresentationContext, Presented};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::Serialize;

use super::login::Identity;
use super::problem::Problem;
use super::{Edge, credential};

#[derive(Serialize)]
struct SessionResponse {
    tenant: String,
    identity: Identity,
    session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

/// Says who it is. A cookie that is due is exchanged.
pub(super) async fn session(State(edge): State<Edge>, headers: HeaderMap) -> Result<Response, Problem> {
    let (bearer, cookie) = credential::take_to_read(&edge, &headers)?.used(&edge).await?;
    let verdict = edge.authority.verify(Presented::Bearer(&bearer), &PresentationContext::default()).await?;
    let allowed = match verdict.judgement {
        Judgement::Allowed(allowed) => allowed,
        Judgement::Denied { reason, .. } => return Err(Problem::Denied(reason)),
    };
    let principal = allowed.principal;
    let session = principal.session.ok_or(Problem::NoSession)?;
    let answer = Json(SessionResponse {
        tenant: principal.tenant.to_string(),
        identity: Identity { id: principal.identity.to_string(), name: principal.identity_name.to_string() },
        session: session.to_string(),
        expires_in: allowed.expires_in.map(|left| left.as_secs()),
    });
    let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
    Ok((cookie, answer).into_response())
}
