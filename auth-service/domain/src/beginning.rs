//! The one way to begin a change that somebody asked for.
//!
//! Guarantees: whoever asks by a key is judged in the transaction itself, so that a call which waited, for a hash or for
//! other writers, does not outlive its key. What ends or alters authority goes ahead of what only adds.

use std::time::Duration;

use portcullis_types::CredentialId;

use crate::audit::Actor;
use crate::service_tokens::key_of;
use crate::standing::Standing;
use crate::{Authority, ReadView, StoreError, WriteTx};

/// Why a change did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The caller's key is no longer good.
    #[error("the caller's key is no longer good")]
    CallerRefused,
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
        match actor.key() {
            Some(key) if !self.is_good(tx.as_mut(), key).await? => Err(BeginError::CallerRefused),
            Some(_) | None => Ok(tx),
        }
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
