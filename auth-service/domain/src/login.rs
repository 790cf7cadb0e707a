//! Logging in with a name and a password.
//!
//! Guarantees: an unknown name, a wrong password, and a disabled identity give the same answer after exactly one
//! evaluation of the hash. The session's issue revision was read before the password was looked at (the hash takes
//! tens of milliseconds, in which somebody may log out everywhere), and what the login rests on is checked again in
//! the transaction that inserts the session. A password whose hash was made with other parameters than new ones is
//! hashed again, so that in time every name costs the same.

use portcullis_types::{ClientId, IdentityName, Revision, Secret, TenantId};

use crate::audit::Actor;
use crate::passwords::{HashError, StoredPassword};
use crate::tokens::Opening;
use crate::{Authority, BeginError, Identity, IdentityRef, IdentityState, Label, NewSession, StoreError, TenantState};

/// What a login is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMode {
    /// Tokens.
    Tokens,
    /// A cookie's value.
    Cookie,
}

/// A name and a password.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// The tenant.
    pub tenant: TenantId,
    /// The name.
    pub name: IdentityName,
    /// The password.
    pub password: Secret,
    /// What is wanted.
    pub mode: LoginMode,
    /// The device as the person would name it.
    pub device: Option<Label>,
    /// The client application.
    pub client: Option<ClientId>,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum LoginOutcome {
    /// Logged in.
    Granted(Box<NewSession>),
    /// Refused; why is not told apart.
    Denied,
}

/// Why an attempt has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The password was not checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Logs in. `actor` is who asks: the HTTP edge, or the back end that logs its user in.
    pub async fn log_in(&self, actor: &Actor, attempt: LoginAttempt) -> Result<LoginOutcome, LoginError> {
        let (issued, found) = self.look_up(&attempt).await?;
        let phc = found.as_ref().map_or(self.dummy_phc(), |(_, password)| &password.phc).to_owned();
        let matches = self.passwords().verify(attempt.password.clone(), phc).await?;
        let Some((identity, password)) = found.filter(|(identity, _)| matches && may_log_in(identity)) else {
            return Ok(LoginOutcome::Denied);
        };
        let renewed = self.renewed(&password, attempt.password).await;

        let mut tx = self.begin(actor).await?;
        let now = tx.identity(&attempt.tenant, &IdentityRef::Id(identity.id)).await?;
        let unchanged = tx.password(&attempt.tenant, identity.id).await?.is_some_and(|row| row.id == password.id);
        let open = tx.tenant(&attempt.tenant).await?.is_some_and(|tenant| tenant.state == TenantState::Active);
        let Some(identity) = now.filter(|identity| unchanged && open && may_log_in(identity)) else {
            return Ok(LoginOutcome::Denied);
        };
        let opening = Opening { issued, device: attempt.device, client: attempt.client, mode: attempt.mode };
        if let Some(renewed) = renewed {
            tx.rehash_password(&attempt.tenant, identity.id, &renewed).await?;
        }
        let opened = self.open_session(tx.as_mut(), actor, identity, opening).await?;
        tx.commit().await?;
        Ok(LoginOutcome::Granted(Box::new(opened)))
    }

    /// The same password under today's parameters, when its hash was made with others and there is room to hash.
    async fn renewed(&self, password: &StoredPassword, secret: Secret) -> Option<StoredPassword> {
        if self.passwords().is_current(&password.phc) {
            return None;
        }
        let phc = self.passwords().hash(secret).await.ok()?;
        Some(StoredPassword { phc, ..password.clone() })
    }

    /// The head, then who this would be: one snapshot, closed before the hash is computed.
    async fn look_up(
        &self,
        attempt: &LoginAttempt,
    ) -> Result<(Revision, Option<(Identity, StoredPassword)>), StoreError> {
        let mut view = self.store().read().await?;
        let issued = view.head().revision();
        let identity = view.identity(&attempt.tenant, &IdentityRef::Name(attempt.name.clone())).await?;
        let Some(identity) = identity else { return Ok((issued, None)) };
        let password = view.password(&attempt.tenant, identity.id).await?;
        Ok((issued, password.map(|password| (identity, password))))
    }
}

fn may_log_in(identity: &Identity) -> bool {
    match identity.state {
        IdentityState::Active => true,
        IdentityState::Disabled | IdentityState::Deleted => false,
    }
}
