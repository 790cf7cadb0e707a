//! The end of tenants.

use async_trait::async_trait;
use auth_domain::{StoreError, TenantDeletionReads, TenantDeletionWrites};
use portcullis_types::{TenantId, Timestamp};

use super::tx::PgTx;
use crate::rows::{Columns, number};
use crate::tenant_deletion::{COUNT_EMPTIED, NOTE_EMPTIED, STEPS, TENANT_TO_EMPTY, TRUST_NOBODY};

#[async_trait]
impl TenantDeletionReads for PgTx {
    async fn tenant_to_empty(&mut self) -> Result<Option<TenantId>, StoreError> {
        let found = self.session.maybe(sqlx::query(TENANT_TO_EMPTY)).await?;
        found.map(|row| Columns(&row).name("name")).transpose()
    }

    async fn count_emptied(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(COUNT_EMPTIED).bind(before.as_micros()).bind(i64::from(limit));
        Columns(&self.session.one(query).await?).seq("found")
    }
}

#[async_trait]
impl TenantDeletionWrites for PgTx {
    async fn bury_tenant(&mut self, name: &TenantId, from_version: u64, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE tenants SET display_name = NULL, lease_class = NULL, deleted_at = $1, version = version + 1
                   WHERE name = $2 AND version = $3 AND suspended_at IS NOT NULL AND deleted_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(name.as_str()).bind(number(from_version));
        let buried = self.write(query).await?.rows_affected() == 1;
        if buried {
            self.write(sqlx::query(TRUST_NOBODY).bind(name.as_str()).bind(at.as_micros())).await?;
        }
        Ok(buried)
    }

    async fn remove_of_tenant(&mut self, name: &TenantId, limit: u32) -> Result<u64, StoreError> {
        let sql = "SELECT 1 FROM tenants WHERE name = $1 AND deleted_at IS NOT NULL";
        if self.session.maybe(sqlx::query(sql).bind(name.as_str())).await?.is_none() {
            return Ok(0);
        }
        let mut rows = 0;
        for step in STEPS {
            for &sql in *step {
                let query = sqlx::query(sql).bind(name.as_str()).bind(i64::from(limit));
                rows += self.write(query).await?.rows_affected();
            }
            if rows >= u64::from(limit) {
                break;
            }
        }
        Ok(rows)
    }

    async fn note_emptied(&mut self, before: Timestamp, at: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(NOTE_EMPTIED).bind(before.as_micros()).bind(i64::from(limit)).bind(at.as_micros());
        Ok(self.write(query).await?.rows_affected())
    }
}
