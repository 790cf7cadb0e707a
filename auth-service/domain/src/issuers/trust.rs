//! Whom a tenant trusts: putting, reading, revoking and removing issuers.
//!
//! To trust an issuer is to let others say who somebody is, and to have the authority speak to an address of their
//! choice: only callers of the tenant `system` do it.

use portcullis_types::{IssuerId, IssuerName, TenantId};

use super::{Issuer, IssuerAlgorithm, IssuerUrl, MAX_RULES, Mapping};
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::{Audience, Authority, BeginError, Committed, Etag, MAX_GRANT_BYTES, StoreError, TenantState, WriteTx};

/// The most issuers that a tenant trusts.
pub const MAX_ISSUERS: usize = 32;

/// An issuer as it shall be.
#[derive(Clone, Debug)]
pub struct NewIssuer {
    /// The tenant.
    pub tenant: TenantId,
    /// What the tenant calls it.
    pub name: IssuerName,
    /// Its `iss`.
    pub url: IssuerUrl,
    /// What `aud` must name.
    pub audience: Audience,
    /// How its tokens may be signed.
    pub algorithms: Vec<IssuerAlgorithm>,
    /// Whose its tokens are.
    pub mapping: Mapping,
    /// Only if it is still what it was; absent: whatever it is.
    pub from: Option<Etag>,
}

/// Why an issuer is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum PutIssuerError {
    /// There is no such tenant.
    #[error("no such tenant")]
    TenantNotFound,
    /// The tenant of administrators takes nobody's word.
    #[error("the tenant `system` trusts no external issuer")]
    SystemTenant,
    /// Its URL is in the clear.
    #[error("an issuer is at https; one at http://127.0.0.1 needs `issuers.allow_loopback_http`")]
    Plaintext,
    /// Its keys would never be fetched.
    #[error("an issuer is at a public address, or in a network that `issuers.allowed_networks` names")]
    OutOfReach,
    /// It is this authority.
    #[error("this authority's own tokens need no external issuer")]
    Ourselves,
    /// Nobody could ever be known by it.
    #[error("an issuer creates identities, links them, or both")]
    NobodyKnown,
    /// No algorithm is allowed.
    #[error("an issuer signs with at least one algorithm")]
    NoAlgorithm,
    /// The mapping has too many rules.
    #[error("an issuer has at most {MAX_RULES} role rules")]
    TooManyRules,
    /// A rule names a role that is not there.
    #[error("no such role: {0}")]
    RoleNotFound(portcullis_types::RoleName),
    /// Its roles allow more than an identity may hold.
    #[error("the grants of an issuer's roles have at most {MAX_GRANT_BYTES} bytes together")]
    TooManyGrants,
    /// The URL and the audience together belong to another issuer, perhaps of another tenant.
    #[error("an issuer with this URL and this audience is trusted already")]
    Taken,
    /// The name is another URL's or audience's.
    #[error("the name belongs to an issuer with another URL or audience; remove that first")]
    NameTaken,
    /// It was changed since it was read, or removed.
    #[error("the issuer was changed since it was read")]
    Stale,
    /// The tenant trusts as many as it may.
    #[error("a tenant trusts at most {MAX_ISSUERS} issuers")]
    TooMany,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an issuer was not revoked or removed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeIssuerError {
    /// There is no such issuer.
    #[error("no such issuer")]
    NotFound,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Trusts an issuer, or changes how one that is trusted is mapped; what was seen before keeps its roles.
    pub async fn put_issuer(&self, actor: &Actor, new: NewIssuer) -> Result<Issuer, PutIssuerError> {
        self.check_issuer(&new)?;
        let mut tx = match self.begin_named(actor, &new.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(put_before(before).await?),
        };
        // What it trusts no other tenant may trust.
        let tenant = tx.tenant(&new.tenant).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        tenant.ok_or(PutIssuerError::TenantNotFound)?;
        check_roles(&mut *tx, &new).await?;
        let trusted = tx.issuers(&new.tenant).await?;
        let named = trusted.iter().find(|issuer| issuer.name == new.name);
        if named.is_some_and(|issuer| issuer.url != new.url || issuer.audience != new.audience) {
            return Err(PutIssuerError::NameTaken);
        }
        tx.hold_issuer(&new.tenant, &new.url, &new.audience).await?;
        let before = tx.issuer_of(&new.tenant, &new.url, &new.audience).await?;
        let now = before.as_ref().filter(|issuer| issuer.removed_at.is_none()).map(Issuer::etag);
        if new.from.is_some_and(|from| now != Some(from)) {
            return Err(PutIssuerError::Stale);
        }
        let is_trusted = before.as_ref().is_some_and(|issuer| issuer.removed_at.is_none());
        if !is_trusted && trusted.len() >= MAX_ISSUERS {
            return Err(PutIssuerError::TooMany);
        }
        let issuer = Issuer {
            id: before.as_ref().map_or_else(|| IssuerId::new(self.ids()), |issuer| issuer.id),
            tenant: new.tenant,
            name: new.name,
            url: new.url,
            audience: new.audience,
            algorithms: new.algorithms,
            mapping: new.mapping,
            created_at: before.as_ref().map_or_else(|| self.now(), |issuer| issuer.created_at),
            removed_at: None,
            // What died stays dead, though it is trusted again.
            revoked_seq: before.and_then(|issuer| issuer.revoked_seq),
        };
        if !tx.put_issuer(&issuer).await? {
            return Err(PutIssuerError::Taken);
        }
        let entry = self.audit(actor, &issuer.tenant, "issuer.put", About::Issuer(issuer.id));
        tx.insert_audit(&entry.telling(told(&issuer))).await?;
        tx.commit(issuer.id.to_string(), self.now()).await?;
        Ok(issuer)
    }

    fn check_issuer(&self, new: &NewIssuer) -> Result<(), PutIssuerError> {
        if new.tenant.is_system() {
            return Err(PutIssuerError::SystemTenant);
        }
        if new.url.is_plaintext() && !self.settings().allow_loopback_issuers {
            return Err(PutIssuerError::Plaintext);
        }
        if self.issuer_keys().is_out_of_reach(&new.url) {
            return Err(PutIssuerError::OutOfReach);
        }
        if new.url.as_str() == self.settings().issuer {
            return Err(PutIssuerError::Ourselves);
        }
        if !new.mapping.create_identities && !new.mapping.link_identities {
            return Err(PutIssuerError::NobodyKnown);
        }
        if new.algorithms.is_empty() {
            return Err(PutIssuerError::NoAlgorithm);
        }
        if new.mapping.roles.len() > MAX_RULES { Err(PutIssuerError::TooManyRules) } else { Ok(()) }
    }

    /// Reads whom a tenant trusts, by name.
    pub async fn issuers(&self, tenant: &TenantId) -> Result<Vec<Issuer>, StoreError> {
        self.store().read().await?.issuers(tenant).await
    }

    /// Kills what rests on an issuer's word until now. Tokens that it issues later than the clocks' tolerance are good.
    pub async fn revoke_issuer(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &IssuerName,
        reason: Reason,
    ) -> Result<Committed, ChangeIssuerError> {
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let issuer = named(&mut *tx, tenant, name).await?;
        tx.insert_audit(&self.audit(actor, tenant, "issuer.revoke", About::Issuer(issuer.id))).await?;
        let batch = Batch::kill(Target::Issuer(tenant.clone(), issuer.id), reason);
        Ok(tx.commit_with(batch, issuer.id.to_string(), self.now()).await?)
    }

    /// Trusts an issuer no more, and kills what rests on its word.
    pub async fn remove_issuer(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        name: &IssuerName,
    ) -> Result<Committed, ChangeIssuerError> {
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let issuer = named(&mut *tx, tenant, name).await?;
        if !tx.remove_issuer(issuer.id, self.now()).await? {
            return Err(ChangeIssuerError::NotFound);
        }
        tx.insert_audit(&self.audit(actor, tenant, "issuer.remove", About::Issuer(issuer.id))).await?;
        let batch = Batch::kill(Target::Issuer(tenant.clone(), issuer.id), Reason::Administrative);
        Ok(tx.commit_with(batch, issuer.id.to_string(), self.now()).await?)
    }
}

/// Whom it is, and what its word brings.
fn told(issuer: &Issuer) -> Detail {
    let mut roles: Vec<_> = issuer.mapping.roles.iter().map(|rule| &rule.role).collect();
    roles.sort();
    roles.dedup();
    Detail::default().and("url", issuer.url.as_str()).and("name", issuer.name.as_str()).and_list("roles", roles)
}

/// The issuer that was put before, as it is now. Its row is kept for ever.
async fn put_before(mut before: Before) -> Result<Issuer, StoreError> {
    let id = before.subject()?;
    before.view().issuer(id).await?.ok_or(StoreError::Corrupt { what: "an answer without its issuer" })
}

pub(super) async fn named(
    tx: &mut dyn WriteTx,
    tenant: &TenantId,
    name: &IssuerName,
) -> Result<Issuer, ChangeIssuerError> {
    let trusted = tx.issuers(tenant).await?;
    trusted.into_iter().find(|issuer| issuer.name == *name).ok_or(ChangeIssuerError::NotFound)
}

async fn check_roles(tx: &mut dyn WriteTx, new: &NewIssuer) -> Result<(), PutIssuerError> {
    let mut roles: Vec<_> = new.mapping.roles.iter().map(|rule| &rule.role).collect();
    roles.sort();
    roles.dedup();
    let mut bytes = 0;
    for name in roles {
        let role = tx.role(&new.tenant, name).await?;
        bytes += role.ok_or_else(|| PutIssuerError::RoleNotFound(name.clone()))?.bytes();
    }
    if bytes > MAX_GRANT_BYTES { Err(PutIssuerError::TooManyGrants) } else { Ok(()) }
}
