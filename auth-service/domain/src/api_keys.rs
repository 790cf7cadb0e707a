//! Keys for programs, and for sockets where a route allows them.
//!
//! An API key has no session: it dies only by its own key, and is refused while its identity is disabled.

use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, OpaqueKind, OpaqueToken, Revision, Secret, TenantId, Timestamp};

use crate::audit::Actor;
use crate::{
    Authority, Caller, Credential, CredentialKind, Identity, IdentityKind, IdentityRef, Label, Scopes, StoreError,
};

/// The most keys, not revoked and not expired, that an identity has.
pub const MAX_API_KEYS: usize = 100;

/// How many rows a list shows at most, dead keys included.
const LISTED: u32 = 1_000;

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityId,
    /// What it is for.
    pub label: Option<Label>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; absent: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl From<Credential> for ApiKey {
    fn from(row: Credential) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant,
            identity: row.identity,
            label: row.label,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked: row.revoked_seq.is_some(),
        }
    }
}

/// A key with its secret, shown once.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// `pk_…`.
    pub secret: Secret,
}

/// A new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityRef,
    /// What it is for.
    pub label: Option<Label>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
    /// Until it ends; absent: never.
    pub expires_in: Option<Duration>,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// It would be allowed what its maker is not.
    #[error("a key never has scopes that its maker lacks")]
    ScopesBeyondCaller,
    /// A person's key would be allowed something at the authority's API.
    #[error("only keys of services have scopes")]
    ScopesNeedService,
    /// The identity has as many keys as it may have.
    #[error("an identity has at most {MAX_API_KEYS} live keys")]
    TooMany,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a key with at most the caller's scopes.
    pub async fn create_api_key(&self, caller: &Caller, new: NewApiKey) -> Result<IssuedApiKey, CreateApiKeyError> {
        if !new.scopes.is_within(caller.scopes) {
            return Err(CreateApiKeyError::ScopesBeyondCaller);
        }
        let mut tx = self.store().write().await?;
        let issued = tx.head().revision();
        let identity = tx.identity(&new.tenant, &new.identity).await?.ok_or(CreateApiKeyError::NotFound)?;
        if identity.kind != IdentityKind::Service && !new.scopes.is_empty() {
            return Err(CreateApiKeyError::ScopesNeedService);
        }
        let now = self.now();
        let keys = tx.api_keys(&new.tenant, identity.id, LISTED).await?;
        let live = keys.iter().filter(|key| key.revoked_seq.is_none() && !key.is_expired(now)).count();
        if live >= MAX_API_KEYS || keys.len() >= LISTED as usize {
            return Err(CreateApiKeyError::TooMany);
        }
        let (row, secret) = self.draw_api_key(&identity, new.label, new.scopes, new.expires_in, issued);
        tx.insert_credential(&row).await?;
        let target = format!("credential:{}", row.id);
        tx.insert_audit(&self.audit(&Actor::caller(caller), &row.tenant, "api_key.create", target)).await?;
        tx.commit().await?;
        Ok(IssuedApiKey { key: row.into(), secret })
    }

    /// Reads an identity's keys, newest first; none when there is no such identity.
    pub async fn api_keys(&self, tenant: &TenantId, which: &IdentityRef) -> Result<Option<Vec<ApiKey>>, StoreError> {
        let mut view = self.store().read().await?;
        let Some(identity) = view.identity(tenant, which).await? else { return Ok(None) };
        let rows = view.api_keys(tenant, identity.id, LISTED).await?;
        Ok(Some(rows.into_iter().map(ApiKey::from).collect()))
    }

    pub(crate) fn draw_api_key(
        &self,
        identity: &Identity,
        label: Option<Label>,
        scopes: Scopes,
        expires_in: Option<Duration>,
        issued: Revision,
    ) -> (Credential, Secret) {
        let now = self.now();
        let token = OpaqueToken::generate(OpaqueKind::ApiKey, CredentialId::new(self.ids()), self.entropy());
        let row = Credential {
            id: token.id,
            tenant: identity.tenant.clone(),
            identity: identity.id,
            session: None,
            kind: CredentialKind::ApiKey,
            digest: Some(token.digest()),
            parent: None,
            label,
            scopes,
            audiences: Vec::new(),
            origins: Vec::new(),
            issued,
            signing_key: None,
            created_at: now,
            expires_at: expires_in.map(|span| now + span),
            spent: None,
            revoked_seq: None,
        };
        (row, token.reveal())
    }
}
