//! What a store does for the subjects of external issuers that are bound to identities.

use async_trait::async_trait;
use portcullis_types::{IdentityId, IssuerId, TenantId};

use crate::{IssuerSubject, StoreError};

/// Which subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectsOf {
    /// Everybody's of an issuer, by identity.
    Issuer(IssuerId),
    /// Those of an identity, by issuer; of one that is trusted no more, too.
    Identity(IdentityId),
    /// The one that an issuer and an identity have in common.
    Both(IssuerId, IdentityId),
}

/// Questions about bound subjects.
#[async_trait]
pub trait SubjectReads: Send {
    /// Those of a tenant after a position, which is one that was found before; at most `limit`.
    async fn find_subjects(
        &mut self,
        tenant: &TenantId,
        of: SubjectsOf,
        after: Option<(IssuerId, IdentityId)>,
        limit: u32,
    ) -> Result<Vec<IssuerSubject>, StoreError>;
}

/// Changes of bound subjects.
#[async_trait]
pub trait SubjectWrites: Send {
    /// Unbinds the subject of an issuer that is bound to an identity. False where none is.
    async fn unbind_subject(&mut self, issuer: IssuerId, identity: IdentityId) -> Result<bool, StoreError>;
}
