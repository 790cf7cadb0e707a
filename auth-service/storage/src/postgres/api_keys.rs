//! API keys.

use async_trait::async_trait;
use auth_domain::{ApiKeyWrites, StoreError};
use portcullis_types::{CredentialId, Timestamp};

use super::tx::PgTx;

#[async_trait]
impl ApiKeyWrites for PgTx {
    async fn replace_api_key(
        &mut self,
        id: CredentialId,
        before: Option<CredentialId>,
        successor: CredentialId,
        end: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET replaced_by = $3,
                       expires_at = CASE WHEN $4::bigint IS NULL OR expires_at < $4 THEN expires_at ELSE $4 END
                   WHERE id = $1 AND kind = 'api_key' AND certificate IS NULL AND signature_key IS NULL AND revoked_seq IS NULL
                     AND replaced_by IS NOT DISTINCT FROM $2";
        let query = sqlx::query(sql)
            .bind(&id.as_bytes()[..])
            .bind(before.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(&successor.as_bytes()[..])
            .bind(end.map(Timestamp::as_micros));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn note_api_key_uses(&mut self, uses: &[(CredentialId, Timestamp)]) -> Result<(), StoreError> {
        for (id, at) in uses {
            let sql = "UPDATE credentials SET last_used_at = $2
                       WHERE id = $1 AND kind = 'api_key' AND (last_used_at IS NULL OR last_used_at < $2)";
            self.write(sqlx::query(sql).bind(&id.as_bytes()[..]).bind(at.as_micros())).await?;
        }
        Ok(())
    }
}
