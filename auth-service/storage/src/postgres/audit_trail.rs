//! The audit trail as it is read, and its seals.

use async_trait::async_trait;
use auth_domain::{AuditFilter, AuditReads, AuditRecord, AuditWrites, SealMark, StoreError};
use portcullis_types::{AuditSeal, TenantId, Timestamp};

use super::tx::PgTx;
use crate::columns::audit;
use crate::rows::{audit_trail, number};
use crate::words::Word as _;

const OF_A_TENANT: &str = audit!(
    "WHERE tenant = $1 AND ($2::bigint IS NULL OR at < $2 OR (at = $2 AND id < $3::bigint))
       AND ($4::bigint IS NULL OR at >= $4) AND ($5::bigint IS NULL OR at < $5)
       AND ($6::text IS NULL OR actor = $6) AND ($7::text IS NULL OR substr(actor, 1, length($7)) = $7)
       AND ($8::text IS NULL OR action = $8) AND ($9::text IS NULL OR substr(action, 1, length($9)) = $9)
       AND ($10::text IS NULL OR target = $10) AND ($11::text IS NULL OR outcome = $11)
       AND ($12::text IS NULL OR identity = $12)
     ORDER BY at DESC, id DESC LIMIT $13"
);

#[async_trait]
impl AuditReads for PgTx {
    async fn find_audit(
        &mut self,
        tenant: &TenantId,
        filter: &AuditFilter,
        before: Option<(Timestamp, u64)>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let AuditFilter { since, until, actor, action, target, identity, outcome } = filter;
        let query = sqlx::query(OF_A_TENANT)
            .bind(tenant.as_str())
            .bind(before.map(|(at, _)| at.as_micros()))
            .bind(before.map(|(_, id)| number(id)))
            .bind(since.map(Timestamp::as_micros))
            .bind(until.map(Timestamp::as_micros))
            .bind(actor.as_ref().and_then(|text| text.whole()))
            .bind(actor.as_ref().and_then(|text| text.beginning()))
            .bind(action.as_ref().and_then(|text| text.whole()))
            .bind(action.as_ref().and_then(|text| text.beginning()))
            .bind(target.as_deref())
            .bind(outcome.map(|outcome| outcome.word()))
            .bind(identity.map(|id| id.to_string()))
            .bind(i64::from(limit));
        self.session.all(query).await?.iter().map(audit_trail::record).collect()
    }

    async fn unsealed_audit(&mut self, after: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let query = sqlx::query(audit!("WHERE seal IS NULL AND id > $1 ORDER BY id LIMIT $2"))
            .bind(number(after))
            .bind(i64::from(limit));
        self.session.all(query).await?.iter().map(audit_trail::record).collect()
    }

    async fn sealed_audit(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let query =
            sqlx::query(audit!("WHERE seal = $1 ORDER BY id LIMIT $2")).bind(number(seal)).bind(i64::from(limit));
        self.session.all(query).await?.iter().map(audit_trail::record).collect()
    }

    async fn audit_seals(&mut self, after: u64, limit: u32) -> Result<Vec<AuditSeal>, StoreError> {
        let sql = "SELECT number, previous, hash, sealed_at, sealed FROM audit_seals
                   WHERE number > $1 ORDER BY number LIMIT $2";
        let query = sqlx::query(sql).bind(number(after)).bind(i64::from(limit));
        self.session.all(query).await?.iter().map(audit_trail::seal).collect()
    }

    async fn last_audit_seal(&mut self) -> Result<Option<AuditSeal>, StoreError> {
        let sql = "SELECT number, previous, hash, sealed_at, sealed FROM audit_seals ORDER BY number DESC LIMIT 1";
        let found = self.session.maybe(sqlx::query(sql)).await?;
        found.as_ref().map(audit_trail::seal).transpose()
    }
}

#[async_trait]
impl AuditWrites for PgTx {
    async fn insert_audit_seal(&mut self, seal: &AuditSeal, mark: &SealMark) -> Result<bool, StoreError> {
        let sql = "INSERT INTO audit_seals (number, previous, hash, sealed_at, sealed, mark)
                   VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(number(seal.number))
            .bind(&seal.previous[..])
            .bind(&seal.hash[..])
            .bind(seal.sealed_at.as_micros())
            .bind(audit_trail::sealed(&seal.rows))
            .bind(&mark.mark[..]);
        if self.write(query).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let ids: Vec<i64> = seal.rows.iter().map(|row| number(row.id)).collect();
        let sql = "UPDATE audit SET seal = $1 WHERE seal IS NULL AND id = ANY($2)";
        let marked = self.write(sqlx::query(sql).bind(number(seal.number)).bind(ids)).await?.rows_affected();
        if marked == seal.rows.len() as u64 { Ok(true) } else { Err(StoreError::Conflict) }
    }
}
