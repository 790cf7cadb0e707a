//! Whether sessions can still be used.

use async_trait::async_trait;
use auth_domain::{SessionUseReads, StoreError};
use portcullis_types::{SessionId, Timestamp};

use super::tx::PgTx;
use crate::rows::Columns;

#[async_trait]
impl SessionUseReads for PgTx {
    async fn usable_sessions(&mut self, of: &[SessionId], at: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let sql = "SELECT s.id AS session FROM unnest($1::bytea[]) AS s (id) WHERE EXISTS (
                       SELECT 1 FROM credentials c
                       WHERE c.session = s.id AND c.kind IN ('access_token', 'refresh_token', 'session_cookie')
                         AND c.spent_at IS NULL AND c.revoked_seq IS NULL AND c.expires_at > $2)";
        let ids: Vec<_> = of.iter().map(|id| id.as_bytes().to_vec()).collect();
        let found = self.session.all(sqlx::query(sql).bind(ids).bind(at.as_micros())).await?;
        found.iter().map(|row| Columns(row).array("session").map(SessionId::from_bytes)).collect()
    }
}
