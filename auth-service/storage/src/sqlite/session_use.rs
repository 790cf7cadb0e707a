//! Whether sessions can still be used.

use async_trait::async_trait;
use auth_domain::{SessionUseReads, StoreError};
use portcullis_types::{SessionId, Timestamp};

use super::tx::SqliteTx;
use crate::rows::Columns;

const USABLE: &str = "SELECT unhex(s.value) AS session FROM json_each(?1) s WHERE EXISTS (
                          SELECT 1 FROM credentials c
                          WHERE c.session = unhex(s.value)
                            AND c.kind IN ('access_token', 'refresh_token', 'session_cookie')
                            AND c.spent_at IS NULL AND c.revoked_seq IS NULL AND c.expires_at > ?2)";

#[async_trait]
impl SessionUseReads for SqliteTx {
    async fn usable_sessions(&mut self, of: &[SessionId], at: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let hex = |id: &SessionId| id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let ids = serde_json::Value::from_iter(of.iter().map(hex)).to_string();
        let found = self.all(sqlx::query(USABLE).bind(ids).bind(at.as_micros())).await?;
        found.iter().map(|row| Columns(row).array("session").map(SessionId::from_bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;
    use sqlx::{AssertSqlSafe, Row as _};

    use super::super::SqliteStore;
    use super::*;

    /// A session is refreshed thousands of times.
    #[tokio::test]
    async fn what_is_over_or_spent_is_not_gone_through() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(directory.path(), &SeededEntropy::new(1)).await.expect("opens");
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {USABLE}"));
        let plan = sqlx::query(explain).fetch_all(&store.readers).await.expect("explains");
        let steps: Vec<_> = plan.iter().map(|step| step.get::<String, _>("detail")).collect();
        let found = "INDEX usable_credentials_of_a_session (session=? AND expires_at>?)";
        assert!(steps.iter().any(|step| step.ends_with(found)), "{steps:?}");
    }
}
