//! Somebody can always administer.
//!
//! Guarantees: while somebody of `system` has a key for it that does not end, no call of this API takes the last such key
//! away: what ends by itself later counts for as little as what ends now. Where nobody has one, the last key that is good
//! now is kept. Whoever lost all keys, and may use the machine that the authority runs on, makes another one there.
//!
//! A key's scopes are its own and no role has any, so no change of roles can take administration away.

use std::error::Error;

use portcullis_types::{
    Clock, CredentialId, Entropy, IdentityId, IdentityName, Secret, TenantId, Timestamp, UuidSource,
};

use crate::api_keys::draw_key;
use crate::audit::{About, AuditEntry};
use crate::{
    Authority, CredentialKind, Identity, IdentityKind, IdentityRef, IdentityState, Label, Scope, Scopes, Store,
    StoreError, WriteTx,
};

/// What the first administrator is called.
const ADMIN: &str = "admin";

/// What holds then has no end.
const END_OF_TIME: Timestamp = Timestamp::from_micros(i64::MAX);

/// Why no other key was made for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    /// The key could not be kept, so nothing was made.
    #[error("the administrator's key cannot be kept")]
    NotKept(#[source] Box<dyn Error + Send + Sync>),
    /// There was no first start.
    #[error("there is no administrator yet: `bootstrap` without `--new-key` makes the first one")]
    NotStarted,
    /// The name is a person's.
    #[error("`{ADMIN}` of the tenant `system` is not a service, and only services administer")]
    NotAService,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes one more key of `admin`, with every scope and without an end, and gives it to `keep` before anything is committed.
/// Enables `admin` where it was disabled, and makes it again where it was deleted. It asks for no key: whoever may open
/// the store may do all of this by hand.
pub async fn new_administrator_key(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    keep: impl FnOnce(&Secret) -> Result<(), Box<dyn Error + Send + Sync>> + Send,
) -> Result<CredentialId, NewKeyError> {
    let (system, now) = (TenantId::system(), clock.now());
    let mut tx = store.write().await?;
    tx.tenant(&system).await?.ok_or(NewKeyError::NotStarted)?;
    let admin = revived(tx.as_mut(), &system, UuidSource::new(clock, entropy), now).await?;
    let issued = tx.head().revision();
    let label = Label::try_from("made on the machine").ok();
    let (row, secret) = draw_key(&admin, label, Scopes::all(), issued, clock, entropy);
    tx.insert_credential(&row).await?;
    let about = About::Credential { id: row.id, of: admin.id };
    tx.insert_audit(&AuditEntry::of_the_authority(now, &system, "authority.new_key", about)).await?;
    keep(&secret).map_err(NewKeyError::NotKept)?;
    tx.commit().await?;
    Ok(row.id)
}

/// The administrator, able to act.
async fn revived(
    tx: &mut dyn WriteTx,
    system: &TenantId,
    ids: UuidSource<'_>,
    now: Timestamp,
) -> Result<Identity, NewKeyError> {
    let name = IdentityName::try_from(ADMIN).expect("the name is visible ASCII");
    let (admin, done) = match tx.identity(system, &IdentityRef::Name(name.clone())).await? {
        Some(admin) if admin.kind != IdentityKind::Service => return Err(NewKeyError::NotAService),
        Some(admin) if admin.state == IdentityState::Active => return Ok(admin),
        Some(admin) => {
            tx.set_identity_state(system, admin.id, IdentityState::Active).await?;
            (admin, "identity.enable")
        }
        None => {
            let admin = Identity::new(IdentityId::new(ids), system.clone(), IdentityKind::Service, name, now);
            if !tx.insert_identity(&admin).await? {
                return Err(StoreError::Conflict.into());
            }
            (admin, "identity.create")
        }
    };
    tx.insert_audit(&AuditEntry::of_the_authority(now, system, done, About::Identity(admin.id))).await?;
    Ok(admin)
}

impl Authority {
    /// Whether nobody could administer for good without this identity, while somebody can with it.
    pub(crate) async fn is_last_administrator(
        &self,
        tx: &mut dyn WriteTx,
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<bool, StoreError> {
        if !tenant.is_system() {
            return Ok(false);
        }
        tx.hold_tenant(tenant).await?;
        for at in [END_OF_TIME, self.now()] {
            let holders = tx.live_holders(tenant, Scope::Admin, at, 2).await?;
            if !holders.is_empty() {
                return Ok(holders == [identity]);
            }
        }
        Ok(false)
    }

    /// The same of an API key. Nothing else is one: what counts for nothing when the others are counted must not be what
    /// cannot be revoked.
    pub(crate) async fn is_last_administrators_key(
        &self,
        tx: &mut dyn WriteTx,
        tenant: &TenantId,
        key: CredentialId,
    ) -> Result<bool, StoreError> {
        if !tenant.is_system() {
            return Ok(false);
        }
        tx.hold_tenant(tenant).await?;
        let row = tx.credential(key).await?;
        let row = row.filter(|row| row.kind == CredentialKind::ApiKey && row.scopes.contains(Scope::Admin));
        let Some(row) = row else { return Ok(false) };
        let holder = tx.identity(tenant, &IdentityRef::Id(row.identity)).await?;
        if holder.is_none_or(|holder| holder.state != IdentityState::Active) {
            return Ok(false);
        }
        // Without one that ends, those that do not are as many as before.
        let at = if row.expires_at.is_none() { END_OF_TIME } else { self.now() };
        Ok(!tx.is_held_without(tenant, Scope::Admin, at, key).await?)
    }
}
