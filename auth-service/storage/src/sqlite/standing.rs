//! Where credentials stand: one statement, which is a snapshot by itself.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{CertificateName, Head, StandingReads, StandingRows, StoreError, WithParent};
use portcullis_types::CredentialId;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::signature_keys::held_keys;
use super::tx::SqliteTx;
use super::unavailable;
use crate::columns::{identity_columns, session_columns, tenant_columns};
use crate::looks::{Found, MOST_AT_ONCE, Seen, Sight};
use crate::rows;

/// Always one row: the head, and beside it the credential with everything above it, or nothing.
/// The chain after entry `n` is the chain of that entry, or what the next one began with.
macro_rules! standing {
    ($which:literal) => {
        concat!(
    "SELECT h.seq AS seq, h.chain AS chain, c.*, ",
    session_columns!("s_"),
    ", ",
    identity_columns!("i_"),
    ", ",
    tenant_columns!("t_"),
    ", k.state AS k_state, k.revoked_seq AS k_revoked_seq,
    nullif(a.revoked_seq, 0) AS client_revoked_seq, a.ended_before AS client_ended_before,
    CASE WHEN c.issue_seq = h.seq THEN h.chain ELSE coalesce(
        (SELECT l.chain FROM revocation_log l WHERE l.shard = 0 AND l.seq = c.issue_seq),
        (SELECT l.prev_chain FROM revocation_log l WHERE l.shard = 0 AND l.seq = c.issue_seq + 1)) END AS issued_on,
    (SELECT string_agg(r.grants, char(10)) FROM identity_roles m
     JOIN roles r ON r.tenant = m.tenant AND r.name = m.role
     WHERE m.tenant = c.tenant AND m.identity = c.identity) AS i_grants,
    ", held_keys!(), " AS held_keys,
    u.id AS u_id, u.removed_at AS u_removed_at, u.revoked_seq AS u_revoked_seq, e.roles AS e_roles,
    (SELECT string_agg(r.grants, char(10)) FROM json_each(e.roles) j JOIN roles r ON r.tenant = c.tenant AND r.name = j.value) AS e_grants
    FROM revocation_head h
    LEFT JOIN credentials c ON c.id ", $which, "
    LEFT JOIN sessions s ON s.tenant = c.tenant AND s.id = c.session
    LEFT JOIN identities i ON i.tenant = c.tenant AND i.id = c.identity
    LEFT JOIN tenants t ON t.name = c.tenant
    LEFT JOIN clients a ON a.tenant = s.tenant AND a.id = s.client
    LEFT JOIN signing_keys k ON k.id = c.signing_key
    LEFT JOIN issuer_tokens e ON e.credential = c.id
    LEFT JOIN issuers u ON u.id = e.issuer
    WHERE h.shard = 0"
        )
    };
}

const STANDING: &str = standing!("= ?1");
const CERTIFIED: &str = standing!("= (SELECT n.credential FROM certificate_names n WHERE n.name = ?1)");
/// Of as many as are looked up at once. What is not asked for is not bound, and no id is NULL.
const STANDINGS: &str = standing!("IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)");
const _: () = assert!(MOST_AT_ONCE == 16);

/// Looks on a connection of its own.
#[derive(Debug)]
pub(super) struct Reader {
    pool: SqlitePool,
    kept: Option<PoolConnection<Sqlite>>,
}

impl Reader {
    pub(super) const fn new(pool: SqlitePool) -> Self {
        Self { pool, kept: None }
    }
}

impl Sight for Reader {
    async fn look(&mut self, credentials: &[CredentialId]) -> Result<Seen, StoreError> {
        // Kept again only when it has answered: the pool tests what it is given back.
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.pool.acquire().await.map_err(unavailable)?,
        };
        let statement = if credentials.len() == 1 { STANDING } else { STANDINGS };
        let query = credentials.iter().fold(sqlx::query(statement), |query, id| query.bind(&id.as_bytes()[..]));
        let found = query.fetch_all(&mut *connection).await.map_err(unavailable)?;
        self.kept = Some(connection);
        rows::standings(&found)
    }

    fn rest(&mut self) {
        self.kept = None;
    }
}

/// Of a credential and the one that it was issued from.
const WITH_PARENT: &str = standing!("IN (?1, (SELECT p.parent FROM credentials p WHERE p.id = ?1))");

/// As [`StandingReads::standing_with_parent`], in a snapshot of its own, with its head.
pub(super) async fn with_parent(
    connection: &mut SqliteConnection,
    id: CredentialId,
) -> Result<(Head, Option<WithParent>), StoreError> {
    let query = sqlx::query(WITH_PARENT).bind(&id.as_bytes()[..]);
    let found = query.fetch_all(connection).await.map_err(unavailable)?;
    rows::with_parent(&found, id)
}

/// Where the credential that took a name last stands, in a snapshot of its own.
pub(super) async fn certified(connection: &mut SqliteConnection, name: &CertificateName) -> Result<Found, StoreError> {
    let row = sqlx::query(CERTIFIED).bind(name.as_str()).fetch_one(connection).await.map_err(unavailable)?;
    Ok((rows::head(&row)?, rows::standing(&row)?.map(Arc::new)))
}

#[async_trait]
impl StandingReads for SqliteTx {
    async fn standing(&mut self, id: CredentialId) -> Result<Option<StandingRows>, StoreError> {
        let query = sqlx::query(STANDING).bind(&id.as_bytes()[..]);
        rows::standing(&query.fetch_one(&mut *self.transaction).await.map_err(unavailable)?)
    }

    async fn standing_with_parent(&mut self, id: CredentialId) -> Result<Option<WithParent>, StoreError> {
        Ok(with_parent(&mut self.transaction, id).await?.1)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;
    use sqlx::{AssertSqlSafe, Row as _};

    use super::super::SqliteStore;
    use super::*;

    /// It rides on every verdict: by another index it goes through all credentials of the tenant.
    #[tokio::test]
    async fn the_keys_beside_a_credential_are_found_by_their_holder() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(directory.path(), &SeededEntropy::new(1)).await.expect("opens");
        for statement in [STANDING, CERTIFIED, STANDINGS, WITH_PARENT] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan = sqlx::query(explain).fetch_all(&store.readers).await.expect("explains");
            let steps = plan.iter().map(|step| step.get::<String, _>("detail"));
            let keys: Vec<_> = steps.filter(|step| step.split(' ').nth(1) == Some("g")).collect();
            assert_eq!(keys, ["SEARCH g USING INDEX signature_keys_of_a_holder (signature_holder=?)"]);
        }
    }
}
