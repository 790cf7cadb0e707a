//! The rows that logging in rests on.

use async_trait::async_trait;
use auth_domain::{AttemptKey, Attempts, Continuation, LoginReads, LoginWrites, PasswordReset, StoreError, TotpFactor};
use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use super::tx::PgTx;
use crate::login_rows::{attempts, continuation, password_reset, totp_factor};
use crate::rows::{Columns, number};
use crate::words::Word as _;

/// How many expired rows a new one deletes.
const DELETED_AT_ONCE: u32 = 16;

#[async_trait]
impl LoginReads for PgTx {
    async fn place_seen_at(
        &mut self,
        account: &AttemptKey,
        place: &AttemptKey,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT seen_at FROM known_places WHERE account = $1 AND place = $2";
        let query = sqlx::query(sql).bind(&account.as_bytes()[..]).bind(&place.as_bytes()[..]);
        self.session.maybe(query).await?.as_ref().map(|row| Columns(row).at("seen_at")).transpose()
    }

    async fn password_decoy(&mut self, tenant: &TenantId, draw: &[u8; 8]) -> Result<Option<String>, StoreError> {
        for from in [&draw[..], &[]] {
            let sql = "SELECT phc FROM passwords WHERE tenant = $1 AND substr(id, 9) >= $2
                       ORDER BY substr(id, 9) LIMIT 1";
            let query = sqlx::query(sql).bind(tenant.as_str()).bind(from);
            if let Some(row) = self.session.maybe(query).await? {
                return Columns(&row).text("phc").map(|phc| Some(phc.to_owned()));
            }
        }
        Ok(None)
    }

    async fn totp_factor(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<Option<TotpFactor>, StoreError> {
        let sql = "SELECT tenant, identity, id, sealed_secret, kek_id, created_at, confirmed_at, last_step
                   FROM totp_factors WHERE tenant = $1 AND identity = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(totp_factor).transpose()
    }

    async fn recovery_codes_left(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<u32, StoreError> {
        let sql =
            "SELECT count(*) AS unused FROM recovery_codes WHERE tenant = $1 AND identity = $2 AND used_at IS NULL";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        let row = self.session.one(query).await?;
        u32::try_from(Columns(&row).seq("unused")?).map_err(|_| StoreError::Corrupt { what: "recovery codes" })
    }

    async fn continuation(&mut self, id: CredentialId) -> Result<Option<Continuation>, StoreError> {
        let sql = "SELECT id, tenant, identity, digest, password, issue_seq, issue_chain, actor, step, refused, mode,
                   device, client, account, place, expires_at, spent_at, amr FROM login_continuations WHERE id = $1";
        let query = sqlx::query(sql).bind(&id.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(continuation).transpose()
    }

    async fn password_reset(&mut self, id: CredentialId) -> Result<Option<PasswordReset>, StoreError> {
        let sql = "SELECT id, tenant, identity, digest, created_at, expires_at, spent_at, issue_seq
                   FROM password_resets WHERE id = $1";
        let query = sqlx::query(sql).bind(&id.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(password_reset).transpose()
    }
}

#[async_trait]
impl LoginWrites for PgTx {
    // A row of its own is locked even where nothing is counted yet, or two first attempts would not see each other.
    async fn lock_attempts(&mut self, key: &AttemptKey) -> Result<Attempts, StoreError> {
        let sql = "INSERT INTO login_attempts (key, failures, next_at, last_at) VALUES ($1, 0, 0, 0)
                   ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING failures, next_at, last_at";
        let row = self.session.one(sqlx::query(sql).bind(&key.as_bytes()[..])).await?;
        attempts(&row)
    }

    async fn set_attempts(&mut self, key: &AttemptKey, attempts: &Attempts) -> Result<(), StoreError> {
        let sql = "INSERT INTO login_attempts (key, failures, next_at, last_at) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, next_at = excluded.next_at,
                   last_at = excluded.last_at";
        let query = sqlx::query(sql)
            .bind(&key.as_bytes()[..])
            .bind(i64::from(attempts.failures))
            .bind(attempts.next_at.as_micros())
            .bind(attempts.last_at.as_micros());
        self.write(query).await.map(drop)
    }

    async fn forget_attempts(&mut self, before: Timestamp, limit: u32) -> Result<(), StoreError> {
        let sql = "DELETE FROM login_attempts WHERE key IN
                   (SELECT key FROM login_attempts WHERE last_at < $1 ORDER BY last_at LIMIT $2
                    FOR UPDATE SKIP LOCKED)";
        self.write(sqlx::query(sql).bind(before.as_micros()).bind(i64::from(limit))).await.map(drop)
    }

    async fn note_place(
        &mut self,
        account: &AttemptKey,
        place: &AttemptKey,
        at: Timestamp,
        most: u32,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO known_places (account, place, seen_at) VALUES ($1, $2, $3)
                   ON CONFLICT (account, place) DO UPDATE SET seen_at = excluded.seen_at";
        let query = sqlx::query(sql).bind(&account.as_bytes()[..]).bind(&place.as_bytes()[..]).bind(at.as_micros());
        self.write(query).await?;
        let sql = "DELETE FROM known_places WHERE account = $1 AND place NOT IN
                   (SELECT place FROM known_places WHERE account = $1 ORDER BY seen_at DESC, place LIMIT $2)";
        self.write(sqlx::query(sql).bind(&account.as_bytes()[..]).bind(i64::from(most))).await.map(drop)
    }

    async fn hold_identity(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM identities WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE";
        self.write(sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..])).await.map(drop)
    }

    async fn remove_password(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM passwords WHERE tenant = $1 AND identity = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn put_totp_factor(&mut self, factor: &TotpFactor) -> Result<bool, StoreError> {
        let sql = "INSERT INTO totp_factors (tenant, identity, id, sealed_secret, kek_id, created_at, confirmed_at,
                   last_step) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                   ON CONFLICT (tenant, identity) DO UPDATE SET id = excluded.id,
                   sealed_secret = excluded.sealed_secret, kek_id = excluded.kek_id,
                   created_at = excluded.created_at, last_step = excluded.last_step
                   WHERE totp_factors.confirmed_at IS NULL";
        let query = sqlx::query(sql)
            .bind(factor.tenant.as_str())
            .bind(&factor.identity.as_bytes()[..])
            .bind(&factor.id.as_bytes()[..])
            .bind(&*factor.sealed_secret)
            .bind(&*factor.kek_id)
            .bind(factor.created_at.as_micros())
            .bind(factor.confirmed_at.map(Timestamp::as_micros))
            .bind(number(factor.last_step));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn confirm_totp_factor(&mut self, factor: &TotpFactor, step: u64, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE totp_factors SET confirmed_at = $1, last_step = $2
                   WHERE tenant = $3 AND identity = $4 AND id = $5 AND confirmed_at IS NULL";
        let query = sqlx::query(sql)
            .bind(at.as_micros())
            .bind(number(step))
            .bind(factor.tenant.as_str())
            .bind(&factor.identity.as_bytes()[..])
            .bind(&factor.id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn use_totp_step(&mut self, factor: &TotpFactor, step: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE totp_factors SET last_step = $1 WHERE tenant = $2 AND identity = $3 AND id = $4
                   AND confirmed_at IS NOT NULL AND last_step < $1";
        let query = sqlx::query(sql)
            .bind(number(step))
            .bind(factor.tenant.as_str())
            .bind(&factor.identity.as_bytes()[..])
            .bind(&factor.id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn remove_second_factor(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM recovery_codes WHERE tenant = $1 AND identity = $2";
        self.write(sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..])).await?;
        let sql = "DELETE FROM totp_factors WHERE tenant = $1 AND identity = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn put_recovery_codes(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        digests: &[[u8; 32]],
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM recovery_codes WHERE tenant = $1 AND identity = $2";
        self.write(sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..])).await?;
        for digest in digests {
            let sql = "INSERT INTO recovery_codes (tenant, identity, digest) VALUES ($1, $2, $3)";
            let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]).bind(&digest[..]);
            self.write(query).await?;
        }
        Ok(())
    }

    async fn use_recovery_code(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE recovery_codes SET used_at = $1
                   WHERE tenant = $2 AND identity = $3 AND digest = $4 AND used_at IS NULL";
        let query = sqlx::query(sql)
            .bind(at.as_micros())
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(&digest[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_continuation(&mut self, row: &Continuation, now: Timestamp) -> Result<(), StoreError> {
        let sql = "DELETE FROM login_continuations WHERE id IN
                   (SELECT id FROM login_continuations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
                    FOR UPDATE SKIP LOCKED)";
        self.write(sqlx::query(sql).bind(now.as_micros()).bind(i64::from(DELETED_AT_ONCE))).await?;
        let sql = "INSERT INTO login_continuations (id, tenant, identity, digest, password, issue_seq, issue_chain,
                   actor, step, refused, mode, device, client, account, place, expires_at, amr)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
        let query = sqlx::query(sql)
            .bind(&row.id.as_bytes()[..])
            .bind(row.tenant.as_str())
            .bind(&row.identity.as_bytes()[..])
            .bind(&row.digest[..])
            .bind(&row.password.as_bytes()[..])
            .bind(number(row.issued.seq))
            .bind(row.issued.chain.cast_signed())
            .bind(&*row.actor)
            .bind(row.step.word())
            .bind(i64::from(row.refused))
            .bind(row.mode.word())
            .bind(row.device.as_ref().map(|label| label.as_str()))
            .bind(row.client.as_ref().map(|client| client.as_str()))
            .bind(&row.account.as_bytes()[..])
            .bind(row.place.as_ref().map(|place| &place.as_bytes()[..]))
            .bind(row.expires_at.as_micros())
            .bind(row.proved.words());
        self.write(query).await.map(drop)
    }

    async fn spend_continuation(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE login_continuations SET spent_at = $1 WHERE id = $2 AND spent_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn put_password_reset(&mut self, row: &PasswordReset) -> Result<(), StoreError> {
        let sql = "DELETE FROM password_resets WHERE tenant = $1 AND identity = $2";
        self.write(sqlx::query(sql).bind(row.tenant.as_str()).bind(&row.identity.as_bytes()[..])).await?;
        let sql = "INSERT INTO password_resets (id, tenant, identity, digest, created_at, expires_at)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query(sql)
            .bind(&row.id.as_bytes()[..])
            .bind(row.tenant.as_str())
            .bind(&row.identity.as_bytes()[..])
            .bind(&row.digest[..])
            .bind(row.created_at.as_micros())
            .bind(row.expires_at.as_micros());
        self.write(query).await.map(drop)
    }

    async fn spend_password_reset(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE password_resets SET spent_at = $1 WHERE id = $2 AND spent_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn succeed_session_cookie(
        &mut self,
        id: CredentialId,
        successor: CredentialId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET spent_at = $1, successor = $2
                   WHERE id = $3 AND kind = 'session_cookie' AND spent_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(&successor.as_bytes()[..]).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn move_cookie_end(
        &mut self,
        id: CredentialId,
        before: Timestamp,
        end: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET expires_at = $1
                   WHERE id = $2 AND kind = 'session_cookie' AND expires_at = $3";
        let query = sqlx::query(sql).bind(end.as_micros()).bind(&id.as_bytes()[..]).bind(before.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
