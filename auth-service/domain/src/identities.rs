//! Who exists in a tenant. How identities live on is in `identity_states` and `identity_updates`.

use portcullis_types::{IdentityId, IdentityName, RoleName, Secret, TenantId, Timestamp};

use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::password_changes::held;
use crate::passwords::{HashError, InvalidPassword, UnfitHash};
use crate::{
    Attributes, Authority, BeginError, Committed, IdentityFilter, Label, ListError, MAX_GRANT_BYTES, Page, Paged,
    ReadView, StoreError, TenantState, WriteTx,
};

/// The most roles that one identity holds.
pub const MAX_ROLES_HELD: usize = 64;

/// How the names of deleted identities begin; no other name does.
pub const TOMBSTONE: &str = "deleted:";

/// Whether a name is a tombstone's, and nobody else may have it: whoever took that of an identity that lives would keep it
/// from being deleted.
pub(crate) fn is_reserved(name: &IdentityName) -> bool {
    name.as_str().starts_with(TOMBSTONE)
}

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
    /// It is refused for ever: a tombstone, whose id and newest entry are kept and nothing else.
    Deleted,
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
    /// What it logs in with, unique in its tenant. A tombstone's begins with [`TOMBSTONE`].
    pub name: IdentityName,
    /// What people call it.
    pub display_name: Option<Label>,
    /// What its tenant notes about it.
    pub attributes: Attributes,
    /// Where it stands.
    pub state: IdentityState,
    /// Its roles, by name.
    pub roles: Vec<RoleName>,
    /// Counts its changes.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The newest entry that ended its sessions; kept for ever.
    pub revoked_seq: Option<u64>,
}

impl Identity {
    /// A new one, without roles.
    pub fn new(
        id: IdentityId,
        tenant: TenantId,
        kind: IdentityKind,
        name: IdentityName,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            kind,
            name,
            display_name: None,
            attributes: Attributes::default(),
            state: IdentityState::Active,
            roles: Vec::new(),
            version: 1,
            created_at,
            revoked_seq: None,
        }
    }

    /// What it takes on a page of a list, at most.
    fn listed_bytes(&self) -> usize {
        const FRAMING: usize = 256;
        let roles: usize = self.roles.iter().map(|role| role.as_str().len() + 2).sum();
        let display = self.display_name.as_ref().map_or(0, |name| name.as_str().len());
        FRAMING
            + self.name.as_str().len()
            + display
            + roles
            + self.attributes.bytes()
            + 6 * self.attributes.iter().count()
    }
}

/// Names an identity in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRef {
    /// By its id.
    Id(IdentityId),
    /// By its name.
    Name(IdentityName),
}

/// With what an identity is to log in first.
#[derive(Clone, Debug)]
pub enum FirstPassword {
    /// A password.
    Chosen(Secret),
    /// What another program made of one. It is verified as it is, and replaced by one of ours at the first login.
    Imported(Secret),
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
    /// What people call it.
    pub display_name: Option<Label>,
    /// What its tenant notes about it.
    pub attributes: Attributes,
    /// Its password, when it has one.
    pub password: Option<FirstPassword>,
    /// Its roles.
    pub roles: Vec<RoleName>,
}

impl NewIdentity {
    /// Without a password, roles, or anything that is only said of it.
    pub fn plain(tenant: TenantId, kind: IdentityKind, name: IdentityName) -> Self {
        Self {
            tenant,
            kind,
            name,
            display_name: None,
            attributes: Attributes::default(),
            password: None,
            roles: Vec::new(),
        }
    }
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
    /// The name is one of a tombstone.
    #[error("the names of identities do not begin with {TOMBSTONE}")]
    NameReserved,
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
    /// The hash cannot be imported.
    #[error(transparent)]
    Unfit(#[from] UnfitHash),
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

/// Why roles cannot be held.
pub(crate) enum Unholdable {
    /// There is no such role.
    Missing(RoleName),
    /// Their grants are too many.
    TooLarge,
}

impl Authority {
    /// Makes an identity.
    pub async fn create_identity(&self, actor: &Actor, new: NewIdentity) -> Result<Identity, CreateIdentityError> {
        if is_reserved(&new.name) {
            return Err(CreateIdentityError::NameReserved);
        }
        let roles = distinct(new.roles).ok_or(CreateIdentityError::TooManyRoles)?;
        let password = match new.password {
            Some(FirstPassword::Chosen(password)) => {
                self.check_password(&password, &new.name)?;
                Some(self.new_password(password).await?)
            }
            Some(FirstPassword::Imported(hash)) => {
                let hash = hash.expose_str().ok_or(UnfitHash::Unknown)?;
                self.passwords().check_foreign(hash)?;
                Some(self.stored_password(hash.to_owned()))
            }
            None => None,
        };
        let mut change = match self.begin_named(actor, &new.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(before.identity(&new.tenant).await?),
        };
        let tenant = change.tenant(&new.tenant).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        tenant.ok_or(CreateIdentityError::TenantNotFound)?;
        match unholdable(&mut *change, &new.tenant, &roles).await? {
            Some(Unholdable::Missing(role)) => return Err(CreateIdentityError::RoleNotFound(role)),
            Some(Unholdable::TooLarge) => return Err(CreateIdentityError::TooManyGrants),
            None => {}
        }
        let id = IdentityId::new(self.ids());
        let identity = Identity {
            display_name: new.display_name,
            attributes: new.attributes,
            roles,
            ..Identity::new(id, new.tenant, new.kind, new.name, self.now())
        };
        if !change.insert_identity(&identity).await? {
            return Err(CreateIdentityError::NameTaken);
        }
        if let Some(password) = password {
            change.set_password(&identity.tenant, identity.id, &password).await?;
        }
        let entry = self.audit(actor, &identity.tenant, "identity.create", About::Identity(id));
        let detail = Detail::default().and("kind", kind_word(identity.kind)).and_list("roles", &identity.roles);
        change.insert_audit(&entry.telling(detail)).await?;
        change.commit(identity.id.to_string(), self.now()).await?;
        Ok(identity)
    }

    /// Reads an identity.
    pub async fn identity(&self, tenant: &TenantId, which: &IdentityRef) -> Result<Option<Identity>, StoreError> {
        self.store().read().await?.identity(tenant, which).await
    }

    /// Reads identities by reference, in one snapshot; none where there is none.
    pub async fn identities_by_reference(
        &self,
        tenant: &TenantId,
        which: &[IdentityRef],
    ) -> Result<Vec<Option<Identity>>, StoreError> {
        let mut view = self.store().read().await?;
        let mut found = Vec::with_capacity(which.len());
        for one in which {
            found.push(view.identity(tenant, one).await?);
        }
        Ok(found)
    }

    /// Reads a tenant's identities that pass the filter, by name.
    pub async fn identities(
        &self,
        tenant: &TenantId,
        filter: &IdentityFilter,
        page: Page,
    ) -> Result<Paged<Identity>, ListError> {
        let query = format!("identities:{tenant}:{filter:?}");
        let after = page.position(&query)?;
        let rows = self.store().read().await?.find_identities(tenant, filter, after.as_deref(), page.fetch()).await?;
        Ok(page.cut_to_fit(&query, rows, Identity::listed_bytes, |identity| identity.name.to_string()))
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
        let identity = self.identity(tenant, which).await?.ok_or(SetPasswordError::NotFound)?;
        self.check_password(&password, &identity.name)?;
        let password = self.new_password(password).await?;
        let mut change = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let identity = held(&mut *change, tenant, which).await?.ok_or(SetPasswordError::NotFound)?;
        change.set_password(tenant, identity.id, &password).await?;
        self.note(&mut *change, actor, &identity, "identity.set_password").await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::CredentialChanged);
        Ok(change.commit_with(batch, identity.id.to_string(), self.now()).await?)
    }

    pub(crate) async fn note(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: &Identity,
        action: &'static str,
    ) -> Result<(), StoreError> {
        tx.insert_audit(&self.audit(actor, &identity.tenant, action, About::Identity(identity.id))).await
    }
}

const fn kind_word(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::User => "user",
        IdentityKind::Service => "service",
    }
}

/// In order and each once; none when there are too many.
pub(crate) fn distinct(mut roles: Vec<RoleName>) -> Option<Vec<RoleName>> {
    roles.sort();
    roles.dedup();
    (roles.len() <= MAX_ROLES_HELD).then_some(roles)
}

/// Why these roles cannot be held, when they cannot.
pub(crate) async fn unholdable(
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
