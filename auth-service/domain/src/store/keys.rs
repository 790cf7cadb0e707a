//! What a store does for signing keys beside reading and inserting them.

use async_trait::async_trait;
use portcullis_types::{SigningKeyId, Timestamp};

use crate::{KeyState, SigningKey, StoreError};

/// Questions about signing keys.
#[async_trait]
pub trait KeyReads: Send {
    /// The one key that signs, when there is one.
    async fn key_that_signs(&mut self) -> Result<Option<SigningKey>, StoreError>;
}

/// Changes of signing keys. Each says whether it took place.
#[async_trait]
pub trait KeyWrites: Send {
    /// Moves a key on from the state it is believed to be in, and notes when. One that comes to sign, or stops to, has
    /// the time noted; one that no longer signs loses its sealed half. False where its state is another, or where there
    /// would be two that sign.
    async fn move_signing_key(
        &mut self,
        id: SigningKeyId,
        from: KeyState,
        to: KeyState,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Puts the same private half, sealed under another key-encryption key, in place of what is sealed under `from`.
    /// False where it is under another one, or gone.
    async fn reseal_signing_key(
        &mut self,
        id: SigningKeyId,
        from: &str,
        to: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError>;
}
