//! Deletions, so that the database does not grow for ever.

use async_trait::async_trait;
use auth_domain::{Ended, RetentionReads, RetentionWrites, StoreError};
use portcullis_types::{SigningKeyId, Timestamp};

use super::tx::PgTx;
use crate::retention::{
    EXTERNAL_SESSIONS_AT_ONCE, FORGOTTEN_UNTIL, LATEST_COMMIT, NOTE_API_KEYS, REMOVE_SIGNING_KEY, SIGNING_KEYS_OVER,
    count, count_lost, mark_lost, removal,
};
use crate::rows::{Columns, number, yes};

const COUNT_LOST: &str =
    count_lost!("('x' || encode(substr(l.prev_chain, 1, 8), 'hex'))::bit(64)::bigint = r.issue_chain");
const MARK_LOST: [&str; 2] =
    mark_lost!("('x' || encode(substr(l.prev_chain, 1, 8), 'hex'))::bit(64)::bigint = r.issue_chain");

impl PgTx {
    async fn carry_out(&mut self, statements: &[&'static str], at: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut rows = 0;
        for &sql in statements {
            let query = sqlx::query(sql).bind(at.as_micros()).bind(i64::from(limit));
            rows += self.write(query).await?.rows_affected();
        }
        Ok(rows)
    }
}

#[async_trait]
impl RetentionReads for PgTx {
    async fn count_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(count(what)).bind(before.as_micros()).bind(i64::from(limit));
        Columns(&self.session.one(query).await?).seq("found")
    }

    async fn signing_keys_over(&mut self, before: Timestamp) -> Result<Vec<SigningKeyId>, StoreError> {
        let found = self.session.all(sqlx::query(SIGNING_KEYS_OVER).bind(before.as_micros())).await?;
        found.iter().map(|row| Ok(SigningKeyId::from_bytes(Columns(row).array("id")?))).collect()
    }

    async fn count_lost(&mut self, from: u64, to: u64, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(COUNT_LOST).bind(number(from)).bind(number(to)).bind(i64::from(limit));
        Columns(&self.session.one(query).await?).seq("found")
    }

    async fn forgotten_until(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Columns(&self.session.one(sqlx::query(FORGOTTEN_UNTIL)).await?).maybe_at("latest")
    }
}

#[async_trait]
impl RetentionWrites for PgTx {
    async fn take_turn(&mut self) -> Result<bool, StoreError> {
        // Of this database, until the transaction ends.
        let sql =
            "SELECT pg_try_advisory_xact_lock(hashtext('portcullis'), hashtext('retention'))::int::bigint AS taken";
        yes(&self.session.one(sqlx::query(sql)).await?, "taken")
    }

    async fn mark_lost(&mut self, from: u64, to: u64) -> Result<u64, StoreError> {
        let mut rows = 0;
        for sql in MARK_LOST {
            rows += self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?.rows_affected();
        }
        Ok(rows)
    }

    async fn move_horizon(&mut self, from: u64, to: u64) -> Result<bool, StoreError> {
        let latest = self.session.one(sqlx::query(LATEST_COMMIT).bind(number(from)).bind(number(to))).await?;
        let latest = Columns(&latest).maybe_at("latest")?.map(Timestamp::as_micros);
        // The entries first, because whoever appends waits for the head row.
        let sql = "DELETE FROM revocation_log WHERE shard = 0 AND seq > $1 AND seq <= $2
                   AND EXISTS (SELECT 1 FROM revocation_head WHERE shard = 0 AND horizon_seq = $1)";
        self.write(sqlx::query(sql).bind(number(from)).bind(number(to))).await?;
        let sql = "UPDATE revocation_head SET horizon_seq = $2,
                       horizon_committed_at = greatest(horizon_committed_at, $3::bigint)
                   WHERE shard = 0 AND horizon_seq = $1";
        let query = sqlx::query(sql).bind(number(from)).bind(number(to)).bind(latest);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn remove_ended(&mut self, what: Ended, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let statements = match what {
            Ended::ExternalSessions => EXTERNAL_SESSIONS_AT_ONCE,
            other => removal(other),
        };
        self.carry_out(statements, before, limit).await
    }

    async fn note_ended_api_keys(&mut self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.carry_out(NOTE_API_KEYS, now, limit).await
    }

    async fn remove_signing_key(&mut self, id: SigningKeyId) -> Result<bool, StoreError> {
        let query = sqlx::query(REMOVE_SIGNING_KEY).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
