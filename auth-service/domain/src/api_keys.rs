//! Keys for programs, and for sockets where a route allows them.
//!
//! An API key has no session: it dies only by its own key, and is refused while its identity is disabled.

use std::time::Duration;

use portcullis_types::{
    AddressRange, Clock, CredentialId, Entropy, IdentityId, OpaqueKind, OpaqueToken, Revision, Secret, TenantId,
    Timestamp, UuidSource,
};

use crate::api_key_rotation::earlier;
use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::service_tokens::key_of;
use crate::{
    Authority, BeginError, Caller, Credential, CredentialKind, Grant, Identity, IdentityKind, IdentityRef,
    IdentityState, KeyTerms, Label, ListSessionsError, MAX_KEY_ADDRESSES, MAX_KEY_GRANT_BYTES, MAX_KEY_GRANTS, Page,
    Paged, ReadView, Scopes, StoreError, WriteTx,
};

/// The most keys, not revoked and not expired, that an identity has.
pub const MAX_API_KEYS: u64 = 100;

/// The longest that a key with an end lives: ten years.
pub const MAX_API_KEY_LIFE: Duration = Duration::from_secs(10 * 366 * 86_400);

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
    /// What it is limited to, and where it stands among its like.
    pub terms: KeyTerms,
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
            terms: row.key_terms.unwrap_or_default(),
        }
    }
}

/// A key with its secret, shown once.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// `pk_…`; none where the same request was answered before, and showed it then. Whoever did not receive it exchanges
    /// the key.
    pub secret: Option<Secret>,
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
    /// Of what the roles of its identity grant, only this; absent: all of it.
    pub grants: Option<Vec<Grant>>,
    /// From where it may be presented; empty: from where its maker's key may, which is anywhere if that has no limit.
    pub addresses: Vec<AddressRange>,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateApiKeyError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The identity is disabled.
    #[error("the identity is disabled")]
    Disabled,
    /// It would live longer than a key may.
    #[error("a key that ends lives at most ten years")]
    TooLong,
    /// It would be allowed what its maker is not.
    #[error("a key never has scopes that its maker lacks")]
    ScopesBeyondCaller,
    /// It would be good from where its maker is not.
    #[error("a key is never good from addresses that its maker's key is not good from")]
    AddressesBeyondCaller,
    /// A person's key would be allowed something at the authority's API.
    #[error("only keys of services have scopes")]
    ScopesNeedService,
    /// It has more grants of its own, or longer ones, than a key may have.
    #[error("a key has at most {MAX_KEY_GRANTS} grants of its own, with at most {MAX_KEY_GRANT_BYTES} bytes")]
    TooManyGrants,
    /// It has more address ranges than a key may have.
    #[error("a key has at most {MAX_KEY_ADDRESSES} address ranges")]
    TooManyAddresses,
    /// The identity has as many keys as it may have.
    #[error("an identity has at most {MAX_API_KEYS} live keys")]
    TooMany,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes a key with at most the caller's scopes, which does not outlive the caller's own and is good from
    /// nowhere else.
    pub async fn create_api_key(&self, caller: &Caller, new: NewApiKey) -> Result<IssuedApiKey, CreateApiKeyError> {
        if !new.scopes.is_within(caller.scopes) {
            return Err(CreateApiKeyError::ScopesBeyondCaller);
        }
        if new.expires_in.is_some_and(|span| span > MAX_API_KEY_LIFE) {
            return Err(CreateApiKeyError::TooLong);
        }
        let mut terms = terms_of(new.grants.clone(), new.addresses.clone())?;
        let actor = Actor::caller(caller);
        let mut tx = match self.begin_named(&actor, &new.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(IssuedApiKey { key: before.api_key().await?, secret: None }),
        };
        let issued = tx.head().revision();
        let identity = self.holder_of(&mut *tx, &actor, &new).await?;
        let (mut row, secret) = self.draw_api_key(&identity, new.label, new.scopes, issued);
        let maker = tx.credential(caller.credential).await?;
        let limits = limits_of(&mut *tx, maker.as_ref()).await?;
        if terms.addresses.is_empty() {
            terms.addresses.clone_from(&limits.addresses);
        }
        if !terms.is_from_within(&limits) {
            return Err(CreateApiKeyError::AddressesBeyondCaller);
        }
        row.parent = Some(caller.credential);
        row.key_terms = Some(terms);
        row.expires_at =
            earlier(new.expires_in.map(|span| row.created_at + span), maker.and_then(|key| key.expires_at));
        tx.insert_credential(&row).await?;
        let entry =
            self.audit(&actor, &row.tenant, "api_key.create", About::Credential { id: row.id, of: row.identity });
        tx.insert_audit(&entry.telling(terms_told(&row))).await?;
        tx.commit(row.id.to_string(), self.now()).await?;
        Ok(IssuedApiKey { key: row.into(), secret: Some(secret) })
    }

    /// Whose the key would be, when it may have one more.
    async fn holder_of(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        new: &NewApiKey,
    ) -> Result<Identity, CreateApiKeyError> {
        let identity = self.hold_for_keys(tx, actor, &new.tenant, &new.identity).await?;
        let identity = identity.ok_or(CreateApiKeyError::NotFound)?;
        if identity.state != IdentityState::Active {
            return Err(CreateApiKeyError::Disabled);
        }
        if identity.kind != IdentityKind::Service && !new.scopes.is_empty() {
            return Err(CreateApiKeyError::ScopesNeedService);
        }
        if tx.count_live_api_keys(&new.tenant, identity.id, self.now()).await? >= MAX_API_KEYS {
            return Err(CreateApiKeyError::TooMany);
        }
        Ok(identity)
    }

    /// Reads an identity's keys, newest first; where it is asked, only those that are neither revoked nor over.
    pub async fn api_keys(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        only_active: bool,
        page: Page,
    ) -> Result<Paged<ApiKey>, ListSessionsError> {
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(ListSessionsError::NotFound)?;
        let query = format!("api keys:{tenant}/{}:{only_active}", identity.id);
        let (live_at, before) = (only_active.then(|| self.now()), page.id(&query)?);
        let rows = view.api_keys(tenant, identity.id, live_at, before, page.fetch()).await?;
        let keys = rows.into_iter().map(ApiKey::from).collect();
        Ok(page.cut_to_fit(&query, keys, |key| key.terms.bytes(), |key| key.id.to_string()))
    }

    /// Reads a key of a tenant.
    pub async fn api_key(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<ApiKey>, StoreError> {
        let row = self.store().read().await?.credential(id).await?;
        Ok(row.filter(|row| row.tenant == *tenant && row.kind == CredentialKind::ApiKey).map(ApiKey::from))
    }

    pub(crate) fn draw_api_key(
        &self,
        identity: &Identity,
        label: Option<Label>,
        scopes: Scopes,
        issued: Revision,
    ) -> (Credential, Secret) {
        draw_key(identity, label, scopes, issued, self.clock(), self.entropy())
    }
}

/// A new key with its secret, which is nowhere else.
pub(crate) fn draw_key(
    identity: &Identity,
    label: Option<Label>,
    scopes: Scopes,
    issued: Revision,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> (Credential, Secret) {
    let now = clock.now();
    let token = OpaqueToken::generate(OpaqueKind::ApiKey, CredentialId::new(UuidSource::new(clock, entropy)), entropy);
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
        expires_at: None,
        spent: None,
        key_terms: Some(KeyTerms::default()),
        certificate: None,
        revoked_seq: None,
    };
    (row, token.reveal())
}

/// What a key may do, from where and until when.
pub(crate) fn terms_told(row: &Credential) -> Detail {
    let terms = row.key_terms.clone().unwrap_or_default();
    let detail = Detail::default().and_list("scopes", row.scopes.iter());
    let detail = match &terms.grants {
        Some(grants) => detail.and_grants("grants", grants),
        None => detail,
    };
    let detail = if terms.addresses.is_empty() { detail } else { detail.and_list("addresses", &terms.addresses) };
    detail.and_time("expires_at", row.expires_at).and_maybe("replaces", terms.replaces)
}

/// What the key of a maker is limited to: of a service token, the key that it was issued for.
pub(crate) async fn limits_of(view: &mut dyn ReadView, maker: Option<&Credential>) -> Result<KeyTerms, StoreError> {
    let Some(maker) = maker else { return Ok(KeyTerms::default()) };
    if maker.is_service_token() {
        return Ok(key_of(view, maker).await?.into_rows().credential.key_terms.unwrap_or_default());
    }
    Ok(maker.key_terms.clone().unwrap_or_default())
}

/// What a new key is limited to, within the bounds.
fn terms_of(grants: Option<Vec<Grant>>, addresses: Vec<AddressRange>) -> Result<KeyTerms, CreateApiKeyError> {
    let bytes: usize = grants.iter().flatten().map(|grant| grant.pattern.as_str().len() + 8).sum();
    if grants.iter().flatten().count() > MAX_KEY_GRANTS || bytes > MAX_KEY_GRANT_BYTES {
        return Err(CreateApiKeyError::TooManyGrants);
    }
    if addresses.len() > MAX_KEY_ADDRESSES {
        return Err(CreateApiKeyError::TooManyAddresses);
    }
    Ok(KeyTerms { grants, addresses, ..KeyTerms::default() })
}
