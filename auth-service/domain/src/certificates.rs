//! Client certificates: a service is known by the name in a certificate that it shows when it connects, instead of by a
//! key that it sends.
//!
//! What is registered is a name, never a certificate: whoever the configured certificate authorities vouch for under it is
//! the service, however often its certificate is exchanged. A name is registered once over all tenants, and again only
//! when the one before is dead. Like an API key it has no session, dies only by its own key, and is refused while its
//! identity is disabled; it gives no more than its maker has, and does not outlive its maker's key.
//! Refuses: to open a socket. A certificate is for the authority's own API.

mod name;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{AddressRange, CredentialId, IdentityId, TenantId, Timestamp};

pub use self::name::CertificateName;
use crate::api_key_rotation::earlier;
use crate::api_keys::{limits_of, terms_told};
use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::callers::caller;
use crate::standing::Standing;
use crate::{
    Authority, BeginError, Caller, CallerError, Credential, CredentialKind, Identity, IdentityKind, IdentityRef,
    IdentityState, KeyTerms, Label, ListSessionsError, MAX_API_KEY_LIFE, MAX_KEY_ADDRESSES, Page, Paged, Scopes,
    StoreError, WriteTx,
};

/// The most names, not revoked and not expired, that an identity has.
pub const MAX_CERTIFICATES: u64 = 100;

/// A certificate that a caller showed and that an authority vouched for, as far as the rules need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Who its holder is.
    pub name: CertificateName,
    /// It is good from here.
    pub not_before: Timestamp,
    /// It is over here.
    pub not_after: Timestamp,
}

impl ShownCertificate {
    /// Whether it is good at this time, which is not only that of the handshake.
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// A registered name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its id.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Which service it stands for.
    pub identity: IdentityId,
    /// The name.
    pub name: CertificateName,
    /// What it is for.
    pub label: Option<Label>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it ends, whatever certificates say; absent: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// From where it may be shown; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// When it was last seen in use, late by some minutes.
    pub last_used_at: Option<Timestamp>,
}

impl ClientCertificate {
    /// How many bytes it takes in an answer, at most and roughly.
    fn bytes(&self) -> usize {
        1_024 + self.name.as_str().len() + self.addresses.len() * 48
    }

    /// None of another kind of credential.
    fn of(row: Credential) -> Option<Self> {
        let name = row.certificate?;
        let KeyTerms { addresses, last_used_at, .. } = row.key_terms.unwrap_or_default();
        Some(Self {
            id: row.id,
            tenant: row.tenant,
            identity: row.identity,
            name,
            label: row.label,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked: row.revoked_seq.is_some(),
            addresses,
            last_used_at,
        })
    }
}

/// A name to register.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// The tenant.
    pub tenant: TenantId,
    /// Which service it stands for.
    pub identity: IdentityRef,
    /// The name.
    pub name: CertificateName,
    /// What it is for.
    pub label: Option<Label>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
    /// Until it ends; absent: never.
    pub expires_in: Option<Duration>,
    /// From where it may be shown; empty: from where its maker's key may.
    pub addresses: Vec<AddressRange>,
}

/// Why a name was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterCertificateError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The identity is disabled.
    #[error("the identity is disabled")]
    Disabled,
    /// The identity is a person.
    #[error("only services call with certificates")]
    NeedsService,
    /// It would live longer than a key may.
    #[error("a registration that ends lives at most ten years")]
    TooLong,
    /// It would be allowed what its maker is not.
    #[error("a certificate never has scopes that its maker lacks")]
    ScopesBeyondCaller,
    /// It would be good from where its maker is not.
    #[error("a certificate is never good from addresses that its maker's key is not good from")]
    AddressesBeyondCaller,
    /// It has more address ranges than it may have.
    #[error("a certificate has at most {MAX_KEY_ADDRESSES} address ranges")]
    TooManyAddresses,
    /// The identity has as many as it may have.
    #[error("an identity has at most {MAX_CERTIFICATES} live certificates")]
    TooMany,
    /// Somebody has the name: this identity, or another one of any tenant.
    #[error("the name is registered already: revoke that registration first")]
    NameTaken,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Knows a service by the certificate that it showed when it connected, from this address.
    pub async fn authenticate_certificate(
        &self,
        shown: &ShownCertificate,
        address: Option<IpAddr>,
    ) -> Result<Caller, CallerError> {
        if !shown.is_in_time(self.now()) {
            return Err(CallerError::Unauthenticated);
        }
        let (head, standing) = Standing::certified(&**self.store(), &shown.name).await?;
        let standing = standing.filter(|standing| standing.credential.certificate.as_ref() == Some(&shown.name));
        let standing = standing.ok_or(CallerError::Unauthenticated)?;
        self.judge_key(&standing, address)?;
        let caller = caller(&standing, standing.credential.scopes, standing.keys(), head.revision());
        Ok(caller.at(address))
    }

    /// Registers a name for a service, with at most the caller's scopes. `actor` is the caller, with its name for the
    /// request.
    pub async fn register_certificate(
        &self,
        caller: &Caller,
        actor: &Actor,
        new: NewCertificate,
    ) -> Result<ClientCertificate, RegisterCertificateError> {
        new.check(caller)?;
        let mut change = match self.begin_named(actor, &new.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => {
                let id = before.subject()?;
                drop(before);
                let found = self.client_certificate(&new.tenant, id).await?;
                return Ok(found.ok_or(StoreError::Corrupt { what: "an answer without its certificate" })?);
            }
        };
        let identity = self.bearer_of(&mut *change, actor, &new).await?;
        let row = self.draw_certificate(&mut *change, caller, &identity, new).await?;
        let name = row.certificate.as_ref().ok_or(StoreError::Corrupt { what: "a certificate without a name" })?;
        if !change.take_certificate_name(name, row.id, row.expires_at, row.created_at).await? {
            return Err(RegisterCertificateError::NameTaken);
        }
        change.insert_credential(&row).await?;
        let about = About::Credential { id: row.id, of: row.identity };
        let entry = self.audit(actor, &row.tenant, "certificate.register", about);
        change.insert_audit(&entry.telling(terms_told(&row).and("name", name))).await?;
        change.commit(row.id.to_string(), row.created_at).await?;
        ClientCertificate::of(row).ok_or_else(|| StoreError::Corrupt { what: "a certificate without a name" }.into())
    }

    /// Reads an identity's registrations, newest first; where it is asked, only those that are neither revoked nor over.
    pub async fn client_certificates(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        only_active: bool,
        page: Page,
    ) -> Result<Paged<ClientCertificate>, ListSessionsError> {
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(ListSessionsError::NotFound)?;
        let query = format!("certificates:{tenant}/{}:{only_active}", identity.id);
        let (live_at, before) = (only_active.then(|| self.now()), page.id(&query)?);
        let rows = view.certificates(tenant, identity.id, live_at, before, page.fetch()).await?;
        let found = rows.into_iter().filter_map(ClientCertificate::of).collect();
        Ok(page.cut_to_fit(&query, found, ClientCertificate::bytes, |one| one.id.to_string()))
    }

    /// Reads a registration of a tenant.
    pub async fn client_certificate(
        &self,
        tenant: &TenantId,
        id: CredentialId,
    ) -> Result<Option<ClientCertificate>, StoreError> {
        let row = self.store().read().await?.credential(id).await?;
        Ok(row.filter(|row| row.tenant == *tenant).and_then(ClientCertificate::of))
    }

    /// Which service would have the name, when it may have one more.
    async fn bearer_of(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        new: &NewCertificate,
    ) -> Result<Identity, RegisterCertificateError> {
        let identity = self.hold_for_keys(tx, actor, &new.tenant, &new.identity).await?;
        let identity = identity.ok_or(RegisterCertificateError::NotFound)?;
        if identity.state != IdentityState::Active {
            return Err(RegisterCertificateError::Disabled);
        }
        if identity.kind != IdentityKind::Service {
            return Err(RegisterCertificateError::NeedsService);
        }
        if tx.count_live_certificates(&new.tenant, identity.id, self.now()).await? >= MAX_CERTIFICATES {
            return Err(RegisterCertificateError::TooMany);
        }
        Ok(identity)
    }

    async fn draw_certificate(
        &self,
        tx: &mut dyn WriteTx,
        caller: &Caller,
        identity: &Identity,
        new: NewCertificate,
    ) -> Result<Credential, RegisterCertificateError> {
        let (now, issued) = (self.now(), tx.head().revision());
        let maker = tx.credential(caller.credential).await?;
        let limits = limits_of(tx, maker.as_ref()).await?;
        let addresses = if new.addresses.is_empty() { limits.addresses.clone() } else { new.addresses };
        let terms = KeyTerms { addresses, ..KeyTerms::default() };
        if !terms.is_from_within(&limits) {
            return Err(RegisterCertificateError::AddressesBeyondCaller);
        }
        let end = earlier(new.expires_in.map(|span| now + span), maker.and_then(|key| key.expires_at));
        Ok(Credential {
            id: CredentialId::new(self.ids()),
            tenant: identity.tenant.clone(),
            identity: identity.id,
            session: None,
            kind: CredentialKind::ClientCertificate,
            digest: None,
            parent: Some(caller.credential),
            label: new.label,
            scopes: new.scopes,
            audiences: Vec::new(),
            origins: Vec::new(),
            issued,
            signing_key: None,
            created_at: now,
            expires_at: end,
            spent: None,
            key_terms: Some(terms),
            certificate: Some(new.name),
            revoked_seq: None,
        })
    }
}

impl NewCertificate {
    /// What needs no row.
    fn check(&self, caller: &Caller) -> Result<(), RegisterCertificateError> {
        if !self.scopes.is_within(caller.scopes) {
            return Err(RegisterCertificateError::ScopesBeyondCaller);
        }
        if self.expires_in.is_some_and(|span| span > MAX_API_KEY_LIFE) {
            return Err(RegisterCertificateError::TooLong);
        }
        if self.addresses.len() > MAX_KEY_ADDRESSES {
            return Err(RegisterCertificateError::TooManyAddresses);
        }
        Ok(())
    }
}
