//! Who can have a key, and the challenge with which registering one begins.

use std::time::Duration;

use portcullis_types::{SessionId, TenantId, Timestamp};

use super::CHALLENGE_LIFE;
use super::proof::{self, Holder};
use crate::sessions::standing_of;
use crate::{Authority, IdentityRef, IdentityState, ReadView, SessionState, StoreError};

/// What a client signs to register a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChallenge {
    /// For the claim `challenge`.
    pub challenge: String,
    /// For the claim `aud`.
    pub audience: String,
    /// Until it is over.
    pub expires_in: Duration,
}

/// Why nobody can have a key.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The identity is disabled.
    #[error("the identity is disabled")]
    Disabled,
    /// The identity has no such session.
    #[error("the identity has no such session")]
    SessionNotFound,
    /// The session was revoked or has ended.
    #[error("the session is over")]
    SessionOver,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Gives a challenge for whoever could have a key. Writes nothing.
    pub async fn begin_signature_key(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        session: Option<SessionId>,
    ) -> Result<KeyChallenge, HolderError> {
        let mut view = self.store().read().await?;
        let (holder, _) = self.holder_of_keys(view.as_mut(), tenant, which, session).await?;
        let challenge = proof::challenge(&holder, self.now() + CHALLENGE_LIFE, self.kek(), self.entropy());
        Ok(KeyChallenge { challenge, audience: self.settings().issuer.clone(), expires_in: CHALLENGE_LIFE })
    }

    /// Who can have a key now, and when its session ends where it is for one.
    pub(super) async fn holder_of_keys(
        &self,
        view: &mut dyn ReadView,
        tenant: &TenantId,
        which: &IdentityRef,
        session: Option<SessionId>,
    ) -> Result<(Holder, Option<Timestamp>), HolderError> {
        let identity = view.identity(tenant, which).await?.ok_or(HolderError::NotFound)?;
        if identity.state != IdentityState::Active {
            return Err(HolderError::Disabled);
        }
        let holder = Holder { tenant: tenant.clone(), identity: identity.id, session };
        let Some(id) = session else { return Ok((holder, None)) };
        let row = view.session(tenant, id).await?.filter(|row| row.identity == identity.id);
        let row = row.ok_or(HolderError::SessionNotFound)?;
        let ends_at = row.expires_at;
        match standing_of(view, row, self.now()).await?.state {
            SessionState::Active => Ok((holder, Some(ends_at))),
            SessionState::Revoked | SessionState::Expired => Err(HolderError::SessionOver),
        }
    }
}
