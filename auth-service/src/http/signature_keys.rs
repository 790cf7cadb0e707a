//! `/v1/signature-keys`: public keys of the session that asks, with which its client signs what it sends. A session speaks
//! of its own keys only: it dies with them, so nobody's other device is touched by a stolen one.

use auth_domain::{
    CredentialState, HolderError, Label, ListSessionsError, NewSignatureKey, Page, Reason, RegisterSignatureKeyError,
    RevokeRequest, RevokeTarget, SignatureKey,
};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use portcullis_types::{CredentialId, Revision, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asker::{Asker, Asking};
use super::problem::Problem;
use super::{Edge, body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterRequest {
    jwk: Value,
    proof: String,
    #[serde(default)]
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeKeyRequest {
    id: String,
}

#[derive(Serialize)]
struct BeginResponse {
    challenge: String,
    audience: String,
    expires_in: u64,
}

#[derive(Serialize)]
struct Key {
    id: String,
    jwk: Value,
    algorithm: &'static str,
    thumbprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

#[derive(Serialize)]
struct RegisterResponse {
    key: Key,
    revision: Revision,
    enforced_within: u64,
}

#[derive(Serialize)]
struct KeysResponse {
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct RevokeResponse {
    revision: Revision,
    enforced_within: u64,
}

/// All keys of a session; there are few, dead ones included.
async fn keys(edge: &Edge, asker: &Asker) -> Result<Vec<SignatureKey>, Problem> {
    let page = Page::new(auth_domain::MAX_PAGE, "").map_err(|_| Problem::Internal)?;
    let keys = edge.authority.signature_keys(&asker.tenant, &asker.which, Some(asker.session), page).await?;
    Ok(keys.items)
}

impl Key {
    fn of(key: SignatureKey, now: Timestamp) -> Result<Self, Problem> {
        let state = match key.state {
            CredentialState::Active | CredentialState::Spent => "active",
            CredentialState::Refused => "refused",
            CredentialState::Revoked => "revoked",
            CredentialState::Expired => "expired",
        };
        Ok(Self {
            id: key.id.to_string(),
            jwk: serde_json::from_str(key.key.jwk()).map_err(|_| Problem::Internal)?,
            algorithm: key.key.algorithm().name(),
            thumbprint: key.key.thumbprint().text(),
            label: key.label.map(|label| label.as_str().to_owned()),
            state,
            expires_in: key.expires_at.map(|end| end.saturating_since(now).as_secs()),
        })
    }
}

/// Gives a challenge.
pub(super) async fn begin(State(edge): State<Edge>, asking: Asking) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let begun = edge.authority.begin_signature_key(&asker.tenant, &asker.which, Some(asker.session)).await?;
    let expires_in = begun.expires_in.as_secs();
    Ok(Json(BeginResponse { challenge: begun.challenge, audience: begun.audience, expires_in }).into_response())
}

/// Registers a key of the session.
pub(super) async fn register(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<RegisterRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let label = asked.label.as_deref().map(Label::try_from).transpose();
    let new = NewSignatureKey {
        tenant: asker.tenant,
        identity: asker.which,
        session: Some(asker.session),
        jwk: asked.jwk.to_string(),
        proof: asked.proof,
        label: label.map_err(|invalid| Problem::InvalidField(invalid.rule))?,
        expires_in: None,
    };
    let registered = edge.authority.register_signature_key(&asker.actor, new).await?;
    let answer = RegisterResponse {
        key: Key::of(registered.key, edge.clock.now())?,
        revision: registered.committed.revision,
        enforced_within: edge.enforced_within(),
    };
    Ok(Json(answer).into_response())
}

/// The keys of the session, newest first.
pub(super) async fn list(State(edge): State<Edge>, asking: Asking) -> Result<Response, Problem> {
    let asker = asking.reads(&edge).await?;
    let (keys, now) = (keys(&edge, &asker).await?, edge.clock.now());
    let keys = keys.into_iter().map(|key| Key::of(key, now)).collect::<Result<_, _>>()?;
    Ok(Json(KeysResponse { keys }).into_response())
}

/// Ends a key of the session, and closes the sockets that were set up with it.
pub(super) async fn revoke(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<RevokeKeyRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let id = CredentialId::try_from(asked.id.as_str()).map_err(|invalid| Problem::InvalidField(invalid.rule))?;
    let key = edge.authority.signature_key(&asker.tenant, id).await?;
    let key = key.filter(|key| key.session == Some(asker.session)).ok_or(Problem::NoSignatureKey)?;
    let request = RevokeRequest {
        tenant: asker.tenant,
        target: RevokeTarget::Credential(key.id),
        reason: Reason::CredentialChanged,
        pace: None,
        request_id: None,
    };
    let committed = edge.revoker.revoke(&asker.actor, request).await?;
    let answer = RevokeResponse { revision: committed.revision, enforced_within: edge.enforced_within() };
    Ok(Json(answer).into_response())
}

impl From<HolderError> for Problem {
    fn from(error: HolderError) -> Self {
        match error {
            HolderError::Store(error) => error.into(),
            // It was good a moment ago.
            HolderError::NotFound | HolderError::Disabled => Self::Denied(auth_domain::DenyReason::IdentityDisabled),
            HolderError::SessionNotFound | HolderError::SessionOver => {
                Self::Denied(auth_domain::DenyReason::SessionRevoked)
            }
        }
    }
}

impl From<RegisterSignatureKeyError> for Problem {
    fn from(error: RegisterSignatureKeyError) -> Self {
        use RegisterSignatureKeyError as Error;
        match error {
            Error::Holder(error) => error.into(),
            Error::Jwk(error) => Self::InvalidKey(error),
            Error::Proof(error) => Self::InvalidKeyProof(error),
            Error::Known => Self::SignatureKeyKnown,
            Error::TooMany | Error::TooManyRemembered => Self::TooManyKeys,
            Error::Begin(error) => error.into(),
            Error::Store(error) => error.into(),
            // No end is asked for here.
            Error::TooLong => {
                tracing::error!(%error, "a key without an end of its own lives too long");
                Self::Internal
            }
        }
    }
}

impl From<ListSessionsError> for Problem {
    fn from(error: ListSessionsError) -> Self {
        match error {
            ListSessionsError::Store(error) => error.into(),
            // The identity was found a moment ago, and it is always the first page.
            ListSessionsError::NotFound | ListSessionsError::Page(_) => {
                tracing::error!(%error, "the keys of a session that was just verified cannot be listed");
                Self::Internal
            }
        }
    }
}
