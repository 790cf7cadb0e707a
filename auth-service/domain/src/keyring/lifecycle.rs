//! How signing keys come and go: by schedule, by command, and by revocation.
//!
//! Guarantees: every move is a conditional write, so that replicas which see the same thing due do it once. Revoking the
//! key that signs puts another in its place in the same transaction: there is no moment without one.

use portcullis_types::{SigningKeyId, TenantId, Timestamp};
use sha2::{Digest, Sha256};

use super::plan::{Due, Plan, in_state};
use super::{KeyState, SigningKey, generate};
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor};
use crate::batch::{Batch, Reason, Target};
use crate::{Authority, BeginError, Committed, ReadView, Request, RequestId, StoreError, WriteTx};

/// A signing key as it is told about, without its private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyStanding {
    /// The row, whose sealed half stays inside.
    pub key: SigningKey,
    /// Of a published key: from when it signs.
    pub signs_at: Option<Timestamp>,
    /// Of a retained key: until when the key set shows it.
    pub needed_until: Option<Timestamp>,
    /// Whether the key set shows it.
    pub shown: bool,
}

/// A rotation to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct RotateSigningKey {
    /// The key that shall stop signing; absent: whichever does.
    pub instead_of: Option<SigningKeyId>,
    /// Whether the next key signs at once, before verifiers can know it.
    pub at_once: bool,
}

/// A rotation that has begun.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The key that signs next, or already.
    pub next: SigningKey,
    /// From when.
    pub signs_at: Timestamp,
}

/// Why nothing was rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// It no longer signs: somebody was faster.
    #[error("another key signs now: {0}")]
    OtherSigns(SigningKeyId),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no signing key was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeSigningKeyError {
    /// There is no such key.
    #[error("no such signing key")]
    NotFound,
    /// The request id named another request before.
    #[error("this request id was used for another request")]
    RequestIdReused,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Reads all signing keys, oldest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyStanding>, StoreError> {
        let (plan, now) = (self.key_plan(), self.now());
        let keys = self.store().read().await?.signing_keys().await?;
        Ok(keys.into_iter().map(|key| plan.standing(key, now)).collect())
    }

    /// Does what is due by the schedule; true when something was. Every replica calls it every now and then.
    pub async fn tend_signing_keys(&self) -> Result<bool, StoreError> {
        let (plan, now) = (self.key_plan(), self.now());
        let keys = self.store().read().await?.signing_keys().await?;
        if plan.due(&keys, now) == Due::Nothing {
            return Ok(false);
        }
        let mut tx = self.store().write().await?;
        let keys = tx.signing_keys().await?;
        let actor = Actor::authority();
        let done = match plan.due(&keys, now) {
            Due::Publish => self.publish(tx.as_mut(), &actor).await?.is_some(),
            Due::Promote { next, instead_of } => self.promote(tx.as_mut(), &actor, next.id, instead_of.id).await?,
            Due::Nothing => false,
        };
        if done {
            tx.commit().await?;
        }
        Ok(done)
    }

    /// Begins a rotation: the next key is published now and signs when every cached key set can have it, or at once.
    pub async fn rotate_signing_key(&self, actor: &Actor, asked: RotateSigningKey) -> Result<Rotation, RotateError> {
        let mut tx = match self.begin_named(actor, &TenantId::system()).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(self.rotation_before(before).await?),
        };
        let keys = tx.signing_keys().await?;
        let signing = in_state(&keys, KeyState::Signing).ok_or(StoreError::Corrupt { what: "no key signs" })?;
        if asked.instead_of.is_some_and(|id| id != signing.id) {
            return Err(RotateError::OtherSigns(signing.id));
        }
        let next = match in_state(&keys, KeyState::Published) {
            Some(next) => next.clone(),
            None => self.publish(&mut *tx, actor).await?.ok_or(StoreError::Conflict)?,
        };
        let mut signs_at = self.key_plan().signs_at(&next);
        if asked.at_once {
            if !self.promote(&mut *tx, actor, next.id, signing.id).await? {
                return Err(StoreError::Conflict.into());
            }
            signs_at = self.now();
        }
        tx.commit(next.id.to_string(), self.now()).await?;
        Ok(Rotation { next, signs_at })
    }

    /// The rotation that was begun before, with its key as it is now.
    async fn rotation_before(&self, mut before: Before) -> Result<Rotation, StoreError> {
        let id = before.subject()?;
        let next = before.view().signing_key(id).await?;
        let next = next.ok_or(StoreError::Corrupt { what: "an answer without its signing key" })?;
        let signs_at = next.signing_at.unwrap_or_else(|| self.key_plan().signs_at(&next));
        Ok(Rotation { next, signs_at })
    }

    /// Kills everything signed with a key. Where it was the one that signs, another does from the same instant.
    pub async fn revoke_signing_key(
        &self,
        actor: &Actor,
        id: SigningKeyId,
        reason: Reason,
        request_id: Option<RequestId>,
    ) -> Result<Committed, RevokeSigningKeyError> {
        let content = content_of(id, reason);
        let name = request_id.clone().map(|id| Request { tenant: TenantId::system(), actor: actor.clone(), id });
        let mut tx = self.begin_urgently(actor).await?;
        if let Some(name) = &name
            && let Some(before) = tx.answered(name).await?
        {
            let same = before.content == content;
            return match before.committed {
                Some(committed) if same => Ok(committed),
                _ => Err(RevokeSigningKeyError::RequestIdReused),
            };
        }
        let keys = tx.signing_keys().await?;
        let key = keys.iter().find(|key| key.id == id).ok_or(RevokeSigningKeyError::NotFound)?;
        if let Some(committed) = killed_before(tx.as_mut(), key).await? {
            return Ok(committed);
        }
        if !tx.move_signing_key(id, key.state, KeyState::Revoked, self.now()).await? {
            return Err(StoreError::Conflict.into());
        }
        if key.state == KeyState::Signing {
            self.replace(tx.as_mut(), actor, in_state(&keys, KeyState::Published)).await?;
        }
        let mut entry = self.audit(actor, &TenantId::system(), "signing_key.revoke", About::SigningKey(id));
        entry.request = request_id;
        tx.insert_audit(&entry).await?;
        let mut batch = Batch::kill(Target::SigningKey(id), reason);
        if let Some(name) = name {
            batch = batch.answering(name, content, None);
        }
        Ok(tx.commit_with(batch, self.now()).await?)
    }

    pub(crate) fn key_plan(&self) -> Plan {
        let settings = self.settings();
        Plan { keys: settings.keys, longest_token: settings.access_ttl }
    }

    /// Makes the next key; none when another one is published already.
    async fn publish(&self, tx: &mut dyn WriteTx, actor: &Actor) -> Result<Option<SigningKey>, StoreError> {
        let key = generate(self.settings().keys.algorithm, self.keks().current(), self.clock(), self.entropy());
        if !tx.insert_signing_key(&key).await? {
            return Ok(None);
        }
        self.note_key(tx, actor, "signing_key.publish", key.id).await?;
        Ok(Some(key))
    }

    async fn promote(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        next: SigningKeyId,
        instead_of: SigningKeyId,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        // In this order: one key signs at any time.
        let moved = tx.move_signing_key(instead_of, KeyState::Signing, KeyState::Retained, now).await?
            && tx.move_signing_key(next, KeyState::Published, KeyState::Signing, now).await?;
        if moved {
            self.note_key(tx, actor, "signing_key.retain", instead_of).await?;
            self.note_key(tx, actor, "signing_key.sign", next).await?;
        }
        Ok(moved)
    }

    /// Another key signs from now on: the published one, which some verifiers know, or a new one.
    async fn replace(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        published: Option<&SigningKey>,
    ) -> Result<(), StoreError> {
        let next = match published {
            Some(next) => next.id,
            None => self.publish(tx, actor).await?.ok_or(StoreError::Conflict)?.id,
        };
        if !tx.move_signing_key(next, KeyState::Published, KeyState::Signing, self.now()).await? {
            return Err(StoreError::Conflict);
        }
        self.note_key(tx, actor, "signing_key.sign", next).await
    }

    pub(crate) async fn note_key(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        action: &'static str,
        id: SigningKeyId,
    ) -> Result<(), StoreError> {
        tx.insert_audit(&self.audit(actor, &TenantId::system(), action, About::SigningKey(id))).await
    }
}

impl Plan {
    fn standing(&self, key: SigningKey, now: Timestamp) -> SigningKeyStanding {
        SigningKeyStanding {
            signs_at: (key.state == KeyState::Published).then(|| self.signs_at(&key)),
            needed_until: self.needed_until(&key).filter(|_| key.state == KeyState::Retained),
            shown: self.is_shown(&key, now),
            key,
        }
    }
}

/// The entry that killed it, when it is dead already.
async fn killed_before(view: &mut dyn ReadView, key: &SigningKey) -> Result<Option<Committed>, StoreError> {
    let Some(seq) = key.revoked_seq.filter(|_| key.state == KeyState::Revoked) else { return Ok(None) };
    let entry = view.log_entry(seq).await?;
    Ok(entry.map(|entry| Committed { revision: entry.revision(), committed_at: entry.committed_at }))
}

fn content_of(id: SigningKeyId, reason: Reason) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"revoke signing key")
        .chain_update(id.as_bytes())
        .chain_update(reason.text())
        .finalize()
        .into()
}
