//! Passwords that change: by their owner, by an administrator, by a one-time token, by import.
//!
//! Guarantees: a changed password ends every session that was made before, in the same transaction; whoever changed it
//! goes on in a new one, unless the one that it was done in, or what that rested on, was ended by somebody else meanwhile.
//! A password that somebody else chose is good for one login, which must replace it. A one-time token is of one use and one
//! hour, and setting a password in any way ends it, as does whatever ends the identity's or the tenant's sessions. Of two
//! changes at once the later one judges what the earlier one left.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, OpaqueKind, OpaqueToken, Secret, SessionId, TenantId, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::asking::{Begun, Change};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::denied_logins::{Because, Denied};
use crate::guard::{AttemptKey, Door, Known, Slot};
use crate::login::{Bond, is_ended_above, is_open, known_device, may_log_in, still_good};
use crate::passwords::{HashError, InvalidPassword, StoredPassword, UnfitHash};
use crate::tokens::Opening;
use crate::{
    Authentication, Authority, BeginError, Brought, Committed, Identity, IdentityRef, IdentityState, LoginError,
    LoginMode, Method, NewSession, Refusal, Session, StoreError, WriteTx,
};

/// How long a one-time token is good.
pub const RESET_LIFE: Duration = Duration::from_secs(3_600);

/// A one-time token for a new password, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordReset {
    /// Its id.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose password it sets.
    pub identity: IdentityId,
    /// Of what must be presented.
    pub digest: [u8; 32],
    /// The entry that it began with, which ended the identity's sessions; none until that is written.
    pub issued_seq: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was used.
    pub spent: bool,
}

/// A change by the owner.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityRef,
    /// The one until now.
    pub current: Secret,
    /// The one from now on.
    pub new: Secret,
    /// From where the person tries.
    pub from: Option<IpAddr>,
    /// What an earlier login gave to know the device by.
    pub device: Option<Secret>,
    /// The session in which it is asked for, and what its successor is used with; none where nobody goes on.
    pub goes_on: Option<(SessionId, LoginMode)>,
}

/// What became of a change.
#[derive(Clone, Debug)]
pub enum PasswordChange {
    /// It is changed.
    Changed {
        /// The entry that ended the sessions.
        committed: Committed,
        /// The session that goes on.
        session: Option<Box<NewSession>>,
    },
    /// The current password is wrong, or it came too early after others.
    Refused(Refusal),
}

/// How an administrator makes an unknown password go away.
#[derive(Clone, Debug)]
pub enum Reset {
    /// By a password that is good for one login, which must replace it.
    Temporary(Secret),
    /// By a one-time token; until it is used there is no password.
    Token,
}

/// A password that was reset.
#[derive(Clone, Debug)]
pub struct PasswordWasReset {
    /// The entry that ended the sessions.
    pub committed: Committed,
    /// The one-time token, and until it ends.
    pub token: Option<(Secret, Duration)>,
    /// Whether the same request was answered before, and showed the token then.
    pub shown_before: bool,
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// The hash cannot be imported.
    #[error(transparent)]
    Unfit(#[from] UnfitHash),
    /// There is no outcome.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<HashError> for ChangePasswordError {
    fn from(error: HashError) -> Self {
        Self::Login(error.into())
    }
}

impl From<BeginError> for ChangePasswordError {
    fn from(error: BeginError) -> Self {
        Self::Login(error.into())
    }
}

impl From<StoreError> for ChangePasswordError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

impl Authority {
    /// Whether the identity of this name may have this password.
    pub(crate) fn check_password(
        &self,
        password: &Secret,
        name: &portcullis_types::IdentityName,
    ) -> Result<(), InvalidPassword> {
        self.settings().password_policy.check(password, name)
    }

    /// Changes a password for its owner, who knows the current one. Guesses at it are counted as those at a login are.
    pub async fn change_password(
        &self,
        actor: &Actor,
        change: ChangePassword,
    ) -> Result<PasswordChange, ChangePasswordError> {
        let ChangePassword { tenant, identity, current, new, from, device, goes_on } = change;
        let actor = &actor.clone().at(from);
        if let Some(before) = self.answer_before(actor, &tenant).await? {
            return Ok(PasswordChange::Changed { committed: before.committed()?, session: None });
        }
        let identity = self.identity(&tenant, &identity).await?.ok_or(ChangePasswordError::NotFound)?;
        self.check_password(&new, &identity.name)?;
        if new == current {
            return Err(InvalidPassword::Unchanged.into());
        }
        let Guess { slot, right, known } = self.guess(actor, &identity, current, from, device.as_ref()).await?;
        let refused = PasswordChange::Refused(Refusal { retry_after: slot.retry_after() });
        let Some(password) = right else { return Ok(refused) };
        let renewed = self.new_password(new).await?;

        let mut tx = match self.begin_named_urgently(actor, &tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => {
                return Ok(PasswordChange::Changed { committed: before.committed()?, session: None });
            }
        };
        tx.hold_identity(&tenant, identity.id).await?;
        // What ended its session before the row was held is older than this change, which could hide it.
        self.judge_holder(&mut *tx, actor).await?;
        let Some(identity) = still_good(&mut *tx, &identity, password.id).await? else {
            self.note_refused_password(actor, &identity, Because::NotAllowed);
            return Ok(refused);
        };
        self.give_back(&mut *tx, &slot).await?;
        let committed = self.replace_password(tx, actor, &identity, &renewed).await?;
        let session = match goes_on {
            Some(session) => {
                // The new password made every device unknown. This one is where its owner is.
                let brought = Brought { remember: known.device.is_some(), ..Brought::default() };
                self.go_on(actor, (&identity, renewed.id), committed, session, &brought).await?
            }
            None => None,
        };
        Ok(PasswordChange::Changed { committed, session: session.map(Box::new) })
    }

    /// Whether this is the password of an identity, for what needs more than a session. Guesses are counted as those at a
    /// login are.
    pub async fn check_own_password(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        password: Secret,
        from: Option<IpAddr>,
        device: Option<&Secret>,
    ) -> Result<Result<(), Refusal>, ChangePasswordError> {
        let identity = self.identity(tenant, which).await?.ok_or(ChangePasswordError::NotFound)?;
        Ok(self.know_own(&identity, password, from, device).await?.map(drop))
    }

    /// The same, with what is known of where it comes from.
    pub(crate) async fn know_own(
        &self,
        identity: &Identity,
        password: Secret,
        from: Option<IpAddr>,
        device: Option<&Secret>,
    ) -> Result<Result<Known, Refusal>, ChangePasswordError> {
        let actor = Actor::identity(&identity.tenant, identity.id).at(from);
        let Guess { slot, right, known } = self.guess(&actor, identity, password, from, device).await?;
        if right.is_none() {
            return Ok(Err(Refusal { retry_after: slot.retry_after() }));
        }
        self.give_back_unused(&slot).await?;
        Ok(Ok(known))
    }

    /// One counted guess at a password, and one evaluation whatever comes of it.
    async fn guess(
        &self,
        actor: &Actor,
        identity: &Identity,
        password: Secret,
        from: Option<IpAddr>,
        device: Option<&Secret>,
    ) -> Result<Guess, ChangePasswordError> {
        let door = Door::new(&identity.tenant, &identity.name, from);
        let mut view = self.store().read().await?;
        let known = door.known(view.as_mut(), self.now()).await?;
        let decoy = self.decoy(view.as_mut(), &identity.tenant, &door.account).await?;
        let stored = view.password(&identity.tenant, identity.id).await?;
        let tenant = view.tenant(&identity.tenant).await?;
        let bond = stored.as_ref().map(|stored| Bond::new(identity, stored.id, tenant.as_ref()));
        let device = known_device(view.as_mut(), &door.account, bond.as_ref(), device, self.now()).await?;
        let (known, open) = (Known { device, ..known }, is_open(tenant.as_ref()));
        drop(view);
        let slot = self.knock(&door, &known).await?;
        let has_one = stored.is_some();
        let stored = stored.filter(|_| slot.is_taken());
        let phc = stored.as_ref().map_or(decoy, |stored| stored.phc.clone());
        let matches = self.verify_or_give_back(&slot, password, phc).await?;
        let right = stored.filter(|_| matches && open && may_log_in(identity));
        if right.is_none() {
            let because = match (slot.is_taken(), has_one, matches) {
                (false, _, _) => Because::TooEarly,
                (true, false, _) => Because::NoPassword,
                (true, true, false) => Because::WrongPassword,
                (true, true, true) => Because::NotAllowed,
            };
            self.note_refused_password(actor, identity, because);
        }
        Ok(Guess { slot, right, known })
    }

    fn note_refused_password(&self, actor: &Actor, identity: &Identity, because: Because) {
        let denied = Denied { actor: actor.clone(), whose: Some(identity.id), action: "password.deny", because };
        self.note_denied(&identity.tenant, denied);
    }

    /// A session in place of one that was just ended; none when something else was ended meanwhile.
    async fn go_on(
        &self,
        actor: &Actor,
        (identity, password): (&Identity, CredentialId),
        committed: Committed,
        (before, mode): (SessionId, LoginMode),
        brought: &Brought,
    ) -> Result<Option<NewSession>, ChangePasswordError> {
        // What was presented ended with the change, by itself.
        let mut tx = self.store().write().await?;
        let Some(identity) = still_good(tx.as_mut(), identity, password).await? else { return Ok(None) };
        let before = tx.session(&identity.tenant, before).await?.filter(|session| session.identity == identity.id);
        if let Some(Session { revoked_seq, client, issued, created_at, .. }) = &before
            && (revoked_seq.is_some()
                || is_ended_above(tx.as_mut(), &identity.tenant, client.as_ref(), (*issued, *created_at)).await?)
        {
            return Ok(None);
        }
        // It goes on: what its login rested on, and when that was. Otherwise the password was shown a moment ago.
        let shown = Authentication { methods: Method::Password.into(), at: self.now() };
        let authentication = before.as_ref().and_then(|session| session.authentication).or(Some(shown));
        let (device, client) = before.map(|session| (session.device, session.client)).unwrap_or_default();
        let opening = Opening { issued: committed.revision, device, client, mode, authentication };
        let account = AttemptKey::account(&identity.tenant, &identity.name);
        let device = self.remember_device(tx.as_mut(), &account, (&identity, password), brought, mode).await?;
        let opened = self.open_session(tx.as_mut(), actor, identity, opening).await?;
        tx.commit().await?;
        Ok(Some(NewSession { device, ..opened }))
    }

    /// Sets the password in place of any other, and ends every session: one transaction, which this commits.
    pub(crate) async fn replace_password(
        &self,
        mut tx: Change,
        actor: &Actor,
        identity: &Identity,
        password: &StoredPassword,
    ) -> Result<Committed, StoreError> {
        let Identity { tenant, id, .. } = identity;
        tx.set_password(tenant, *id, password).await?;
        tx.insert_audit(&self.audit(actor, tenant, "identity.change_password", About::Identity(*id))).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), *id), Reason::CredentialChanged);
        tx.commit_with(batch, id.to_string(), self.now()).await
    }

    /// Makes an unknown password go away, and ends every session.
    pub async fn reset_password(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        reset: Reset,
    ) -> Result<PasswordWasReset, ChangePasswordError> {
        let identity = self.identity(tenant, which).await?.ok_or(ChangePasswordError::NotFound)?;
        let by_token = matches!(reset, Reset::Token);
        let temporary = match reset {
            Reset::Temporary(password) => {
                self.check_password(&password, &identity.name)?;
                Some(StoredPassword { must_change: true, ..self.new_password(password).await? })
            }
            Reset::Token => None,
        };
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => {
                let committed = before.committed()?;
                return Ok(PasswordWasReset { committed, token: None, shown_before: by_token });
            }
        };
        let identity = held(&mut *tx, tenant, which).await?.ok_or(ChangePasswordError::NotFound)?;
        let mut batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::CredentialChanged);
        let token = match temporary {
            Some(password) => {
                tx.set_password(tenant, identity.id, &password).await?;
                None
            }
            None => {
                let (id, token) = self.draw_reset(&mut *tx, &identity).await?;
                batch = batch.beginning(id);
                Some(token)
            }
        };
        let entry = self.audit(actor, tenant, "identity.reset_password", About::Identity(identity.id));
        let how = if by_token { "token" } else { "temporary" };
        tx.insert_audit(&entry.telling(Detail::default().and("how", how))).await?;
        let committed = tx.commit_with(batch, identity.id.to_string(), self.now()).await?;
        Ok(PasswordWasReset { committed, token: token.map(|token| (token, RESET_LIFE)), shown_before: false })
    }

    async fn draw_reset(
        &self,
        tx: &mut dyn WriteTx,
        identity: &Identity,
    ) -> Result<(CredentialId, Secret), StoreError> {
        tx.remove_password(&identity.tenant, identity.id).await?;
        let id = CredentialId::new(self.ids());
        let token = OpaqueToken::generate(OpaqueKind::PasswordReset, id, self.entropy());
        let now = self.now();
        let row = PasswordReset {
            id,
            tenant: identity.tenant.clone(),
            identity: identity.id,
            digest: token.digest(),
            issued_seq: None,
            created_at: now,
            expires_at: now + RESET_LIFE,
            spent: false,
        };
        tx.put_password_reset(&row).await?;
        Ok((id, token.reveal()))
    }

    /// Sets the password by a one-time token. The second factor, where there is one, is asked for at the login.
    pub async fn redeem_reset(
        &self,
        actor: &Actor,
        token: &Secret,
        password: Secret,
    ) -> Result<PasswordChange, ChangePasswordError> {
        let refused = PasswordChange::Refused(Refusal::default());
        let token = token.expose_str().and_then(|text| OpaqueToken::parse(text).ok());
        let Some(token) = token.filter(|token| token.kind == OpaqueKind::PasswordReset) else { return Ok(refused) };
        if let Some(before) = self.answer_before(actor, actor.home()).await? {
            return Ok(PasswordChange::Changed { committed: before.committed()?, session: None });
        }
        let mut view = self.store().read().await?;
        let found = self.resettable(view.as_mut(), &token).await?;
        drop(view);
        let Some(identity) = found else { return Ok(refused) };
        self.check_password(&password, &identity.name)?;
        // Counted, so that one token does not buy hashes without end.
        let slot = self.knock_at([AttemptKey::password_reset(token.id)]).await?;
        if let Slot::Delayed { retry_after } = slot {
            return Ok(PasswordChange::Refused(Refusal { retry_after }));
        }
        let password = self.new_password(password).await?;
        let mut tx = match self.begin_named_urgently(actor, actor.home()).await? {
            Begun::New(change) => change,
            Begun::Before(before) => {
                return Ok(PasswordChange::Changed { committed: before.committed()?, session: None });
            }
        };
        tx.hold_identity(&identity.tenant, identity.id).await?;
        let Some(identity) = self.resettable(&mut *tx, &token).await? else { return Ok(refused) };
        if !tx.spend_password_reset(token.id, self.now()).await? {
            return Ok(refused);
        }
        let committed = self.replace_password(tx, actor, &identity, &password).await?;
        Ok(PasswordChange::Changed { committed, session: None })
    }

    /// Whose password this token sets now. Not that of an identity which may not log in, or whose tenant is suspended: what
    /// brought that about, or ended sessions of either since, ended the token.
    async fn resettable(
        &self,
        view: &mut dyn crate::ReadView,
        token: &OpaqueToken,
    ) -> Result<Option<Identity>, StoreError> {
        let Some(row) = view.password_reset(token.id).await? else { return Ok(None) };
        let ours = bool::from(row.digest.ct_eq(&token.digest()));
        if !ours || row.spent || self.now() >= row.expires_at {
            return Ok(None);
        }
        // Whoever has a password again needs none by token.
        if view.password(&row.tenant, row.identity).await?.is_some() {
            return Ok(None);
        }
        let tenant = view.tenant(&row.tenant).await?.filter(|tenant| is_open(Some(tenant)));
        let (Some(tenant), Some(issued)) = (tenant, row.issued_seq) else { return Ok(None) };
        if tenant.ended_before.is_some_and(|before| row.created_at < before) {
            return Ok(None);
        }
        let identity = view.identity(&row.tenant, &IdentityRef::Id(row.identity)).await?;
        let is_ended =
            |identity: &Identity| identity.revoked_seq.max(tenant.revoked_seq).is_some_and(|seq| issued < seq);
        Ok(identity.filter(|identity| may_log_in(identity) && !is_ended(identity)))
    }

    /// Sets a hash that another program made. It is verified as it is, and replaced by one of ours at the next login.
    pub async fn import_password(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        hash: &str,
    ) -> Result<Committed, ChangePasswordError> {
        self.passwords().check_foreign(hash)?;
        let mut tx = match self.begin_named_urgently(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let identity = held(&mut *tx, tenant, which).await?.ok_or(ChangePasswordError::NotFound)?;
        tx.set_password(tenant, identity.id, &self.stored_password(hash.to_owned())).await?;
        let about = About::Identity(identity.id);
        tx.insert_audit(&self.audit(actor, tenant, "identity.import_password", about)).await?;
        let batch = Batch::kill(Target::Identity(tenant.clone(), identity.id), Reason::CredentialChanged);
        Ok(tx.commit_with(batch, identity.id.to_string(), self.now()).await?)
    }
}

/// An identity, held in this transaction and as it is then, unless it is a tombstone.
pub(crate) async fn held(
    tx: &mut dyn WriteTx,
    tenant: &TenantId,
    which: &IdentityRef,
) -> Result<Option<Identity>, StoreError> {
    let Some(found) = tx.identity(tenant, which).await? else { return Ok(None) };
    tx.hold_identity(tenant, found.id).await?;
    let found = tx.identity(tenant, &IdentityRef::Id(found.id)).await?;
    Ok(found.filter(|identity| identity.state != IdentityState::Deleted))
}

/// A guess that was made.
struct Guess {
    slot: Slot,
    /// The password, if it is the one.
    right: Option<StoredPassword>,
    known: Known,
}
