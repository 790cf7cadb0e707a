//! Where the audit trail begins, and how it is shortened.

use async_trait::async_trait;
use auth_domain::{AuditRecord, AuditRemovalReads, AuditRemovalWrites, AuditStart, SealMark, StoreError};
use portcullis_types::AuditAnchor;

use super::tx::SqliteTx;
use crate::audit_removal::{
    BEGIN, MARK_ANEW, MARK_SEAL, MARKS, MARKS_NOT_UNDER, MOVE_ON, REMOVE_ROWS, REMOVE_SEALS, START,
};
use crate::columns::audit;
use crate::rows::{audit_trail, number};

#[async_trait]
impl AuditRemovalReads for SqliteTx {
    async fn audit_start(&mut self) -> Result<Option<AuditStart>, StoreError> {
        let query = sqlx::query(START);
        let found = self.maybe(query).await?;
        found.as_ref().map(audit_trail::start).transpose()
    }

    async fn audit_up_to(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let query = sqlx::query(audit!("WHERE seal <= $1 ORDER BY id LIMIT $2")).bind(number(seal)).bind(limit);
        self.all(query).await?.iter().map(audit_trail::record).collect()
    }

    async fn audit_above(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let query = sqlx::query(audit!("WHERE seal > $1 ORDER BY id LIMIT $2")).bind(number(seal)).bind(limit);
        self.all(query).await?.iter().map(audit_trail::record).collect()
    }

    async fn seal_marks(&mut self, after: u64, limit: u32) -> Result<Vec<SealMark>, StoreError> {
        let query = sqlx::query(MARKS).bind(number(after)).bind(limit);
        self.all(query).await?.iter().map(audit_trail::mark).collect()
    }

    async fn seal_marks_not_under(
        &mut self,
        kek_id: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SealMark>, StoreError> {
        let query = sqlx::query(MARKS_NOT_UNDER).bind(number(after)).bind(limit).bind(kek_id.as_bytes());
        self.all(query).await?.iter().map(audit_trail::mark).collect()
    }
}

#[async_trait]
impl AuditRemovalWrites for SqliteTx {
    async fn remove_sealed_audit(
        &mut self,
        from: Option<AuditAnchor>,
        next: &AuditStart,
    ) -> Result<Option<u64>, StoreError> {
        let AuditStart { anchor, kek_id, mark } = next;
        let query = sqlx::query(if from.is_some() { MOVE_ON } else { BEGIN })
            .bind(number(anchor.number))
            .bind(&anchor.hash[..])
            .bind(kek_id)
            .bind(&mark[..]);
        let query = match &from {
            Some(from) => query.bind(number(from.number)).bind(&from.hash[..]),
            None => query,
        };
        if self.write(query).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let began = number(from.map_or(0, |from| from.number));
        let query = sqlx::query(REMOVE_ROWS).bind(began).bind(number(anchor.number));
        let rows = self.write(query).await?.rows_affected();
        self.write(sqlx::query(REMOVE_SEALS).bind(number(anchor.number))).await?;
        Ok(Some(rows))
    }

    async fn mark_audit_start(&mut self, start: &AuditStart, anew: &AuditStart) -> Result<bool, StoreError> {
        let query = sqlx::query(MARK_ANEW)
            .bind(&anew.kek_id)
            .bind(&anew.mark[..])
            .bind(number(start.anchor.number))
            .bind(&start.anchor.hash[..])
            .bind(&start.kek_id);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn mark_seal(&mut self, mark: &SealMark, anew: &SealMark) -> Result<bool, StoreError> {
        let query = sqlx::query(MARK_SEAL)
            .bind(&anew.mark[..])
            .bind(number(mark.seal.number))
            .bind(&mark.seal.hash[..])
            .bind(&mark.mark[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
