//! Where a credential stands, in one look: what every verdict and every caller costs.

use async_trait::async_trait;
use portcullis_types::{CredentialId, IssuerId, Revision, RoleName, Timestamp};

use crate::{Credential, Grant, HeldKey, Identity, KeyState, Session, StoreError, Tenant};

/// A credential and everything above it, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingRows {
    /// The credential.
    pub credential: Credential,
    /// Its session, when it has one.
    pub session: Option<Session>,
    /// Whose it is, with its roles.
    pub identity: Identity,
    /// What the roles grant: in order, each once.
    pub grants: Vec<Grant>,
    /// Of an access token that no key here signed: who did.
    pub external: Option<ExternalMark>,
    /// The tenant.
    pub tenant: Tenant,
    /// What signed it, when it is signed.
    pub signing_key: Option<SigningKeyMark>,
    /// The newest entry that killed the session's client application.
    pub client_revoked_seq: Option<u64>,
    /// Before when what is the session's client application's is dead.
    pub client_ended_before: Option<Timestamp>,
    /// The log's own position of the number at which the credential was issued; none beyond the head and below the
    /// horizon.
    pub issued_on: Option<Revision>,
    /// Public keys of the session and the identity, dead ones perhaps among them.
    pub held_keys: Vec<HeldKey>,
}

/// What a verdict must know of a token that an external issuer signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalMark {
    /// Who signed.
    pub issuer: IssuerId,
    /// It is trusted no more.
    pub is_removed: bool,
    /// The newest entry that killed what rests on it.
    pub revoked_seq: Option<u64>,
    /// The roles that the token's claims brought.
    pub roles: Vec<RoleName>,
    /// What those grant: in order, each once.
    pub grants: Vec<Grant>,
}

/// What a verdict must know of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningKeyMark {
    /// Where it stands.
    pub state: KeyState,
    /// The newest entry that killed it.
    pub revoked_seq: Option<u64>,
}

/// What a ticket rests on: itself, and the credential that it was issued from.
pub type WithParent = (StandingRows, Option<StandingRows>);

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait StandingReads: Send {
    /// A credential with everything above it; none when there is no such credential. A credential without what must be
    /// above it is [`StoreError::Corrupt`], and so is an access token that nobody signed.
    async fn standing(&mut self, id: CredentialId) -> Result<Option<StandingRows>, StoreError>;

    /// The same, and beside it the one that it was issued from, where it says so and that is there.
    async fn standing_with_parent(&mut self, id: CredentialId) -> Result<Option<WithParent>, StoreError>;
}
