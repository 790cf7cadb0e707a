//! Requests that their callers name, so that one that is sent twice is done once.
//!
//! Guarantees: the answer is remembered in the transaction that it answers; the same name with the same content is
//! answered from there, and with other content it is refused. Each actor names its own requests, in each tenant.
//! Answers are forgotten after [`ANSWERS_KEPT`].
//! Refuses: to keep a secret. An answer is what it was about and the entry it made; what was shown once is not shown again,
//! and the digest of what was asked is keyed, because there may be a password in it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use portcullis_types::{IdentityId, Secret, TenantId, Timestamp};

use crate::audit::Actor;
use crate::{
    Answered, Authority, Batch, BeginError, Committed, Identity, IdentityRef, Request, RequestId, StoreError, Tenant,
    WriteTx,
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
}

/// An answer from before, and a snapshot to tell it from.
pub(crate) struct Before {
    tx: Box<dyn WriteTx>,
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

    /// As [`Authority::begin_urgently`], for what may have been asked for before.
    pub(crate) async fn begin_named_urgently(&self, actor: &Actor, tenant: &TenantId) -> Result<Begun, BeginError> {
        let tx = self.begin_urgently(actor).await?;
        begun(tx, actor, tenant).await
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
    let Some(Asked { id, content, before }) = actor.asked().cloned() else {
        return Ok(Begun::New(Change { tx, named: None }));
    };
    let request = Request { tenant: tenant.clone(), actor: actor.clone(), id };
    match tx.answered(&request).await? {
        None => Ok(Begun::New(Change { tx, named: Some((request, content)) })),
        Some(answered) if answered.content == content || before.contains(&answered.content) => {
            Ok(Begun::Before(Before { tx, answered }))
        }
        Some(_) => Err(BeginError::RequestIdReused),
    }
}

impl Change {
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
        self,
        mut batch: Batch,
        subject: String,
        at: Timestamp,
    ) -> Result<Committed, StoreError> {
        if let Some((request, content)) = self.named {
            batch = batch.answering(request, content, Some(subject));
        }
        self.tx.commit_with(batch, at).await
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

    /// The tenant that it was about, as it is now. Tenants are never removed.
    pub(crate) async fn tenant(&mut self, name: &TenantId) -> Result<Tenant, StoreError> {
        self.tx.tenant(name).await?.ok_or(StoreError::Corrupt { what: "an answer without its tenant" })
    }

    /// The identity that it was about, as it is now. Identities are never removed.
    pub(crate) async fn identity(&mut self, tenant: &TenantId) -> Result<Identity, StoreError> {
        let id: IdentityId = self.subject()?;
        let found = self.tx.identity(tenant, &IdentityRef::Id(id)).await?;
        found.ok_or(StoreError::Corrupt { what: "an answer without its identity" })
    }
}
