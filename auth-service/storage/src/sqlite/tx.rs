//! A transaction, and what it writes. Commits run to their end in a task of their own, so that a caller that leaves
//! can neither tear one nor keep its entry from being announced.

use std::sync::Arc;

use async_trait::async_trait;
use auth_domain::{
    Answered, AuditEntry, Batch, Committed, Credential, Head, Identity, IdentityState, Request, Role, Session,
    SigningKey, Spent, StoreError, StoredPassword, Tenant, WriteTx,
};
use portcullis_types::{CredentialId, IdentityId, LeaseClass, RedemptionId, RoleName, TenantId, Timestamp};
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{Sqlite, Transaction, query::Query};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::known::Known;
use super::log::{self, number};
use super::rows::{grants_list, list, object};
use super::unavailable;
use super::words::Word as _;

/// A transaction with the head that was read first in it. Dropped, it is rolled back.
pub(super) struct SqliteTx {
    pub(super) transaction: Transaction<'static, Sqlite>,
    pub(super) head: Head,
    heads: watch::Sender<Head>,
    known: Arc<Known>,
    /// Given back after the transaction has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

impl SqliteTx {
    pub(super) async fn begin(
        mut transaction: Transaction<'static, Sqlite>,
        heads: watch::Sender<Head>,
        known: Arc<Known>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, StoreError> {
        let head = log::head(&mut transaction).await?;
        Ok(Self { transaction, head, heads, known, _turn: turn })
    }

    async fn put_roles(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        roles: &[RoleName],
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM identity_roles WHERE tenant = ?1 AND identity = ?2";
        self.write(sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..])).await?;
        for role in roles {
            let sql = "INSERT INTO identity_roles (tenant, identity, role) VALUES (?1, ?2, ?3)";
            let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]).bind(role.as_str());
            self.write(query).await?;
        }
        Ok(())
    }

    pub(super) async fn maybe(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Option<SqliteRow>, StoreError> {
        query.fetch_optional(&mut *self.transaction).await.map_err(unavailable)
    }

    pub(super) async fn all(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        query.fetch_all(&mut *self.transaction).await.map_err(unavailable)
    }

    pub(super) async fn write(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<SqliteQueryResult, StoreError> {
        query.execute(&mut *self.transaction).await.map_err(unavailable)
    }

    async fn append_and_commit(mut self, batch: Batch, at: Timestamp) -> Result<Committed, StoreError> {
        let head = log::append(&mut self.transaction, self.head, &batch, at).await?;
        if let Some(id) = batch.reset() {
            let sql = "UPDATE password_resets SET issue_seq = ?1 WHERE id = ?2";
            self.write(sqlx::query(sql).bind(number(head.seq)).bind(&id.as_bytes()[..])).await?;
        }
        settle(self.transaction, &self.known).await?;
        // Only forward: the next writer may have announced its entry already.
        self.heads.send_if_modified(|announced| {
            let newer = head.seq > announced.seq;
            if newer {
                *announced = head;
            }
            newer
        });
        Ok(Committed { revision: head.revision(), committed_at: at })
    }
}

/// The one way to commit: what is known of callers ends before it takes place.
async fn settle(transaction: Transaction<'static, Sqlite>, known: &Known) -> Result<(), StoreError> {
    let commit = known.commit();
    transaction.commit().await.map_err(|error| StoreError::UnknownOutcome(Box::new(error)))?;
    commit.end();
    Ok(())
}

async fn to_its_end<T: Send + 'static>(
    commit: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(commit).await.map_err(|failure| StoreError::UnknownOutcome(Box::new(failure)))?
}

#[async_trait]
impl WriteTx for SqliteTx {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        to_its_end(async move { settle(self.transaction, &self.known).await }).await
    }

    async fn commit_with(self: Box<Self>, batch: Batch, at: Timestamp) -> Result<Committed, StoreError> {
        to_its_end(self.append_and_commit(batch, at)).await
    }

    async fn insert_tenant(&mut self, tenant: &Tenant) -> Result<bool, StoreError> {
        let sql = "INSERT INTO tenants (name, created_at, display_name, lease_class) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(tenant.name.as_str())
            .bind(tenant.created_at.as_micros())
            .bind(tenant.display_name.as_ref().map(|name| name.as_str()))
            .bind(tenant.lease_class.map(LeaseClass::word));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_identity(&mut self, identity: &Identity) -> Result<bool, StoreError> {
        let sql = "INSERT INTO identities (tenant, id, kind, name, state, created_at, display_name, attributes)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(identity.tenant.as_str())
            .bind(&identity.id.as_bytes()[..])
            .bind(identity.kind.word())
            .bind(identity.name.as_str())
            .bind(identity.state.word())
            .bind(identity.created_at.as_micros())
            .bind(identity.display_name.as_ref().map(|name| name.as_str()))
            .bind(object(&identity.attributes));
        let inserted = self.write(query).await?.rows_affected() == 1;
        if inserted {
            self.put_roles(&identity.tenant, identity.id, &identity.roles).await?;
        }
        Ok(inserted)
    }

    async fn set_identity_state(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        state: IdentityState,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE identities SET state = ?1, version = version + 1
                   WHERE tenant = ?2 AND id = ?3 AND deleted_at IS NULL";
        let query = sqlx::query(sql).bind(state.word()).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn set_identity_roles(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        roles: &[RoleName],
    ) -> Result<(), StoreError> {
        let sql = "UPDATE identities SET version = version + 1
                   WHERE tenant = ?1 AND id = ?2 AND deleted_at IS NULL";
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(&identity.as_bytes()[..]);
        if self.write(query).await?.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
        self.put_roles(tenant, identity, roles).await
    }

    async fn set_password(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        password: &StoredPassword,
    ) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO passwords (tenant, identity, id, phc, set_at, must_change) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (tenant, identity) DO UPDATE SET id = excluded.id, phc = excluded.phc,
                   set_at = excluded.set_at, must_change = excluded.must_change";
        let query = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(&password.id.as_bytes()[..])
            .bind(&*password.phc)
            .bind(password.set_at.as_micros())
            .bind(password.must_change);
        self.write(query).await.map(drop)
    }

    async fn rehash_password(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        password: &StoredPassword,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE passwords SET phc = ?1 WHERE tenant = ?2 AND identity = ?3 AND id = ?4";
        let query = sqlx::query(sql)
            .bind(&*password.phc)
            .bind(tenant.as_str())
            .bind(&identity.as_bytes()[..])
            .bind(&password.id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn put_role(&mut self, role: &Role) -> Result<bool, StoreError> {
        let with = |sql: &'static str| {
            let query = sqlx::query(sql).bind(role.tenant.as_str()).bind(role.name.as_str());
            query.bind(grants_list(&role.grants)).bind(number(role.bytes()))
        };
        let sql = "INSERT INTO roles (tenant, name, grants, bytes) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (tenant, name) DO NOTHING";
        if self.write(with(sql)).await?.rows_affected() == 1 {
            return Ok(true);
        }
        let sql = "UPDATE roles SET grants = ?3, bytes = ?4 WHERE tenant = ?1 AND name = ?2";
        self.write(with(sql)).await.map(|_| false)
    }

    async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let sql = "INSERT INTO sessions (tenant, id, identity, device, client, issue_seq, issue_chain, created_at,
                   expires_at, amr, authenticated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let query = sqlx::query(sql)
            .bind(session.tenant.as_str())
            .bind(&session.id.as_bytes()[..])
            .bind(&session.identity.as_bytes()[..])
            .bind(session.device.as_ref().map(|label| label.as_str()))
            .bind(session.client.as_ref().map(|client| client.as_str()))
            .bind(number(session.issued.seq))
            .bind(session.issued.chain.cast_signed())
            .bind(session.created_at.as_micros())
            .bind(session.expires_at.as_micros())
            .bind(session.authentication.map(|how| how.methods.words()))
            .bind(session.authentication.map(|how| how.at.as_micros()));
        self.write(query).await.map(drop)
    }

    async fn insert_credential(&mut self, row: &Credential) -> Result<(), StoreError> {
        let sql = "INSERT INTO credentials (id, tenant, identity, session, kind, digest, parent, label, scopes,
                   audiences, origins, issue_seq, issue_chain, signing_key, created_at, expires_at, spent_at,
                   successor, redeemed_by, key_grants, addresses, replaces, certificate)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
                   ?21, ?22, ?23)";
        let scopes = row.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ");
        let (spent_at, successor, redeemed_by) = match &row.spent {
            None => (None, None, None),
            Some(Spent::Rotated { successor, at }) => (Some(at.as_micros()), Some(successor.as_bytes()), None),
            Some(Spent::Redeemed { by, at }) => (Some(at.as_micros()), None, Some(by.as_bytes())),
        };
        let terms = row.key_terms.as_ref();
        let query = sqlx::query(sql)
            .bind(&row.id.as_bytes()[..])
            .bind(row.tenant.as_str())
            .bind(&row.identity.as_bytes()[..])
            .bind(row.session.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(row.kind.word())
            .bind(row.digest.as_ref().map(|digest| &digest[..]))
            .bind(row.parent.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(row.label.as_ref().map(|label| label.as_str()))
            .bind(scopes)
            .bind(list(row.audiences.iter().map(|audience| audience.as_str())))
            .bind(list(row.origins.iter().map(|origin| origin.as_str())))
            .bind(number(row.issued.seq))
            .bind(row.issued.chain.cast_signed())
            .bind(row.signing_key.as_ref().map(|id| &id.as_bytes()[..]))
            .bind(row.created_at.as_micros())
            .bind(row.expires_at.map(Timestamp::as_micros))
            .bind(spent_at)
            .bind(successor.map(|id| &id[..]))
            .bind(redeemed_by.map(|id| &id[..]))
            .bind(terms.and_then(|terms| terms.grants.as_deref()).map(grants_list))
            .bind(terms.map(|terms| list(terms.addresses.iter().map(ToString::to_string))))
            .bind(terms.and_then(|terms| terms.replaces.as_ref()).map(|id| &id.as_bytes()[..]))
            .bind(row.certificate.as_ref().map(|name| name.as_str()));
        self.write(query).await.map(drop)
    }

    async fn spend_refresh_token(
        &mut self,
        id: CredentialId,
        successor: CredentialId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET spent_at = ?1, successor = ?2
                   WHERE id = ?3 AND kind = 'refresh_token' AND spent_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(&successor.as_bytes()[..]).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn repeat_refresh_token(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET repeated_at = ?1
                   WHERE id = ?2 AND kind = 'refresh_token' AND spent_at IS NOT NULL AND repeated_at IS NULL";
        let query = sqlx::query(sql).bind(at.as_micros()).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn redeem_ticket(
        &mut self,
        id: CredentialId,
        redemption: RedemptionId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE credentials SET redeemed_by = ?1, spent_at = coalesce(spent_at, ?2)
                   WHERE id = ?3 AND kind = 'ticket' AND expires_at > ?2
                     AND (redeemed_by IS NULL OR redeemed_by = ?1)";
        let query = sqlx::query(sql).bind(&redemption.as_bytes()[..]).bind(at.as_micros()).bind(&id.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_signing_key(&mut self, key: &SigningKey) -> Result<bool, StoreError> {
        let sql = "INSERT INTO signing_keys (id, state, algorithm, public_key, sealed_private, kek_id, created_at,
                   signing_at, retained_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&key.id.as_bytes()[..])
            .bind(key.state.word())
            .bind(key.algorithm.name())
            .bind(&*key.public)
            .bind(&*key.sealed_private)
            .bind(&*key.kek_id)
            .bind(key.created_at.as_micros())
            .bind(key.signing_at.map(Timestamp::as_micros))
            .bind(key.retained_at.map(Timestamp::as_micros));
        Ok(self.write(query).await?.rows_affected() == 1)
    }

    async fn insert_answer(&mut self, request: &Request, answer: &Answered, at: Timestamp) -> Result<(), StoreError> {
        log::remember(&mut self.transaction, request, answer, at).await
    }

    async fn insert_audits(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (at, tenant, actor, action, target, request, outcome, reason, identity, detail,
                                      address)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        for entry in entries {
            let query = sqlx::query(sql)
                .bind(entry.at.as_micros())
                .bind(entry.tenant.as_str())
                .bind(entry.actor.as_str())
                .bind(entry.action)
                .bind(entry.about.to_string())
                .bind(entry.request.as_ref().map(|id| id.as_str()))
                .bind(entry.outcome.word())
                .bind(entry.reason.as_deref())
                .bind(entry.about.identity().map(|id| id.to_string()))
                .bind(entry.detail.text())
                .bind(entry.actor.address().map(|address| address.to_string()));
            self.write(query).await?;
        }
        Ok(())
    }
}
