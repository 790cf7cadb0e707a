//! Deletions, so that the file does not grow for ever.

use async_trait::async_trait;
use auth_domain::{RetentionWrites, StoreError};

use super::tx::SqliteTx;
use crate::rows::number;

#[async_trait]
impl RetentionWrites for SqliteTx {
    /// Writers take turns, and all are of this process.
    async fn take_turn(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE revocation_head SET horizon_seq = ?2 WHERE shard = 0 AND horizon_seq = ?1";
        if self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM revocation_log WHERE shard = 0 AND seq > ?1 AND seq <= ?2";
        self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?;
        Ok(true)
    }
}
