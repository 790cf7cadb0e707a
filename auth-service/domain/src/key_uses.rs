//! When API keys were used, without a write for each use.
//!
//! Guarantees: a use is noted when the row's own time is older than ten minutes, and written down within a minute. Noting
//! takes no lock for long and no memory without bound; what does not fit is noted at a later use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_types::{CredentialId, Timestamp};

use crate::{Authority, Credential, StoreError};

/// How old a written time may be before the next use is noted.
const COARSE: Duration = Duration::from_secs(600);

/// How many keys can be noted before they are written down.
const MOST: usize = 16_384;

/// How many are written down in one transaction, so that other writers need not wait for long.
const AT_ONCE: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<HashMap<CredentialId, Timestamp>>);

impl KeyUses {
    pub(crate) fn note(&self, row: &Credential, now: Timestamp) {
        let Some(terms) = &row.key_terms else { return };
        if terms.last_used_at.is_some_and(|at| now < at + COARSE) {
            return;
        }
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < MOST || noted.contains_key(&row.id) {
            noted.insert(row.id, now);
        }
    }

    fn take(&self) -> Vec<(CredentialId, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}

impl Authority {
    /// Writes down which API keys were used. What cannot be written is noted again at the next use.
    pub async fn write_down_key_uses(&self) -> Result<(), StoreError> {
        let uses = self.key_uses().take();
        for some in uses.chunks(AT_ONCE) {
            let mut tx = self.store().write().await?;
            tx.note_api_key_uses(some).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
