//! Deletions, so that the file does not grow for ever.

use async_trait::async_trait;
use auth_domain::{Ended, RetentionReads, RetentionWrites, StoreError};
use portcullis_types::{SigningKeyId, Timestamp};

use super::tx::SqliteTx;
use super::unavailable;
use crate::retention::{
    FORGOTTEN_UNTIL, LATEST_COMMIT, NOTE_API_KEYS, REMOVE_SIGNING_KEY, SIGNING_KEYS_OVER, count, count_lost, mark_lost,
    removal,
};
use crate::rows::{Columns, number};

const COUNT_LOST: &str = count_lost!("hex(substr(l.prev_chain, 1, 8)) = printf('%016X', r.issue_chain)");
const MARK_LOST: [&str; 2] = mark_lost!("hex(substr(l.prev_chain, 1, 8)) = printf('%016X', r.issue_chain)");

impl SqliteTx {
    async fn carry_out(&mut self, statements: &[&'static str], at: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut rows = 0;
        for &sql in statements {
            rows += self.write(sqlx::query(sql).bind(at.as_micros()).bind(limit)).await?.rows_affected();
        }
        Ok(rows)
    }
}

#[async_trait]
impl RetentionReads for SqliteTx {
    async fn count_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(count(what)).bind(before.as_micros()).bind(limit);
        Columns(&query.fetch_one(&mut *self.transaction).await.map_err(unavailable)?).seq("found")
    }

    async fn signing_keys_over(&mut self, before: Timestamp) -> Result<Vec<SigningKeyId>, StoreError> {
        let found = self.all(sqlx::query(SIGNING_KEYS_OVER).bind(before.as_micros())).await?;
        found.iter().map(|row| Ok(SigningKeyId::from_bytes(Columns(row).array("id")?))).collect()
    }

    async fn count_lost(&mut self, from: u64, to: u64, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(COUNT_LOST).bind(number(from)).bind(number(to)).bind(limit);
        Columns(&query.fetch_one(&mut *self.transaction).await.map_err(unavailable)?).seq("found")
    }

    async fn forgotten_until(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let found = sqlx::query(FORGOTTEN_UNTIL).fetch_one(&mut *self.transaction).await;
        Columns(&found.map_err(unavailable)?).maybe_at("latest")
    }
}

#[async_trait]
impl RetentionWrites for SqliteTx {
    /// Writers take turns, and all are of this process.
    async fn take_turn(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn mark_lost(&mut self, from: u64, to: u64) -> Result<u64, StoreError> {
        let mut rows = 0;
        for sql in MARK_LOST {
            rows += self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?.rows_affected();
        }
        Ok(rows)
    }

    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError> {
        let latest = sqlx::query(LATEST_COMMIT).bind(number(from)).bind(number(to));
        let latest = latest.fetch_one(&mut *self.transaction).await.map_err(unavailable)?;
        let latest = Columns(&latest).maybe_at("latest")?.map(Timestamp::as_micros);
        let sql = "UPDATE revocation_head SET horizon_seq = ?2, horizon_committed_at =
                       CASE WHEN horizon_committed_at > ?3 THEN horizon_committed_at
                            ELSE coalesce(?3, horizon_committed_at) END
                   WHERE shard = 0 AND horizon_seq = ?1";
        let query = sqlx::query(sql).bind(number(from)).bind(number(to)).bind(latest);
        if self.write(query).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM revocation_log WHERE shard = 0 AND seq > ?1 AND seq <= ?2";
        self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?;
        Ok(true)
    }

    async fn remove_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.carry_out(removal(what), before, limit).await
    }

    async fn note_ended_api_keys(&mut self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.carry_out(NOTE_API_KEYS, now, limit).await
    }

    async fn remove_signing_key(&mut self, id: SigningKeyId) -> Result<bool, StoreError> {
        let query = sqlx::query(REMOVE_SIGNING_KEY).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
