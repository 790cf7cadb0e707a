//! The one way to begin a change that somebody asked for.
//!
//! Guarantees: whoever asks by a key is judged in the transaction itself, so that a call which waited, for a hash or for
//! other writers, does not outlive its key; and whoever acts in a session, by the credential of it that was presented. What ends or alters authority goes ahead of what only adds.

use std::time::Duration;

use portcullis_types::{CredentialId, TenantId};

use crate::audit::Actor;
use crate::service_tokens::key_of;
use crate::standing::Standing;
use crate::{Authority, DenyReason, Identity, IdentityRef, ReadView, StoreError, WriteTx};

/// Why a change did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The caller's key is no longer good.
    #[error("the caller's key is no longer good")]
    CallerRefused,
    /// What the holder presented is no longer good.
    #[error("the credential that was presented is no longer good")]
    HolderRefused(DenyReason),
    /// The request id named another request before.
    #[error("this request id was used for another request")]
    RequestIdReused,
    /// The services of its tenant have written as many events as they may in a minute.
    #[error("the tenant has written as many events as it may in a minute")]
    TenantQuota {
        /// When the next one may be written.
        retry_after: Duration,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// A transaction for what the actor asks, which is let by a key that is good in it.
    pub(crate) async fn begin(&self, actor: &Actor) -> Result<Box<dyn WriteTx>, BeginError> {
        self.let_in(self.store().write().await?, actor).await
    }

    /// As [`Authority::begin`], ahead of all that began so and waits: for what appends to the log.
    pub(crate) async fn begin_urgently(&self, actor: &Actor) -> Result<Box<dyn WriteTx>, BeginError> {
        self.let_in(self.store().write_urgently().await?, actor).await
    }

    async fn let_in(&self, mut tx: Box<dyn WriteTx>, actor: &Actor) -> Result<Box<dyn WriteTx>, BeginError> {
        if let Some(key) = actor.key()
            && !self.is_good(tx.as_mut(), key).await?
        {
            return Err(BeginError::CallerRefused);
        }
        self.judge_holder(tx.as_mut(), actor).await?;
        Ok(tx)
    }

    /// An identity whose keys no other transaction makes or ends until this one is over, as it is then. Whoever asks is
    /// judged again: this may have waited for what ended the key that it was let in by, and what that key makes now would
    /// outlive it.
    pub(crate) async fn hold_for_keys(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Option<Identity>, BeginError> {
        let Some(found) = tx.identity(tenant, which).await? else { return Ok(None) };
        // Whoever counts administrators holds the tenant, and before any row of it.
        if tenant.is_system() {
            tx.hold_tenant(tenant).await?;
        }
        tx.hold_identity(tenant, found.id).await?;
        if let Some(key) = actor.key()
            && !self.is_good(tx, key).await?
        {
            return Err(BeginError::CallerRefused);
        }
        Ok(tx.identity(tenant, &IdentityRef::Id(found.id)).await?)
    }

    /// Whether what the actor presented is good. Asked again by whoever waited for a row: what ended it meanwhile may be
    /// older than what is written now.
    pub(crate) async fn judge_holder(&self, view: &mut dyn ReadView, actor: &Actor) -> Result<(), BeginError> {
        let Some(presented) = actor.presented() else { return Ok(()) };
        let gone = BeginError::HolderRefused(DenyReason::Unknown);
        let standing = Standing::of(view, presented).await?.ok_or(gone)?;
        standing.judge(self.now()).map_err(|denial| BeginError::HolderRefused(denial.reason))
    }

    pub(crate) async fn is_good(&self, view: &mut dyn ReadView, key: CredentialId) -> Result<bool, StoreError> {
        let Some(standing) = Standing::of(view, key).await? else { return Ok(false) };
        if standing.judge(self.now()).is_err() {
            return Ok(false);
        }
        // A token is as good as the key that it was issued for.
        if standing.credential.is_service_token() {
            return Ok(key_of(view, &standing.credential).await?.judge(self.now()).is_ok());
        }
        Ok(true)
    }
}
