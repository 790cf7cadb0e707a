//! The life of tenants, identities, roles and sessions beyond their making, and how long answers are kept.

use async_trait::async_trait;
use portcullis_types::{ClientId, CredentialId, IdentityId, IdentityName, RoleName, SessionId, TenantId, Timestamp};

use crate::{
    Credential, CredentialKind, Identity, IdentityKind, IdentityState, Label, Scope, Session, StoreError, Tenant,
};

/// Which identities of a tenant; what is absent allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Where they stand.
    pub state: Option<IdentityState>,
    /// What they are.
    pub kind: Option<IdentityKind>,
    /// How their names begin.
    pub name_prefix: Option<IdentityName>,
    /// A role that they have.
    pub role: Option<RoleName>,
}

/// Which sessions of an identity; what is absent allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// On this device, as named at login.
    pub device: Option<Label>,
    /// Of this client application, as named at login.
    pub client: Option<ClientId>,
    /// Begun before this.
    pub begun_before: Option<Timestamp>,
    /// Neither over at this time nor revoked, itself or by anything above it.
    pub live_at: Option<Timestamp>,
    /// With `live_at`: and there is still something to use it with, as [`crate::SessionUseReads`] has it.
    pub usable: bool,
    /// With `live_at`: or over, where a later token of the same `sid` of an external issuer would prolong it.
    pub or_dormant: bool,
}

/// Which credentials of an identity; what is absent allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFilter {
    /// Of this kind.
    pub kind: Option<CredentialKind>,
    /// Of this session.
    pub session: Option<SessionId>,
}

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait LifecycleReads: Send {
    /// Whether any session of a tenant, over or not, is of a client application.
    async fn client_has_sessions(&mut self, tenant: &TenantId, client: &ClientId) -> Result<bool, StoreError>;

    /// Identities by name, after a name.
    async fn find_identities(
        &mut self,
        tenant: &TenantId,
        filter: &IdentityFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Identity>, StoreError>;

    /// An identity's sessions, newest first, before an id.
    async fn find_sessions(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// An identity's credentials, newest first, before an id. Passwords have rows of their own.
    async fn find_credentials(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        filter: &CredentialFilter,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<Credential>, StoreError>;

    /// Whether an active identity of the tenant has an API key other than this one that holds the scope and is neither
    /// revoked nor expired at `at`.
    async fn is_held_without(
        &mut self,
        tenant: &TenantId,
        scope: Scope,
        at: Timestamp,
        except: CredentialId,
    ) -> Result<bool, StoreError>;
}

/// Writes of this area.
#[async_trait]
pub trait LifecycleWrites: Send {
    /// Keeps others from changing a role, if it is there, until the end of the transaction.
    async fn hold_role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<(), StoreError>;
    /// Keeps every other transaction that asks this for the same tenant waiting until this one has ended: what one of them
    /// counts, no other changes meanwhile.
    async fn hold_tenant(&mut self, tenant: &TenantId) -> Result<(), StoreError>;

    /// Another display name and state, if the tenant is still at the version that is given; then one version on.
    async fn update_tenant(&mut self, tenant: &Tenant, from_version: u64, at: Timestamp) -> Result<bool, StoreError>;

    /// Another name, display name and other attributes, if the identity is still at the version that is given; then one
    /// version on. [`StoreError::Conflict`] when somebody took the name meanwhile, which nobody had when it was looked for.
    async fn update_identity(&mut self, identity: &Identity, from_version: u64) -> Result<bool, StoreError>;

    /// Makes an identity a tombstone of this name: no roles, no password, nothing that is said of a person. False when it
    /// is one already.
    async fn bury_identity(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        name: &IdentityName,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Takes a role from everybody who has it and removes it.
    async fn delete_role(&mut self, tenant: &TenantId, name: &RoleName) -> Result<bool, StoreError>;

    /// Forgets answers to named requests that were given before `at`; at most `limit`. How many.
    async fn forget_answers(&mut self, at: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
