//! How many tickets somebody has.

use async_trait::async_trait;
use auth_domain::{StoreError, TicketReads};
use portcullis_types::Timestamp;

use super::tx::PgTx;
use crate::rows::tickets::next_end;

#[async_trait]
impl TicketReads for PgTx {
    async fn tickets_fill_until(
        &mut self,
        holder: &[u8; 16],
        most: u32,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT count(*) AS found, min(expires_at) AS next_end FROM (
                       SELECT expires_at FROM credentials
                       WHERE coalesce(session, parent) = $1 AND kind = 'ticket' AND expires_at > $2
                       ORDER BY expires_at LIMIT $3) t";
        let query = sqlx::query(sql).bind(&holder[..]).bind(at.as_micros()).bind(i64::from(most));
        next_end(&self.session.one(query).await?, most)
    }
}
