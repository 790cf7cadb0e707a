//! `POST /v1/logout`: ends the session of the credential that asks for it.

use auth_domain::{Actor, Judgement, PresentationContext, Presented, Reason, RevokeError, RevokeRequest, RevokeTarget};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use portcullis_types::Revision;
use serde::Serialize;

use super::problem::Problem;
use super::{Edge, credential, session_cookie};

#[derive(Serialize)]
struct LogoutResponse {
    revision: Revision,
    enforced_within: u64,
}

/// Logs out.
pub(super) async fn logout(State(edge): State<Edge>, headers: HeaderMap) -> Result<Response, Problem> {
    let bearer = credential::take(&edge, &headers)?;
    let verdict = edge.authority.verify(Presented::Bearer(&bearer), &PresentationContext::default()).await?;
    let principal = match verdict.judgement {
        Judgement::Allowed(allowed) => allowed.principal,
        // What is dead already is of no use in the browser either.
        Judgement::Denied { reason, .. } => {
            let cleared = [(header::SET_COOKIE, session_cookie::clear())];
            return Ok((cleared, Problem::Denied(reason)).into_response());
        }
    };
    let session = principal.session.ok_or(Problem::NoSession)?;
    let actor = Actor::identity(&principal.tenant, principal.identity);
    let request = RevokeRequest {
        tenant: principal.tenant,
        target: RevokeTarget::Session(session),
        reason: Reason::Logout,
        pace: None,
        request_id: None,
    };
    let committed = edge.authority.revoke(&actor, request).await?;
    // Rounded up: the promise is never shorter than it is kept.
    let enforced_within = edge.receipts.bound().as_millis().div_ceil(1_000);
    let enforced_within = u64::try_from(enforced_within).unwrap_or(u64::MAX);
    let answer = Json(LogoutResponse { revision: committed.revision, enforced_within });
    Ok(([(header::SET_COOKIE, session_cookie::clear())], answer).into_response())
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Begin(error) => error.into(),
            RevokeError::Store(error) => error.into(),
            // The session was found a moment ago, and sessions are never deleted.
            RevokeError::NotFound
            | RevokeError::Unverifiable
            | RevokeError::RequestIdReused
            | RevokeError::LastAdministrator => {
                tracing::error!(%error, "a session that was just verified cannot be revoked");
                Self::Internal
            }
        }
    }
}
