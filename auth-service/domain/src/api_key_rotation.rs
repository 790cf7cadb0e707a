//! Exchanging an API key: a successor now, and the old one dies at a stated time or at once.
//!
//! Guarantees: the successor may do what the old one may, and has one predecessor. An old key whose end was moved forward
//! is judged again where it is in use, so that its sockets end with it.
//! Refuses to leave nobody who can administer once the successor has ended, and to exchange a key twice while its successor lives: whoever lost the successor's secret exchanges the successor.

use std::time::Duration;

use portcullis_types::{CredentialId, TenantId, Timestamp};

use crate::api_keys::{limits_of, terms_told};
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::standing::{Denial, Standing};
use crate::{
    ApiKey, Authority, BeginError, Caller, Committed, Credential, CredentialKind, IdentityRef, IssuedApiKey,
    MAX_API_KEY_LIFE, MAX_API_KEYS, StoreError, WriteTx,
};

/// The longest that an exchanged key lives beside its successor: 90 days.
pub const MAX_KEY_OVERLAP: Duration = Duration::from_secs(90 * 86_400);

/// A key to exchange.
#[derive(Clone, Debug)]
pub struct RotateApiKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Which.
    pub id: CredentialId,
    /// Until the old one ends; zero: at once.
    pub old_ends_in: Duration,
    /// Until the successor ends; absent: it lives as long as the old one was made for.
    pub expires_in: Option<Duration>,
}

/// A key that was exchanged.
#[derive(Clone, Debug)]
pub struct RotatedApiKey {
    /// The successor.
    pub issued: IssuedApiKey,
    /// The old one, as it is now.
    pub old: ApiKey,
    /// The entry that ends the old one, or has it judged again.
    pub committed: Committed,
}

/// Why a key was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum RotateApiKeyError {
    /// There is no such key in the tenant.
    #[error("no such API key")]
    NotFound,
    /// It was revoked, has ended, or its identity is disabled.
    #[error("the API key is not good any more")]
    NotGood,
    /// Its successor lives.
    #[error("the API key was exchanged already")]
    Replaced(CredentialId),
    /// It may do what the caller may not.
    #[error("a key never has scopes that its maker lacks")]
    ScopesBeyondCaller,
    /// It is good from where the caller is not.
    #[error("a key is never good from addresses that its maker's key is not good from")]
    AddressesBeyondCaller,
    /// Nobody could administer any more, once the successor has ended.
    #[error("no other administrator's key of the system tenant is without an end, and the successor would have one")]
    LastAdministrator,
    /// The old one would live beside its successor for longer than it may.
    #[error("an exchanged key lives at most 90 days more")]
    OverlapTooLong,
    /// The successor would live longer than a key may.
    #[error("a key that ends lives at most ten years")]
    TooLong,
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
    /// Makes a successor of a key, and has the old one end.
    pub async fn rotate_api_key(
        &self,
        caller: &Caller,
        asked: RotateApiKey,
    ) -> Result<RotatedApiKey, RotateApiKeyError> {
        if asked.old_ends_in > MAX_KEY_OVERLAP {
            return Err(RotateApiKeyError::OverlapTooLong);
        }
        if asked.expires_in.is_some_and(|span| span > MAX_API_KEY_LIFE) {
            return Err(RotateApiKeyError::TooLong);
        }
        let actor = Actor::caller(caller);
        let mut tx = match self.begin_named_urgently(&actor, &asked.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(rotated_before(before, asked.id).await?),
        };
        let (standing, before) = self.exchangeable(&mut *tx, caller, &actor, &asked).await?;
        let (row, secret) = self.draw_successor(&mut *tx, caller, &standing, asked.expires_in).await?;
        let gains_an_end = standing.credential.expires_at.is_none() && row.expires_at.is_some();
        if gains_an_end && self.is_last_administrators_key(&mut *tx, &asked.tenant, asked.id).await? {
            return Err(RotateApiKeyError::LastAdministrator);
        }
        let now = self.now();
        let end = if asked.old_ends_in.is_zero() { None } else { Some(now + asked.old_ends_in) };
        if !tx.replace_api_key(asked.id, before, row.id, end).await? {
            return Err(StoreError::Conflict.into());
        }
        tx.insert_credential(&row).await?;
        self.note_rotation(&mut *tx, &actor, asked.id, &row, end.unwrap_or(now)).await?;
        let old = tx.credential(asked.id).await?.ok_or(StoreError::Corrupt { what: "a key that was just there" })?;
        let target = Target::Credential(asked.tenant, asked.id);
        let batch = match end {
            None => Batch::kill(target, Reason::CredentialChanged),
            Some(_) => Batch::reauthorize(target),
        };
        let committed = tx.commit_with(batch, row.id.to_string(), now).await?;
        let mut old = ApiKey::from(old);
        old.revoked |= end.is_none();
        Ok(RotatedApiKey { issued: IssuedApiKey { key: row.into(), secret: Some(secret) }, old, committed })
    }

    /// A row about each of the two keys, which name each other.
    async fn note_rotation(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        old: CredentialId,
        row: &Credential,
        old_ends_at: Timestamp,
    ) -> Result<(), StoreError> {
        let about = |id| About::Credential { id, of: row.identity };
        let detail = Detail::default().and("successor", row.id).and_time("ends_at", Some(old_ends_at));
        let rotated = self.audit(actor, &row.tenant, "api_key.rotate", about(old)).telling(detail);
        let created = self.audit(actor, &row.tenant, "api_key.create", about(row.id)).telling(terms_told(row));
        tx.insert_audits(&[rotated, created]).await
    }

    /// The key, when the caller may exchange it now; and its successor from before, which is dead.
    async fn exchangeable(
        &self,
        tx: &mut dyn WriteTx,
        caller: &Caller,
        actor: &Actor,
        asked: &RotateApiKey,
    ) -> Result<(Standing, Option<CredentialId>), RotateApiKeyError> {
        let now = self.now();
        let known = |row: &Credential| row.kind == CredentialKind::ApiKey && row.tenant == asked.tenant;
        let row = tx.credential(asked.id).await?.filter(known).ok_or(RotateApiKeyError::NotFound)?;
        self.hold_for_keys(tx, actor, &asked.tenant, &IdentityRef::Id(row.identity)).await?;
        let standing = Standing::of(tx, asked.id).await?.ok_or(RotateApiKeyError::NotFound)?;
        if let Err(Denial { .. }) = standing.judge(now) {
            return Err(RotateApiKeyError::NotGood);
        }
        if !standing.credential.scopes.is_within(caller.scopes) {
            return Err(RotateApiKeyError::ScopesBeyondCaller);
        }
        let maker = tx.credential(caller.credential).await?;
        let limits = limits_of(tx, maker.as_ref()).await?;
        if !standing.credential.key_terms.clone().unwrap_or_default().is_from_within(&limits) {
            return Err(RotateApiKeyError::AddressesBeyondCaller);
        }
        let before = standing.credential.key_terms.as_ref().and_then(|terms| terms.replaced_by);
        if let Some(id) = before
            && tx.credential(id).await?.is_some_and(|row| row.revoked_seq.is_none() && !row.is_expired(now))
        {
            return Err(RotateApiKeyError::Replaced(id));
        }
        let identity = standing.identity.id;
        if tx.count_live_api_keys(&asked.tenant, identity, now).await? >= MAX_API_KEYS {
            return Err(RotateApiKeyError::TooMany);
        }
        Ok((standing, before))
    }

    async fn draw_successor(
        &self,
        tx: &mut dyn WriteTx,
        caller: &Caller,
        old: &Standing,
        expires_in: Option<Duration>,
    ) -> Result<(Credential, portcullis_types::Secret), StoreError> {
        let Credential { label, scopes, key_terms, created_at, expires_at, .. } = old.credential.clone();
        let issued = tx.head().revision();
        let (mut row, secret) = self.draw_api_key(&old.identity, label, scopes, issued);
        let life = expires_in.or_else(|| expires_at.map(|end| end.saturating_since(created_at)));
        let maker = tx.credential(caller.credential).await?.and_then(|key| key.expires_at);
        row.parent = Some(caller.credential);
        row.expires_at = earlier(life.map(|life| row.created_at + life), maker);
        let terms = key_terms.unwrap_or_default();
        row.key_terms =
            Some(crate::KeyTerms { replaces: Some(old.credential.id), replaced_by: None, last_used_at: None, ..terms });
        Ok((row, secret))
    }
}

/// What was answered before, with the keys as they are now.
async fn rotated_before(mut before: Before, old: CredentialId) -> Result<RotatedApiKey, StoreError> {
    let issued = IssuedApiKey { key: before.api_key().await?, secret: None };
    Ok(RotatedApiKey { issued, old: before.credential(old).await?.into(), committed: before.committed()? })
}

/// The earlier of two ends, either of which may be never.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
