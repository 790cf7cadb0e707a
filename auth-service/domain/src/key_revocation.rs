//! Ending all keys of an identity at once: its API keys and its client certificates, or those from before a time.
//!
//! They are found and ended in one transaction, by one entry that names each. Whoever makes one meanwhile waits, and is
//! judged again afterwards: what a key that ends makes is among those that end, or is not made. Signature keys are none: they
//! end with the sessions, or by themselves.

use std::collections::BTreeSet;

use portcullis_types::{CredentialId, TenantId, Timestamp};

use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Effect, Fact, Pace, Reason, Target};
use crate::outrun::{Outrun, unless_outrun};
use crate::{
    Authority, BeginError, Committed, Credential, CredentialKind, Identity, IdentityRef, MAX_API_KEYS,
    MAX_CERTIFICATES, Scope, StoreError, WriteTx,
};

/// Which keys to end.
#[derive(Clone, Debug)]
pub struct RevokeKeys {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub which: IdentityRef,
    /// Only those that were made before this; absent: all.
    pub made_before: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
    /// How fast sockets are closed that it fences; absent: at once.
    pub pace: Option<Pace>,
}

/// What was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedKeys {
    /// The entry; none when no such key lived.
    pub committed: Option<Committed>,
    /// How many keys it ends.
    pub keys: u32,
}

/// Why no keys were ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeKeysError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// Nobody could administer any more.
    #[error("nobody else of the system tenant could administer without these keys: make another administrator's first")]
    LastAdministrator,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Outrun for RevokeKeysError {
    fn is_outrun(&self) -> bool {
        match self {
            Self::Begin(error) => error.is_outrun(),
            Self::Store(error) => error.is_outrun(),
            Self::NotFound | Self::LastAdministrator => false,
        }
    }
}

impl Authority {
    /// Ends every API key and every client certificate of an identity that lives and was made in time.
    pub async fn revoke_keys(&self, actor: &Actor, request: RevokeKeys) -> Result<EndedKeys, RevokeKeysError> {
        unless_outrun(|| self.revoke_keys_once(actor, request.clone())).await
    }

    async fn revoke_keys_once(&self, actor: &Actor, request: RevokeKeys) -> Result<EndedKeys, RevokeKeysError> {
        let RevokeKeys { tenant, which, made_before, reason, pace } = request;
        let mut change = match self.begin_named_urgently(actor, &tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(ended_before(&before)?),
        };
        let identity = self.hold_for_keys(&mut *change, actor, &tenant, &which).await?;
        let identity = identity.ok_or(RevokeKeysError::NotFound)?;
        let found = self.keys_to_end(&mut *change, &identity, made_before).await?;
        let keys = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut entry = self.audit(actor, &tenant, "identity.revoke_keys", About::Identity(identity.id));
        entry.detail = Detail::default().and_count("keys", found.len()).and_time("made_before", made_before);
        entry.reason = Some(reason.text().to_owned());
        change.insert_audit(&entry).await?;
        let Some(batch) = batch_of(&tenant, &found, reason).map(|batch| batch.paced(pace)) else {
            change.commit(keys.to_string(), self.now()).await?;
            return Ok(EndedKeys { committed: None, keys });
        };
        let committed = change.commit_with(batch, keys.to_string(), self.now()).await?;
        Ok(EndedKeys { committed: Some(committed), keys })
    }

    async fn keys_to_end(
        &self,
        tx: &mut dyn WriteTx,
        identity: &Identity,
        made_before: Option<Timestamp>,
    ) -> Result<Vec<CredentialId>, RevokeKeysError> {
        let (tenant, now) = (&identity.tenant, Some(self.now()));
        let most = |keys: u64| u32::try_from(2 * keys).unwrap_or(u32::MAX);
        let is_last = self.is_last_administrator(tx, tenant, identity.id).await?;
        let mut found = tx.api_keys(tenant, identity.id, now, None, most(MAX_API_KEYS)).await?;
        found.extend(tx.certificates(tenant, identity.id, now, None, most(MAX_CERTIFICATES)).await?);
        let (ended, kept): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|key| made_before.is_none_or(|before| key.created_at < before));
        if is_last && !leaves_an_administrator(&ended, &kept) {
            return Err(RevokeKeysError::LastAdministrator);
        }
        let ids: BTreeSet<_> = ended.into_iter().map(|key| key.id).collect();
        Ok(ids.into_iter().collect())
    }
}

/// Whether the keys that stay administer for as long as those that go. A certificate does not: whether it is taken at all is
/// up to the configuration.
fn leaves_an_administrator(ended: &[Credential], kept: &[Credential]) -> bool {
    let administers = |key: &&Credential| key.kind == CredentialKind::ApiKey && key.scopes.contains(Scope::Admin);
    let is_endless = |key: &Credential| key.expires_at.is_none();
    let lost: Vec<_> = ended.iter().filter(administers).collect();
    let mut left = kept.iter().filter(administers);
    lost.is_empty() || left.any(|key| is_endless(key) || !lost.iter().any(|key| is_endless(key)))
}

fn batch_of(tenant: &TenantId, keys: &[CredentialId], reason: Reason) -> Option<Batch> {
    let mut targets = keys.iter().map(|key| Target::Credential(tenant.clone(), *key));
    let first = Batch::kill(targets.next()?, reason);
    Some(targets.map(|target| Fact { target, effect: Effect::Kill, reason, pace: None }).fold(first, Batch::and))
}

fn ended_before(before: &Before) -> Result<EndedKeys, StoreError> {
    Ok(EndedKeys { committed: before.maybe_committed(), keys: before.number()? })
}
