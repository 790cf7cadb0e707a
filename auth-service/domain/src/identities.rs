//! Who exists in a tenant, and whether it may act.

use portcullis_types::{IdentityId, IdentityName, RoleName, Secret, TenantId, Timestamp};

use crate::audit::Actor;
use crate::batch::{Batch, Reason, Target};
use crate::passwords::{HashError, InvalidPassword, check_password};
use crate::{
    Authority, BeginError, Committed, ListError, MAX_GRANT_BYTES, Page, Paged, ReadView, Scope, StoreError, WriteTx,
};

/// The most roles that one identity holds.
pub const MAX_ROLES_HELD: usize = 64;

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// A person.
    User,
    /// A program.
    Service,
}

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityState {
    /// It may log in.
    Active,
    /// It is refused.
    Disabled,
}

/// A subject in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id, for ever.
    pub id: IdentityId,
    /// The tenant.
    pub tenant: TenantId,
    /// What it is.
    pub kind: IdentityKind,
    /// What it logs in with, unique in its tenant.
    pub name: IdentityName,
    /// Where it stands.
    pub state: IdentityState,
    /// Its roles, by name.
    pub roles: Vec<RoleName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The newest entry that ended its sessions; kept for ever.
    pub revoked_seq: Option<u64>,
}

/// Names an identity in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRef {
    /// By its id.
    Id(IdentityId),
    /// By its name.
    Name(IdentityName),
}

/// A new identity.
#[derive(Clone, Debug)]
pub struct NewIdentity {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is.
    pub kind: IdentityKind,
    /// What it logs in with.
    pub name: IdentityName,
    /// Its password, when it has one.
    pub password: Option<Secret>,
    /// Its roles.
    pub roles: Vec<RoleName>,
}

/// Why an identity was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateIdentityError {
    /// There is no such tenant.
    #[error("no such tenant")]
    TenantNotFound,
    /// The name is taken.
    #[error("an identity of this name exists in the tenant")]
    NameTaken,
    /// There is no such role.
    #[error("no such role: {0}")]
    RoleNotFound(RoleName),
    /// More roles than an identity holds.
    #[error("an identity holds at most {MAX_ROLES_HELD} roles")]
    TooManyRoles,
    /// Roles with more grants than an identity holds.
    #[error("the grants of an identity have at most {MAX_GRANT_BYTES} bytes")]
    TooManyGrants,
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// The password was not hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an identity was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeIdentityError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// Nobody could administer any more.
    #[error("the last administrator of the system tenant cannot be disabled")]
    LastAdministrator,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// The password was not hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why roles were not set.
#[derive(Debug, thiserror::Error)]
pub enum SetRolesError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// There is no such role.
    #[error("no such role: {0}")]
    RoleNotFound(RoleName),
    /// More roles than an identity holds.
    #[error("an identity holds at most {MAX_ROLES_HELD} roles")]
    TooManyRoles,
    /// Roles with more grants than an identity holds.
    #[error("the grants of an identity have at most {MAX_GRANT_BYTES} bytes")]
    TooManyGrants,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why roles cannot be held.
enum Unholdable {
    Missing(RoleName),
    TooLarge,
}

impl Authority {
    /// Makes an identity.
    pub async fn create_identity(&self, actor: &Actor, new: NewIdentity) -> Result<Identity, CreateIdentityError> {
        let roles = distinct(new.roles).ok_or(CreateIdentityError::TooManyRoles)?;
        let password = match new.password {
            Some(password) => {
                check_password(&password)?;
                Some(self.new_password(password).await?)
            }
            None => None,
        };
        let mut tx = self.begin(actor).await?;
        tx.tenant(&new.tenant).await?.ok_or(CreateIdentityError::TenantNotFound)?;
        match unholdable(tx.as_mut(), &new.tenant, &roles).await? {
            Some(Unholdable::Missing(role)) => return Err(CreateIdentityError::RoleNotFound(role)),
            Some(Unholdable::TooLarge) => return Err(CreateIdentityError::TooManyGrants),
            None => {}
        }
        let identity = Identity {
            id: IdentityId::new(self.ids()),
            tenant: new.tenant,
            kind: new.kind,
            name: new.name,
            state: IdentityState::Active,
            roles,
            created_at: self.now(),
            revoked_seq: None,
        };
        if !tx.insert_identity(&identity).await? {
            return Err(CreateIdentityError::NameTaken);
        }
        if let Some(password) = password {
            tx.set_password(&identity.tenant, identity.id, &password).await?;
        }
        self.note(tx.as_mut(), actor, &identity, "identity.create").await?;
        tx.commit().await?;
        Ok(identity)
    }

    /// Reads an identity.
    pub async fn identity(&self, tenant: &TenantId, which: &IdentityRef) -> Result<Option<Identity>, StoreError> {
        self.store().read().await?.identity(tenant, which).await
    }

    /// Reads a tenant's identities, by name.
    pub async fn identities(&self, tenant: &TenantId, page: Page) -> Result<Paged<Identity>, ListError> {
        let query = format!("identities:{tenant}");
        let after = page.position(&query)?;
        let rows = self.store().read().await?.identities(tenant, after.as_deref(), page.fetch()).await?;
        Ok(page.cut(&query, rows, |identity| identity.name.to_string()))
    }

    /// Refuses everything of an identity from now on, and ends its sessions for ever.
    pub async fn disable_identity(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<(Identity, Committed), ChangeIdentityError> {
        let mut tx = self.begin_urgently(actor).await?;
        let mut identity = tx.identity(tenant, which).await?.ok_or(ChangeIdentityError::NotFound)?;
        if self.is_last_administrator(tx.as_mut(), &identity).await? {
            return Err(ChangeIdentityError::LastAdministrator);
        }
        identity.state = IdentityState::Disabled;
        tx.set_identity_state(tenant, identity.id, identity.state).await?;
        self.note(tx.as_mut(), actor, &identity, "identity.disable").await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::Disabled);
        let committed = tx.commit_with(batch, self.now()).await?;
        identity.revoked_seq = Some(committed.revision.seq);
        Ok((identity, committed))
    }

    /// Whether nobody of `system` could administer any more without this identity.
    async fn is_last_administrator(&self, view: &mut dyn ReadView, identity: &Identity) -> Result<bool, StoreError> {
        if !identity.tenant.is_system() {
            return Ok(false);
        }
        let holders = view.live_holders(&identity.tenant, Scope::Admin, self.now(), 2).await?;
        Ok(holders == [identity.id])
    }

    /// Allows an identity new sessions again. What was revoked stays dead.
    pub async fn enable_identity(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Identity, ChangeIdentityError> {
        let mut tx = self.begin(actor).await?;
        let mut identity = tx.identity(tenant, which).await?.ok_or(ChangeIdentityError::NotFound)?;
        identity.state = IdentityState::Active;
        tx.set_identity_state(tenant, identity.id, identity.state).await?;
        self.note(tx.as_mut(), actor, &identity, "identity.enable").await?;
        tx.commit().await?;
        Ok(identity)
    }

    /// Sets the password, and ends every session that there is.
    pub async fn set_password(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        password: Secret,
    ) -> Result<Committed, SetPasswordError> {
        // Asked before hashing, so that names that do not exist cost no memory.
        self.identity(tenant, which).await?.ok_or(SetPasswordError::NotFound)?;
        check_password(&password)?;
        let password = self.new_password(password).await?;
        let mut tx = self.begin_urgently(actor).await?;
        let identity = tx.identity(tenant, which).await?.ok_or(SetPasswordError::NotFound)?;
        tx.set_password(tenant, identity.id, &password).await?;
        self.note(tx.as_mut(), actor, &identity, "identity.set_password").await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::CredentialChanged);
        Ok(tx.commit_with(batch, self.now()).await?)
    }

    /// Sets the roles, and has live sockets judged again.
    pub async fn set_identity_roles(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        roles: Vec<RoleName>,
    ) -> Result<(Identity, Committed), SetRolesError> {
        let roles = distinct(roles).ok_or(SetRolesError::TooManyRoles)?;
        let mut tx = self.begin_urgently(actor).await?;
        let mut identity = tx.identity(tenant, which).await?.ok_or(SetRolesError::NotFound)?;
        match unholdable(tx.as_mut(), tenant, &roles).await? {
            Some(Unholdable::Missing(role)) => return Err(SetRolesError::RoleNotFound(role)),
            Some(Unholdable::TooLarge) => return Err(SetRolesError::TooManyGrants),
            None => {}
        }
        tx.set_identity_roles(tenant, identity.id, &roles).await?;
        identity.roles = roles;
        self.note(tx.as_mut(), actor, &identity, "identity.set_roles").await?;
        let batch = Batch::reauthorize(Target::Identity(tenant.clone(), identity.id));
        let committed = tx.commit_with(batch, self.now()).await?;
        Ok((identity, committed))
    }

    async fn note(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: &Identity,
        action: &'static str,
    ) -> Result<(), StoreError> {
        tx.insert_audit(&self.audit(actor, &identity.tenant, action, format!("identity:{}", identity.id))).await
    }
}

/// In order and each once; none when there are too many.
fn distinct(mut roles: Vec<RoleName>) -> Option<Vec<RoleName>> {
    roles.sort();
    roles.dedup();
    (roles.len() <= MAX_ROLES_HELD).then_some(roles)
}

async fn unholdable(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    roles: &[RoleName],
) -> Result<Option<Unholdable>, StoreError> {
    let mut bytes = 0;
    for name in roles {
        match view.role(tenant, name).await? {
            Some(role) => bytes += role.bytes(),
            None => return Ok(Some(Unholdable::Missing(name.clone()))),
        }
    }
    Ok((bytes > MAX_GRANT_BYTES).then_some(Unholdable::TooLarge))
}
