//! Verdicts: is this credential good, for whom, and as of which revision?
//!
//! Guarantees: the revision of a verdict was read before the state that it rests on, on the same snapshot. A denial is a
//! verdict; an error means that there is none.

use std::time::Duration;

use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, Secret, TenantId, Timestamp};

use crate::access_token::{Signed, looks_like_jwt};
use crate::batch::Target;
use crate::issuers::claims_another_issuer;
use crate::standing::{Denial, Standing, digest_matches};
use crate::{
    Allowed, Authority, BeginError, Credential, CredentialKind, CredentialReference, DenyReason, IssuerSilent,
    PresentationContext, Presented, Principal, ReadView, Spent, StoreError, Verdict,
};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The caller's key is no longer good.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The keys of the token's issuer are not known.
    #[error(transparent)]
    Issuer(#[from] IssuerSilent),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bearer that has the form of one of ours, or was seen; of a JWT the signature is good.
#[derive(Debug)]
pub(crate) enum Form {
    Opaque(OpaqueToken),
    Signed(Box<Signed>),
    External(CredentialId),
}

impl Form {
    pub(crate) fn id(&self) -> CredentialId {
        match self {
            Self::Opaque(token) => token.id,
            Self::Signed(signed) => signed.claims.jti,
            Self::External(id) => *id,
        }
    }

    pub(crate) fn fits(&self, row: &Credential) -> bool {
        match self {
            Self::Opaque(token) => kind_of(token.kind) == Some(row.kind) && digest_matches(row, token),
            Self::Signed(signed) => row.kind == CredentialKind::AccessToken && signed.agrees_with(row),
            // What was signed was seen before, byte for byte.
            Self::External(id) => row.id == *id,
        }
    }
}

impl Authority {
    /// Judges one presented credential. A ticket is redeemed by this, and only when the verdict allows.
    pub async fn verify(
        &self,
        presented: Presented<'_>,
        context: &PresentationContext,
    ) -> Result<Verdict, VerifyError> {
        match presented {
            Presented::Bearer(bearer) => self.verify_bearer(bearer, context).await,
            Presented::Ticket { ticket, redemption } => Ok(self.redeem(ticket, redemption, context).await?),
        }
    }

    /// Judges again what was admitted before, by reference: one snapshot for all. Where it was presented is not judged
    /// again: the constraints are in the verdict.
    pub async fn batch_verify(&self, references: &[CredentialReference]) -> Result<Vec<Verdict>, StoreError> {
        let mut view = self.store().read().await?;
        let (now, revision) = (self.now(), view.head().revision());
        let mut verdicts = Vec::with_capacity(references.len());
        for reference in references {
            let judged = self.judge_admitted(view.as_mut(), reference, now).await?;
            verdicts.push(Verdict::of(revision, judged));
        }
        Ok(verdicts)
    }

    async fn verify_bearer(&self, bearer: &Secret, context: &PresentationContext) -> Result<Verdict, VerifyError> {
        let form = match self.read_bearer(bearer, context.within.as_ref()).await? {
            Ok(form) => form,
            Err(denial) => return Ok(Verdict::of(self.store().head().await?.revision(), Err(denial))),
        };
        let (head, standing) = Standing::now(&**self.store(), form.id()).await?;
        let now = self.now();
        let judged = judge_bearer(standing, &form, context.within.as_ref(), now)
            .and_then(|standing| self.admit(&standing, None, context, now));
        Ok(Verdict::of(head.revision(), judged))
    }

    /// What needs no row: form, checksum, signature. A token of an external issuer that is seen for the first time gets
    /// its row here, unless its issuer is not of the tenant that is asked about. The outer result says that nothing can be
    /// said.
    pub(crate) async fn read_bearer(
        &self,
        bearer: &Secret,
        within: Option<&TenantId>,
    ) -> Result<Result<Form, Denial>, VerifyError> {
        match bearer.expose_str() {
            Some(text) if claims_another_issuer(text, &self.settings().issuer) => {
                self.read_external_bearer(text, within).await
            }
            Some(_) | None => Ok(self.read_own_bearer(bearer).await?),
        }
    }

    /// As [`Authority::read_bearer`], for what this authority issued: it asks nobody else, and writes nothing.
    pub(crate) async fn read_own_bearer(&self, bearer: &Secret) -> Result<Result<Form, Denial>, StoreError> {
        let Some(text) = bearer.expose_str() else { return Ok(Err(Denial::permanent(DenyReason::Malformed))) };
        if OpaqueKind::claimed_by(text).is_none() {
            if !looks_like_jwt(text) {
                return Ok(Err(Denial::permanent(DenyReason::Malformed)));
            }
            let signed = self.read_access_token(text).await?;
            return Ok(signed.map(|signed| Form::Signed(Box::new(signed))).map_err(Denial::permanent));
        }
        Ok(match OpaqueToken::parse(text) {
            Ok(token) => match token.kind {
                OpaqueKind::ApiKey | OpaqueKind::SessionCookie => Ok(Form::Opaque(token)),
                OpaqueKind::RefreshToken
                | OpaqueKind::Ticket
                | OpaqueKind::LoginContinuation
                | OpaqueKind::PasswordReset
                | OpaqueKind::Device => Err(Denial::permanent(DenyReason::WrongKind)),
            },
            Err(_) => Err(Denial::permanent(DenyReason::Malformed)),
        })
    }

    /// A token of an external issuer, by the row that it has or gets.
    pub(crate) async fn read_external_bearer(
        &self,
        text: &str,
        within: Option<&TenantId>,
    ) -> Result<Result<Form, Denial>, VerifyError> {
        let token = match self.read_external(text, within).await? {
            Ok(token) => token,
            Err(denial) => return Ok(Err(denial)),
        };
        match self.arrive(&token).await {
            // Another took it in meanwhile: its row is there now.
            Err(StoreError::Conflict) => Ok(self.arrive(&token).await?.map(Form::External)),
            arrived => Ok(arrived?.map(Form::External)),
        }
    }

    /// The standing of a bearer that is good in itself.
    pub(crate) async fn bearer_standing(
        &self,
        view: &mut dyn ReadView,
        form: &Form,
        within: Option<&TenantId>,
        now: Timestamp,
    ) -> Result<Result<Standing, Denial>, StoreError> {
        Ok(judge_bearer(Standing::of(view, form.id()).await?, form, within, now))
    }

    async fn judge_admitted(
        &self,
        view: &mut dyn ReadView,
        reference: &CredentialReference,
        now: Timestamp,
    ) -> Result<Result<Allowed, Denial>, StoreError> {
        let standing = Standing::of(view, reference.credential).await?;
        let Some(standing) = standing.filter(|standing| standing.credential.tenant == reference.tenant) else {
            return Ok(Err(Denial::transient(DenyReason::Unknown)));
        };
        match standing.credential.kind {
            CredentialKind::AccessToken if standing.credential.is_service_token() => {
                Ok(Err(Denial::permanent(DenyReason::WrongKind)))
            }
            CredentialKind::SessionCookie | CredentialKind::AccessToken | CredentialKind::ApiKey => {
                Ok(standing.judge(now).map(|()| self.allow(&standing, None, now)))
            }
            CredentialKind::Ticket if standing.credential.spent.is_some() => match standing.judge_admitted(now) {
                Ok(()) => {
                    let parent = parent_of(view, &standing).await?;
                    if now >= self.socket_end(&standing.credential, now) {
                        return Ok(Err(Denial::permanent(DenyReason::Expired)));
                    }
                    Ok(parent.judge(now).map(|()| self.allow(&parent, Some(&standing), now)))
                }
                Err(denial) => Ok(Err(denial)),
            },
            // None was ever admitted anywhere.
            CredentialKind::Ticket
            | CredentialKind::RefreshToken
            | CredentialKind::ClientCertificate
            | CredentialKind::SignatureKey => Ok(Err(Denial::permanent(DenyReason::WrongKind))),
        }
    }

    /// Judges the credential that a socket would rest on, then where it was presented: a ticket's place must be its
    /// parent's too. It may be presented elsewhere a moment later, so a wrong place is no denial for ever.
    pub(crate) fn admit(
        &self,
        standing: &Standing,
        ticket: Option<&Standing>,
        context: &PresentationContext,
        now: Timestamp,
    ) -> Result<Allowed, Denial> {
        standing.judge(now)?;
        for row in ticket.into_iter().chain([standing]).map(|standing| &standing.credential) {
            self.judge_context(row, context)?;
        }
        Ok(self.allow(standing, ticket, now))
    }

    fn judge_context(&self, row: &Credential, context: &PresentationContext) -> Result<(), Denial> {
        let audience = context.audience.as_ref().unwrap_or(&self.settings().audience);
        if !row.is_for(audience) {
            return Err(Denial::transient(DenyReason::WrongAudience));
        }
        if !row.is_from(context.origin.as_ref()) {
            return Err(Denial::transient(DenyReason::WrongOrigin));
        }
        if !row.is_from_address(context.address) {
            return Err(Denial::transient(DenyReason::WrongAddress));
        }
        Ok(())
    }

    /// When a socket that a ticket opened ends at the latest, though its parent may not end: as a session would that began
    /// with it. Then nothing rests on the ticket any more, and its row may go.
    fn socket_end(&self, ticket: &Credential, now: Timestamp) -> Timestamp {
        let redeemed = match ticket.spent {
            Some(Spent::Redeemed { at, .. }) => at,
            Some(Spent::Rotated { .. }) | None => now,
        };
        redeemed + self.settings().session_ttl
    }

    fn allow(&self, standing: &Standing, ticket: Option<&Standing>, now: Timestamp) -> Allowed {
        let row = &standing.credential;
        let presented = &ticket.unwrap_or(standing).credential;
        let socket_end = ticket.map(|ticket| self.socket_end(&ticket.credential, now));
        let expires_in = [standing.ends_at(), socket_end].into_iter().flatten().min();
        let expires_in = expires_in.map(|end| end.saturating_since(now));
        let cache_ttl = self.settings().cache_ttl.min(expires_in.unwrap_or(Duration::MAX));
        self.key_uses().note(row, now);
        let signature_keys = standing.carried_keys(now);
        let mut keys = standing.keys();
        keys.extend(signature_keys.iter().map(|key| Target::Credential(row.tenant.clone(), key.id).key()));
        keys.extend(ticket.into_iter().flat_map(Standing::keys));
        keys.sort_unstable();
        keys.dedup();
        Allowed {
            principal: Principal {
                tenant: row.tenant.clone(),
                identity: row.identity,
                identity_kind: standing.identity.kind,
                identity_name: standing.identity.name.clone(),
                session: row.session,
                credential: row.id,
                credential_kind: row.kind,
                grants: match &row.key_terms {
                    Some(terms) => terms.limit(standing.grants().to_vec()),
                    None => standing.grants().to_vec(),
                },
                scopes: row.scopes,
            },
            keys,
            reference: CredentialReference { tenant: row.tenant.clone(), credential: presented.id },
            expires_in,
            cache_ttl: if ticket.is_some() { Duration::ZERO } else { cache_ttl },
            origins: presented.origins.clone(),
            audiences: presented.audiences.clone(),
            addresses: row.key_terms.as_ref().map_or_else(Vec::new, |terms| terms.addresses.clone()),
            lease_class: self.served_class(&standing.tenant),
            signature_keys,
        }
    }
}

/// The standing of what was presented, when it is good in itself.
pub(crate) fn judge_bearer(
    standing: Option<Standing>,
    form: &Form,
    within: Option<&TenantId>,
    now: Timestamp,
) -> Result<Standing, Denial> {
    let known = |standing: &Standing| within.is_none_or(|tenant| standing.credential.tenant == *tenant);
    let standing = standing.filter(known).ok_or(Denial::transient(DenyReason::Unknown))?;
    if !form.fits(&standing.credential) {
        return Err(Denial::permanent(DenyReason::Invalid));
    }
    if standing.credential.is_service_token() {
        return Err(Denial::permanent(DenyReason::WrongKind));
    }
    standing.judge(now).map(|()| standing)
}

async fn parent_of(view: &mut dyn ReadView, ticket: &Standing) -> Result<Standing, StoreError> {
    let corrupt = StoreError::Corrupt { what: "a ticket without its parent" };
    let Some(parent) = ticket.credential.parent else { return Err(corrupt) };
    Standing::of(view, parent).await?.ok_or(corrupt)
}

/// The kind of credential behind an opaque token; none for what has rows of its own.
const fn kind_of(kind: OpaqueKind) -> Option<CredentialKind> {
    match kind {
        OpaqueKind::ApiKey => Some(CredentialKind::ApiKey),
        OpaqueKind::RefreshToken => Some(CredentialKind::RefreshToken),
        OpaqueKind::Ticket => Some(CredentialKind::Ticket),
        OpaqueKind::SessionCookie => Some(CredentialKind::SessionCookie),
        OpaqueKind::LoginContinuation | OpaqueKind::PasswordReset | OpaqueKind::Device => None,
    }
}
