//! The rows that logging in rests on.

use async_trait::async_trait;
use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use super::StoreError;
use crate::guard::{AttemptKey, Attempts};
use crate::login::Continuation;
use crate::password_changes::PasswordReset;
use crate::second_factors::TotpFactor;

/// What a snapshot says about logging in.
#[async_trait]
pub trait LoginReads: Send {
    /// When an account was last logged into from a place; both by digest.
    async fn place_seen_at(
        &mut self,
        account: &AttemptKey,
        place: &AttemptKey,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// The hash of some password of the tenant: the first whose id ends at or after `draw`, else the first of all.
    async fn password_decoy(&mut self, tenant: &TenantId, draw: &[u8; 8]) -> Result<Option<String>, StoreError>;
    /// An identity's authenticator app, confirmed or not.
    async fn totp_factor(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<Option<TotpFactor>, StoreError>;
    /// How many recovery codes of an identity are unused.
    async fn recovery_codes_left(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<u32, StoreError>;
    /// A login that was asked for more. Its id is all that a presented one gives away.
    async fn continuation(&mut self, id: CredentialId) -> Result<Option<Continuation>, StoreError>;
    /// A one-time token for a new password.
    async fn password_reset(&mut self, id: CredentialId) -> Result<Option<PasswordReset>, StoreError>;
}

/// What a transaction changes about logging in. Where a `bool` is returned it says whether the write took place.
#[async_trait]
pub trait LoginWrites: LoginReads {
    /// What is counted for a key, none when nothing is. Until the transaction ends no other one reads or changes it.
    async fn lock_attempts(&mut self, key: &AttemptKey) -> Result<Attempts, StoreError>;
    /// What is counted for a key that was locked.
    async fn set_attempts(&mut self, key: &AttemptKey, attempts: &Attempts) -> Result<(), StoreError>;
    /// Deletes at most `limit` of what was last touched before an instant.
    async fn forget_attempts(&mut self, before: Timestamp, limit: u32) -> Result<(), StoreError>;
    /// Remembers a place, and of the account's places the newest `most`.
    async fn note_place(
        &mut self,
        account: &AttemptKey,
        place: &AttemptKey,
        at: Timestamp,
        most: u32,
    ) -> Result<(), StoreError>;

    /// Until the transaction ends no other one holds or buries this identity, and what is read after this is what the one
    /// before left. Before a password is judged that the same transaction sets or takes away.
    async fn hold_identity(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<(), StoreError>;

    /// Takes the password away.
    async fn remove_password(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<bool, StoreError>;

    /// A new authenticator app, in place of one that was never confirmed. False when one is confirmed.
    async fn put_totp_factor(&mut self, factor: &TotpFactor) -> Result<bool, StoreError>;
    /// Makes an app count that does not yet; its codes up to `step` are used.
    async fn confirm_totp_factor(&mut self, factor: &TotpFactor, step: u64, at: Timestamp) -> Result<bool, StoreError>;
    /// Uses the code of a time step. False when it or a later one was used.
    async fn use_totp_step(&mut self, factor: &TotpFactor, step: u64) -> Result<bool, StoreError>;
    /// Takes the app and all recovery codes away.
    async fn remove_second_factor(&mut self, tenant: &TenantId, identity: IdentityId) -> Result<bool, StoreError>;
    /// Recovery codes in place of those before.
    async fn put_recovery_codes(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        digests: &[[u8; 32]],
    ) -> Result<(), StoreError>;
    /// Uses a recovery code that is not used.
    async fn use_recovery_code(
        &mut self,
        tenant: &TenantId,
        identity: IdentityId,
        digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// A new continuation; some of those that ended before `now` are deleted.
    async fn insert_continuation(&mut self, row: &Continuation, now: Timestamp) -> Result<(), StoreError>;
    /// Spends a continuation that is not spent.
    async fn spend_continuation(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError>;

    /// A new one-time token for a password, in place of all that the identity has.
    async fn put_password_reset(&mut self, row: &PasswordReset) -> Result<(), StoreError>;
    /// Spends a one-time token that is not spent.
    async fn spend_password_reset(&mut self, id: CredentialId, at: Timestamp) -> Result<bool, StoreError>;

    /// Names the successor of a session cookie that has none.
    async fn succeed_session_cookie(
        &mut self,
        id: CredentialId,
        successor: CredentialId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Another end for a session cookie that ends at `before`.
    async fn move_cookie_end(
        &mut self,
        id: CredentialId,
        before: Timestamp,
        end: Timestamp,
    ) -> Result<bool, StoreError>;
}
