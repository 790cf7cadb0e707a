//! The first start: somebody must be able to make everybody else.

use std::error::Error;

use portcullis_types::{IdentityId, IdentityName, Secret, TenantId};

use crate::audit::{About, Actor};
use crate::{Authority, Identity, IdentityKind, IdentityRef, IssuedApiKey, Label, Scopes, StoreError, Tenant};

/// Why the first start failed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The key could not be kept, so nothing was made.
    #[error("the administrator's key cannot be kept")]
    NotKept(#[source] Box<dyn Error + Send + Sync>),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes the tenant `system`, the service `admin` in it, and a key of it with every scope. None when that was done
    /// before: the key is shown once.
    ///
    /// `keep` puts the key where the administrator finds it, before anything is committed: a crash in between leaves a key
    /// that opens nothing and is replaced at the next start, and never a store that nobody can open.
    pub async fn bootstrap(
        &self,
        keep: impl FnOnce(&Secret) -> Result<(), Box<dyn Error + Send + Sync>> + Send,
    ) -> Result<Option<IssuedApiKey>, BootstrapError> {
        let name = IdentityName::try_from("admin").expect("the name is visible ASCII");
        let mut tx = self.store().write().await?;
        let issued = tx.head().revision();
        let tenant = Tenant::new(TenantId::system(), self.now());
        tx.insert_tenant(&tenant).await?;
        if tx.identity(&tenant.name, &IdentityRef::Name(name.clone())).await?.is_some() {
            return Ok(None);
        }
        let admin = Identity::new(IdentityId::new(self.ids()), tenant.name, IdentityKind::Service, name, self.now());
        if !tx.insert_identity(&admin).await? {
            return Ok(None);
        }
        let label = Label::try_from("first start").ok();
        let (row, secret) = self.draw_api_key(&admin, label, Scopes::all(), issued);
        tx.insert_credential(&row).await?;
        let about = About::Credential { id: row.id, of: admin.id };
        tx.insert_audit(&self.audit(&Actor::authority(), &admin.tenant, "authority.bootstrap", about)).await?;
        keep(&secret).map_err(BootstrapError::NotKept)?;
        tx.commit().await?;
        Ok(Some(IssuedApiKey { key: row.into(), secret: Some(secret) }))
    }
}
