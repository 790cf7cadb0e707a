//! Whether an identity may act: disabling, enabling, deleting.
//!
//! Guarantees: what ends an identity's authority writes its event in the same transaction; somebody can always administer.
//! A deleted identity is a tombstone for ever: its id is never another's, its newest entry is kept, and everything that is
//! said of a person is gone (name, display name, attributes, roles, password). Its name is free again: authority rests on
//! ids, so whoever has the name next has nothing of the one before.

use portcullis_types::{IdentityName, TenantId};

use crate::asking::Begun;
use crate::audit::Actor;
use crate::batch::{Batch, Reason, Target};
use crate::{Authority, BeginError, Committed, Identity, IdentityRef, IdentityState, StoreError, TOMBSTONE, WriteTx};

/// Why an identity was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeIdentityError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// It is deleted, and stays so.
    #[error("the identity is deleted")]
    Deleted,
    /// Nobody could administer any more.
    #[error("nobody else of the system tenant has an administrator's key without an end: make one first")]
    LastAdministrator,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Refuses everything of an identity from now on, and ends its sessions for ever.
    pub async fn disable_identity(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<(Identity, Committed), ChangeIdentityError> {
        let mut change = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.identity(tenant).await?, before.committed()?)),
        };
        let identity = self.dispensable(&mut *change, tenant, which).await?;
        change.set_identity_state(tenant, identity.id, IdentityState::Disabled).await?;
        self.note(&mut *change, actor, &identity, "identity.disable").await?;
        let mut identity = again(&mut *change, &identity).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::Disabled);
        let committed = change.commit_with(batch, identity.id.to_string(), self.now()).await?;
        identity.revoked_seq = Some(committed.revision.seq);
        Ok((identity, committed))
    }

    /// Allows an identity new sessions again. What was revoked stays dead.
    pub async fn enable_identity(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Identity, ChangeIdentityError> {
        let mut change = match self.begin_named(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok(before.identity(tenant).await?),
        };
        let identity = change.identity(tenant, which).await?.ok_or(ChangeIdentityError::NotFound)?;
        if !change.set_identity_state(tenant, identity.id, IdentityState::Active).await? {
            return Err(ChangeIdentityError::Deleted);
        }
        self.note(&mut *change, actor, &identity, "identity.enable").await?;
        let identity = again(&mut *change, &identity).await?;
        change.commit(identity.id.to_string(), self.now()).await?;
        Ok(identity)
    }

    /// Makes a tombstone of an identity. Nothing brings it back.
    pub async fn delete_identity(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<(Identity, Committed), ChangeIdentityError> {
        let mut change = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(mut before) => return Ok((before.identity(tenant).await?, before.committed()?)),
        };
        let identity = self.dispensable(&mut *change, tenant, which).await?;
        let name = tombstone(&identity);
        if !change.bury_identity(tenant, identity.id, &name, self.now()).await? {
            return Err(ChangeIdentityError::Deleted);
        }
        self.note(&mut *change, actor, &identity, "identity.delete").await?;
        let mut identity = again(&mut *change, &identity).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::Disabled);
        let committed = change.commit_with(batch, identity.id.to_string(), self.now()).await?;
        identity.revoked_seq = Some(committed.revision.seq);
        Ok((identity, committed))
    }

    /// An identity that exists, and without which somebody could still administer.
    async fn dispensable(
        &self,
        tx: &mut dyn WriteTx,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Identity, ChangeIdentityError> {
        let identity = tx.identity(tenant, which).await?.ok_or(ChangeIdentityError::NotFound)?;
        if identity.state == IdentityState::Deleted {
            return Err(ChangeIdentityError::Deleted);
        }
        if self.is_last_administrator(tx, tenant, identity.id).await? {
            return Err(ChangeIdentityError::LastAdministrator);
        }
        Ok(identity)
    }
}

/// The identity as the transaction has it now.
pub(crate) async fn again(tx: &mut dyn WriteTx, identity: &Identity) -> Result<Identity, StoreError> {
    let found = tx.identity(&identity.tenant, &IdentityRef::Id(identity.id)).await?;
    found.ok_or(StoreError::Corrupt { what: "an identity that was there a moment ago" })
}

fn tombstone(identity: &Identity) -> IdentityName {
    let name = format!("{TOMBSTONE}{}", identity.id);
    IdentityName::try_from(name.as_str()).expect("a prefix and a UUID are few visible ASCII characters")
}
