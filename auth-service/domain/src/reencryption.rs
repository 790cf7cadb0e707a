//! Encrypting anew under the current key-encryption key, so that an older one can go.
//!
//! Guarantees: when it answers, nothing that was there when it began needs an older key-encryption key, but seals of the
//! audit trail that none of the given ones vouches for. What was done before a failure stays done, and asking again goes on
//! from there.

use portcullis_types::{Secret, SigningKeyId};

use crate::audit::{About, Actor};
use crate::keyring::unseal;
use crate::second_factors::sealed_as;
use crate::{Authority, BeginError, KekMissing, OpenError, StoreError, TotpFactor};

/// How many secrets one transaction encrypts anew, so that other writers need not wait for long.
const AT_ONCE: u32 = 64;

/// What encrypting anew did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reencrypted {
    /// The key-encryption key that everything is under now.
    pub kek_id: String,
    /// How many secrets were under another; the marks of the audit trail's seals are not counted.
    pub count: u32,
    /// How many seals of the audit trail have a mark that none of the given key-encryption keys made. They stay as they are.
    pub seals_left: u64,
}

/// Why not everything was encrypted anew.
#[derive(Debug, thiserror::Error)]
pub enum ReencryptError {
    /// A secret is under a key-encryption key that was not given.
    #[error(transparent)]
    Kek(#[from] KekMissing),
    /// A secret does not decrypt.
    #[error("{what} does not decrypt: its row was changed")]
    Damaged {
        /// Whose.
        what: String,
    },
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Encrypts under the current key-encryption key whatever is under an older one.
    pub async fn reencrypt(&self, actor: &Actor) -> Result<Reencrypted, ReencryptError> {
        let count = self.reencrypt_signing_keys(actor).await? + self.reencrypt_totp_factors(actor).await?;
        let seals_left = self.mark_seals_anew(actor).await?;
        let count = count + self.mark_audit_start_anew(actor).await?;
        Ok(Reencrypted { kek_id: self.kek().id().to_owned(), count, seals_left })
    }

    async fn reencrypt_signing_keys(&self, actor: &Actor) -> Result<u32, ReencryptError> {
        let current = self.kek();
        let mut count = 0;
        let keys = self.store().read().await?.signing_keys().await?;
        for key in keys.iter().filter(|key| !key.sealed_private.is_empty() && key.kek_id != current.id()) {
            let private = unseal(key, self.keks()).map_err(|error| match error {
                OpenError::Kek(missing) => ReencryptError::Kek(missing),
                OpenError::KeyDamaged(_) | OpenError::Hash(_) | OpenError::Store(_) => damaged_key(key.id),
            })?;
            let sealed = current.seal(key.id.as_bytes(), &private, self.entropy());
            let mut tx = self.begin(actor).await?;
            // It may have been retired or encrypted anew meanwhile; then there is nothing to do.
            if tx.reseal_signing_key(key.id, &key.kek_id, current.id(), &sealed).await? {
                self.note_key(tx.as_mut(), actor, "signing_key.reencrypt", key.id).await?;
                tx.commit().await?;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn reencrypt_totp_factors(&self, actor: &Actor) -> Result<u32, ReencryptError> {
        let current = self.kek();
        let mut count = 0;
        loop {
            let mut tx = self.begin(actor).await?;
            let factors = tx.totp_factors_not_under(current.id(), AT_ONCE).await?;
            let mut resealed = 0;
            for factor in &factors {
                let sealed = current.seal(&sealed_as(factor.id), &self.opened(factor)?, self.entropy());
                if tx.reseal_totp_factor(factor, current.id(), &sealed).await? {
                    let about = About::Identity(factor.identity);
                    let entry = self.audit(actor, &factor.tenant, "second_factor.reencrypt", about);
                    tx.insert_audit(&entry).await?;
                    resealed += 1;
                }
            }
            // Where nothing took place, there is nothing left, or whatever is left changes by itself.
            if resealed == 0 {
                return Ok(count);
            }
            tx.commit().await?;
            count += resealed;
        }
    }

    fn opened(&self, factor: &TotpFactor) -> Result<Secret, ReencryptError> {
        let kek = self.keks().named(&factor.kek_id)?;
        kek.open(&sealed_as(factor.id), &factor.sealed_secret)
            .map_err(|_| ReencryptError::Damaged { what: format!("the authenticator app of {}", factor.identity) })
    }
}

fn damaged_key(id: SigningKeyId) -> ReencryptError {
    ReencryptError::Damaged { what: format!("signing key {id}") }
}
