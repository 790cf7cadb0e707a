//! Credentials as whoever looks after them sees them: each with where it stands, none with its secret.

use portcullis_types::{CredentialId, TenantId, Timestamp};

use crate::standing::{Denial, Standing};
use crate::{
    Authority, Credential, CredentialFilter, DenyReason, IdentityRef, ListSessionsError, Page, Paged, StoreError,
};

/// Where a credential stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// It can be used.
    Active,
    /// It is refused now and may be accepted again: its identity is disabled, or its tenant suspended.
    Refused,
    /// It was revoked, or something above it was.
    Revoked,
    /// Its time is over.
    Expired,
    /// It can be used once, and was.
    Spent,
}

/// A credential, and where it stands now.
#[derive(Clone, Debug)]
pub struct ListedCredential {
    /// The credential.
    pub credential: Credential,
    /// Where it stands.
    pub state: CredentialState,
}

impl ListedCredential {
    pub(crate) fn of(standing: Standing, now: Timestamp) -> Self {
        let state = match standing.judge(now) {
            Ok(()) if standing.credential.spent.is_some() => CredentialState::Spent,
            Ok(()) => CredentialState::Active,
            Err(Denial { reason: DenyReason::Expired, .. }) => CredentialState::Expired,
            Err(Denial { permanent: false, .. }) => CredentialState::Refused,
            Err(Denial { permanent: true, .. }) => CredentialState::Revoked,
        };
        Self { credential: standing.into_rows().credential, state }
    }
}

impl Authority {
    /// Reads a credential of a tenant, and where it stands.
    pub async fn credential(
        &self,
        tenant: &TenantId,
        id: CredentialId,
    ) -> Result<Option<ListedCredential>, StoreError> {
        let (_, standing) = Standing::now(&**self.store(), id).await?;
        let own = standing.filter(|standing| standing.credential.tenant == *tenant);
        Ok(own.map(|standing| ListedCredential::of(standing, self.now())))
    }

    /// Reads an identity's credentials that pass the filter, newest first.
    pub async fn credentials(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        filter: &CredentialFilter,
        page: Page,
    ) -> Result<Paged<ListedCredential>, ListSessionsError> {
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(ListSessionsError::NotFound)?;
        let query = format!("credentials:{tenant}/{}:{filter:?}", identity.id);
        let before = page.id(&query)?;
        let mut listed = Vec::new();
        for row in view.find_credentials(tenant, identity.id, filter, before, page.fetch()).await? {
            let standing = Standing::of(view.as_mut(), row.id).await?;
            listed.extend(standing.map(|standing| ListedCredential::of(standing, self.now())));
        }
        Ok(page.cut(&query, listed, |item| item.credential.id.to_string()))
    }
}
