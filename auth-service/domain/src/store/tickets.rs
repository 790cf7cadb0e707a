//! What a store does for tickets beside what it does for every credential.

use async_trait::async_trait;
use portcullis_types::Timestamp;

use crate::StoreError;

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait TicketReads: Send {
    /// Where a holder has at least `most` tickets that are not over at `at`, used or not: when the next of them is. The
    /// holder is the session, or of what has none the credential that they were issued from, by the bytes of its id.
    async fn tickets_fill_until(
        &mut self,
        holder: &[u8; 16],
        most: u32,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
}
