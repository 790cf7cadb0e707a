//! The classes of tenants' leases.

use async_trait::async_trait;
use auth_domain::{LeaseClassReads, LeaseClassWrites, StoreError, Tenant};
use portcullis_types::{LeaseClass, TenantId};

use super::tx::SqliteTx;
use super::unavailable;
use crate::columns::tenant_columns;
use crate::rows;

#[async_trait]
impl LeaseClassReads for SqliteTx {
    async fn tenants_of_class(&mut self, classes: &[LeaseClass], limit: u32) -> Result<Vec<Tenant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(""),
            " FROM tenants t WHERE t.lease_class IN (SELECT value FROM json_each(?1)) ORDER BY t.name LIMIT ?2"
        );
        let words = serde_json::Value::from_iter(classes.iter().map(|class| class.word())).to_string();
        let found = sqlx::query(sql).bind(words).bind(limit).fetch_all(&mut *self.transaction).await;
        found.map_err(unavailable)?.iter().map(rows::tenant).collect()
    }
}

#[async_trait]
impl LeaseClassWrites for SqliteTx {
    async fn set_lease_class(&mut self, tenant: &TenantId, class: Option<LeaseClass>) -> Result<bool, StoreError> {
        let sql = "UPDATE tenants SET lease_class = ?1, version = version + 1 WHERE name = ?2";
        let query = sqlx::query(sql).bind(class.map(LeaseClass::word)).bind(tenant.as_str());
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
