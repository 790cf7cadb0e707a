//! What is sealed, and under which key-encryption key.

use async_trait::async_trait;
use auth_domain::{SealedReads, SealedWrites, StoreError, TotpFactor};

use super::tx::PgTx;
use crate::login_rows::{sealed_count, totp_factor};

#[async_trait]
impl SealedReads for PgTx {
    async fn totp_factors_not_under(&mut self, kek_id: &str, limit: u32) -> Result<Vec<TotpFactor>, StoreError> {
        let sql = "SELECT tenant, identity, id, sealed_secret, kek_id, created_at, confirmed_at, last_step
                   FROM totp_factors WHERE kek_id <> $1 ORDER BY tenant, identity LIMIT $2";
        let query = sqlx::query(sql).bind(kek_id).bind(i64::from(limit));
        self.session.all(query).await?.iter().map(totp_factor).collect()
    }

    async fn totp_factors_by_kek(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT kek_id, count(*) AS number FROM totp_factors GROUP BY kek_id ORDER BY kek_id";
        self.session.all(sqlx::query(sql)).await?.iter().map(sealed_count).collect()
    }
}

#[async_trait]
impl SealedWrites for PgTx {
    async fn reseal_totp_factor(
        &mut self,
        factor: &TotpFactor,
        kek_id: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE totp_factors SET kek_id = $5, sealed_secret = $6
                   WHERE tenant = $1 AND identity = $2 AND id = $3 AND kek_id = $4";
        let query = sqlx::query(sql)
            .bind(factor.tenant.as_str())
            .bind(&factor.identity.as_bytes()[..])
            .bind(&factor.id.as_bytes()[..])
            .bind(&*factor.kek_id)
            .bind(kek_id)
            .bind(sealed);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
