//! Who calls the authority's own API, and what it may do there.

use std::net::IpAddr;

use portcullis_types::{CredentialId, IdentityId, KeyDigest, OpaqueKind, OpaqueToken, Revision, Secret, TenantId};

use crate::standing::{Standing, digest_matches};
use crate::{Authority, CredentialKind, IdentityKind, Scope, Scopes, StoreError};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its tenant; a caller of `system` may act on every tenant.
    pub tenant: TenantId,
    /// Who it is.
    pub identity: IdentityId,
    /// The API key it presented.
    pub credential: CredentialId,
    /// What it may do.
    pub scopes: Scopes,
    /// What this rests on: an entry newer than `revision` that names one of them ends it.
    pub keys: Vec<KeyDigest>,
    /// The head, read before the state that this rests on.
    pub revision: Revision,
}

/// The caller may not do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It lacks a scope.
    #[error("the caller lacks the scope {0}")]
    Scope(Scope),
    /// It belongs to another tenant.
    #[error("the caller may not act on this tenant")]
    Tenant,
}

/// Why a caller is not known.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// No good API key of an active service. Which part is wrong is not said.
    #[error("not an API key of an active service")]
    Unauthenticated,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Caller {
    /// Whether it may do this in this tenant.
    pub fn require(&self, scope: Scope, tenant: &TenantId) -> Result<(), Forbidden> {
        if !self.scopes.contains(scope) {
            return Err(Forbidden::Scope(scope));
        }
        if self.tenant.is_system() || self.tenant == *tenant { Ok(()) } else { Err(Forbidden::Tenant) }
    }

    /// Whether it may do this in every tenant.
    pub fn require_any_tenant(&self, scope: Scope) -> Result<(), Forbidden> {
        self.require(scope, &TenantId::system())
    }
}

impl Authority {
    /// Knows a service by its API key, presented from this address.
    pub async fn authenticate_caller(&self, bearer: &Secret, address: Option<IpAddr>) -> Result<Caller, CallerError> {
        let token = bearer
            .expose_str()
            .and_then(|text| OpaqueToken::parse(text).ok())
            .filter(|token| token.kind == OpaqueKind::ApiKey)
            .ok_or(CallerError::Unauthenticated)?;
        let (head, standing) = Standing::now(&**self.store(), token.id).await?;
        let standing = standing.ok_or(CallerError::Unauthenticated)?;
        let known = standing.credential.kind == CredentialKind::ApiKey
            && standing.identity.kind == IdentityKind::Service
            && digest_matches(&standing.credential, &token);
        let now = self.now();
        if !known || standing.judge(now).is_err() || !standing.credential.is_from_address(address) {
            return Err(CallerError::Unauthenticated);
        }
        self.key_uses().note(&standing.credential, now);
        Ok(Caller {
            tenant: standing.credential.tenant.clone(),
            identity: standing.identity.id,
            credential: standing.credential.id,
            scopes: standing.credential.scopes,
            keys: standing.keys(),
            revision: head.revision(),
        })
    }
}
