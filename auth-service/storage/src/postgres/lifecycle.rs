//! The life of tenants, identities, roles and sessions beyond their making.

use async_trait::async_trait;
use auth_domain::{
    Credential, CredentialFilter, CredentialKind, Identity, IdentityFilter, LifecycleReads, LifecycleWrites, Scope,
    Session, SessionFilter, StoreError, Tenant, TenantState,
};
use portcullis_types::{ClientId, CredentialId, IdentityId, IdentityName, RoleName, SessionId, TenantId, Timestamp};

use super::columns::credentials;
use super::tx::PgTx;
use crate::columns::{identity_columns, session_columns};
use crate::rows::{self, number, object};
use crate::words::Word as _;

const IDENTITIES: &str = concat!(
    "SELECT ",
    identity_columns!(""),
    " FROM identities i
    WHERE i.tenant = $1 AND i.name > $2 AND i.name >= $3 AND i.name < $4
      AND ($5::text IS NULL OR CASE WHEN i.deleted_at IS NULL THEN i.state ELSE 'deleted' END = $5)
      AND ($6::text IS NULL OR i.kind = $6)
      AND ($7::text IS NULL OR EXISTS (SELECT 1 FROM identity_roles m
                                 WHERE m.tenant = i.tenant AND m.identity = i.id AND m.role = $7))
    ORDER BY i.name LIMIT $8"
);
const SESSIONS: &str = concat!(
    "SELECT ",
    session_columns!(""),
    " FROM sessions s
    JOIN identities i ON i.tenant = s.tenant AND i.id = s.identity
    JOIN tenants t ON t.name = s.tenant
    LEFT JOIN clients a ON a.tenant = s.tenant AND a.id = s.client
    WHERE s.tenant = $1 AND s.identity = $2 AND s.id < $3
      AND ($4::text IS NULL OR s.device = $4) AND ($5::text IS NULL OR s.client = $5) AND ($6::bigint IS NULL OR s.created_at < $6)
      AND ($7::bigint IS NULL OR ((s.expires_at > $7 OR ($9 AND EXISTS (
             SELECT 1 FROM issuer_sessions x JOIN issuers e ON e.id = x.issuer
             WHERE x.session = s.id AND e.tenant = s.tenant
               AND NOT EXISTS (SELECT 1 FROM issuer_tokens k WHERE k.issuer = x.issuer AND k.digest = x.sid))))
           AND (NOT $10 OR EXISTS (SELECT 1 FROM credentials c WHERE c.session = s.id AND c.kind IN ('access_token', 'refresh_token', 'session_cookie')
               AND c.spent_at IS NULL AND c.revoked_seq IS NULL AND c.expires_at > $7))
           AND s.revoked_seq IS NULL AND s.issue_seq >=
           greatest(coalesce(i.revoked_seq, 0), coalesce(t.revoked_seq, 0), coalesce(a.revoked_seq, 0))
           AND (t.ended_before IS NULL OR s.created_at >= t.ended_before)
           AND (a.ended_before IS NULL OR s.created_at >= a.ended_before)))
    ORDER BY s.id DESC LIMIT $8"
);
const CREDENTIALS: &str = credentials!(
    "WHERE tenant = $1 AND identity = $2 AND id < $3
       AND ($4::text IS NULL OR (kind = $4 AND (certificate IS NOT NULL) = $7
                          AND (signature_key IS NOT NULL) = $8)) AND ($5::bytea IS NULL OR session = $5)
     ORDER BY id DESC LIMIT $6"
);
/// After every name, which is visible ASCII.
const AFTER_ALL: char = '\u{7f}';

/// Longer than any id, hence after all of them.
fn before(id: Option<&[u8; 16]>) -> Vec<u8> {
    id.map_or(vec![0xff; 17], |id| id.to_vec())
}

#[async_trait]
impl LifecycleReads for PgTx {
    async fn client_has_sessions(&mut self, tenant: &TenantId, client: &ClientId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM sessions WHERE tenant = $1 AND client = $2 LIMIT 1";
        Ok(self.session.maybe(sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str())).await?.is_some())
    }

    async fn find_identities(
        &mut self,
        tenant: &TenantId,
        filter: &IdentityFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Identity>, StoreError> {
        let prefix = filter.name_prefix.as_ref().map_or("", |prefix| prefix.as_str());
        let query = sqlx::query(IDENTITIES)
            .bind(tenant.as_str())
            .bind(after.unwrap_or_default())
            .bind(prefix)
            .bind(format!("{prefix}{AFTER_ALL}"))
            .bind(filter.state.map(|state| state.word()))
            .bind(filter.kind.map(|kind| kind.word()))
            .bind(filter.role.as_ref().map(|role| role.as_str()))
            .bind(i64::from(limit));
        self.session.all(query).await?.iter().map(rows::identity).collect()
    }

    async fn find_sessions(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        filter: &SessionFilter,
        from: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let query = sqlx::query(SESSIONS)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(before(from.as_ref().map(SessionId::as_bytes)))
            .bind(filter.device.as_ref().map(|device| device.as_str()))
            .bind(filter.client.as_ref().map(|client| client.as_str()))
            .bind(filter.begun_before.map(Timestamp::as_micros))
            .bind(filter.live_at.map(Timestamp::as_micros))
            .bind(i64::from(limit))
            .bind(filter.or_dormant)
            .bind(filter.usable);
        self.session.all(query).await?.iter().map(rows::session).collect()
    }

    async fn find_credentials(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        filter: &CredentialFilter,
        from: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError> {
        let query = sqlx::query(CREDENTIALS)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(before(from.as_ref().map(CredentialId::as_bytes)))
            .bind(filter.kind.map(|kind| kind.word()))
            .bind(filter.session.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(i64::from(limit))
            .bind(filter.kind == Some(CredentialKind::ClientCertificate))
            .bind(filter.kind == Some(CredentialKind::SignatureKey));
        self.session.all(query).await?.iter().map(rows::credential).collect()
    }

    async fn is_held_without(
        &mut self,
        tenant: &TenantId,
        scope: Scope,
        at: Timestamp,
        except: CredentialId,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (
                       SELECT 1 FROM identities i
                       JOIN credentials c ON c.tenant = i.tenant AND c.identity = i.id
                       WHERE i.tenant = $1 AND i.state = 'active' AND c.kind = 'api_key' AND c.certificate IS NULL AND c.signature_key IS NULL
                         AND c.revoked_seq IS NULL AND c.id <> $4 AND (c.expires_at IS NULL OR c.expires_at > $2)
                         AND strpos(' ' || c.scopes || ' ', $3) > 0)::int::bigint AS held";
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(at.as_micros())
            .bind(format!(" {} ", scope.name()))
            .bind(&except.as_bytes()[..]);
        let row = self.session.one(query).await?;
        rows::yes(&row, "held")
    }
}

#[async_trait]
impl LifecycleWrites for PgTx {
    async fn hold_role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM roles WHERE tenant = $1 AND name = $2 FOR NO KEY UPDATE";
        self.write(sqlx::query(sql).bind(tenant.as_str()).bind(name.as_str())).await.map(drop)
    }

    /// Before any row of the tenant is locked, and the head row. Rows that refer to the tenant can be made meanwhile.
    async fn hold_tenant(&mut self, tenant: &TenantId) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM tenants WHERE name = $1 FOR NO KEY UPDATE";
        self.write(sqlx::query(sql).bind(tenant.as_str())).await.map(drop)
    }

    async fn update_tenant(&mut self, tenant: &Tenant, from_version: u64, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE tenants SET display_name = $1, version = version + 1,
                       suspended_at = CASE WHEN $2 THEN coalesce(suspended_at, $3::bigint) END
                   WHERE name = $4 AND version = $5";
        let query = sqlx::query(sql)
            .bind(tenant.display_name.as_ref().map(|name| name.as_str()))
            .bind(tenant.state == TenantState::Suspended)
            .bind(at.as_micros())
            .bind(tenant.name.as_str())
            .bind(number(from_version));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn update_identity(&mut self, identity: &Identity, from_version: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE identities SET display_name = $1, attributes = $2, name = $6, version = version + 1
                   WHERE tenant = $3 AND id = $4 AND version = $5 AND deleted_at IS NULL";
        let query = sqlx::query(sql)
            .bind(identity.display_name.as_ref().map(|name| name.as_str()))
            .bind(object(&identity.attributes))
            .bind(identity.tenant.as_str())
            .bind(&identity.id.as_bytes()[..])
            .bind(number(from_version))
            .bind(identity.name.as_str());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn bury_identity(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        name: &IdentityName,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE identities SET name = $1, display_name = NULL, attributes = '{}', state = 'disabled',
                       deleted_at = $2, version = version + 1
                   WHERE tenant = $3 AND id = $4 AND deleted_at IS NULL";
        let query = sqlx::query(sql)
            .bind(name.as_str())
            .bind(at.as_micros())
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..]);
        if self.write(query).await?.rows_affected() == 0 {
            return Ok(false);
        }
        for sql in [
            "DELETE FROM identity_roles WHERE tenant = $1 AND identity = $2",
            "DELETE FROM passwords WHERE tenant = $1 AND identity = $2",
            "DELETE FROM password_resets WHERE tenant = $1 AND identity = $2",
            "DELETE FROM totp_factors WHERE tenant = $1 AND identity = $2",
            "DELETE FROM recovery_codes WHERE tenant = $1 AND identity = $2",
            "DELETE FROM login_continuations WHERE tenant = $1 AND identity = $2",
        ] {
            self.write(sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..])).await?;
        }
        Ok(true)
    }

    async fn delete_role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<bool, StoreError> {
        let mut deleted = 0;
        for sql in [
            "UPDATE identities SET version = version + 1
             WHERE tenant = $1 AND id IN (SELECT identity FROM identity_roles WHERE tenant = $1 AND role = $2)",
            "DELETE FROM identity_roles WHERE tenant = $1 AND role = $2",
            "DELETE FROM roles WHERE tenant = $1 AND name = $2",
        ] {
            deleted = self.write(sqlx::query(sql).bind(tenant.as_str()).bind(name.as_str())).await?.rows_affected();
        }
        Ok(deleted == 1)
    }

    async fn forget_answers(&mut self, at: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM requests WHERE (tenant, actor, request) IN (
                       SELECT tenant, actor, request FROM requests WHERE answered_at < $1
                       ORDER BY answered_at LIMIT $2)";
        Ok(self.write(sqlx::query(sql).bind(at.as_micros()).bind(i64::from(limit))).await?.rows_affected())
    }
}
