//! What a store does so that everything which is encrypted can be encrypted anew under another key-encryption key.
//!
//! Whoever adds rows that are encrypted adds them here and to [`crate::Authority::reencrypt`]: what is missing cannot be
//! opened once an older key-encryption key is taken away. Signing keys are few, and read as they are; of where
//! the audit trail begins there is one.

use async_trait::async_trait;

use crate::{StoreError, TotpFactor};

/// Which rows are sealed under which key-encryption key.
#[async_trait]
pub trait SealedReads: Send {
    /// Authenticator apps that are under another key-encryption key than the one of this name; at most `limit`.
    async fn totp_factors_not_under(&mut self, kek_id: &str, limit: u32) -> Result<Vec<TotpFactor>, StoreError>;

    /// How many authenticator apps are under each key-encryption key, by its name.
    async fn totp_factors_by_kek(&mut self) -> Result<Vec<(String, u64)>, StoreError>;
}

/// Changes of nothing but what a secret is sealed under. Each says whether it took place.
#[async_trait]
pub trait SealedWrites: Send {
    /// Puts the same secret, sealed under another key-encryption key, in the place of this one. False where the row is of
    /// another enrolment, or sealed under another key-encryption key than this one says.
    async fn reseal_totp_factor(
        &mut self,
        factor: &TotpFactor,
        kek_id: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError>;
}
