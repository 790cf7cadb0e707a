//! What a store does for public signature keys beside what it does for every credential.

use async_trait::async_trait;
use portcullis_types::{CredentialId, IdentityId, SessionId, TenantId, Timestamp};

use crate::{Credential, PublicKey, StoreError};

/// A registered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKeyRow {
    /// What it has like every credential.
    pub credential: Credential,
    /// The key.
    pub key: PublicKey,
}

/// A key that a verdict may carry: of the credential's session or identity, and not revoked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// Its id.
    pub id: CredentialId,
    /// The session that it is for; absent: the identity.
    pub session: Option<SessionId>,
    /// The number of the head, read before the checks that allowed it to be registered.
    pub issue_seq: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it ends; absent: never.
    pub expires_at: Option<Timestamp>,
    /// The key.
    pub key: PublicKey,
}

/// How many keys somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureKeyCount {
    /// Neither revoked nor let go.
    pub held: u64,
    /// With those that are dead and not forgotten.
    pub remembered: u64,
}

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait SignatureKeyReads: Send {
    /// A key by its id.
    async fn signature_key(&mut self, id: CredentialId) -> Result<Option<SignatureKeyRow>, StoreError>;

    /// The keys of an identity and its sessions, or of one session, newest first, older than `before`, at most `limit`.
    async fn find_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<SignatureKeyRow>, StoreError>;

    /// How many a session has; without a session, how many the identity has for itself.
    async fn count_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
    ) -> Result<SignatureKeyCount, StoreError>;

    /// The keys that an identity has for itself and that are neither revoked nor let go: a few.
    async fn own_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<Vec<SignatureKeyRow>, StoreError>;

    /// Whether the tenant has, or remembers, this key.
    async fn is_signature_key_known(&mut self, tenant: &TenantId, key: &PublicKey) -> Result<bool, StoreError>;
}

/// Changes of this area.
#[async_trait]
pub trait SignatureKeyWrites: Send {
    /// Lets go of the keys of a session, or of those that an identity has for itself, that are over at `at` or older than
    /// what ended their identity's sessions or their tenant's: no verdict looks at them any more, so that those it looks at
    /// are few for ever.
    async fn let_go_of_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// A new key. False when the tenant has, or remembers, it.
    async fn insert_signature_key(&mut self, row: &SignatureKeyRow) -> Result<bool, StoreError>;

    /// Names the successor of a key whose successor so far is `before`, and has the key end at `end` if it would end
    /// later. False where its successor is another one, or where it is no signature key, or revoked.
    async fn replace_signature_key(
        &mut self,
        id: CredentialId,
        before: Option<CredentialId>,
        successor: CredentialId,
        end: Timestamp,
    ) -> Result<bool, StoreError>;
}
