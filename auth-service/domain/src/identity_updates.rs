//! What is said of an identity, its name, and its roles.
//!
//! Authority rests on ids, so another name ends nothing: sessions, keys, the password and the subjects of issuers stay. The
//! name of before logs nobody in any more and is free; whoever has it next has nothing of this identity.
//! Guarantees: a change of roles or of the name, which gateways tell back ends and clients, writes its event in the same
//! transaction. An update that names a version is refused when
//! somebody else was faster.

use portcullis_types::{IdentityName, RoleName, TenantId};

use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Target};
use crate::identities::{Unholdable, distinct, unholdable};
use crate::identity_states::again;
use crate::outrun::{Outrun, unless_outrun};
use crate::{
    Attributes, Authority, BeginError, Committed, Identity, IdentityRef, IdentityState, Label, MAX_GRANT_BYTES,
    MAX_ROLES_HELD, ReadView, StoreError, TOMBSTONE, WriteTx,
};

/// Which identity shall be how. What is absent stays as it is.
#[derive(Clone, Debug)]
pub struct IdentityUpdate {
    /// The tenant.
    pub tenant: TenantId,
    /// Which.
    pub which: IdentityRef,
    /// What it logs in with.
    pub name: Option<IdentityName>,
    /// What people call it; `Some(None)`: nothing.
    pub display_name: Option<Option<Label>>,
    /// All its attributes.
    pub attributes: Option<Attributes>,
    /// All its roles.
    pub roles: Option<Vec<RoleName>>,
    /// Only if it is still at this version.
    pub from_version: Option<u64>,
}

/// Why an identity was not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateIdentityError {
    /// There is no such identity, or it is deleted.
    #[error("no such identity")]
    NotFound,
    /// It was changed since it was read.
    #[error("the identity was changed since it was read")]
    Stale,
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
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Outrun for UpdateIdentityError {
    fn is_outrun(&self) -> bool {
        match self {
            Self::Store(error) => error.is_outrun(),
            Self::Begin(error) => error.is_outrun(),
            _ => false,
        }
    }
}

impl Authority {
    /// Sets the roles, and has live sockets judged again.
    pub async fn set_identity_roles(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        roles: Vec<RoleName>,
    ) -> Result<(Identity, Committed), UpdateIdentityError> {
        let roles = distinct(roles).ok_or(UpdateIdentityError::TooManyRoles)?;
        let mut change = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.identity(tenant).await?, before.committed()?)),
        };
        let identity = living(&mut *change, tenant, which).await?;
        refuse_unholdable(&mut *change, tenant, &roles).await?;
        change.set_identity_roles(tenant, identity.id, &roles).await?;
        self.note_roles(&mut *change, actor, &identity, &roles).await?;
        let identity = again(&mut *change, &identity).await?;
        let batch = Batch::reauthorize(Target::Identity(tenant.clone(), identity.id));
        let committed = change.commit_with(batch, identity.id.to_string(), self.now()).await?;
        Ok((identity, committed))
    }

    /// Updates an identity. An entry is made only for another name than it had, or other roles.
    pub async fn update_identity(
        &self,
        actor: &Actor,
        update: IdentityUpdate,
    ) -> Result<(Identity, Option<Committed>), UpdateIdentityError> {
        // Of several who want one name at once.
        unless_outrun(|| self.update_identity_once(actor, update.clone())).await
    }

    async fn update_identity_once(
        &self,
        actor: &Actor,
        update: IdentityUpdate,
    ) -> Result<(Identity, Option<Committed>), UpdateIdentityError> {
        let said = fields_told(&update);
        let IdentityUpdate { tenant, which, name, display_name, attributes, roles, from_version } = update;
        let roles = roles.map(|roles| distinct(roles).ok_or(UpdateIdentityError::TooManyRoles)).transpose()?;
        let mut change = match self.begin_named_urgently(actor, &tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.identity(&tenant).await?, before.maybe_committed())),
        };
        let mut identity = living(&mut *change, &tenant, &which).await?;
        if from_version.is_some_and(|version| version != identity.version) {
            return Err(UpdateIdentityError::Stale);
        }
        let renamed = name.filter(|name| *name != identity.name);
        if let Some(name) = &renamed {
            refuse_taken(&mut *change, &tenant, name).await?;
            identity.name = name.clone();
        }
        identity.display_name = display_name.unwrap_or(identity.display_name);
        identity.attributes = attributes.unwrap_or(identity.attributes);
        if !change.update_identity(&identity, identity.version).await? {
            return Err(UpdateIdentityError::Stale);
        }
        let entry = self.audit(actor, &tenant, "identity.update", About::Identity(identity.id));
        change.insert_audit(&entry.telling(said)).await?;
        let others = roles.filter(|roles| *roles != identity.roles);
        if let Some(roles) = &others {
            refuse_unholdable(&mut *change, &tenant, roles).await?;
            change.set_identity_roles(&tenant, identity.id, roles).await?;
            self.note_roles(&mut *change, actor, &identity, roles).await?;
        }
        let identity = again(&mut *change, &identity).await?;
        let subject = identity.id.to_string();
        if others.is_none() && renamed.is_none() {
            change.commit(subject, self.now()).await?;
            return Ok((identity, None));
        }
        let batch = Batch::reauthorize(Target::Identity(tenant, identity.id));
        let committed = change.commit_with(batch, subject, self.now()).await?;
        Ok((identity, Some(committed)))
    }

    /// Which roles an identity has from now on, however that was asked for. `identity` is as it was.
    async fn note_roles(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: &Identity,
        roles: &[RoleName],
    ) -> Result<(), StoreError> {
        let removed = identity.roles.iter().filter(|role| !roles.contains(role));
        let detail = Detail::default().and_list("roles", roles).and_list("removed", removed);
        let entry = self.audit(actor, &identity.tenant, "identity.set_roles", About::Identity(identity.id));
        tx.insert_audit(&entry.telling(detail)).await
    }
}

/// Which fields are set, by name: what a tenant says of a person stays out of the trail, whose rows are never changed.
fn fields_told(update: &IdentityUpdate) -> Detail {
    let fields = [
        update.name.is_some().then_some("name"),
        update.display_name.is_some().then_some("display_name"),
        update.attributes.is_some().then_some("attributes"),
        update.roles.is_some().then_some("roles"),
    ];
    Detail::default().and_list("fields", fields.into_iter().flatten())
}

/// An identity that exists and is not deleted.
async fn living(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    which: &IdentityRef,
) -> Result<Identity, UpdateIdentityError> {
    let found = view.identity(tenant, which).await?;
    found.filter(|identity| identity.state != IdentityState::Deleted).ok_or(UpdateIdentityError::NotFound)
}

async fn refuse_taken(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    name: &IdentityName,
) -> Result<(), UpdateIdentityError> {
    if name.as_str().starts_with(TOMBSTONE) {
        return Err(UpdateIdentityError::NameReserved);
    }
    match view.identity(tenant, &IdentityRef::Name(name.clone())).await? {
        Some(_) => Err(UpdateIdentityError::NameTaken),
        None => Ok(()),
    }
}

async fn refuse_unholdable(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    roles: &[RoleName],
) -> Result<(), UpdateIdentityError> {
    match unholdable(view, tenant, roles).await? {
        Some(Unholdable::Missing(role)) => Err(UpdateIdentityError::RoleNotFound(role)),
        Some(Unholdable::TooLarge) => Err(UpdateIdentityError::TooManyGrants),
        None => Ok(()),
    }
}
