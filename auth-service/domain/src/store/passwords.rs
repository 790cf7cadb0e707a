//! What a store knows of the passwords of a tenant, for whoever looks after them.

use async_trait::async_trait;
use portcullis_types::{IdentityId, IdentityName, TenantId, Timestamp};

use crate::{StoreError, StoredPassword};

/// What an identity logs in with beside its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRow {
    /// Whose.
    pub identity: IdentityId,
    /// Its name.
    pub name: IdentityName,
    /// The password, where there is one.
    pub stored: Option<StoredPassword>,
    /// Until when an unused one-time token sets one, where one was made that nothing has ended.
    pub reset_ends_at: Option<Timestamp>,
}

/// Reads of this area, in one snapshot.
#[async_trait]
pub trait PasswordReads: Send {
    /// The passwords of a tenant's identities by name, after a name, at most `limit`; of all but the deleted ones, those
    /// without a password too.
    async fn find_passwords(
        &mut self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<PasswordRow>, StoreError>;

    /// The same of one.
    async fn password_of(&mut self, tenant: &TenantId, identity: IdentityId)
    -> Result<Option<PasswordRow>, StoreError>;
}

/// Changes of this area.
#[async_trait]
pub trait PasswordWrites: Send {
    /// Removes the one-time token that would set a password. False where there is none that is unused and not over at `at`.
    async fn remove_password_reset(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
}
