//! `POST /v1/password`: another password, by whoever is logged in and knows the current one; and
//! `POST /v1/password/reset`: by a one-time token.

use auth_domain::{
    Actor, ChangePassword, ChangePasswordError, Committed, IdentityRef, Judgement, LoginMode, PasswordChange,
    PresentationContext, Presented,
};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use portcullis_types::{Revision, Secret};
use serde::{Deserialize, Serialize};

use super::client::ClientAddress;
use super::login::LoginResponse;
use super::problem::Problem;
use super::{Edge, body, credential, seconds_up, session_cookie};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeRequest {
    current_password: String,
    new_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetRequest {
    reset_token: String,
    new_password: String,
}

#[derive(Serialize)]
struct ChangeResponse {
    revision: Revision,
    enforced_within: u64,
    /// Absent when something else ended the identity's sessions meanwhile: then there is a login to make.
    #[serde(flatten)]
    session: Option<LoginResponse>,
}

/// Changes the password. Every session ends, this one too, and goes on as a new one with other credentials.
pub(super) async fn change(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    body::Json(asked): body::Json<ChangeRequest>,
) -> Result<Response, Problem> {
    let taken = credential::take(&edge, &headers)?;
    let context = PresentationContext::default();
    let principal = match edge.authority.verify(Presented::Bearer(taken.secret()), &context).await?.judgement {
        Judgement::Allowed(allowed) => allowed.principal,
        Judgement::Denied { reason, .. } => return Err(Problem::Denied(reason)),
    };
    let session = principal.session.ok_or(Problem::NoSession)?;
    let mode = if taken.is_cookie() { LoginMode::Cookie } else { LoginMode::Tokens };
    let change = ChangePassword {
        tenant: principal.tenant.clone(),
        identity: IdentityRef::Id(principal.identity),
        current: Secret::from(asked.current_password),
        new: Secret::from(asked.new_password),
        from,
        goes_on: Some((session, mode)),
    };
    let actor = principal.acting();
    match edge.authority.change_password(&actor, change).await? {
        PasswordChange::Changed { committed, session } => {
            let (cookie, session) = match session {
                Some(opened) => (session_cookie::of(&opened.credentials)?, Some(LoginResponse::of(&opened)?)),
                None => (Some(session_cookie::clear()), None),
            };
            let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
            Ok((cookie, Json(response(&edge, committed, session))).into_response())
        }
        PasswordChange::Refused(refusal) => {
            Err(Problem::InvalidCredentials { retry_after: seconds_up(refusal.retry_after) })
        }
    }
}

/// Sets the password by a one-time token.
pub(super) async fn reset(
    State(edge): State<Edge>,
    ClientAddress(from): ClientAddress,
    body::Json(asked): body::Json<ResetRequest>,
) -> Result<Response, Problem> {
    let (token, password) = (Secret::from(asked.reset_token), Secret::from(asked.new_password));
    match edge.authority.redeem_reset(&Actor::edge().at(from), &token, password).await? {
        PasswordChange::Changed { committed, .. } => Ok(Json(response(&edge, committed, None)).into_response()),
        PasswordChange::Refused(refusal) => {
            Err(Problem::InvalidCredentials { retry_after: seconds_up(refusal.retry_after) })
        }
    }
}

fn response(edge: &Edge, committed: Committed, session: Option<LoginResponse>) -> ChangeResponse {
    ChangeResponse { revision: committed.revision, enforced_within: edge.enforced_within(), session }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Password(rule) => Self::InvalidPassword(rule),
            ChangePasswordError::Login(error) => error.into(),
            // The identity was found a moment ago, and nothing is imported here.
            ChangePasswordError::NotFound | ChangePasswordError::Unfit(_) => {
                tracing::error!(%error, "the password of a session that was just verified cannot be changed");
                Self::Internal
            }
        }
    }
}
