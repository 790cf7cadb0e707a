//! Public signature keys.

use async_trait::async_trait;
use auth_domain::{PublicKey, SignatureKeyCount, SignatureKeyReads, SignatureKeyRow, SignatureKeyWrites, StoreError};
use portcullis_types::{CredentialId, IdentityId, SessionId, TenantId, Timestamp};

use super::rows::{self, number, signature_keys};
use super::tx::SqliteTx;
use super::words::Word as _;

/// The keys that stand beside credential `c`, as [`signature_keys::held_keys`] reads them. Of a credential without keys it
/// costs two looks into a small index. The `+` keeps the planner from going through all credentials of the tenant instead.
macro_rules! held_keys {
    () => {
        "(SELECT string_agg(lower(hex(g.id)) || ' ' || coalesce(nullif(lower(hex(g.session)), ''), '-') || ' ' || g.issue_seq || ' '
                     || g.created_at || ' ' || coalesce(g.expires_at, '-') || ' ' || g.signature_key, char(10))
          FROM credentials g
          WHERE g.signature_holder IN (c.identity, c.session) AND +g.tenant = c.tenant
            AND g.signature_holder IS NOT NULL AND g.revoked_seq IS NULL)"
    };
}

pub(super) use held_keys;

/// Whose verdicts look at it.
fn holder(identity: IdentityId, session: Option<SessionId>) -> [u8; 16] {
    session.map_or(*identity.as_bytes(), |session| *session.as_bytes())
}

#[async_trait]
impl SignatureKeyReads for SqliteTx {
    async fn signature_key(&mut self, id: CredentialId) -> Result<Option<SignatureKeyRow>, StoreError> {
        let sql = "SELECT * FROM credentials WHERE id = ?1 AND signature_key IS NOT NULL";
        let found = self.maybe(sqlx::query(sql).bind(&id.as_bytes()[..])).await?;
        found.as_ref().map(signature_keys::signature_key).transpose()
    }

    async fn find_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<SignatureKeyRow>, StoreError> {
        let sql = "SELECT * FROM credentials
                   WHERE tenant = ?1 AND identity = ?2 AND signature_key IS NOT NULL
                     AND (?3 IS NULL OR session = ?3) AND (?4 IS NULL OR id < ?4)
                   ORDER BY id DESC LIMIT ?5";
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(session.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(before.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(limit);
        self.all(query).await?.iter().map(signature_keys::signature_key).collect()
    }

    async fn count_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
    ) -> Result<SignatureKeyCount, StoreError> {
        let sql = "SELECT count(*) AS remembered,
                          count(*) FILTER (WHERE signature_holder IS NOT NULL AND revoked_seq IS NULL) AS held
                   FROM credentials
                   WHERE tenant = ?1 AND identity = ?2 AND signature_key IS NOT NULL AND session IS ?3";
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(session.as_ref().map(|id| &id.as_bytes()[..]));
        let row = self.maybe(query).await?.ok_or(StoreError::Corrupt { what: "a count without a row" })?;
        signature_keys::signature_key_count(&row)
    }

    async fn own_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<Vec<SignatureKeyRow>, StoreError> {
        let sql = "SELECT * FROM credentials
                   WHERE signature_holder = ?2 AND tenant = ?1 AND signature_holder IS NOT NULL AND revoked_seq IS NULL";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        self.all(query).await?.iter().map(signature_keys::signature_key).collect()
    }

    async fn is_signature_key_known(&mut self, tenant: &TenantId, key: &PublicKey) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM credentials WHERE tenant = ?1 AND signature_key = ?2) AS known";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(key.jwk());
        let row = self.maybe(query).await?.ok_or(StoreError::Corrupt { what: "an answer without a row" })?;
        rows::yes(&row, "known")
    }
}

#[async_trait]
impl SignatureKeyWrites for SqliteTx {
    async fn let_go_of_signature_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE credentials
                   SET signature_holder = NULL, over_at = CASE WHEN session IS NULL THEN coalesce(over_at, ?4) END
                   WHERE signature_holder = ?3 AND signature_holder IS NOT NULL AND revoked_seq IS NULL
                     AND (expires_at <= ?4 OR issue_seq < (SELECT max(e.seq) FROM (
                              SELECT i.revoked_seq AS seq FROM identities i WHERE i.tenant = ?1 AND i.id = ?2
                              UNION ALL SELECT t.revoked_seq FROM tenants t WHERE t.name = ?1) e))";
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(holder(identity, session).to_vec())
            .bind(at.as_micros());
        self.write(query).await.map(drop)
    }

    async fn insert_signature_key(&mut self, row: &SignatureKeyRow) -> Result<bool, StoreError> {
        let SignatureKeyRow { credential, key } = row;
        let sql = "INSERT INTO credentials (id, tenant, identity, session, kind, label, scopes, audiences, origins,
                       issue_seq, issue_chain, created_at, expires_at, replaces, signature_key, signature_holder)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', '[]', '[]', ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                   ON CONFLICT DO NOTHING";
        let replaces = credential.key_terms.as_ref().and_then(|terms| terms.replaces.as_ref());
        let query = sqlx::query(sql)
            .bind(&credential.id.as_bytes()[..])
            .bind(credential.tenant.as_str())
            .bind(&credential.identity.as_bytes()[..])
            .bind(credential.session.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(credential.kind.word())
            .bind(credential.label.as_ref().map(|label| label.as_str()))
            .bind(number(credential.issued.seq))
            .bind(credential.issued.chain.cast_signed())
            .bind(credential.created_at.as_micros())
            .bind(credential.expires_at.map(Timestamp::as_micros))
            .bind(replaces.map(|id| &id.as_bytes()[..]))
            .bind(key.jwk())
            .bind(holder(credential.identity, credential.session).to_vec());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn replace_signature_key(
        &mut self,
        id: CredentialId,
        before: Option<CredentialId>,
        successor: CredentialId,
        end: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET replaced_by = ?3,
                       expires_at = CASE WHEN expires_at < ?4 THEN expires_at ELSE ?4 END
                   WHERE id = ?1 AND signature_key IS NOT NULL AND revoked_seq IS NULL AND replaced_by IS ?2";
        let query = sqlx::query(sql)
            .bind(&id.as_bytes()[..])
            .bind(before.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(&successor.as_bytes()[..])
            .bind(end.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
