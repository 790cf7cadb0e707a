//! Passwords as whoever looks after them sees them, and their removal.
//!
//! Guarantees: a removed password ends every session that was made before, in the same transaction, as a changed one does,
//! and with it goes the one-time token that would set another.
//! Refuses: hashes, and what they were made with. A state says which kind of hash it is and whether a login replaces it.

use portcullis_types::{IdentityId, IdentityName, TenantId, Timestamp};

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::batch::{Batch, Reason, Target};
use crate::password_changes::held;
use crate::{
    Authority, BeginError, Committed, IdentityRef, ListError, Page, Paged, PasswordRow, StoreError, StoredPassword,
};

/// Where the password of an identity stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordState {
    /// Whose.
    pub identity: IdentityId,
    /// Its name.
    pub name: IdentityName,
    /// What is known of it, where there is one.
    pub set: Option<SetPassword>,
    /// Until when a one-time token sets one, where there is none and such a token is about.
    pub reset_until: Option<Timestamp>,
}

/// A password that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPassword {
    /// When it was set.
    pub at: Timestamp,
    /// What kind of hash it has: `argon2id`, `argon2i`, `argon2d`, `scrypt` or `bcrypt`.
    pub scheme: &'static str,
    /// Whether its hash is weaker than those that are made now: the next login replaces it.
    pub is_outdated: bool,
    /// Whether somebody else set it, so that the next login must replace it.
    pub must_change: bool,
}

/// Why a password was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovePasswordError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// It has none, and nothing that would set one.
    #[error("the identity has no password, and no one-time token for one")]
    NoPassword,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Reads where an identity's password stands; none when there is no such identity.
    pub async fn password_state(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Option<PasswordState>, StoreError> {
        let mut view = self.store().read().await?;
        let Some(identity) = view.identity(tenant, which).await? else { return Ok(None) };
        let row = view.password_of(tenant, identity.id).await?;
        Ok(row.map(|row| self.state_of_password(row)))
    }

    /// Reads where the passwords of a tenant's identities stand, by name, those without one too.
    pub async fn password_states(&self, tenant: &TenantId, page: Page) -> Result<Paged<PasswordState>, ListError> {
        let query = format!("passwords:{tenant}");
        let after = page.position(&query)?;
        let rows = self.store().read().await?.find_passwords(tenant, after.as_deref(), page.fetch()).await?;
        let states = rows.into_iter().map(|row| self.state_of_password(row)).collect();
        Ok(page.cut(&query, states, |state| state.name.to_string()))
    }

    fn state_of_password(&self, row: PasswordRow) -> PasswordState {
        let PasswordRow { identity, name, stored, reset_ends_at } = row;
        // Whoever has a password needs none by token.
        let reset_until = reset_ends_at.filter(|end| stored.is_none() && self.now() < *end);
        let set = stored.map(|StoredPassword { phc, set_at, must_change, .. }| SetPassword {
            at: set_at,
            scheme: scheme_of(&phc),
            is_outdated: !self.passwords().is_current(&phc),
            must_change,
        });
        PasswordState { identity, name, set, reset_until }
    }

    /// Removes a password, or the one-time token that would set one, and ends every session.
    pub async fn remove_password(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Committed, RemovePasswordError> {
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let identity = held(&mut *tx, tenant, which).await?.ok_or(RemovePasswordError::NotFound)?;
        let had_token = tx.remove_password_reset(tenant, identity.id, self.now()).await?;
        if !tx.remove_password(tenant, identity.id).await? && !had_token {
            return Err(RemovePasswordError::NoPassword);
        }
        let about = About::Identity(identity.id);
        tx.insert_audit(&self.audit(actor, tenant, "identity.remove_password", about)).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::CredentialChanged);
        Ok(tx.commit_with(batch, identity.id.to_string(), self.now()).await?)
    }
}

/// The kind of a hash, as it is stored.
fn scheme_of(phc: &str) -> &'static str {
    let scheme = phc.strip_prefix('$').and_then(|rest| rest.split('$').next()).unwrap_or_default();
    match scheme {
        "argon2id" => "argon2id",
        "argon2i" => "argon2i",
        "argon2d" => "argon2d",
        "scrypt" => "scrypt",
        // All others that can be stored are of its versions: 2a, 2b, 2x, 2y.
        _ => "bcrypt",
    }
}
