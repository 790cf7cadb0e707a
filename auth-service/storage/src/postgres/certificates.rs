//! Client certificates.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{
    CertificateName, CertificateReads, CertificateWrites, Certified, Credential, Head, StandingRows, StoreError,
};
use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use super::columns::credentials;
use super::tx::PgTx;
use super::{PostgresStore, standing};
use crate::rows::Columns;

const CERTIFICATES: &str = credentials!(
    "WHERE tenant = $1 AND identity = $2 AND kind = 'api_key' AND certificate IS NOT NULL
       AND ($3::bigint IS NULL OR revoked_seq IS NULL AND (expires_at IS NULL OR expires_at > $3))
       AND ($4::bytea IS NULL OR id < $4)
     ORDER BY id DESC LIMIT $5"
);

#[async_trait]
impl Certified for PostgresStore {
    async fn certified(&self, name: &CertificateName) -> Result<(Head, Option<Arc<StandingRows>>), StoreError> {
        self.ask(async |connection| standing::certified(connection, name).await).await
    }
}

#[async_trait]
impl CertificateReads for PgTx {
    async fn certificates(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        live_at: Option<Timestamp>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError> {
        self.keys_by(CERTIFICATES, (tenant, identity), live_at, before, limit).await
    }

    async fn count_live_certificates(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS live FROM credentials
                   WHERE tenant = $1 AND identity = $2 AND kind = 'api_key' AND certificate IS NOT NULL
                     AND revoked_seq IS NULL AND (expires_at IS NULL OR expires_at > $3)";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]).bind(at.as_micros());
        Columns(&self.session.one(query).await?).seq("live")
    }
}

#[async_trait]
impl CertificateWrites for PgTx {
    /// Two at once wait for each other at the name's row; the later one does not see the credential of the earlier one,
    /// which is therefore not known to be dead.
    async fn take_certificate_name(
        &mut self,
        name: &CertificateName,
        credential: CredentialId,
        ends_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO certificate_names (name, credential, ends_at) VALUES ($1, $2, $3)
                   ON CONFLICT (name) DO UPDATE SET credential = excluded.credential, ends_at = excluded.ends_at
                   WHERE certificate_names.ends_at <= $4 OR EXISTS (
                       SELECT 1 FROM credentials c JOIN identities i ON i.tenant = c.tenant AND i.id = c.identity
                       JOIN tenants t ON t.name = c.tenant
                       WHERE c.id = certificate_names.credential
                         AND (c.revoked_seq IS NOT NULL OR i.deleted_at IS NOT NULL OR t.deleted_at IS NOT NULL))";
        let query = sqlx::query(sql)
            .bind(name.as_str())
            .bind(&credential.as_bytes()[..])
            .bind(ends_at.map(Timestamp::as_micros))
            .bind(at.as_micros());
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
