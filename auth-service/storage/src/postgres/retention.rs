//! Deletions, so that the database does not grow for ever.

use async_trait::async_trait;
use auth_domain::{RetentionWrites, StoreError};

use super::tx::PgTx;
use crate::rows::{number, yes};

#[async_trait]
impl RetentionWrites for PgTx {
    async fn take_turn(&mut self) -> Result<bool, StoreError> {
        // Of this database, until the transaction ends.
        let sql =
            "SELECT pg_try_advisory_xact_lock(hashtext('portcullis'), hashtext('retention'))::int::bigint AS taken";
        yes(&self.session.one(sqlx::query(sql)).await?, "taken")
    }

    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError> {
        // The entries first, because whoever appends waits for the head row.
        let sql = "DELETE FROM revocation_log WHERE shard = 0 AND seq > $1 AND seq <= $2";
        self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?;
        let sql = "UPDATE revocation_head SET horizon_seq = $2 WHERE shard = 0 AND horizon_seq = $1";
        Ok(self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?.rows_affected() == 1)
    }
}
