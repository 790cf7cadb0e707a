//! What a store does for API keys beside what it does for every credential.

use async_trait::async_trait;
use portcullis_types::{CredentialId, Timestamp};

use crate::StoreError;

/// Changes of API keys.
#[async_trait]
pub trait ApiKeyWrites: Send {
    /// Names the successor of a key whose successor so far is `before`, and has the key end at `end` if it would end
    /// later. False where its successor is another one, or where it is no key, or revoked.
    async fn replace_api_key(
        &mut self,
        id: CredentialId,
        before: Option<CredentialId>,
        successor: CredentialId,
        end: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// Notes when keys were used. A later time stays.
    async fn note_api_key_uses(&mut self, uses: &[(CredentialId, Timestamp)]) -> Result<(), StoreError>;
}
