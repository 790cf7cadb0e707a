//! Going on with a login that was asked for more.
//!
//! Guarantees: a continuation is of one use, right or wrong; a wrong proof is answered with another one, at most
//! [`MOST_PROOFS`] times, and however many logins are begun, proofs of one account are counted and delayed together:
//! but those from a known place alone, so that whoever else has the password does not lock its owner out. It goes on
//! only for whoever began it, and only while the password that was checked is still the one and nobody has ended the
//! sessions of the identity, its tenant or the client application since the login began.

use portcullis_types::{IdentityId, OpaqueKind, OpaqueToken, Revision, Secret, Timestamp};
use subtle::ConstantTimeEq as _;

use super::devices::{Bond, known_device};
use super::{
    Brought, Challenge, Continuation, LoginError, LoginOutcome, LoginStep, Progress, Refusal, began, is_ended_above,
    still_good,
};
use crate::asking::Change;
use crate::audit::{Actor, Detail};
use crate::denied_logins::{Because, Denied};
use crate::guard::{AttemptKey, Known, Slot, known_place};
use crate::passwords::{HashError, InvalidPassword, StoredPassword};
use crate::second_factors::FactorCode;
use crate::tokens::Opening;
use crate::{Authority, BeginError, Identity, IdentityRef, ReadView, StoreError, WriteTx};

/// How many proofs one login may try.
const MOST_PROOFS: u32 = 5;

/// What answers a challenge.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A code of the authenticator app.
    TotpCode(Secret),
    /// A recovery code.
    RecoveryCode(Secret),
    /// The new password.
    NewPassword(Secret),
}

/// Why a login did not go on, though it may with another proof.
#[derive(Debug, thiserror::Error)]
pub enum ContinueError {
    /// The challenge asks for another kind of proof.
    #[error("this login asks for another kind of proof")]
    OtherProofWanted,
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// There is no outcome.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<HashError> for ContinueError {
    fn from(error: HashError) -> Self {
        Self::Login(error.into())
    }
}

impl From<BeginError> for ContinueError {
    fn from(error: BeginError) -> Self {
        Self::Login(error.into())
    }
}

impl From<StoreError> for ContinueError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

/// A continuation that is good, and what it rests on.
struct Resumed {
    row: Continuation,
    identity: Identity,
    password: StoredPassword,
}

impl Resumed {
    fn progress(self, brought: Brought) -> Progress {
        let Self { row, identity, password } = self;
        let Continuation { issued, device, client, mode, proved, account, place, expires_at: ends_at, .. } = row;
        let opening = Opening { issued, device, client, mode, authentication: None };
        Progress { identity, password, proved, opening, account, place, brought, ends_at }
    }
}

impl Authority {
    /// Goes on with a login. `brought` is what came with this step.
    pub async fn continue_login(
        &self,
        actor: &Actor,
        continuation: &Secret,
        proof: Proof,
        brought: Brought,
    ) -> Result<LoginOutcome, ContinueError> {
        let denied = Ok(LoginOutcome::Denied(Refusal::default()));
        let Some(token) = continuation.expose_str().and_then(|text| OpaqueToken::parse(text).ok()) else {
            return denied;
        };
        let mut view = self.store().read().await?;
        let resumed = resume(view.as_mut(), &token, actor, self.now()).await?;
        drop(view);
        let Some(resumed) = resumed else { return denied };
        match (resumed.row.step, proof) {
            (LoginStep::SecondFactor, Proof::TotpCode(code)) => {
                Ok(self.prove(actor, &token, resumed, FactorCode::Totp(code), brought).await?)
            }
            (LoginStep::SecondFactor, Proof::RecoveryCode(code)) => {
                Ok(self.prove(actor, &token, resumed, FactorCode::Recovery(code), brought).await?)
            }
            (LoginStep::NewPassword, Proof::NewPassword(password)) => {
                self.take_new_password(actor, &token, resumed, password, brought).await
            }
            (LoginStep::SecondFactor, Proof::NewPassword(_))
            | (LoginStep::NewPassword, Proof::TotpCode(_) | Proof::RecoveryCode(_)) => {
                Err(ContinueError::OtherProofWanted)
            }
        }
    }

    async fn prove(
        &self,
        actor: &Actor,
        token: &OpaqueToken,
        resumed: Resumed,
        shown: FactorCode,
        brought: Brought,
    ) -> Result<LoginOutcome, LoginError> {
        let slot = self.knock_at(self.proofs_of(&resumed, &brought).await?).await?;
        let denied = LoginOutcome::Denied(Refusal { retry_after: slot.retry_after() });
        // Too early: the continuation is as good as before.
        if matches!(slot, Slot::Delayed { .. }) {
            let Identity { tenant, id, .. } = &resumed.identity;
            self.note_denied(tenant, refused_login(actor, *id, Because::TooEarly));
            return Ok(denied);
        }
        let mut tx = self.begin(actor).await?;
        let now = self.now();
        let Some(resumed) = resume(tx.as_mut(), token, actor, now).await? else { return Ok(denied) };
        if !tx.spend_continuation(token.id, now).await? {
            return Ok(denied);
        }
        if self.use_factor(tx.as_mut(), actor, &resumed.identity, &shown, now).await? {
            self.give_back(tx.as_mut(), &slot).await?;
            let mut progress = resumed.progress(brought);
            progress.proved = progress.proved.and(shown.method());
            return Ok(self.after_second_factor(tx, actor, progress).await?);
        }
        let Identity { tenant, id, .. } = &resumed.identity;
        // Whoever comes here has the password, so this row is no news to them, and the guard bounds how many there are.
        let entry = self.denied_entry(tenant, refused_login(actor, *id, Because::WrongSecondFactor));
        tx.insert_audit(&entry.telling(Detail::default().and("method", shown.method().name()))).await?;
        let refused = resumed.row.refused + 1;
        if refused >= MOST_PROOFS || !slot.retry_after().is_zero() {
            tx.commit().await?;
            return Ok(denied);
        }
        let recovery_codes_left = tx.recovery_codes_left(tenant, *id).await?;
        let challenge = Challenge::SecondFactor { recovery_codes_left };
        Ok(self.challenge(tx, actor, resumed.progress(Brought::default()), challenge, refused).await?)
    }

    /// What the proofs of a login are counted for: the identity on a known device, and at the place where it began, if
    /// that is known.
    async fn proofs_of(&self, resumed: &Resumed, brought: &Brought) -> Result<Vec<AttemptKey>, StoreError> {
        let Resumed { row, identity, password } = resumed;
        let (mut view, now) = (self.store().read().await?, self.now());
        let tenant = view.tenant(&identity.tenant).await?;
        let bond = Bond::new(identity, password.id, tenant.as_ref());
        let shown = brought.device.as_ref();
        let device = known_device(view.as_mut(), &row.account, Some(&bond), shown, now).await?;
        let place = known_place(view.as_mut(), &row.account, row.place.as_ref(), now).await?;
        Ok(Known { place, device }.second_factor(&identity.tenant, identity.id))
    }

    async fn take_new_password(
        &self,
        actor: &Actor,
        token: &OpaqueToken,
        resumed: Resumed,
        password: Secret,
        brought: Brought,
    ) -> Result<LoginOutcome, ContinueError> {
        self.check_password(&password, &resumed.identity.name)?;
        // Counted, so that one continuation does not buy hashes without end.
        let slot = self.knock_at([AttemptKey::continuation(token.id)]).await?;
        if let Slot::Delayed { retry_after } = slot {
            return Ok(LoginOutcome::Denied(Refusal { retry_after }));
        }
        if self.verify_or_give_back(&slot, password.clone(), resumed.password.phc.clone()).await? {
            return Err(InvalidPassword::Unchanged.into());
        }
        let password = self.new_password(password).await?;
        let mut tx = self.begin_urgently(actor).await?;
        let now = self.now();
        let denied = Ok(LoginOutcome::Denied(Refusal::default()));
        tx.hold_identity(&resumed.identity.tenant, resumed.identity.id).await?;
        let Some(resumed) = resume(tx.as_mut(), token, actor, now).await? else { return denied };
        if !tx.spend_continuation(token.id, now).await? {
            return denied;
        }
        let committed = self.replace_password(Change::unnamed(tx), actor, &resumed.identity, &password).await?;
        let mut progress = resumed.progress(brought);
        progress.password = password;
        let tx = self.begin(actor).await?;
        Ok(self.reopen(tx, actor, progress, committed.revision).await?)
    }

    /// Opens the session of a login whose password was replaced a moment ago. From then on it counts as begun, or what
    /// replaced the password would have ended it; but what was ended while it was under way is asked for once more.
    async fn reopen(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        mut progress: Progress,
        replaced_at: Revision,
    ) -> Result<LoginOutcome, StoreError> {
        let denied = Ok(LoginOutcome::Denied(Refusal::default()));
        let Opening { issued, client, .. } = &progress.opening;
        let since = (*issued, began(progress.ends_at));
        if is_ended_above(tx.as_mut(), &progress.identity.tenant, client.as_ref(), since).await? {
            return denied;
        }
        progress.opening.issued = replaced_at;
        match still_good(tx.as_mut(), &progress.identity, progress.password.id).await? {
            Some(identity) => self.finish(tx, actor, Progress { identity, ..progress }).await,
            None => denied,
        }
    }
}

fn refused_login(actor: &Actor, whose: IdentityId, because: Because) -> Denied {
    Denied { actor: actor.clone(), whose: Some(whose), action: "login.deny", because }
}

/// The continuation that this token names, if it is good now and was begun by whoever goes on, with any of its keys.
async fn resume(
    view: &mut dyn ReadView,
    token: &OpaqueToken,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<Resumed>, StoreError> {
    let Some(row) = view.continuation(token.id).await? else { return Ok(None) };
    let ours = token.kind == OpaqueKind::LoginContinuation && bool::from(row.digest.ct_eq(&token.digest()));
    if !ours || row.spent || now >= row.expires_at || !actor.is(&row.actor) {
        return Ok(None);
    }
    let identity = view.identity(&row.tenant, &IdentityRef::Id(row.identity)).await?;
    let identity = identity.ok_or(StoreError::Corrupt { what: "a continuation without its identity" })?;
    let is_ended = identity.revoked_seq.is_some_and(|seq| row.issued.seq < seq);
    let since = (row.issued, began(row.expires_at));
    if is_ended || is_ended_above(view, &row.tenant, row.client.as_ref(), since).await? {
        return Ok(None);
    }
    let Some(password) = view.password(&row.tenant, row.identity).await? else { return Ok(None) };
    Ok(still_good(view, &identity, row.password).await?.map(|identity| Resumed { row, identity, password }))
}
