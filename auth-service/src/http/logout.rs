//! `POST /v1/logout`: ends the session of the credential that asks for it; `POST /v1/logout/all`: every session of the
//! same person.

use auth_domain::{
    BeginError, DenyReason, IdentityRef, Judgement, PresentationContext, Presented, Reason, RevokeError, RevokeRequest,
    RevokeTarget,
};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use portcullis_types::{IdentityId, Revision, SessionId};
use serde::Serialize;

use super::client::ClientAddress;
use super::problem::Problem;
use super::{Edge, credential, session_cookie};

#[derive(Serialize)]
struct LogoutResponse {
    revision: Revision,
    enforced_within: u64,
}

/// Ends this session.
pub(super) async fn logout(
    State(edge): State<Edge>,
    from: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    end(&edge, from, &headers, |_, session| RevokeTarget::Session(session)).await
}

/// Ends every session of whoever is logged in.
pub(super) async fn logout_all(
    State(edge): State<Edge>,
    from: ClientAddress,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    end(&edge, from, &headers, |identity, _| RevokeTarget::Identity(IdentityRef::Id(identity))).await
}

async fn end(
    edge: &Edge,
    ClientAddress(from): ClientAddress,
    headers: &HeaderMap,
    target: impl FnOnce(IdentityId, SessionId) -> RevokeTarget + Send,
) -> Result<Response, Problem> {
    let taken = credential::take(edge, headers)?;
    let verdict = edge.authority.verify(Presented::Bearer(taken.secret()), &PresentationContext::default()).await?;
    let principal = match verdict.judgement {
        Judgement::Allowed(allowed) => allowed.principal,
        Judgement::Denied { reason, .. } => return Ok(over(reason)),
    };
    let session = principal.session.ok_or(Problem::NoSession)?;
    let actor = principal.acting().at(from);
    let request = RevokeRequest {
        tenant: principal.tenant,
        target: target(principal.identity, session),
        reason: Reason::Logout,
        pace: None,
        request_id: None,
    };
    let committed = match edge.revoker.revoke(&actor, request).await {
        // It died while this waited.
        Err(RevokeError::Begin(BeginError::HolderRefused(reason))) => return Ok(over(reason)),
        outcome => outcome?,
    };
    let answer = Json(LogoutResponse { revision: committed.revision, enforced_within: edge.enforced_within() });
    Ok(([(header::SET_COOKIE, session_cookie::clear())], answer).into_response())
}

/// What is dead already is of no use in the browser either.
fn over(reason: DenyReason) -> Response {
    ([(header::SET_COOKIE, session_cookie::clear())], Problem::Denied(reason)).into_response()
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Begin(error) => error.into(),
            RevokeError::Store(error) => error.into(),
            RevokeError::Issuer(_) => Self::IssuerUnavailable,
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
