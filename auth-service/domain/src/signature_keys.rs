//! Public signature keys (`cnf`, RFC 7800): with which a client signs what it sends, so that a gateway can tell it from
//! whoever holds its credential alone.
//!
//! A key is an identity's, or one session's. A verdict on a credential carries the keys of its session and its identity,
//! and rests on each of them:
//! - **Registering and exchanging** one has verdicts of the holder asked for again (REAUTHORIZE of the session or the
//!   identity), so that live sockets go on and learn of it.
//! - **Revoking** one kills what rests on it, by its own key like any credential: every socket whose verdict carried it is
//!   closed within B, and the receipt proves it. That a key is in the wrong hands is a reason to end what was set up with it.
//! - **Its end**, its own or that of an overlap, is no event: the verdict carries the time with the key, and a socket goes
//!   on, because it does not rest on how long a key lasts.
//!
//! Guarantees: a key is registered once in a tenant, by whoever showed that it has the private half, and not again while it
//! is remembered, revoked or not. It dies with its session, and with what is revoked above that: an identity's key is killed
//! by what ends the identity's sessions, and by "everything before T" when it is from before T, unlike an API key, because
//! whoever was logged in then may have registered it (I18: what is inserted later than that with an older revision is dead).
//! Refuses: private halves, and to sign or to verify messages.

mod begin;
mod held;
mod jwk;
mod proof;
mod rotation;

use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, SessionId, TenantId, Timestamp};

pub use self::begin::{HolderError, KeyChallenge};
pub use self::held::CarriedKey;
pub use self::jwk::{InvalidJwk, MAX_JWK_BYTES, PublicKey, Thumbprint};
use self::proof::Holder;
pub use self::proof::{CHALLENGE_LIFE, Claims as ProofClaims, InvalidProof, MAX_PROOF_BYTES};
pub use self::rotation::{RotateSignatureKey, RotateSignatureKeyError, RotatedSignatureKey};
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::standing::Standing;
use crate::{
    Authority, BeginError, Committed, Credential, CredentialKind, CredentialState, IdentityRef, KeyTerms, Label,
    ListSessionsError, ListedCredential, MAX_API_KEY_LIFE, Page, Paged, ReadView, Scopes, SignatureKeyRow, StoreError,
    WriteTx,
};

/// The most live keys that a session has, or an identity for itself. A verdict carries both.
pub const MAX_SIGNATURE_KEYS: u64 = 4;

/// The most keys of one holder that are remembered, dead ones included.
pub const MAX_REMEMBERED_KEYS: u64 = 256;

/// How many live keys there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureKeyRules {
    /// Of one session.
    pub per_session: u64,
    /// Of an identity for itself.
    pub per_identity: u64,
}

impl Default for SignatureKeyRules {
    fn default() -> Self {
        Self { per_session: MAX_SIGNATURE_KEYS, per_identity: MAX_SIGNATURE_KEYS }
    }
}

/// A key, and where it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKey {
    /// Its id.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityId,
    /// The session that it is for; absent: the identity.
    pub session: Option<SessionId>,
    /// The key.
    pub key: PublicKey,
    /// What it is for.
    pub label: Option<Label>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it ends; absent: never.
    pub expires_at: Option<Timestamp>,
    /// Where it stands.
    pub state: CredentialState,
    /// The key it was registered to replace.
    pub replaces: Option<CredentialId>,
    /// The key that was registered to replace it.
    pub replaced_by: Option<CredentialId>,
}

/// A key to register.
#[derive(Clone, Debug)]
pub struct NewSignatureKey {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityRef,
    /// The session that it is for; absent: the identity.
    pub session: Option<SessionId>,
    /// The public half, as a JSON Web Key.
    pub jwk: String,
    /// A challenge, signed with the private half.
    pub proof: String,
    /// What it is for.
    pub label: Option<Label>,
    /// Until it ends; absent: never, or with its session.
    pub expires_in: Option<Duration>,
}

/// A key that was registered.
#[derive(Clone, Debug)]
pub struct RegisteredSignatureKey {
    /// The key.
    pub key: SignatureKey,
    /// The entry for which verdicts of the holder are asked for again.
    pub committed: Committed,
}

/// Why a key was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterSignatureKeyError {
    /// Nobody can have it.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// It is no key that can be registered.
    #[error("the key is refused: {0}")]
    Jwk(#[from] InvalidJwk),
    /// Nothing shows that its private half is there.
    #[error("the proof is refused: {0}")]
    Proof(#[from] InvalidProof),
    /// The tenant has it, or had it.
    #[error("this key is known here already, perhaps as a revoked one: make another")]
    Known,
    /// The session or the identity has as many as it may have.
    #[error("there are as many live keys as there may be: revoke one first")]
    TooMany,
    /// The session or the identity had more than are remembered.
    #[error("at most {MAX_REMEMBERED_KEYS} keys of one holder are remembered: older ones are forgotten with time")]
    TooManyRemembered,
    /// It would live longer than a key may.
    #[error("a key that ends lives at most ten years")]
    TooLong,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For what a key is, until when, and in whose place.
fn terms_told(row: &Credential) -> Detail {
    let replaces = row.key_terms.as_ref().and_then(|terms| terms.replaces);
    let detail = Detail::default().and_maybe("session", row.session).and_time("expires_at", row.expires_at);
    detail.and_maybe("replaces", replaces)
}

impl Authority {
    /// Registers a key whose private half signed a challenge.
    pub async fn register_signature_key(
        &self,
        actor: &Actor,
        new: NewSignatureKey,
    ) -> Result<RegisteredSignatureKey, RegisterSignatureKeyError> {
        if new.expires_in.is_some_and(|span| span > MAX_API_KEY_LIFE) {
            return Err(RegisterSignatureKeyError::TooLong);
        }
        let key = PublicKey::from_jwk(&new.jwk)?;
        // Its challenge may be over by now.
        if let Some(before) = self.answer_before(actor, &new.tenant).await? {
            return Ok(self.registered_before(before).await?);
        }
        let mut view = self.store().read().await?;
        let (holder, _) = self.holder_of_keys(view.as_mut(), &new.tenant, &new.identity, new.session).await?;
        drop(view);
        // Before the transaction, so that no writer waits for a signature to be checked.
        proof::judge(&key, &new.proof, &self.settings().issuer, &holder, self.keks(), self.now())?;
        let mut change = match self.begin_named_urgently(actor, &new.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(self.registered_before(before).await?),
        };
        change.hold_identity(&new.tenant, holder.identity).await?;
        let (holder, session_ends) = self.holder_of_keys(&mut *change, &new.tenant, &new.identity, new.session).await?;
        let life = new.expires_in.map(|span| self.now() + span);
        let row = self.draw_signature_key(&mut *change, &holder, key, life.into_iter().chain(session_ends).min());
        let row = SignatureKeyRow { credential: Credential { label: new.label, ..row.credential }, ..row };
        self.put_signature_key(&mut *change, &holder, &row, false).await?;
        let about = About::Credential { id: row.credential.id, of: row.credential.identity };
        let entry = self.audit(actor, &new.tenant, "signature_key.register", about);
        change.insert_audit(&entry.telling(terms_told(&row.credential))).await?;
        // What ended the session meanwhile may be older than this transaction.
        let registered = self.stands(&mut *change, row).await?;
        let committed = change.commit_with(judged_again(&holder), registered.id.to_string(), self.now()).await?;
        Ok(RegisteredSignatureKey { key: registered, committed })
    }

    /// Reads a key of a tenant.
    pub async fn signature_key(&self, tenant: &TenantId, id: CredentialId) -> Result<Option<SignatureKey>, StoreError> {
        let mut view = self.store().read().await?;
        let row = view.signature_key(id).await?.filter(|row| row.credential.tenant == *tenant);
        let Some(row) = row else { return Ok(None) };
        self.stands(view.as_mut(), row).await.map(Some)
    }

    /// Reads the keys of an identity and its sessions, or of one session, newest first.
    pub async fn signature_keys(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        session: Option<SessionId>,
        page: Page,
    ) -> Result<Paged<SignatureKey>, ListSessionsError> {
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(ListSessionsError::NotFound)?;
        let query = format!("signature keys:{tenant}/{}:{session:?}", identity.id);
        let before = page.id(&query)?;
        let mut keys = Vec::new();
        for row in view.find_signature_keys(tenant, identity.id, session, before, page.fetch()).await? {
            keys.push(self.stands(view.as_mut(), row).await?);
        }
        Ok(page.cut(&query, keys, |key| key.id.to_string()))
    }

    async fn stands(&self, view: &mut dyn ReadView, row: SignatureKeyRow) -> Result<SignatureKey, StoreError> {
        let standing = Standing::of(view, row.credential.id).await?;
        let standing = standing.ok_or(StoreError::Corrupt { what: "a signature key without its standing" })?;
        Ok(SignatureKey::of(row, ListedCredential::of(standing, self.now()).state))
    }

    fn draw_signature_key(
        &self,
        tx: &mut dyn WriteTx,
        holder: &Holder,
        key: PublicKey,
        expires_at: Option<Timestamp>,
    ) -> SignatureKeyRow {
        let credential = Credential {
            id: CredentialId::new(self.ids()),
            tenant: holder.tenant.clone(),
            identity: holder.identity,
            session: holder.session,
            kind: CredentialKind::SignatureKey,
            digest: None,
            parent: None,
            label: None,
            scopes: Scopes::NONE,
            audiences: Vec::new(),
            origins: Vec::new(),
            issued: tx.head().revision(),
            signing_key: None,
            created_at: self.now(),
            expires_at,
            spent: None,
            key_terms: Some(KeyTerms::default()),
            certificate: None,
            revoked_seq: None,
        };
        SignatureKeyRow { credential, key }
    }

    /// Inserts a key where there is room for one more, or where it takes the place of another.
    async fn put_signature_key(
        &self,
        tx: &mut dyn WriteTx,
        holder: &Holder,
        row: &SignatureKeyRow,
        instead: bool,
    ) -> Result<(), RegisterSignatureKeyError> {
        let (rules, now) = (self.settings().signature_keys, self.now());
        let most = if holder.session.is_some() { rules.per_session } else { rules.per_identity };
        tx.let_go_of_signature_keys(&holder.tenant, holder.identity, holder.session, now).await?;
        let count = tx.count_signature_keys(&holder.tenant, holder.identity, holder.session).await?;
        if tx.is_signature_key_known(&holder.tenant, &row.key).await? {
            return Err(RegisterSignatureKeyError::Known);
        }
        if count.held >= most + u64::from(instead) {
            return Err(RegisterSignatureKeyError::TooMany);
        }
        if count.remembered >= MAX_REMEMBERED_KEYS {
            return Err(RegisterSignatureKeyError::TooManyRemembered);
        }
        // Another transaction may have registered it meanwhile, for somebody else.
        if tx.insert_signature_key(row).await? { Ok(()) } else { Err(RegisterSignatureKeyError::Known) }
    }

    async fn registered_before(&self, mut before: Before) -> Result<RegisteredSignatureKey, StoreError> {
        let (id, committed) = (before.subject()?, before.committed()?);
        let key = self.key_before(&mut before, id).await?;
        Ok(RegisteredSignatureKey { key, committed })
    }

    /// A key that was answered with before, as it is now: it is kept for longer after its end than the answer.
    async fn key_before(&self, before: &mut Before, id: CredentialId) -> Result<SignatureKey, StoreError> {
        let row = before.view().signature_key(id).await?;
        self.stands(before.view(), row.ok_or(StoreError::Corrupt { what: "an answer without its key" })?).await
    }
}

impl SignatureKey {
    fn of(row: SignatureKeyRow, state: CredentialState) -> Self {
        let SignatureKeyRow { credential, key } = row;
        let terms = credential.key_terms.unwrap_or_default();
        Self {
            id: credential.id,
            tenant: credential.tenant,
            identity: credential.identity,
            session: credential.session,
            key,
            label: credential.label,
            created_at: credential.created_at,
            expires_at: credential.expires_at,
            state,
            replaces: terms.replaces,
            replaced_by: terms.replaced_by,
        }
    }
}

/// The entry by which verdicts of the holder are asked for again.
fn judged_again(holder: &Holder) -> Batch {
    let target = match holder.session {
        Some(session) => Target::Session(holder.tenant.clone(), session),
        None => Target::Identity(holder.tenant.clone(), holder.identity),
    };
    Batch::reauthorize_for(target, Reason::CredentialChanged)
}
