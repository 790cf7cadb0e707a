//! The port behind which rows live, in the domain's words.
//!
//! A store keeps the revocation log and the rows that verdicts rest on. Whatever is behind it guarantees:
//! - a [`ReadView`] is one consistent snapshot, and its head was read first: no row in it is older than its head;
//! - log entries are numbered from 1 without a gap, in commit order, chained; every snapshot sees a prefix;
//! - [`WriteTx::commit_with`] is the only way to append, and appending is the last thing its transaction does: the
//!   lock of the head row is the last lock taken, so writers wait for each other only while one commits;
//! - the rows that a killing batch names carry its number for ever, marked by the store from the batch itself;
//! - a transaction that is dropped leaves no trace.
//!
//! A store over several processes (PostgreSQL) runs at READ COMMITTED, locks the rows that a batch marks in the order
//! of their keys, and then the head row. Checks that a concurrent writer could outrun are therefore conditional
//! writes here, which say whether they took place.

mod api_keys;
mod audit_removal;
mod audit_trail;
mod certificates;
mod connections;
mod ended_before;
mod fleet;
mod issuers;
mod keys;
mod lease_classes;
mod lifecycle;
mod login;
mod passwords;
mod retention;
mod sealed;
mod session_use;
mod signature_keys;
mod standing;
mod subjects;
mod tenant_deletion;
mod tickets;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_types::{
    Chain, ClientId, CredentialId, IdentityId, RedemptionId, Revision, RoleName, SessionId, SigningKeyId, TenantId,
    Timestamp,
};

pub use self::api_keys::ApiKeyWrites;
pub use self::audit_removal::{AuditRemovalReads, AuditRemovalWrites};
pub use self::audit_trail::{AuditFilter, AuditReads, AuditWrites, TextMatch};
pub use self::certificates::{CertificateReads, CertificateWrites, Certified};
pub use self::connections::{Connections, PoolUse};
pub use self::ended_before::{EndedBeforeReads, EndedBeforeWrites};
pub use self::fleet::{Fleet, Noted, Registered, Renewal, ReplicaId};
pub use self::issuers::{IssuerReads, IssuerWrites};
pub use self::keys::{KeyReads, KeyWrites};
pub use self::lease_classes::{LeaseClassReads, LeaseClassWrites};
pub use self::lifecycle::{CredentialFilter, IdentityFilter, LifecycleReads, LifecycleWrites, SessionFilter};
pub use self::login::{LoginReads, LoginWrites};
pub use self::passwords::{PasswordReads, PasswordRow, PasswordWrites};
pub use self::retention::{RetentionReads, RetentionWrites};
pub use self::sealed::{SealedReads, SealedWrites};
pub use self::session_use::SessionUseReads;
pub use self::signature_keys::{HeldKey, SignatureKeyCount, SignatureKeyReads, SignatureKeyRow, SignatureKeyWrites};
pub use self::standing::{ExternalMark, SigningKeyMark, StandingReads, StandingRows, WithParent};
pub use self::subjects::{SubjectReads, SubjectWrites, SubjectsOf};
pub use self::tenant_deletion::{TenantDeletionReads, TenantDeletionWrites};
pub use self::tickets::TicketReads;
use crate::audit::AuditEntry;
use crate::{
    Batch, Credential, Identity, IdentityRef, IdentityState, KekMissing, Request, Role, RoleTotals, Scope, Session,
    SigningKey, StoredPassword, Tenant, TenantState,
};

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many entries it has.
    pub seq: u64,
    /// The running hash after the last.
    pub chain: Chain,
}

impl Head {
    /// As it travels.
    pub fn revision(&self) -> Revision {
        Revision { seq: self.seq, chain: self.chain.short() }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number.
    pub seq: u64,
    /// The running hash before it.
    pub previous: Chain,
    /// The running hash after it.
    pub chain: Chain,
    /// The encoded `RevocationBatch`, byte for byte as it was hashed.
    pub payload: Vec<u8>,
    /// The writer's wall clock; information, never used for order.
    pub committed_at: Timestamp,
}

impl LogEntry {
    /// Its position.
    pub fn revision(&self) -> Revision {
        Revision { seq: self.seq, chain: self.chain.short() }
    }
}

/// An entry that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its position.
    pub revision: Revision,
    /// The writer's wall clock; for display.
    pub committed_at: Timestamp,
}

/// What a request was answered with before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The digest of what was asked.
    pub content: [u8; 32],
    /// The entry, when the answer has one.
    pub committed: Option<Committed>,
    /// What it was about: an id, or a name. Never a secret.
    pub subject: Option<String>,
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or refused for a reason of its own.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not say whether a commit took place: ask again before trying again.
    #[error("the store did not say whether the change was committed")]
    UnknownOutcome(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another writer was faster; trying again is safe.
    #[error("another writer changed the same rows")]
    Conflict,
    /// A row that no version of this program writes.
    #[error("the store holds a row that means nothing: {what}")]
    Corrupt {
        /// Which.
        what: &'static str,
    },
    /// A row is encrypted under a key-encryption key that this process was not given.
    #[error("a secret in the store cannot be decrypted")]
    Sealed(#[source] KekMissing),
}

/// The rows and the log.
#[async_trait]
pub trait Store: Certified + Connections + fmt::Debug + Send + Sync {
    /// A snapshot.
    async fn read(&self) -> Result<Box<dyn ReadView>, StoreError>;

    /// A transaction. Whoever holds one may keep other writers waiting: nothing slow is done meanwhile.
    async fn write(&self) -> Result<Box<dyn WriteTx>, StoreError>;

    /// As [`Store::write`], behind at most one of those that began so, however many wait.
    async fn write_urgently(&self) -> Result<Box<dyn WriteTx>, StoreError>;

    /// Where a credential stands, and the head of the same snapshot, which is no older than the question: every call costs
    /// a look or two, so they may be shared.
    async fn standing(&self, id: CredentialId) -> Result<(Head, Option<Arc<StandingRows>>), StoreError>;

    /// The same, and beside it the one that it was issued from: what a ticket costs before anything is written.
    async fn standing_with_parent(&self, id: CredentialId) -> Result<(Head, Option<WithParent>), StoreError>;

    /// The head, read after the call began.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Resolves with the head as soon as it is beyond `known`. A wake-up: what to read is asked of the log.
    async fn head_after(&self, known: u64) -> Result<Head, StoreError>;

    /// At most `limit` entries after `seq`, oldest first. Empty when `seq` is the head or beyond it; the caller
    /// compares with [`Store::horizon`] first, because entries up to it are gone.
    async fn log_after(&self, seq: u64, limit: u32) -> Result<Vec<LogEntry>, StoreError>;

    /// The position of entry `seq`: none beyond the head, and none below the horizon.
    async fn revision_at(&self, seq: u64) -> Result<Option<Revision>, StoreError>;

    /// Entries up to this one are no longer kept; 0 when all are.
    async fn horizon(&self) -> Result<u64, StoreError>;

    /// What several processes do together on this store; none where it has one process.
    fn fleet(self: Arc<Self>) -> Option<Arc<dyn Fleet>> {
        None
    }

    /// Waits for what runs and leaves. Further calls are refused.
    async fn close(&self);
}

/// One consistent snapshot.
#[async_trait]
pub trait ReadView:
    CertificateReads
    + EndedBeforeReads
    + IssuerReads
    + KeyReads
    + SealedReads
    + SessionUseReads
    + SignatureKeyReads
    + StandingReads
    + SubjectReads
    + TicketReads
    + LifecycleReads
    + LeaseClassReads
    + LoginReads
    + PasswordReads
    + AuditReads
    + AuditRemovalReads
    + RetentionReads
    + TenantDeletionReads
    + Send
{
    /// The head, read before anything else of this snapshot.
    fn head(&self) -> Head;

    /// As [`Store::revision_at`], in this snapshot.
    async fn revision_at(&mut self, seq: u64) -> Result<Option<Revision>, StoreError>;
    /// As [`Store::log_after`] for the one entry `seq`, in this snapshot.
    async fn log_entry(&mut self, seq: u64) -> Result<Option<LogEntry>, StoreError>;

    /// A tenant.
    async fn tenant(&mut self, name: &TenantId) -> Result<Option<Tenant>, StoreError>;
    /// Tenants by name, after a name; only in this state, where one is given.
    async fn tenants(
        &mut self,
        state: Option<TenantState>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError>;

    /// An identity with its roles.
    async fn identity(&mut self, tenant: &TenantId, which: &IdentityRef) -> Result<Option<Identity>, StoreError>;
    /// An identity's password.
    async fn password(&mut self, tenant: &TenantId, identity: IdentityId)
    -> Result<Option<StoredPassword>, StoreError>;

    /// A role.
    async fn role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<Option<Role>, StoreError>;
    /// A tenant's roles by name; it has at most [`crate::MAX_ROLES`].
    async fn roles(&mut self, tenant: &TenantId) -> Result<Vec<Role>, StoreError>;
    /// How many roles a tenant has, and how large they are together.
    async fn role_totals(&mut self, tenant: &TenantId) -> Result<RoleTotals, StoreError>;
    /// The largest sum of [`Role::bytes`] over the roles of any one identity that has this role; 0 when nobody has it.
    async fn most_bytes_held_with(&mut self, tenant: &TenantId, role: &RoleName) -> Result<u64, StoreError>;

    /// A session.
    async fn session(&mut self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// A credential. Its id is all that a presented one gives away, so the tenant is read and not given.
    async fn credential(&mut self, id: CredentialId) -> Result<Option<Credential>, StoreError>;
    /// An identity's API keys, newest first, older than `before`, at most `limit`; where a time is given, only those that
    /// are neither revoked nor expired then. A client certificate is none.
    async fn api_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        live_at: Option<Timestamp>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError>;

    /// How many API keys of an identity are neither revoked nor expired at `at`.
    async fn count_live_api_keys(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Active identities of a tenant with an API key that holds the scope and is neither revoked nor expired at `at`;
    /// at most `limit`. A client certificate does not count: whether it is taken at all is up to the configuration.
    async fn live_holders(
        &mut self,
        tenant: &TenantId,
        scope: Scope,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<IdentityId>, StoreError>;

    /// The newest entry that killed a client application.
    async fn client_revoked_seq(&mut self, tenant: &TenantId, client: &ClientId) -> Result<Option<u64>, StoreError>;

    /// A signing key.
    async fn signing_key(&mut self, id: SigningKeyId) -> Result<Option<SigningKey>, StoreError>;
    /// All signing keys, oldest first.
    async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, StoreError>;

    /// What a request was answered with before.
    async fn answered(&mut self, request: &Request) -> Result<Option<Answered>, StoreError>;
}

/// A snapshot, and changes that commit together. Dropped without a commit it leaves no trace.
///
/// A write that returns `bool` says whether it took place: false when the name or id is taken, the row is gone, or its
/// condition no longer holds.
#[async_trait]
pub trait WriteTx:
    ReadView
    + ApiKeyWrites
    + CertificateWrites
    + EndedBeforeWrites
    + IssuerWrites
    + KeyWrites
    + LifecycleWrites
    + LeaseClassWrites
    + LoginWrites
    + PasswordWrites
    + RetentionWrites
    + SealedWrites
    + SignatureKeyWrites
    + SubjectWrites
    + TenantDeletionWrites
    + AuditWrites
    + AuditRemovalWrites
{
    /// Commits changes that neither kill nor alter authority.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Marks the rows that the batch kills, appends it as the last statement, and commits. When it returns, the entry
    /// is durable and [`Store::head_after`] has been woken. It runs to its end even if its caller leaves.
    async fn commit_with(self: Box<Self>, batch: Batch, at: Timestamp) -> Result<Committed, StoreError>;

    /// A new tenant.
    async fn insert_tenant(&mut self, tenant: &Tenant) -> Result<bool, StoreError>;

    /// A new identity with its roles.
    async fn insert_identity(&mut self, identity: &Identity) -> Result<bool, StoreError>;
    /// Another state, of one that is not deleted; then one version on.
    async fn set_identity_state(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        state: IdentityState,
    ) -> Result<bool, StoreError>;
    /// Other roles, which exist; then one version on. Of an identity that was deleted meanwhile it is a conflict.
    async fn set_identity_roles(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        roles: &[RoleName],
    ) -> Result<(), StoreError>;
    /// A password in place of the one before.
    async fn set_password(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        password: &StoredPassword,
    ) -> Result<(), StoreError>;

    /// Another hash of the same password, if it is still the one of this id.
    async fn rehash_password(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        password: &StoredPassword,
    ) -> Result<bool, StoreError>;

    /// A role, in place of the one before. False where there was one, whoever made it and however lately.
    async fn put_role(&mut self, role: &Role) -> Result<bool, StoreError>;

    /// A new session.
    async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError>;

    /// A new credential.
    async fn insert_credential(&mut self, credential: &Credential) -> Result<(), StoreError>;
    /// Spends a refresh token that is not spent, naming its successor.
    async fn spend_refresh_token(
        &mut self,
        id: CredentialId,
        successor: CredentialId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Notes that a spent refresh token was answered once more. False when it was before.
    async fn repeat_refresh_token(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError>;
    /// Redeems a ticket that is not expired at `at` and either not redeemed, or redeemed by this same redemption.
    async fn redeem_ticket(
        &mut self,
        id: CredentialId,
        redemption: RedemptionId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// A new signing key. False when another one signs already and this one would too.
    async fn insert_signing_key(&mut self, key: &SigningKey) -> Result<bool, StoreError>;

    /// Remembers an answer to a named request, given at `at`. [`WriteTx::commit_with`] does this by itself for what its
    /// batch answers. [`StoreError::Conflict`] when another transaction answered the same name meanwhile.
    async fn insert_answer(&mut self, request: &Request, answer: &Answered, at: Timestamp) -> Result<(), StoreError>;

    /// A row of the audit trail.
    async fn insert_audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.insert_audits(std::slice::from_ref(entry)).await
    }

    /// Rows of the audit trail, in this order.
    async fn insert_audits(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError>;
}
