//! How many tickets somebody has.

use async_trait::async_trait;
use auth_domain::{StoreError, TicketReads};
use portcullis_types::Timestamp;

use super::tx::SqliteTx;
use crate::rows::tickets::next_end;

const FILL: &str = "SELECT count(*) AS found, min(expires_at) AS next_end FROM (
                        SELECT expires_at FROM credentials
                        WHERE coalesce(session, parent) = ?1 AND kind = 'ticket' AND expires_at > ?2
                        ORDER BY expires_at LIMIT ?3) t";

#[async_trait]
impl TicketReads for SqliteTx {
    async fn tickets_fill_until(
        &mut self,
        holder: &[u8; 16],
        most: u32,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query(FILL).bind(&holder[..]).bind(at.as_micros()).bind(most);
        let row = self.maybe(query).await?.ok_or(StoreError::Corrupt { what: "a count without a row" })?;
        next_end(&row, most)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;
    use sqlx::{AssertSqlSafe, Row as _};

    use super::super::SqliteStore;
    use super::*;

    /// Each ticket costs one: tickets that are over are not gone through.
    #[tokio::test]
    async fn tickets_that_are_over_are_not_counted_through() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(directory.path(), &SeededEntropy::new(1)).await.expect("opens");
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {FILL}"));
        let plan = sqlx::query(explain).fetch_all(&store.readers).await.expect("explains");
        let steps: Vec<_> = plan.iter().map(|step| step.get::<String, _>("detail")).collect();
        let found = "SEARCH credentials USING INDEX tickets_of_a_holder (<expr>=? AND expires_at>?)";
        assert!(steps.iter().any(|step| step == found), "{steps:?}");
    }
}
