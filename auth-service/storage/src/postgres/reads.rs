//! What a snapshot answers.

use async_trait::async_trait;
use auth_domain::{
    Answered, Credential, Head, Identity, IdentityRef, LogEntry, ReadView, Request, Role, RoleTotals, Scope, Session,
    SigningKey, StoreError, StoredPassword, Tenant, TenantState,
};
use portcullis_types::{
    ClientId, CredentialId, IdentityId, Revision, RoleName, SessionId, SigningKeyId, TenantId, Timestamp,
};

use super::columns::{credentials, signing_keys};
use super::log::{self, of_request};
use super::tx::PgTx;
use crate::columns::{identity_columns, session_columns, tenant_columns};
use crate::rows::{self, Columns};
use crate::words::Word as _;

const IDENTITY_BY_ID: &str =
    concat!("SELECT ", identity_columns!(""), " FROM identities i WHERE i.tenant = $1 AND i.id = $2");
const IDENTITY_BY_NAME: &str =
    concat!("SELECT ", identity_columns!(""), " FROM identities i WHERE i.tenant = $1 AND i.name = $2");

const API_KEYS: &str = credentials!(
    "WHERE tenant = $1 AND identity = $2 AND kind = 'api_key' AND certificate IS NULL AND signature_key IS NULL
       AND ($3::bigint IS NULL OR revoked_seq IS NULL AND (expires_at IS NULL OR expires_at > $3))
       AND ($4::bytea IS NULL OR id < $4)
     ORDER BY id DESC LIMIT $5"
);

impl PgTx {
    /// Keys of one kind that an identity has, as the statement names them: before an id, and live ones alone if asked.
    pub(super) async fn keys_by(
        &mut self,
        sql: &'static str,
        (tenant, identity): (&TenantId, IdentityId),
        live_at: Option<Timestamp>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError> {
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(live_at.map(Timestamp::as_micros))
            .bind(before.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(i64::from(limit));
        self.session.all(query).await?.iter().map(rows::credential).collect()
    }
}

#[async_trait]
impl ReadView for PgTx {
    fn head(&self) -> Head {
        self.head
    }

    async fn revision_at(&mut self, seq: u64) -> Result<Option<Revision>, StoreError> {
        log::position(seq, self.session.maybe(log::chain_at(seq)).await?.as_ref())
    }

    async fn log_entry(&mut self, seq: u64) -> Result<Option<LogEntry>, StoreError> {
        let Some(before) = seq.checked_sub(1) else { return Ok(None) };
        let found = self.session.maybe(log::after(before, 1)).await?;
        let entry = found.as_ref().map(rows::log_entry).transpose()?;
        Ok(entry.filter(|entry| entry.seq == seq))
    }

    async fn tenant(&mut self, name: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let sql = concat!("SELECT ", tenant_columns!(""), " FROM tenants t WHERE t.name = $1");
        let found = self.session.maybe(sqlx::query(sql).bind(name.as_str())).await?;
        found.as_ref().map(rows::tenant).transpose()
    }

    async fn tenants(
        &mut self,
        state: Option<TenantState>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(""),
            " FROM tenants t WHERE t.name > $1
              AND ($3::text IS NULL OR $3 = CASE WHEN t.deleted_at IS NOT NULL THEN 'deleted'
                                           WHEN t.suspended_at IS NOT NULL THEN 'suspended' ELSE 'active' END)
            ORDER BY t.name LIMIT $2"
        );
        let query = sqlx::query(sql)
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .bind(state.map(|state| state.word()));
        self.session.all(query).await?.iter().map(rows::tenant).collect()
    }

    async fn identity(&mut self, tenant: &TenantId, which: &IdentityRef) -> Result<Option<Identity>, StoreError> {
        let query = match which {
            IdentityRef::Id(id) => sqlx::query(IDENTITY_BY_ID).bind(tenant.as_str()).bind(&id.as_bytes()[..]),
            IdentityRef::Name(name) => sqlx::query(IDENTITY_BY_NAME).bind(tenant.as_str()).bind(name.as_str()),
        };
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::identity).transpose()
    }

    async fn password(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
    ) -> Result<Option<StoredPassword>, StoreError> {
        let sql = "SELECT id, phc, set_at, must_change FROM passwords WHERE tenant = $1 AND identity = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::password).transpose()
    }

    async fn role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<Option<Role>, StoreError> {
        let sql = "SELECT tenant, name, grants FROM roles WHERE tenant = $1 AND name = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(name.as_str());
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::role).transpose()
    }

    async fn roles(&mut self, tenant: &TenantId) -> Result<Vec<Role>, StoreError> {
        let sql = "SELECT tenant, name, grants FROM roles WHERE tenant = $1 ORDER BY name";
        let found = self.session.all(sqlx::query(sql).bind(tenant.as_str())).await?;
        found.iter().map(rows::role).collect()
    }

    async fn role_totals(&mut self, tenant: &TenantId) -> Result<RoleTotals, StoreError> {
        let sql = "SELECT count(*) AS roles, coalesce(sum(bytes), 0)::bigint AS bytes FROM roles WHERE tenant = $1";
        let query = sqlx::query(sql).bind(tenant.as_str());
        let row = self.session.one(query).await?;
        Ok(RoleTotals { roles: Columns(&row).seq("roles")?, bytes: Columns(&row).seq("bytes")? })
    }

    async fn most_bytes_held_with(&mut self, tenant: &TenantId, role: &RoleName) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(held), 0)::bigint AS most FROM (
                       SELECT sum(r.bytes) AS held FROM identity_roles h
                       JOIN identity_roles i ON i.tenant = h.tenant AND i.identity = h.identity
                       JOIN roles r ON r.tenant = i.tenant AND r.name = i.role
                       WHERE h.tenant = $1 AND h.role = $2 GROUP BY h.identity) t";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(role.as_str());
        let row = self.session.one(query).await?;
        Columns(&row).seq("most")
    }

    async fn session(&mut self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreError> {
        let sql = concat!("SELECT ", session_columns!(""), " FROM sessions s WHERE s.tenant = $1 AND s.id = $2");
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&id.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::session).transpose()
    }

    async fn credential(&mut self, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        let query = sqlx::query(credentials!("WHERE id = $1")).bind(&id.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::credential).transpose()
    }

    async fn api_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        live_at: Option<Timestamp>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError> {
        self.keys_by(API_KEYS, (tenant, identity), live_at, before, limit).await
    }

    async fn count_live_api_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS live FROM credentials
                   WHERE tenant = $1 AND identity = $2 AND kind = 'api_key' AND certificate IS NULL AND signature_key IS NULL
                     AND revoked_seq IS NULL AND (expires_at IS NULL OR expires_at > $3)";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]).bind(at.as_micros());
        let row = self.session.one(query).await?;
        Columns(&row).seq("live")
    }

    async fn live_holders(
        &mut self,
        tenant: &TenantId,
        scope: Scope,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<IdentityId>, StoreError> {
        let sql = "SELECT i.id FROM identities i WHERE i.tenant = $1 AND i.state = 'active' AND EXISTS (
                       SELECT 1 FROM credentials c
                       WHERE c.tenant = i.tenant AND c.identity = i.id AND c.kind = 'api_key' AND c.certificate IS NULL AND c.signature_key IS NULL
                         AND c.revoked_seq IS NULL AND (c.expires_at IS NULL OR c.expires_at > $2) AND strpos(' ' || c.scopes || ' ', $3) > 0)
                   ORDER BY i.id LIMIT $4";
        let word = format!(" {} ", scope.name());
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(at.as_micros()).bind(word).bind(i64::from(limit));
        let found = self.session.all(query).await?;
        found.iter().map(rows::identity_id).collect()
    }

    async fn client_revoked_seq(&mut self, tenant: &TenantId, client: &ClientId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT nullif(revoked_seq, 0) AS revoked_seq FROM clients WHERE tenant = $1 AND id = $2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str());
        let found = self.session.maybe(query).await?;
        Ok(found.map(|row| Columns(&row).maybe_seq("revoked_seq")).transpose()?.flatten())
    }

    async fn signing_key(&mut self, id: SigningKeyId) -> Result<Option<SigningKey>, StoreError> {
        let query = sqlx::query(signing_keys!("WHERE id = $1")).bind(&id.as_bytes()[..]);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::signing_key).transpose()
    }

    async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, StoreError> {
        let found = self.session.all(sqlx::query(signing_keys!("ORDER BY id"))).await?;
        found.iter().map(rows::signing_key).collect()
    }

    async fn answered(&mut self, request: &Request) -> Result<Option<Answered>, StoreError> {
        let sql = "SELECT content, seq, chain, committed_at, has_entry, subject FROM requests
                   WHERE tenant = $1 AND request = $3 AND (asker = $4 OR asker IS NULL AND actor = $2)
                   ORDER BY asker IS NULL LIMIT 1";
        let query = of_request(sqlx::query(sql), request);
        let found = self.session.maybe(query).await?;
        found.as_ref().map(rows::answered).transpose()
    }
}
