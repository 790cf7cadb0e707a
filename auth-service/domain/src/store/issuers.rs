//! What a store does for external issuers and for what was seen of theirs.

use async_trait::async_trait;
use portcullis_types::{ClientId, CredentialId, IdentityId, IssuerId, RoleName, SessionId, TenantId, Timestamp};

use crate::{Audience, Issuer, IssuerUrl, StoreError};

/// Questions about external issuers.
#[async_trait]
pub trait IssuerReads: Send {
    /// An issuer, trusted or not.
    async fn issuer(&mut self, id: IssuerId) -> Result<Option<Issuer>, StoreError>;
    /// Whom a tenant trusts, by name; at most [`crate::MAX_ISSUERS`].
    async fn issuers(&mut self, tenant: &TenantId) -> Result<Vec<Issuer>, StoreError>;
    /// Who is trusted by any tenant under this URL.
    async fn issuers_at(&mut self, url: &IssuerUrl) -> Result<Vec<Issuer>, StoreError>;
    /// The tenant's issuer with this URL and audience, trusted or not.
    async fn issuer_of(
        &mut self,
        tenant: &TenantId,
        url: &IssuerUrl,
        audience: &Audience,
    ) -> Result<Option<Issuer>, StoreError>;

    /// The identity that a subject of an issuer is bound to.
    async fn bound_to(&mut self, issuer: IssuerId, subject: &[u8; 32]) -> Result<Option<IdentityId>, StoreError>;
    /// Whether some subject of an issuer is bound to an identity.
    async fn is_bound(&mut self, issuer: IssuerId, identity: IdentityId) -> Result<bool, StoreError>;

    /// The row of a token that was seen.
    async fn external_token_by(
        &mut self,
        issuer: IssuerId,
        digest: &[u8; 32],
    ) -> Result<Option<CredentialId>, StoreError>;
    /// The session of an issuer's `sid` since an entry, of one client application or of none.
    async fn external_session(
        &mut self,
        issuer: IssuerId,
        sid: &[u8; 32],
        epoch: u64,
        identity: IdentityId,
        client: Option<&ClientId>,
    ) -> Result<Option<SessionId>, StoreError>;
    /// Whether any session of an issuer's `sid`, of whichever client application, was revoked by itself.
    async fn external_session_is_revoked(&mut self, issuer: IssuerId, sid: &[u8; 32]) -> Result<bool, StoreError>;
}

/// Changes of external issuers. Each says whether it took place.
#[async_trait]
pub trait IssuerWrites: Send {
    /// An issuer in place of the one of this id. False where its name, or its URL with its audience, is that of another
    /// that is trusted.
    async fn put_issuer(&mut self, issuer: &Issuer) -> Result<bool, StoreError>;
    /// Keeps others from changing the tenant's issuer with this URL and audience, if there is one, until the end of the
    /// transaction.
    async fn hold_issuer(&mut self, tenant: &TenantId, url: &IssuerUrl, audience: &Audience) -> Result<(), StoreError>;
    /// Notes that an issuer is trusted no more. False where it was not.
    async fn remove_issuer(&mut self, id: IssuerId, at: Timestamp) -> Result<bool, StoreError>;
    /// Binds a subject to an identity. False where either is bound already.
    async fn bind_subject(
        &mut self,
        issuer: IssuerId,
        subject: &[u8; 32],
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<bool, StoreError>;
    /// A session of an issuer's `sid` since an entry. False where there is one.
    async fn insert_external_session(
        &mut self,
        issuer: IssuerId,
        sid: &[u8; 32],
        epoch: u64,
        identity: IdentityId,
        client: Option<&ClientId>,
        session: SessionId,
    ) -> Result<bool, StoreError>;
    /// A token that was seen, with the roles that it brought. False where it was seen before.
    async fn insert_external_token(
        &mut self,
        issuer: IssuerId,
        digest: &[u8; 32],
        credential: CredentialId,
        roles: &[RoleName],
    ) -> Result<bool, StoreError>;
    /// Lets a session end later than it would; never earlier. False where there is none any more; one that is there stays
    /// until the transaction ends.
    async fn prolong_session(&mut self, tenant: &TenantId, id: SessionId, until: Timestamp)
    -> Result<bool, StoreError>;
}
