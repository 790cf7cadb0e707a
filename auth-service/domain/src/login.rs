//! Logging in: a name and a password first, then whatever else the account asks for.
//!
//! Guarantees: an unknown name, a wrong password, a disabled identity, one without a password and one that must wait
//! give the same answer after exactly one evaluation of a hash. The session's issue revision was read before the
//! password was looked at (the hash takes tens of milliseconds, in which somebody may log out everywhere), and what the
//! login rests on is checked again in the transaction that inserts the session. A password whose hash was made with
//! other parameters than new ones is hashed again once the login stands: before that, the time would tell whoever is
//! refused for another reason that the password was right.
//!
//! Timing: where there is no hash to check, one is drawn from those of the tenant, evenly and always the same for one
//! name. So the time of a refusal says nothing about who exists, even while imported hashes of other costs are there.

mod continuing;
mod devices;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{
    ClientId, CredentialId, IdentityId, IdentityName, OpaqueKind, OpaqueToken, Revision, Secret, TenantId, Timestamp,
};

pub use self::continuing::{ContinueError, Proof};
pub(crate) use self::devices::{Bond, known_device};
pub use self::devices::{Brought, KnownDevice};

use crate::audit::Actor;
use crate::batch::{Batch, Reason, Target};
use crate::denied_logins::{Because, Denied};
use crate::guard::{AttemptKey, Door, Known, Slot};
use crate::passwords::{HashError, StoredPassword};
use crate::tokens::Opening;
use crate::{
    Authentication, Authority, BeginError, Identity, IdentityRef, IdentityState, Label, Method, Methods, NewSession,
    ReadView, StoreError, Tenant, TenantState, WriteTx,
};

/// How long a login that was asked for more may take.
const CONTINUATION_LIFE: Duration = Duration::from_secs(300);

/// What a login is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// From where the person tries.
    pub from: Option<IpAddr>,
    /// What came with it.
    pub brought: Brought,
}

/// How an attempt stands.
#[derive(Clone, Debug)]
pub enum LoginOutcome {
    /// Logged in.
    Granted(Box<NewSession>),
    /// More is needed.
    Challenged(Box<Challenged>),
    /// Refused; why is not told apart.
    Denied(Refusal),
}

/// A refusal. Whether this attempt was looked at is not told: it may have come too early itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Before this, the next attempt is refused whatever it presents.
    pub retry_after: Duration,
}

/// A login that goes on.
#[derive(Clone, Debug)]
pub struct Challenged {
    /// What to present with the proof; of one use.
    pub continuation: Secret,
    /// Until it ends.
    pub expires_in: Duration,
    /// What is asked for.
    pub challenge: Challenge,
    /// Whether a proof was given before and was wrong.
    pub refused_before: bool,
}

/// What a login asks for. Passkeys will be another of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A code of the authenticator app, or a recovery code.
    SecondFactor {
        /// How many recovery codes are left.
        recovery_codes_left: u32,
    },
    /// A password in place of one that somebody else set.
    NewPassword,
}

/// Which step of a login comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginStep {
    /// The second factor.
    SecondFactor,
    /// A new password.
    NewPassword,
}

/// A login that was asked for more, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// Its id.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Who would be logged in.
    pub identity: IdentityId,
    /// Of what must be presented.
    pub digest: [u8; 32],
    /// The password that was checked.
    pub password: CredentialId,
    /// The head, read before the password was looked at.
    pub issued: Revision,
    /// Who began it, and therefore goes on.
    pub actor: Box<str>,
    /// How it was proved so far who it is.
    pub proved: Methods,
    /// What is asked for.
    pub step: LoginStep,
    /// How many wrong proofs came before.
    pub refused: u32,
    /// What is wanted.
    pub mode: LoginMode,
    /// The device as the person would name it.
    pub device: Option<Label>,
    /// The client application.
    pub client: Option<ClientId>,
    /// The account, as attempts are counted for it.
    pub account: AttemptKey,
    /// The place, as attempts are counted for it.
    pub place: Option<AttemptKey>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was used.
    pub spent: bool,
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

/// A login on its way: what it rests on, and what it shall become.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) identity: Identity,
    pub(crate) password: StoredPassword,
    pub(crate) proved: Methods,
    pub(crate) opening: Opening,
    pub(crate) account: AttemptKey,
    pub(crate) place: Option<AttemptKey>,
    pub(crate) brought: Brought,
    /// When a login that is asked for more ends.
    pub(crate) ends_at: Timestamp,
}

/// What one snapshot says before the hash is computed.
struct Looked {
    issued: Revision,
    /// Of whom the name is, with or without a password.
    who: Option<IdentityId>,
    found: Option<(Identity, StoredPassword)>,
    /// Checked where nothing was found.
    decoy: String,
    known: Known,
    /// The tenant: in a suspended one a right password is worth as little as a wrong one, and takes as long.
    open: bool,
}

impl Authority {
    /// Begins to log in. `actor` is who asks: the HTTP edge, or the back end that logs its user in.
    pub async fn log_in(&self, actor: &Actor, attempt: LoginAttempt) -> Result<LoginOutcome, LoginError> {
        let actor = &actor.clone().at(attempt.from);
        let door = Door::new(&attempt.tenant, &attempt.name, attempt.from);
        let looked = self.look_up(&attempt, &door).await?;
        let slot = self.knock(&door, &looked.known).await?;
        let (whose, open) = (looked.who, looked.open);
        let refuse = |because| {
            // No row is of a tenant that is not there.
            if open || whose.is_some() {
                let denied = Denied { actor: actor.clone(), whose, action: "login.deny", because };
                self.note_denied(&attempt.tenant, denied);
            }
            Ok(LoginOutcome::Denied(Refusal { retry_after: slot.retry_after() }))
        };
        let found = looked.found.filter(|_| slot.is_taken());
        let phc = found.as_ref().map_or(looked.decoy, |(_, password)| password.phc.clone());
        let matches = self.verify_or_give_back(&slot, attempt.password.clone(), phc).await?;
        let (identity, password) = match found {
            Some(found) if matches && open && may_log_in(&found.0) => found,
            Some(_) if matches => return refuse(Because::NotAllowed),
            Some(_) => return refuse(Because::WrongPassword),
            None if !slot.is_taken() => return refuse(Because::TooEarly),
            None if whose.is_none() => return refuse(Because::NobodysName),
            None => return refuse(Because::NoPassword),
        };

        let mut tx = self.begin(actor).await?;
        let Some(identity) = still_good(tx.as_mut(), &identity, password.id).await? else {
            return refuse(Because::NotAllowed);
        };
        self.give_back(tx.as_mut(), &slot).await?;
        let Door { account, place, .. } = door;
        let LoginAttempt { device, client, mode, brought, password: shown, .. } = attempt;
        let opening = Opening { issued: looked.issued, device, client, mode, authentication: None };
        let (proved, ends_at) = (Method::Password.into(), self.now() + CONTINUATION_LIFE);
        let (id, stored) = (identity.id, password.clone());
        let progress = Progress { identity, password, proved, opening, account, place, brought, ends_at };
        let outcome = self.after_password(tx, actor, progress).await?;
        self.renew(&attempt.tenant, id, &stored, shown).await;
        Ok(outcome)
    }

    /// One evaluation. Where there was no room for it, nobody has guessed.
    pub(crate) async fn verify_or_give_back(
        &self,
        slot: &Slot,
        password: Secret,
        phc: String,
    ) -> Result<bool, LoginError> {
        match self.passwords().verify(slot.queue(), password, phc).await {
            Ok(matches) => Ok(matches),
            Err(error) => {
                self.give_back_unused(slot).await?;
                Err(error.into())
            }
        }
    }

    /// The password was right: asks for the second factor, where there is one.
    async fn after_password(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        progress: Progress,
    ) -> Result<LoginOutcome, StoreError> {
        let Identity { tenant, id, .. } = &progress.identity;
        let factor = tx.totp_factor(tenant, *id).await?.filter(|factor| factor.is_confirmed());
        if factor.is_none() {
            return self.after_second_factor(tx, actor, progress).await;
        }
        let recovery_codes_left = tx.recovery_codes_left(tenant, *id).await?;
        let challenge = Challenge::SecondFactor { recovery_codes_left };
        self.challenge(tx, actor, progress, challenge, 0).await
    }

    /// Who it is stands: asks for a new password, where somebody else set this one, or opens the session.
    async fn after_second_factor(
        &self,
        tx: Box<dyn WriteTx>,
        actor: &Actor,
        progress: Progress,
    ) -> Result<LoginOutcome, StoreError> {
        if progress.password.must_change {
            return self.challenge(tx, actor, progress, Challenge::NewPassword, 0).await;
        }
        self.finish(tx, actor, progress).await
    }

    async fn challenge(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        progress: Progress,
        challenge: Challenge,
        refused: u32,
    ) -> Result<LoginOutcome, StoreError> {
        let now = self.now();
        let id = CredentialId::new(self.ids());
        let token = OpaqueToken::generate(OpaqueKind::LoginContinuation, id, self.entropy());
        let Progress { identity, password, proved, opening, account, place, ends_at, .. } = progress;
        let row = Continuation {
            id,
            digest: token.digest(),
            password: password.id,
            issued: opening.issued,
            actor: actor.as_str().into(),
            proved,
            step: match challenge {
                Challenge::SecondFactor { .. } => LoginStep::SecondFactor,
                Challenge::NewPassword => LoginStep::NewPassword,
            },
            refused,
            mode: opening.mode,
            device: opening.device,
            client: opening.client,
            account,
            place,
            expires_at: ends_at,
            spent: false,
            tenant: identity.tenant,
            identity: identity.id,
        };
        tx.insert_continuation(&row, now).await?;
        tx.commit().await?;
        Ok(LoginOutcome::Challenged(Box::new(Challenged {
            continuation: token.reveal(),
            expires_in: ends_at.saturating_since(now),
            challenge,
            refused_before: refused > 0,
        })))
    }

    /// Opens the session, and ends the one whose cookie came with the login: what was in the browser before is worth
    /// nothing after.
    pub(crate) async fn finish(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        progress: Progress,
    ) -> Result<LoginOutcome, StoreError> {
        self.welcome_at(tx.as_mut(), &progress.account, progress.place.as_ref()).await?;
        let Progress { identity, password, account, brought, opening, .. } = &progress;
        let of = (identity, password.id);
        let device = self.remember_device(tx.as_mut(), account, of, brought, opening.mode).await?;
        let replaced = self.replaced(tx.as_mut(), progress.brought.replaces.as_ref()).await?;
        let authentication = Some(Authentication { methods: progress.proved, at: self.now() });
        let opening = Opening { authentication, ..progress.opening };
        let opened = self.open_session(tx.as_mut(), actor, progress.identity, opening).await?;
        let opened = NewSession { device, ..opened };
        match replaced {
            Some(target) => drop(tx.commit_with(Batch::kill(target, Reason::Logout), self.now()).await?),
            None => tx.commit().await?,
        }
        Ok(LoginOutcome::Granted(Box::new(opened)))
    }

    /// The session of a cookie that is good.
    async fn replaced(&self, view: &mut dyn ReadView, cookie: Option<&Secret>) -> Result<Option<Target>, StoreError> {
        let Some(cookie) = cookie else { return Ok(None) };
        let Ok(form) = self.read_own_bearer(cookie).await? else { return Ok(None) };
        let standing = self.bearer_standing(view, &form, None, self.now()).await?;
        let session = standing.ok().and_then(|standing| standing.into_rows().session);
        Ok(session.map(|session| Target::Session(session.tenant, session.id)))
    }

    /// Keeps the same password under today's parameters, when its hash was made with others. The login stands already:
    /// where there is no room to hash, or the store fails, the next one tries again.
    async fn renew(&self, tenant: &TenantId, identity: IdentityId, stored: &StoredPassword, shown: Secret) {
        if self.passwords().is_current(&stored.phc) {
            return;
        }
        let Ok(phc) = self.passwords().hash(shown).await else { return };
        let Ok(mut tx) = self.store().write().await else { return };
        let renewed = StoredPassword { phc, ..stored.clone() };
        if tx.rehash_password(tenant, identity, &renewed).await.is_ok() {
            let _left_as_it_was = tx.commit().await;
        }
    }

    /// The head, then who this would be: one snapshot, closed before the hash is computed.
    async fn look_up(&self, attempt: &LoginAttempt, door: &Door) -> Result<Looked, StoreError> {
        let mut view = self.store().read().await?;
        let issued = view.head().revision();
        let known = door.known(view.as_mut(), self.now()).await?;
        let decoy = self.decoy(view.as_mut(), &attempt.tenant, &door.account).await?;
        let tenant = view.tenant(&attempt.tenant).await?;
        let identity = view.identity(&attempt.tenant, &IdentityRef::Name(attempt.name.clone())).await?;
        let who = identity.as_ref().map(|identity| identity.id);
        // Looked for in any case, so that the time does not tell.
        let id = who.unwrap_or(IdentityId::from_bytes([0; 16]));
        let found = identity.zip(view.password(&attempt.tenant, id).await?);
        let bond = found.as_ref().map(|(identity, password)| Bond::new(identity, password.id, tenant.as_ref()));
        let shown = attempt.brought.device.as_ref();
        let device = known_device(view.as_mut(), &door.account, bond.as_ref(), shown, self.now()).await?;
        let (known, open) = (Known { device, ..known }, is_open(tenant.as_ref()));
        Ok(Looked { issued, who, found, decoy, known, open })
    }

    /// A hash of the tenant, always the same for one account; none of its passwords opens anything by it.
    pub(crate) async fn decoy(
        &self,
        view: &mut dyn ReadView,
        tenant: &TenantId,
        account: &AttemptKey,
    ) -> Result<String, StoreError> {
        let drawn = view.password_decoy(tenant, &self.kek().decoy_draw(account.as_bytes())).await?;
        let fit = drawn.filter(|drawn| self.passwords().check_foreign(drawn).is_ok());
        Ok(fit.unwrap_or_else(|| self.dummy_phc().to_owned()))
    }
}

pub(crate) fn may_log_in(identity: &Identity) -> bool {
    match identity.state {
        IdentityState::Active => true,
        IdentityState::Disabled | IdentityState::Deleted => false,
    }
}

pub(crate) fn is_open(tenant: Option<&Tenant>) -> bool {
    tenant.is_some_and(|tenant| tenant.state == TenantState::Active)
}

/// Whether what a session rests on beside its identity was ended since: its tenant's sessions, or its client's; all of
/// them, or those that began before a time.
pub(crate) async fn is_ended_above(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    client: Option<&ClientId>,
    (issued, began): (Revision, Timestamp),
) -> Result<bool, StoreError> {
    let by_tenant = view.tenant(tenant).await?.map_or((None, None), |row| (row.revoked_seq, row.ended_before));
    let by_client = match client {
        Some(client) => {
            (view.client_revoked_seq(tenant, client).await?, view.client_ended_before(tenant, client).await?)
        }
        None => (None, None),
    };
    let is_killed = by_tenant.0.max(by_client.0).is_some_and(|seq| issued.seq < seq);
    Ok(is_killed || by_tenant.1.max(by_client.1).is_some_and(|before| began < before))
}

/// When a login began that is asked for more: each step leaves its end where it was.
fn began(ends_at: Timestamp) -> Timestamp {
    ends_at.saturating_sub(CONTINUATION_LIFE)
}

/// The identity as it is now, if it may still log in by this password.
pub(crate) async fn still_good(
    view: &mut dyn ReadView,
    identity: &Identity,
    password: CredentialId,
) -> Result<Option<Identity>, StoreError> {
    let now = view.identity(&identity.tenant, &IdentityRef::Id(identity.id)).await?;
    let unchanged = view.password(&identity.tenant, identity.id).await?.is_some_and(|row| row.id == password);
    let open = is_open(view.tenant(&identity.tenant).await?.as_ref());
    Ok(now.filter(|identity| unchanged && open && may_log_in(identity)))
}
