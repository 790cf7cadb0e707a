//! Passwords of a tenant, for whoever looks after them.

use async_trait::async_trait;
use auth_domain::{PasswordReads, PasswordRow, PasswordWrites, StoreError};
use portcullis_types::{IdentityId, TenantId, Timestamp};

use super::tx::SqliteTx;
use crate::login_rows::password_row;

/// Of tenant `?1`, with which besides. A one-time token is none that something ended since it was made, and none while nobody
/// may log in.
macro_rules! passwords {
    ($rest:literal) => {
        concat!(
            "SELECT i.id AS identity, i.name, p.id, p.phc, p.set_at, p.must_change, r.expires_at AS reset_ends_at
             FROM identities i
             JOIN tenants t ON t.name = i.tenant
             LEFT JOIN passwords p ON p.tenant = i.tenant AND p.identity = i.id
             LEFT JOIN password_resets r ON r.tenant = i.tenant AND r.identity = i.id AND r.spent_at IS NULL
                 AND r.issue_seq >= coalesce(i.revoked_seq, 0) AND r.issue_seq >= coalesce(t.revoked_seq, 0)
                 AND r.created_at >= coalesce(t.ended_before, r.created_at)
                 AND i.state = 'active' AND t.suspended_at IS NULL AND t.deleted_at IS NULL
             WHERE i.tenant = ?1 AND i.deleted_at IS NULL AND ",
            $rest
        )
    };
}

#[async_trait]
impl PasswordReads for SqliteTx {
    async fn find_passwords(
        &mut self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<PasswordRow>, StoreError> {
        let sql = passwords!("i.name > ?2 ORDER BY i.name LIMIT ?3");
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(after.unwrap_or_default()).bind(limit);
        self.all(query).await?.iter().map(password_row).collect()
    }

    async fn password_of(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<Option<PasswordRow>, StoreError> {
        let query = sqlx::query(passwords!("i.id = ?2")).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        self.maybe(query).await?.as_ref().map(password_row).transpose()
    }
}

#[async_trait]
impl PasswordWrites for SqliteTx {
    async fn remove_password_reset(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM password_resets
                   WHERE tenant = ?1 AND identity = ?2 AND spent_at IS NULL AND expires_at > ?3";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]).bind(at.as_micros());
        Ok(self.write(query).await?.rows_affected() > 0)
    }
}
