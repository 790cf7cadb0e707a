//! Exchanging a key: a successor now, and the old one is carried for a stated time yet, or not at all.
//!
//! Guarantees: the successor is for the same holder, and has one predecessor. No socket is closed for an exchange: verdicts
//! are asked for again, and from then on carry both keys until the overlap ends, or the successor alone.
//! Refuses to exchange a key twice while its successor lives.

use std::time::Duration;

use portcullis_types::{CredentialId, TenantId, Timestamp};

use super::proof::{self, Holder};
use super::{
    HolderError, InvalidJwk, InvalidProof, PublicKey, RegisterSignatureKeyError, SignatureKey, judged_again, terms_told,
};
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::standing::Standing;
use crate::{
    Authority, BeginError, Committed, Credential, IdentityRef, KeyTerms, MAX_API_KEY_LIFE, MAX_KEY_OVERLAP, ReadView,
    SignatureKeyRow, StoreError,
};

/// A key to exchange.
#[derive(Clone, Debug)]
pub struct RotateSignatureKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Which.
    pub id: CredentialId,
    /// The public half of the successor, as a JSON Web Key.
    pub jwk: String,
    /// A challenge for the same holder, signed with the private half of the successor.
    pub proof: String,
    /// For how long verdicts still carry the old one; zero: no longer.
    pub old_ends_in: Duration,
    /// Until the successor ends; absent: it lives as long as the old one was made for.
    pub expires_in: Option<Duration>,
}

/// A key that was exchanged.
#[derive(Clone, Debug)]
pub struct RotatedSignatureKey {
    /// The successor.
    pub key: SignatureKey,
    /// The old one, as it is now.
    pub old: SignatureKey,
    /// The entry for which verdicts of the holder are asked for again.
    pub committed: Committed,
}

/// Why a key was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum RotateSignatureKeyError {
    /// There is no such key in the tenant.
    #[error("no such signature key")]
    NotFound,
    /// It was revoked, has ended, or its session or identity is not good.
    #[error("the signature key is not good any more")]
    NotGood,
    /// Its successor lives.
    #[error("the signature key was exchanged already")]
    Replaced(CredentialId),
    /// The old one would be carried beside its successor for longer than it may.
    #[error("an exchanged key lives at most 90 days more")]
    OverlapTooLong,
    /// Its successor cannot be registered.
    #[error(transparent)]
    Register(#[from] RegisterSignatureKeyError),
}

impl Authority {
    /// Registers a successor of a key, and has the old one end.
    pub async fn rotate_signature_key(
        &self,
        actor: &Actor,
        asked: RotateSignatureKey,
    ) -> Result<RotatedSignatureKey, RotateSignatureKeyError> {
        if asked.old_ends_in > MAX_KEY_OVERLAP {
            return Err(RotateSignatureKeyError::OverlapTooLong);
        }
        if asked.expires_in.is_some_and(|span| span > MAX_API_KEY_LIFE) {
            return Err(RegisterSignatureKeyError::TooLong.into());
        }
        let key = PublicKey::from_jwk(&asked.jwk)?;
        if let Some(before) = self.answer_before(actor, &asked.tenant).await? {
            return Ok(self.rotated_before(before, asked.id).await?);
        }
        let mut view = self.store().read().await?;
        let (holder, ..) = self.exchangeable_key(view.as_mut(), &asked).await?;
        drop(view);
        proof::judge(&key, &asked.proof, &self.settings().issuer, &holder, self.keks(), self.now())?;
        let mut change = match self.begin_named_urgently(actor, &asked.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(self.rotated_before(before, asked.id).await?),
        };
        change.hold_identity(&asked.tenant, holder.identity).await?;
        let (holder, old, session_ends) = self.exchangeable_key(&mut *change, &asked).await?;
        let now = self.now();
        let life = asked.expires_in.or_else(|| old.expires_at.map(|end| end.saturating_since(old.created_at)));
        let ends = life.map(|life| now + life).into_iter().chain(session_ends).min();
        let row = self.draw_signature_key(&mut *change, &holder, key, ends);
        let terms = KeyTerms { replaces: Some(old.id), ..KeyTerms::default() };
        let credential = Credential { label: old.label.clone(), key_terms: Some(terms), ..row.credential };
        let row = SignatureKeyRow { credential, ..row };
        self.put_signature_key(&mut *change, &holder, &row, asked.old_ends_in.is_zero()).await?;
        let before = old.key_terms.as_ref().and_then(|terms| terms.replaced_by);
        if !change.replace_signature_key(old.id, before, row.credential.id, now + asked.old_ends_in).await? {
            return Err(StoreError::Conflict.into());
        }
        let about = |id| About::Credential { id, of: old.identity };
        let (next, ends_at) = (row.credential.id, Some(now + asked.old_ends_in));
        let rotated = self.audit(actor, &asked.tenant, "signature_key.rotate", about(old.id));
        let rotated = rotated.telling(Detail::default().and("successor", next).and_time("ends_at", ends_at));
        let registered = self.audit(actor, &asked.tenant, "signature_key.register", about(next));
        change.insert_audits(&[rotated, registered.telling(terms_told(&row.credential))]).await?;
        let old = change.signature_key(old.id).await?.ok_or(GONE)?;
        let old = self.stands(&mut *change, old).await?;
        let key = self.stands(&mut *change, row).await?;
        let committed = change.commit_with(judged_again(&holder), key.id.to_string(), now).await?;
        Ok(RotatedSignatureKey { key, old, committed })
    }

    /// Whose the key is, its row, and when its session ends where it is for one; when it may be exchanged now.
    async fn exchangeable_key(
        &self,
        view: &mut dyn ReadView,
        asked: &RotateSignatureKey,
    ) -> Result<(Holder, Credential, Option<Timestamp>), RotateSignatureKeyError> {
        let now = self.now();
        let row = view.signature_key(asked.id).await?.filter(|row| row.credential.tenant == asked.tenant);
        let row = row.ok_or(RotateSignatureKeyError::NotFound)?.credential;
        let standing = Standing::of(view, row.id).await?.ok_or(GONE)?;
        if standing.judge(now).is_err() {
            return Err(RotateSignatureKeyError::NotGood);
        }
        if let Some(id) = row.key_terms.as_ref().and_then(|terms| terms.replaced_by)
            && view.credential(id).await?.is_some_and(|next| next.revoked_seq.is_none() && !next.is_expired(now))
        {
            return Err(RotateSignatureKeyError::Replaced(id));
        }
        let which = IdentityRef::Id(row.identity);
        let (holder, session_ends) = self.holder_of_keys(view, &asked.tenant, &which, row.session).await?;
        Ok((holder, row, session_ends))
    }

    async fn rotated_before(&self, mut before: Before, old: CredentialId) -> Result<RotatedSignatureKey, StoreError> {
        let (id, committed) = (before.subject()?, before.committed()?);
        let key = self.key_before(&mut before, id).await?;
        let old = self.key_before(&mut before, old).await?;
        Ok(RotatedSignatureKey { key, old, committed })
    }
}

const GONE: StoreError = StoreError::Corrupt { what: "a key that was just there" };

macro_rules! through_registering {
    ($($error:ty),*) => {$(
        impl From<$error> for RotateSignatureKeyError {
            fn from(error: $error) -> Self {
                Self::Register(error.into())
            }
        }
    )*};
}

through_registering!(HolderError, InvalidJwk, InvalidProof, BeginError, StoreError);
