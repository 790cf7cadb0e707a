//! Requests that their callers name, so that one that is sent twice is done once.
//!
//! Guarantees: the answer is remembered in the transaction that it answers; the same name with the same content is
//! answered from there, and with other content it is refused. Whoever asks names its own requests, in each tenant, and asks
//! again with whichever of its keys: a retry after a key was exchanged is the same request. Answers are forgotten after [`ANSWERS_KEPT`].
//! Refuses: to keep a secret. An answer is what it was about and the entry it made; what was shown once is not shown again,
//! and the digest of what was asked is keyed, because there may be a password in it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, Secret, TenantId, Timestamp};

use crate::audit::Actor;
use crate::event_quota::Charge;
use crate::{
    Answered, ApiKey, Authority, Batch, BeginError, Committed, Credential, Identity, IdentityRef, ReadView, Request,
    RequestId, StoreError, Tenant, WriteTx,
};

/// For how long a named request is answered as it was.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(86_400);

/// How many answers one transaction forgets, so that it keeps nobody waiting.
const FORGOTTEN_AT_ONCE: u32 = 500;

/// A caller's name for a request, and the digest of what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name.
    pub id: RequestId,
    /// The digest.
    pub content: [u8; 32],
    /// The same by each older key-encryption key: an answer may be from before the exchange.
    pub before: Vec<[u8; 32]>,
}

impl Asked {
    fn is_answered_by(&self, answered: &Answered) -> bool {
        answered.content == self.content || self.before.contains(&answered.content)
    }

    fn of(&self, actor: &Actor, tenant: &TenantId) -> Request {
        Request { tenant: tenant.clone(), actor: actor.clone(), id: self.id.clone() }
    }
}

/// How a change begins that may have been asked for before.
pub(crate) enum Begun {
    /// It was not.
    New(Change),
    /// It was, and this was the answer.
    Before(Before),
}

/// A transaction that remembers its answer, when the request has a name.
pub(crate) struct Change {
    tx: Box<dyn WriteTx>,
    named: Option<(Request, [u8; 32])>,
    charge: Option<Charge>,
}

/// An answer from before, and a snapshot to tell it from.
pub(crate) struct Before {
    view: Box<dyn ReadView>,
    answered: Answered,
}

impl Authority {
    /// What a caller names a request, with the digest of what it asks: which method, and its whole message.
    pub fn asked(&self, id: RequestId, method: &str, message: &Secret) -> Asked {
        let mut contents = self.keks().iter().map(|kek| kek.request_content(method, message));
        let content = contents.next().expect("there is always a current key-encryption key");
        Asked { id, content, before: contents.collect() }
    }

    /// As [`Authority::begin`], for what may have been asked for before.
    pub(crate) async fn begin_named(&self, actor: &Actor, tenant: &TenantId) -> Result<Begun, BeginError> {
        let tx = self.begin(actor).await?;
        begun(tx, actor, tenant).await
    }

    /// As [`Authority::begin_urgently`], for what may have been asked for before, and counted by what it writes.
    pub(crate) async fn begin_named_urgently(&self, actor: &Actor, tenant: &TenantId) -> Result<Begun, BeginError> {
        let tx = self.begin_urgently(actor).await?;
        match begun(tx, actor, tenant).await? {
            Begun::New(change) => Ok(Begun::New(Change { charge: self.charge(actor)?, ..change })),
            before @ Begun::Before(_) => Ok(before),
        }
    }

    /// The answer to the same request with the same content, where trying again would not find out: a password that was
    /// changed is no longer the current one. Another content is nothing here and is refused by the transaction, after
    /// what counts guesses: nobody finds out by a name what was in the request before.
    pub(crate) async fn answer_before(&self, actor: &Actor, tenant: &TenantId) -> Result<Option<Before>, StoreError> {
        let Some(asked) = actor.asked() else { return Ok(None) };
        let mut view = self.store().read().await?;
        let answered = view.answered(&asked.of(actor, tenant)).await?;
        let answered = answered.filter(|answered| asked.is_answered_by(answered));
        Ok(answered.map(|answered| Before { view, answered }))
    }

    /// Forgets answers that were given long enough ago. False when there may be more.
    pub async fn forget_answers(&self) -> Result<bool, StoreError> {
        let mut tx = self.store().write().await?;
        let forgotten = tx.forget_answers(self.now().saturating_sub(ANSWERS_KEPT), FORGOTTEN_AT_ONCE).await?;
        if forgotten > 0 {
            tx.commit().await?;
        }
        Ok(forgotten < u64::from(FORGOTTEN_AT_ONCE))
    }
}

async fn begun(mut tx: Box<dyn WriteTx>, actor: &Actor, tenant: &TenantId) -> Result<Begun, BeginError> {
    let Some(asked) = actor.asked() else { return Ok(Begun::New(Change::unnamed(tx))) };
    let request = asked.of(actor, tenant);
    match tx.answered(&request).await? {
        None => Ok(Begun::New(Change { tx, named: Some((request, asked.content)), charge: None })),
        Some(answered) if asked.is_answered_by(&answered) => Ok(Begun::Before(Before { view: tx, answered })),
        Some(_) => Err(BeginError::RequestIdReused),
    }
}

impl Change {
    /// Of what has no name.
    pub(crate) fn unnamed(tx: Box<dyn WriteTx>) -> Self {
        Self { tx, named: None, charge: None }
    }

    /// Commits what neither kills nor alters authority.
    pub(crate) async fn commit(mut self, subject: String, at: Timestamp) -> Result<(), StoreError> {
        if let Some((request, content)) = &self.named {
            let answer = Answered { content: *content, committed: None, subject: Some(subject) };
            self.tx.insert_answer(request, &answer, at).await?;
        }
        self.tx.commit().await
    }

    /// Commits with the entry that the batch makes.
    pub(crate) async fn commit_with(
        mut self,
        mut batch: Batch,
        subject: String,
        at: Timestamp,
    ) -> Result<Committed, StoreError> {
        if let Some((request, content)) = self.named {
            batch = batch.answering(request, content, Some(subject));
        }
        if let Some(charge) = &mut self.charge {
            charge.commit();
        }
        let committed = self.tx.commit_with(batch, at).await;
        if let Some(charge) = self.charge {
            charge.settle(&committed);
        }
        committed
    }
}

impl Deref for Change {
    type Target = dyn WriteTx;

    fn deref(&self) -> &Self::Target {
        &*self.tx
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.tx
    }
}

impl Before {
    /// The entry that answered.
    pub(crate) fn committed(&self) -> Result<Committed, StoreError> {
        self.maybe_committed().ok_or(StoreError::Corrupt { what: "an answer without its entry" })
    }

    /// The entry that answered, when there was one.
    pub(crate) fn maybe_committed(&self) -> Option<Committed> {
        self.answered.committed
    }

    /// What it was about.
    pub(crate) fn subject<T: for<'t> TryFrom<&'t str>>(&self) -> Result<T, StoreError> {
        let subject = self.answered.subject.as_deref().and_then(|text| T::try_from(text).ok());
        subject.ok_or(StoreError::Corrupt { what: "an answer about nothing" })
    }

    /// How many it was about.
    pub(crate) fn number(&self) -> Result<u32, StoreError> {
        let subject = self.answered.subject.as_deref().and_then(|text| text.parse().ok());
        subject.ok_or(StoreError::Corrupt { what: "an answer about no number" })
    }

    /// The tenant that it was about, as it is now. Tenants are never removed: of a deleted one the tombstone stays.
    pub(crate) async fn tenant(&mut self, name: &TenantId) -> Result<Tenant, StoreError> {
        self.view.tenant(name).await?.ok_or(StoreError::Corrupt { what: "an answer without its tenant" })
    }

    /// The identity that it was about, as it is now. Identities are never removed while their tenant is there.
    pub(crate) async fn identity(&mut self, tenant: &TenantId) -> Result<Identity, StoreError> {
        let id: IdentityId = self.subject()?;
        let found = self.view.identity(tenant, &IdentityRef::Id(id)).await?;
        found.ok_or(StoreError::Corrupt { what: "an answer without its identity" })
    }

    /// An API key's row, as it is now: it is kept for longer after its end than the answer.
    pub(crate) async fn credential(&mut self, id: CredentialId) -> Result<Credential, StoreError> {
        self.view.credential(id).await?.ok_or(StoreError::Corrupt { what: "an answer without its credential" })
    }

    /// The API key that it was about, as it is now.
    pub(crate) async fn api_key(&mut self) -> Result<ApiKey, StoreError> {
        let id = self.subject()?;
        self.credential(id).await.map(ApiKey::from)
    }

    /// The snapshot.
    pub(crate) fn view(&mut self) -> &mut dyn ReadView {
        &mut *self.view
    }
}
