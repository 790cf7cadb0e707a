//! What can be revoked, and what that means. How it is written is in `group_commit`.
//!
//! Revoking a credential or a session that is dead already is answered with the entry that killed it, because nothing
//! older has appeared since. Revoking an identity, a client application or a tenant always writes an entry: somebody may
//! have logged in again meanwhile.
//! A refresh token and a session cookie stand for their session, so revoking one revokes the session.

use std::fmt;

use portcullis_types::{ClientId, CredentialId, InvalidName, OpaqueToken, Secret, SessionId, TenantId};
use sha2::{Digest, Sha256};

use crate::audit::{About, Actor};
use crate::batch::{Pace, Reason, Target};
use crate::issuers::claims_another_issuer;
use crate::verification::{Form, VerifyError};
use crate::{Authority, BeginError, Credential, CredentialKind, IdentityRef, IssuerSilent, ReadView, StoreError};

/// A caller's name for a request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for RequestId {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName { what: "request id", rule: "1 to 64 visible ASCII characters" })
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A request by its name: each who asks names its own, in each tenant, whichever of its keys it asks with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
    /// The name.
    pub id: RequestId,
}

/// What to kill.
#[derive(Clone, Debug)]
pub enum RevokeTarget {
    /// A credential by its id.
    Credential(CredentialId),
    /// A session and everything issued under it.
    Session(SessionId),
    /// Every session an identity has now. It may log in again.
    Identity(IdentityRef),
    /// A credential by its presented form.
    Presented(Secret),
    /// Everything issued to a client application.
    Client(ClientId),
    /// Everything in the tenant that a session holds. Its people may log in again.
    Tenant,
}

/// A revocation to make.
#[derive(Clone, Debug)]
pub struct RevokeRequest {
    /// The tenant.
    pub tenant: TenantId,
    /// What to kill.
    pub target: RevokeTarget,
    /// Why.
    pub reason: Reason,
    /// How fast gateways close what it kills; absent: as each is configured.
    pub pace: Option<Pace>,
    /// The caller's name for this request.
    pub request_id: Option<RequestId>,
}

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no such target in the tenant.
    #[error("no such target")]
    NotFound,
    /// What was presented is not a credential of ours: wrong form, signature or secret.
    #[error("what was presented is not a credential of this authority")]
    Unverifiable,
    /// The request id named another request before.
    #[error("this request id was used for another request")]
    RequestIdReused,
    /// Nobody could administer any more.
    #[error("no other administrator's key of the system tenant is without an end: make one first")]
    LastAdministrator,
    /// The keys of the token's issuer are not known.
    #[error(transparent)]
    Issuer(#[from] IssuerSilent),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<VerifyError> for RevokeError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Begin(error) => error.into(),
            VerifyError::Issuer(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl Authority {
    /// Any of our forms: what is revoked need not be usable as a bearer.
    pub(crate) async fn read_presented(&self, secret: &Secret, within: &TenantId) -> Result<Form, RevokeError> {
        let text = secret.expose_str().ok_or(RevokeError::Unverifiable)?;
        if let Ok(token) = OpaqueToken::parse(text) {
            return Ok(Form::Opaque(token));
        }
        if claims_another_issuer(text, &self.settings().issuer) {
            // What was seen before needs no signature to be known again, so it dies even while its issuer is silent.
            if let Some(id) = self.seen_external(text, within).await? {
                return Ok(Form::External(id));
            }
            return match self.read_external_bearer(text, Some(within)).await? {
                Ok(form) => Ok(form),
                // It is dead already, or will never be good.
                Err(_) => Err(RevokeError::Unverifiable),
            };
        }
        match self.read_access_token(text).await? {
            Ok(signed) => Ok(Form::Signed(Box::new(signed))),
            Err(_) => Err(RevokeError::Unverifiable),
        }
    }
}

/// What a request names, and the entry that killed it already, where that is an answer.
pub(crate) struct Found {
    pub(crate) target: Target,
    /// The same, with whose it is.
    pub(crate) about: About,
    pub(crate) dead_since: Option<u64>,
}

pub(crate) async fn resolve(
    view: &mut dyn ReadView,
    request: &RevokeRequest,
    presented: Option<&Form>,
) -> Result<Found, RevokeError> {
    let tenant = &request.tenant;
    match &request.target {
        RevokeTarget::Identity(which) => {
            let identity = view.identity(tenant, which).await?.ok_or(RevokeError::NotFound)?;
            let (target, about) = (Target::Identity(tenant.clone(), identity.id), About::Identity(identity.id));
            Ok(Found { target, about, dead_since: None })
        }
        RevokeTarget::Session(id) => session(view, tenant, *id).await,
        RevokeTarget::Client(client) => {
            view.tenant(tenant).await?.ok_or(RevokeError::NotFound)?;
            if !is_anybodys(view, tenant, client).await? {
                return Err(RevokeError::NotFound);
            }
            let (target, about) = (Target::Client(tenant.clone(), client.clone()), About::Client(client.clone()));
            Ok(Found { target, about, dead_since: None })
        }
        RevokeTarget::Tenant => {
            view.tenant(tenant).await?.ok_or(RevokeError::NotFound)?;
            let (target, about) = (Target::Tenant(tenant.clone()), About::Tenant(tenant.clone()));
            Ok(Found { target, about, dead_since: None })
        }
        RevokeTarget::Credential(id) => {
            let row = view.credential(*id).await?.filter(|row| row.tenant == *tenant);
            credential(view, row.ok_or(RevokeError::NotFound)?).await
        }
        RevokeTarget::Presented(_) => {
            let form = presented.ok_or(RevokeError::Unverifiable)?;
            let row = view.credential(form.id()).await?.filter(|row| row.tenant == *tenant);
            let row = row.ok_or(RevokeError::NotFound)?;
            if form.fits(&row) { credential(view, row).await } else { Err(RevokeError::Unverifiable) }
        }
    }
}

/// Whether anything could rest on a client application. Where others may sign for the tenant, they may have signed for it
/// what was not seen yet, and that must be dead too.
pub(crate) async fn is_anybodys(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    client: &ClientId,
) -> Result<bool, StoreError> {
    Ok(view.client_has_sessions(tenant, client).await? || !view.issuers(tenant).await?.is_empty())
}

async fn session(view: &mut dyn ReadView, tenant: &TenantId, id: SessionId) -> Result<Found, RevokeError> {
    let session = view.session(tenant, id).await?.ok_or(RevokeError::NotFound)?;
    let about = About::Session { id: session.id, of: session.identity };
    Ok(Found { target: Target::Session(session.tenant, session.id), about, dead_since: session.revoked_seq })
}

async fn credential(view: &mut dyn ReadView, row: Credential) -> Result<Found, RevokeError> {
    match (row.kind, row.session) {
        (CredentialKind::RefreshToken | CredentialKind::SessionCookie, Some(id)) => {
            session(view, &row.tenant, id).await
        }
        (CredentialKind::RefreshToken | CredentialKind::SessionCookie, None)
        | (
            CredentialKind::AccessToken
            | CredentialKind::Ticket
            | CredentialKind::ApiKey
            | CredentialKind::ClientCertificate
            | CredentialKind::SignatureKey,
            _,
        ) => {
            let about = About::Credential { id: row.id, of: row.identity };
            Ok(Found { target: Target::Credential(row.tenant, row.id), about, dead_since: row.revoked_seq })
        }
    }
}

/// What the audit trail calls revoking it.
pub(crate) const fn action_on(target: &Target) -> &'static str {
    match target {
        Target::Tenant(_) => "tenant.revoke",
        Target::Identity(..) => "identity.revoke",
        Target::Session(..) => "session.revoke",
        Target::Credential(..) => "credential.revoke",
        Target::Client(..) => "client.revoke",
        Target::SigningKey(_) => "signing_key.revoke",
        Target::Role(..) => "role.revoke",
        Target::Issuer(..) => "issuer.revoke",
    }
}

/// The digest of what is asked, each part with its length before it. Of a presented credential only this is kept.
pub(crate) fn content_of(request: &RevokeRequest) -> [u8; 32] {
    let (kind, what) = named_by(&request.target);
    let pace = request.pace.map(|pace| pace.per_second().to_be_bytes());
    // A request without a pace is what it was before there was one.
    let parts = [request.tenant.as_str().as_bytes(), kind, &what, request.reason.text().as_bytes()];
    digest(parts.into_iter().chain(pace.as_ref().map(|pace| &pace[..])))
}

/// The digest of a target in its tenant, however and by whom it is revoked.
pub(crate) fn target_of(request: &RevokeRequest) -> [u8; 32] {
    let (kind, what) = named_by(&request.target);
    digest([request.tenant.as_str().as_bytes(), kind, &what])
}

fn named_by(target: &RevokeTarget) -> (&'static [u8], Vec<u8>) {
    match target {
        RevokeTarget::Credential(id) => (b"credential", id.to_string().into_bytes()),
        RevokeTarget::Session(id) => (b"session", id.to_string().into_bytes()),
        RevokeTarget::Identity(IdentityRef::Id(id)) => (b"identity", id.to_string().into_bytes()),
        RevokeTarget::Identity(IdentityRef::Name(name)) => (b"identity name", name.as_str().as_bytes().to_vec()),
        RevokeTarget::Presented(secret) => (b"presented", Sha256::digest(secret.expose_bytes()).to_vec()),
        RevokeTarget::Client(client) => (b"client", client.as_str().as_bytes().to_vec()),
        RevokeTarget::Tenant => (b"tenant", Vec::new()),
    }
}

fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
