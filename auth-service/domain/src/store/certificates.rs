//! What a store does for client certificates beside what it does for every credential.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use crate::{CertificateName, Credential, Head, StandingRows, StoreError};

/// Where the name in a certificate stands, in one look: what every call by a certificate costs.
#[async_trait]
pub trait Certified: Send + Sync {
    /// As [`crate::Store::standing`], of the credential that took the name last.
    async fn certified(&self, name: &CertificateName) -> Result<(Head, Option<Arc<StandingRows>>), StoreError>;
}

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait CertificateReads: Send {
    /// An identity's client certificates, newest first, older than `before`, at most `limit`; where a time is given, only
    /// those that are neither revoked nor expired then.
    async fn certificates(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        live_at: Option<Timestamp>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError>;

    /// How many client certificates of an identity are neither revoked nor expired at `at`.
    async fn count_live_certificates(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<u64, StoreError>;
}

/// Changes of this area.
#[async_trait]
pub trait CertificateWrites: Send {
    /// Gives a name to a credential, which need not be there yet and is over at `ends_at`. False when it is another's that
    /// is neither revoked nor over at `at`, nor of an identity that is deleted.
    async fn take_certificate_name(
        &mut self,
        name: &CertificateName,
        credential: CredentialId,
        ends_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
}
