//! Signing keys.

use async_trait::async_trait;
use auth_domain::{KeyReads, KeyState, KeyWrites, SigningKey, StoreError};
use portcullis_types::{SigningKeyId, Timestamp};

use super::columns::signing_keys;
use super::tx::PgTx;
use crate::rows;
use crate::words::Word as _;

#[async_trait]
impl KeyReads for PgTx {
    async fn key_that_signs(&mut self) -> Result<Option<SigningKey>, StoreError> {
        let found = self.session.maybe(sqlx::query(signing_keys!("WHERE state = 'signing'"))).await?;
        found.as_ref().map(rows::signing_key).transpose()
    }
}

#[async_trait]
impl KeyWrites for PgTx {
    async fn move_signing_key(
        &mut self,
        id: SigningKeyId,
        from: KeyState,
        to: KeyState,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        // Two replicas that would each have one that signs meet at the unique index, and one of them is refused.
        let sql = "UPDATE signing_keys SET state = $3,
                       signing_at = CASE WHEN $3 = 'signing' THEN $4 ELSE signing_at END,
                       retained_at = CASE WHEN $3 = 'retained' THEN $4 ELSE retained_at END,
                       sealed_private = CASE WHEN $3 IN ('retained', 'revoked') THEN ''::bytea ELSE sealed_private END
                   WHERE id = $1 AND state = $2
                     AND ($3 <> 'signing' OR NOT EXISTS (SELECT 1 FROM signing_keys WHERE state = 'signing'))";
        let query = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(from.word()).bind(to.word()).bind(at.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn reseal_signing_key(
        &mut self,
        id: SigningKeyId,
        from: &str,
        to: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE signing_keys SET kek_id = $3, sealed_private = $4
                   WHERE id = $1 AND kek_id = $2 AND sealed_private <> ''::bytea";
        let query = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(from).bind(to).bind(sealed);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
