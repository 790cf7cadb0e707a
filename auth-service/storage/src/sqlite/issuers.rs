//! External issuers, and what was seen of theirs.

use async_trait::async_trait;
use auth_domain::{Audience, Issuer, IssuerReads, IssuerUrl, IssuerWrites, StoreError};
use portcullis_types::{ClientId, CredentialId, IdentityId, IssuerId, RoleName, SessionId, TenantId, Timestamp};

use super::tx::SqliteTx;
use crate::rows::issuers as rows;
use crate::rows::{list, number};

/// Issuers, with what follows `FROM issuers`.
macro_rules! issuers {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, name, url, audience, algorithms, name_template, role_rules, create_identities,
             link_identities, created_at, removed_at, revoked_seq FROM issuers ",
            $rest
        )
    };
}

#[async_trait]
impl IssuerReads for SqliteTx {
    async fn issuer(&mut self, id: IssuerId) -> Result<Option<Issuer>, StoreError> {
        let query = sqlx::query(issuers!("WHERE id = ?1")).bind(&id.as_bytes()[..]);
        self.maybe(query).await?.as_ref().map(rows::issuer).transpose()
    }

    async fn issuers(&mut self, tenant: &TenantId) -> Result<Vec<Issuer>, StoreError> {
        let sql = issuers!("WHERE tenant = ?1 AND removed_at IS NULL ORDER BY name");
        self.all(sqlx::query(sql).bind(tenant.as_str())).await?.iter().map(rows::issuer).collect()
    }

    async fn issuers_at(&mut self, url: &IssuerUrl) -> Result<Vec<Issuer>, StoreError> {
        let sql = issuers!("WHERE url = ?1 AND removed_at IS NULL");
        self.all(sqlx::query(sql).bind(url.as_str())).await?.iter().map(rows::issuer).collect()
    }

    async fn issuer_of(
        &mut self,
        tenant: &TenantId,
        url: &IssuerUrl,
        audience: &Audience,
    ) -> Result<Option<Issuer>, StoreError> {
        let sql = issuers!("WHERE tenant = ?1 AND url = ?2 AND audience = ?3");
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(url.as_str()).bind(audience.as_str());
        self.maybe(query).await?.as_ref().map(rows::issuer).transpose()
    }

    async fn bound_to(&mut self, issuer: IssuerId, subject: &[u8; 32]) -> Result<Option<IdentityId>, StoreError> {
        let sql = "SELECT identity FROM issuer_subjects WHERE issuer = ?1 AND subject = ?2";
        let query = sqlx::query(sql).bind(&issuer.as_bytes()[..]).bind(&subject[..]);
        self.maybe(query).await?.as_ref().map(rows::bound_identity).transpose()
    }

    async fn is_bound(&mut self, issuer: IssuerId, identity: IdentityId) -> Result<bool, StoreError> {
        let sql = "SELECT identity FROM issuer_subjects WHERE issuer = ?1 AND identity = ?2";
        let query = sqlx::query(sql).bind(&issuer.as_bytes()[..]).bind(&identity.as_bytes()[..]);
        Ok(self.maybe(query).await?.is_some())
    }

    async fn external_token_by(
        &mut self,
        issuer: IssuerId,
        digest: &[u8; 32],
    ) -> Result<Option<CredentialId>, StoreError> {
        let sql = "SELECT credential FROM issuer_tokens WHERE issuer = ?1 AND digest = ?2";
        let query = sqlx::query(sql).bind(&issuer.as_bytes()[..]).bind(&digest[..]);
        self.maybe(query).await?.as_ref().map(rows::credential_id).transpose()
    }

    async fn external_session(
        &mut self,
        issuer: IssuerId,
        sid: &[u8; 32],
        epoch: u64,
        identity: IdentityId,
        client: Option<&ClientId>,
    ) -> Result<Option<SessionId>, StoreError> {
        let sql = "SELECT session FROM issuer_sessions
                   WHERE issuer = ?1 AND sid = ?2 AND epoch = ?3 AND identity = ?4 AND client = ?5";
        let query = sqlx::query(sql)
            .bind(&issuer.as_bytes()[..])
            .bind(&sid[..])
            .bind(number(epoch))
            .bind(&identity.as_bytes()[..])
            .bind(client.map_or("", ClientId::as_str));
        self.maybe(query).await?.as_ref().map(rows::session_id).transpose()
    }

    async fn external_session_is_revoked(&mut self, issuer: IssuerId, sid: &[u8; 32]) -> Result<bool, StoreError> {
        let sql = "SELECT x.session FROM issuer_sessions x
                   JOIN issuers i ON i.id = x.issuer
                   JOIN sessions s ON s.tenant = i.tenant AND s.id = x.session
                   WHERE x.issuer = ?1 AND x.sid = ?2 AND s.revoked_seq IS NOT NULL LIMIT 1";
        let query = sqlx::query(sql).bind(&issuer.as_bytes()[..]).bind(&sid[..]);
        Ok(self.maybe(query).await?.is_some())
    }
}

#[async_trait]
impl IssuerWrites for SqliteTx {
    async fn put_issuer(&mut self, issuer: &Issuer) -> Result<bool, StoreError> {
        let sql = "UPDATE issuers SET name = ?3, algorithms = ?4, name_template = ?5, role_rules = ?6,
                       create_identities = ?7, link_identities = ?8, removed_at = NULL
                   WHERE tenant = ?1 AND id = ?2 AND NOT EXISTS (
                       SELECT 1 FROM issuers o WHERE o.id <> issuers.id AND o.removed_at IS NULL
                         AND ((o.tenant = ?1 AND o.name = ?3)
                              OR (o.url = issuers.url AND o.audience = issuers.audience)))";
        let (mapping, algorithms) = (&issuer.mapping, rows::algorithms_text(&issuer.algorithms));
        let query = sqlx::query(sql)
            .bind(issuer.tenant.as_str())
            .bind(&issuer.id.as_bytes()[..])
            .bind(issuer.name.as_str())
            .bind(&*algorithms)
            .bind(mapping.name.as_str())
            .bind(rows::rules_text(mapping))
            .bind(i64::from(mapping.create_identities))
            .bind(i64::from(mapping.link_identities));
        if self.write(query).await?.rows_affected() == 1 {
            return Ok(true);
        }
        // One that is there and must not become so is in its own way.
        let sql = "INSERT INTO issuers (tenant, id, name, url, audience, algorithms, name_template, role_rules,
                       create_identities, link_identities, created_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(issuer.tenant.as_str())
            .bind(&issuer.id.as_bytes()[..])
            .bind(issuer.name.as_str())
            .bind(issuer.url.as_str())
            .bind(issuer.audience.as_str())
            .bind(algorithms)
            .bind(mapping.name.as_str())
            .bind(rows::rules_text(mapping))
            .bind(i64::from(mapping.create_identities))
            .bind(i64::from(mapping.link_identities))
            .bind(issuer.created_at.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    // There is one writer.
    async fn hold_issuer(
        &mut self,
        _tenant: &TenantId,
        _url: &IssuerUrl,
        _audience: &Audience,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn remove_issuer(&mut self, id: IssuerId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE issuers SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL";
        let query = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(at.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn bind_subject(
        &mut self,
        issuer: IssuerId,
        subject: &[u8; 32],
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO issuer_subjects (issuer, subject, tenant, identity) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&issuer.as_bytes()[..])
            .bind(&subject[..])
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_external_session(
        &mut self,
        issuer: IssuerId,
        sid: &[u8; 32],
        epoch: u64,
        identity: IdentityId,
        client: Option<&ClientId>,
        session: SessionId,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO issuer_sessions (issuer, sid, epoch, identity, client, session)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&issuer.as_bytes()[..])
            .bind(&sid[..])
            .bind(number(epoch))
            .bind(&identity.as_bytes()[..])
            .bind(client.map_or("", ClientId::as_str))
            .bind(&session.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_external_token(
        &mut self,
        issuer: IssuerId,
        digest: &[u8; 32],
        credential: CredentialId,
        roles: &[RoleName],
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO issuer_tokens (issuer, digest, credential, roles) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&issuer.as_bytes()[..])
            .bind(&digest[..])
            .bind(&credential.as_bytes()[..])
            .bind(list(roles.iter().map(|role| role.as_str())));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn prolong_session(
        &mut self,
        tenant: &TenantId,
        id: SessionId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET expires_at = max(expires_at, ?3) WHERE tenant = ?1 AND id = ?2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&id.as_bytes()[..]).bind(until.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
