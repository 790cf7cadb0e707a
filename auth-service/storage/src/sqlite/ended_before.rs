//! What began before a time.

use async_trait::async_trait;
use auth_domain::{EndedBeforeReads, EndedBeforeWrites, StoreError};
use portcullis_types::{ClientId, TenantId, Timestamp};

use super::tx::SqliteTx;
use crate::rows::Columns;

#[async_trait]
impl EndedBeforeReads for SqliteTx {
    async fn client_ended_before(
        &mut self,
        tenant: &TenantId,
        client: &ClientId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT ended_before FROM clients WHERE tenant = ?1 AND id = ?2";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str());
        let found = self.maybe(query).await?;
        Ok(found.map(|row| Columns(&row).maybe_at("ended_before")).transpose()?.flatten())
    }
}

#[async_trait]
impl EndedBeforeWrites for SqliteTx {
    async fn end_tenant_before(&mut self, tenant: &TenantId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE tenants SET ended_before = max(coalesce(ended_before, ?1), ?1) WHERE name = ?2";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(tenant.as_str());
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn end_client_before(
        &mut self,
        tenant: &TenantId,
        client: &ClientId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO clients (tenant, id, revoked_seq, ended_before) VALUES (?1, ?2, 0, ?3)
                   ON CONFLICT (tenant, id) DO UPDATE SET
                   ended_before = max(coalesce(clients.ended_before, excluded.ended_before), excluded.ended_before)";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(client.as_str()).bind(at.as_micros());
        self.write(query).await.map(drop)
    }
}
