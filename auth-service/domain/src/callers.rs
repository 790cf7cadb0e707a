//! Who calls the authority's own API, and what it may do there.

use std::net::IpAddr;

use portcullis_types::{CredentialId, IdentityId, KeyDigest, OpaqueKind, OpaqueToken, Revision, Secret, TenantId};

use crate::asking::Asked;
use crate::service_tokens::key_of;
use crate::standing::{Standing, digest_matches};
use crate::{Authority, IdentityKind, Scope, Scopes, StoreError};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its tenant; a caller of `system` may act on every tenant.
    pub tenant: TenantId,
    /// Who it is.
    pub identity: IdentityId,
    /// The API key that it presented, or the token, or the registration of its certificate's name.
    pub credential: CredentialId,
    /// What it may do.
    pub scopes: Scopes,
    /// What this rests on: an entry newer than `revision` that names one of them ends it.
    pub keys: Vec<KeyDigest>,
    /// The head, read before the state that this rests on.
    pub revision: Revision,
    /// From where it calls, where that is known.
    pub address: Option<IpAddr>,
    /// What it names what it asks for, when it does.
    pub asked: Option<Asked>,
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
    /// No good API key of an active service, nor a token for one, nor a certificate. Which part is wrong is not said.
    #[error("neither an API key of an active service, nor a token for one, nor a registered certificate in its time")]
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

    /// The same, asking for what has this name.
    #[must_use]
    pub fn asking(mut self, asked: Option<Asked>) -> Self {
        self.asked = asked;
        self
    }

    /// The same, from here.
    #[must_use]
    pub(crate) fn at(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Whether it may do this in every tenant.
    pub fn require_any_tenant(&self, scope: Scope) -> Result<(), Forbidden> {
        self.require(scope, &TenantId::system())
    }
}

impl Authority {
    /// Knows a service by its API key, or by a token that was issued for one, presented from this address.
    pub async fn authenticate_caller(&self, bearer: &Secret, address: Option<IpAddr>) -> Result<Caller, CallerError> {
        let text = bearer.expose_str().ok_or(CallerError::Unauthenticated)?;
        match OpaqueToken::parse(text) {
            Ok(token) if token.kind == OpaqueKind::ApiKey => self.caller_by_key(&token, address).await,
            Ok(_) => Err(CallerError::Unauthenticated),
            Err(_) => self.caller_by_token(text, address).await,
        }
    }

    async fn caller_by_key(&self, token: &OpaqueToken, address: Option<IpAddr>) -> Result<Caller, CallerError> {
        let (head, standing) = Standing::now(&**self.store(), token.id).await?;
        let standing = standing.filter(|standing| digest_matches(&standing.credential, token));
        let standing = standing.ok_or(CallerError::Unauthenticated)?;
        self.judge_key(&standing, address)?;
        let caller = caller(&standing, standing.credential.scopes, standing.keys(), head.revision());
        Ok(caller.at(address))
    }

    async fn caller_by_token(&self, text: &str, address: Option<IpAddr>) -> Result<Caller, CallerError> {
        let mut view = self.store().read().await?;
        let standing = self.presented_service_token(view.as_mut(), text).await?;
        let standing = standing.ok_or(CallerError::Unauthenticated)?;
        let key = key_of(view.as_mut(), &standing.credential).await?;
        self.judge_key(&key, address)?;
        if standing.judge(self.now()).is_err() {
            return Err(CallerError::Unauthenticated);
        }
        let mut keys = standing.keys();
        keys.extend(key.keys());
        let scopes = standing.credential.scopes.iter().filter(|scope| key.credential.scopes.contains(*scope)).collect();
        Ok(caller(&standing, scopes, keys, view.head().revision()).at(address))
    }

    /// Whether it is a good API key of a service, or the registration of a certificate, from where it may be used.
    pub(crate) fn judge_key(&self, key: &Standing, address: Option<IpAddr>) -> Result<(), CallerError> {
        let now = self.now();
        let known = key.credential.is_of_service() && key.identity.kind == IdentityKind::Service;
        if !known || key.judge(now).is_err() || !key.credential.is_from_address(address) {
            return Err(CallerError::Unauthenticated);
        }
        self.key_uses().note(&key.credential, now);
        Ok(())
    }
}

pub(crate) fn caller(standing: &Standing, scopes: Scopes, keys: Vec<KeyDigest>, revision: Revision) -> Caller {
    Caller {
        tenant: standing.credential.tenant.clone(),
        identity: standing.identity.id,
        credential: standing.credential.id,
        scopes,
        keys,
        revision,
        address: None,
        asked: None,
    }
}
