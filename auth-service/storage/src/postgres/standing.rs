//! Where credentials stand: one statement, which is a snapshot by itself.

#[cfg(test)]
mod plans;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_domain::{CertificateName, Head, StandingReads, StandingRows, StoreError, WithParent};
use portcullis_types::CredentialId;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::time::timeout;

use super::pools::{Pool, Pools};
use super::refused;
use super::signature_keys::held_keys;
use super::tx::PgTx;
use crate::columns::{identity_columns, session_columns, tenant_columns};
use crate::looks::{Found, Seen, Sight};
use crate::rows;

/// Always one row: the head, and beside it the credential with everything above it, or nothing.
/// The chain after entry `n` is the chain of that entry, or what the next one began with.
/// Each thing above it is found by its key alone. The limits are no limits, there is one at most: they keep the planner, which
/// knows of no credential in particular, from going through all tenants, signing keys or roles instead.
macro_rules! standing {
    ($which:literal) => {
        concat!(
    "SELECT h.seq AS seq, h.chain AS chain, c.id, c.tenant, c.identity, c.session, c.kind, c.digest, c.parent, c.label,
    c.scopes, c.audiences, c.origins, c.issue_seq, c.issue_chain, c.signing_key, c.created_at, c.expires_at, c.spent_at,
    c.successor, c.redeemed_by, c.revoked_seq, c.key_grants, c.addresses, c.replaces, c.replaced_by, c.last_used_at,
    c.certificate, c.signature_key, ",
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
    (SELECT string_agg(r.grants, chr(10)) FROM identity_roles m
     CROSS JOIN LATERAL (SELECT grants FROM roles WHERE tenant = m.tenant AND name = m.role LIMIT 1) r
     WHERE m.tenant = c.tenant AND m.identity = c.identity) AS i_grants,
    ", held_keys!(), " AS held_keys,
    u.id AS u_id, u.removed_at AS u_removed_at, u.revoked_seq AS u_revoked_seq, e.roles AS e_roles,
    (SELECT string_agg(r.grants, chr(10)) FROM jsonb_array_elements_text(e.roles::jsonb) j (name)
     CROSS JOIN LATERAL (SELECT grants FROM roles WHERE tenant = c.tenant AND name = j.name LIMIT 1) r) AS e_grants
    FROM revocation_head h
    LEFT JOIN credentials c ON c.id ", $which, "
    LEFT JOIN LATERAL (SELECT * FROM sessions WHERE tenant = c.tenant AND id = c.session LIMIT 1) s ON TRUE
    LEFT JOIN LATERAL (SELECT * FROM identities WHERE tenant = c.tenant AND id = c.identity LIMIT 1) i ON TRUE
    LEFT JOIN LATERAL (SELECT * FROM tenants WHERE name = c.tenant LIMIT 1) t ON TRUE
    LEFT JOIN LATERAL (SELECT * FROM clients WHERE tenant = s.tenant AND id = s.client LIMIT 1) a ON TRUE
    LEFT JOIN LATERAL (SELECT state, revoked_seq FROM signing_keys WHERE id = c.signing_key LIMIT 1) k ON TRUE
    LEFT JOIN LATERAL (SELECT issuer, roles FROM issuer_tokens WHERE credential = c.id LIMIT 1) e ON TRUE
    LEFT JOIN LATERAL (SELECT id, removed_at, revoked_seq FROM issuers WHERE id = e.issuer LIMIT 1) u ON TRUE
    WHERE h.shard = 0"
        )
    };
}

const STANDING: &str = standing!("= $1");
const STANDINGS: &str = standing!("= ANY ($1)");
const CERTIFIED: &str = standing!("= (SELECT n.credential FROM certificate_names n WHERE n.name = $1)");

/// After so many looks a connection goes through its pool, which looks at how old it is.
const MOST_LOOKS: u32 = 1_000;

/// Looks on a connection of its own, which is given up with all others.
#[derive(Debug)]
pub(super) struct Reader {
    pools: Arc<Pools>,
    patience: Duration,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    of: Arc<Pool>,
    looks: u32,
}

impl Reader {
    pub(super) const fn new(pools: Arc<Pools>, patience: Duration) -> Self {
        Self { pools, patience, kept: None }
    }

    /// A connection, which is kept again only when it has answered: the pool tests what it is given back.
    async fn take(&mut self) -> Result<Kept, StoreError> {
        let of = self.pools.current();
        if let Some(kept) = self.kept.take()
            && kept.looks < MOST_LOOKS
            && Arc::ptr_eq(&kept.of, &of)
        {
            return Ok(kept);
        }
        let (connection, of) = self.pools.acquire(|pool| &pool.lookers).await?;
        Ok(Kept { connection, of, looks: 0 })
    }
}

impl Sight for Reader {
    async fn look(&mut self, credentials: &[CredentialId]) -> Result<Seen, StoreError> {
        let mut kept = self.take().await?;
        let ids: Vec<&[u8]> = credentials.iter().map(|id| &id.as_bytes()[..]).collect();
        let looked = timeout(self.patience, sqlx::query(STANDINGS).bind(ids).fetch_all(&mut *kept.connection)).await;
        let Ok(found) = looked else {
            kept.connection.close_on_drop();
            return Err(StoreError::Unavailable("the database did not answer a look in time".into()));
        };
        let seen = rows::standings(&found.map_err(refused)?);
        self.kept = Some(Kept { looks: kept.looks + 1, ..kept });
        seen
    }

    fn rest(&mut self) {
        self.kept = None;
    }
}

/// Of a credential and the one that it was issued from.
const WITH_PARENT: &str = standing!("IN ($1, (SELECT p.parent FROM credentials p WHERE p.id = $1))");

/// As [`StandingReads::standing_with_parent`], in a snapshot of its own, with its head.
pub(super) async fn with_parent(
    connection: &mut PgConnection,
    id: CredentialId,
) -> Result<(Head, Option<WithParent>), StoreError> {
    let query = sqlx::query(WITH_PARENT).bind(&id.as_bytes()[..]);
    let found = query.fetch_all(connection).await.map_err(refused)?;
    rows::with_parent(&found, id)
}

/// Where the credential that took a name last stands, in a snapshot of its own.
pub(super) async fn certified(connection: &mut PgConnection, name: &CertificateName) -> Result<Found, StoreError> {
    let row = sqlx::query(CERTIFIED).bind(name.as_str()).fetch_one(connection).await.map_err(refused)?;
    Ok((rows::head(&row)?, rows::standing(&row)?.map(Arc::new)))
}

#[async_trait]
impl StandingReads for PgTx {
    async fn standing(&mut self, id: CredentialId) -> Result<Option<StandingRows>, StoreError> {
        rows::standing(&self.session.one(sqlx::query(STANDING).bind(&id.as_bytes()[..])).await?)
    }

    async fn standing_with_parent(&mut self, id: CredentialId) -> Result<Option<WithParent>, StoreError> {
        let found = self.session.all(sqlx::query(WITH_PARENT).bind(&id.as_bytes()[..])).await?;
        Ok(rows::with_parent(&found, id)?.1)
    }
}
