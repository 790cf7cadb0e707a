//! Keeps house in the store: seals the audit trail, and forgets what was only to be kept for a while.
//!
//! Every replica does; whoever is faster does a piece of work, and nobody does it twice. The hash of each seal is in the
//! log of this process too: whoever keeps that elsewhere can tell when a trail was cut off.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{Authority, StoreError};
use portcullis_types::Shutdown;

use crate::metrics::Metrics;
use crate::tailer::SourceText as _;

/// How long a row waits for its seal at most, while there is time for it.
const EVERY: Duration = Duration::from_secs(2);
/// How many rounds go by between two looks for what may be forgotten.
const ROUNDS: u32 = 30;

/// Keeps house until shutdown, and once more then.
pub(crate) async fn keep_house(authority: Arc<Authority>, metrics: Arc<Metrics>, shutdown: Shutdown) {
    let mut round = 0_u32;
    loop {
        if let Err(error) = one_round(&authority, &metrics, round.is_multiple_of(ROUNDS)).await {
            tracing::warn!(%error, cause = error.source_text(), "the audit trail was not sealed");
        }
        if shutdown.is_requested() {
            return;
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = shutdown.requested() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn one_round(authority: &Authority, metrics: &Metrics, forgetting: bool) -> Result<(), StoreError> {
    while let Some(seal) = authority.seal_audit().await? {
        metrics.audit_sealed.inc_by(seal.rows.len() as u64);
        tracing::info!(anchor = %seal.anchor(), rows = seal.rows.len(), "audit rows sealed");
    }
    if forgetting {
        while !authority.forget_answers().await? {}
    }
    Ok(())
}
