//! Whom the subjects of external issuers are here, and undoing it.
//!
//! Guarantees: whoever unlinks a subject kills what rests on it by one event of the identity, in the same transaction; a
//! token of that subject which is seen later is as if it were the first, and goes where the mapping then says.
//! Refuses to show a subject as its issuer calls it: only its digest is kept.

use portcullis_types::{IdentityId, IdentityName, IssuerId, IssuerName, TenantId};

use super::ChangeIssuerError;
use super::trust::named;
use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::password_changes::held;
use crate::{Authority, BeginError, Committed, IdentityRef, InvalidPage, Page, Paged, StoreError, SubjectsOf};

/// A subject of an issuer, and whom it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSubject {
    /// The issuer.
    pub issuer: IssuerId,
    /// What the tenant calls it, or called it.
    pub issuer_name: IssuerName,
    /// Whether it is trusted.
    pub is_trusted: bool,
    /// The SHA-256 of its `sub`.
    pub subject: [u8; 32],
    /// The identity.
    pub identity: IdentityId,
    /// What that is called.
    pub identity_name: IdentityName,
}

/// Which subjects to read: of an issuer, of an identity, or the one of both.
#[derive(Clone, Debug)]
pub struct WhichSubjects {
    /// The tenant.
    pub tenant: TenantId,
    /// Only of this issuer.
    pub issuer: Option<IssuerName>,
    /// Only of this identity.
    pub identity: Option<IdentityRef>,
}

/// Why subjects were not read.
#[derive(Debug, thiserror::Error)]
pub enum ListSubjectsError {
    /// Of everybody is too many to be found.
    #[error("name an issuer, an identity or both")]
    OfNobody,
    /// There is no such issuer.
    #[error("no such issuer")]
    IssuerNotFound,
    /// There is no such identity.
    #[error("no such identity")]
    IdentityNotFound,
    /// The page cannot be asked for.
    #[error(transparent)]
    Page(#[from] InvalidPage),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a subject is still linked.
#[derive(Debug, thiserror::Error)]
pub enum UnlinkError {
    /// There is no such issuer.
    #[error("no such issuer")]
    IssuerNotFound,
    /// There is no such identity.
    #[error("no such identity")]
    IdentityNotFound,
    /// None is.
    #[error("no subject of the issuer is linked to the identity")]
    NotLinked,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Reads which subjects of external issuers are whom.
    pub async fn issuer_subjects(
        &self,
        which: &WhichSubjects,
        page: Page,
    ) -> Result<Paged<IssuerSubject>, ListSubjectsError> {
        let WhichSubjects { tenant, issuer, identity } = which;
        let mut view = self.store().read().await?;
        let issuer = match issuer {
            Some(name) => {
                let trusted = view.issuers(tenant).await?.into_iter().find(|issuer| issuer.name == *name);
                Some(trusted.ok_or(ListSubjectsError::IssuerNotFound)?.id)
            }
            None => None,
        };
        let identity = match identity {
            Some(which) => Some(view.identity(tenant, which).await?.ok_or(ListSubjectsError::IdentityNotFound)?.id),
            None => None,
        };
        let of = match (issuer, identity) {
            (Some(issuer), Some(identity)) => SubjectsOf::Both(issuer, identity),
            (Some(issuer), None) => SubjectsOf::Issuer(issuer),
            (None, Some(identity)) => SubjectsOf::Identity(identity),
            (None, None) => return Err(ListSubjectsError::OfNobody),
        };
        let query = format!("subjects:{tenant}:{of:?}");
        let after = page.position(&query)?.map(|text| position_of(&text)).transpose()?;
        let found = view.find_subjects(tenant, of, after, page.fetch()).await?;
        Ok(page.cut(&query, found, |subject| format!("{}/{}", subject.issuer, subject.identity)))
    }

    /// Unlinks an issuer's subject from an identity, and ends every session that the identity has.
    pub async fn unlink_subject(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        issuer: &IssuerName,
    ) -> Result<Committed, UnlinkError> {
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let issuer = named(&mut *tx, tenant, issuer).await?;
        let identity = held(&mut *tx, tenant, which).await?.ok_or(UnlinkError::IdentityNotFound)?;
        if !tx.unbind_subject(issuer.id, identity.id).await? {
            return Err(UnlinkError::NotLinked);
        }
        let row = self.audit(actor, tenant, "identity.unlink", About::Identity(identity.id));
        tx.insert_audit(&row.telling(Detail::default().and("issuer", issuer.id))).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::Administrative);
        Ok(tx.commit_with(batch, identity.id.to_string(), self.now()).await?)
    }
}

impl From<ChangeIssuerError> for UnlinkError {
    fn from(error: ChangeIssuerError) -> Self {
        match error {
            ChangeIssuerError::NotFound => Self::IssuerNotFound,
            ChangeIssuerError::Begin(error) => Self::Begin(error),
            ChangeIssuerError::Store(error) => Self::Store(error),
        }
    }
}

fn position_of(text: &str) -> Result<(IssuerId, IdentityId), InvalidPage> {
    let (issuer, identity) = text.split_once('/').ok_or(InvalidPage::Token)?;
    let issuer = IssuerId::try_from(issuer).map_err(|_| InvalidPage::Token)?;
    Ok((issuer, IdentityId::try_from(identity).map_err(|_| InvalidPage::Token)?))
}
