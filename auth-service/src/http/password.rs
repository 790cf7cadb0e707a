//! `POST /v1/password`: another password, by whoever is logged in and knows the current one; and
//! `POST /v1/password/reset`: by a one-time token.

use auth_domain::{Actor, ChangePassword, ChangePasswordError, Committed, PasswordChange};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use portcullis_types::{Revision, Secret};
use serde::{Deserialize, Serialize};

use super::asker::Asking;
use super::client::ClientAddress;
use super::login::{self, LoginResponse};
use super::problem::Problem;
use super::{Edge, body, seconds_up, session_cookie};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeRequest {
    current_password: String,
    new_password: String,
    #[serde(default)]
    device_token: Option<String>,
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
    asking: Asking,
    body::Json(asked): body::Json<ChangeRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let device = asker.device(asked.device_token.as_deref());
    let change = ChangePassword {
        tenant: asker.tenant.clone(),
        identity: asker.which.clone(),
        current: Secret::from(asked.current_password),
        new: Secret::from(asked.new_password),
        from: asker.from,
        device,
        goes_on: Some((asker.session, asker.mode())),
    };
    match edge.authority.change_password(&asker.actor, change).await? {
        PasswordChange::Changed { committed, session: Some(opened) } => {
            let (session, cookies) = login::told(&opened, true)?;
            Ok((cookies, Json(response(&edge, committed, Some(session)))).into_response())
        }
        PasswordChange::Changed { committed, session: None } => {
            let cleared = [(header::SET_COOKIE, session_cookie::clear())];
            Ok((cleared, Json(response(&edge, committed, None))).into_response())
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
