//! The second factor: an authenticator app, and codes on paper for when it is lost.
//!
//! Guarantees: an app counts only once a code of it was shown; a code is taken once, and none of an earlier time after
//! it; a recovery code is taken once. The app's secret is shown once and kept encrypted; of recovery codes only digests
//! are kept.

use std::net::IpAddr;

use data_encoding::BASE32_NOPAD;
use portcullis_types::{CredentialId, IdentityId, Secret, TenantId, Timestamp};
use sha2::{Digest, Sha256};

use crate::asking::Begun;
use crate::audit::{About, Actor};
use crate::guard::{AttemptKey, Slot};
use crate::{Authority, BeginError, Identity, IdentityRef, Method, Refusal, StoreError, WriteTx, totp};

/// How many recovery codes there are at first.
pub const RECOVERY_CODES: usize = 10;
/// Ten bytes are sixteen characters, and far beyond guessing.
const RECOVERY_BYTES: usize = 10;

/// An authenticator app as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpFactor {
    /// Another one at each enrolment.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityId,
    /// The secret, encrypted and bound to the id.
    pub sealed_secret: Vec<u8>,
    /// The key-encryption key that opens it.
    pub kek_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it counts.
    pub confirmed_at: Option<Timestamp>,
    /// The newest time step whose code was taken.
    pub last_step: u64,
}

impl TotpFactor {
    /// Whether it counts.
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

/// A second factor as it is presented.
#[derive(Clone, Debug)]
pub enum FactorCode {
    /// A code of the authenticator app.
    Totp(Secret),
    /// A recovery code.
    Recovery(Secret),
}

impl FactorCode {
    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::Totp(_) => Method::Totp,
            Self::Recovery(_) => Method::RecoveryCode,
        }
    }
}

/// An app that is to be confirmed. Shown once.
#[derive(Clone, Debug)]
pub struct TotpEnrolment {
    /// The secret as people type it.
    pub secret: Secret,
    /// The same for a picture.
    pub uri: Secret,
}

/// How a code was received.
#[derive(Clone, Debug)]
pub enum TotpConfirmation {
    /// The app counts from now on. The recovery codes are shown once.
    Confirmed(Vec<Secret>),
    /// The same request made it count before, and showed the recovery codes then.
    ConfirmedBefore,
    /// The code is not of this app and this time, or came too early after others.
    Refused(Refusal),
}

/// What stands beside an identity's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactors {
    /// Since when an authenticator app counts.
    pub totp_since: Option<Timestamp>,
    /// Whether an app waits to be confirmed.
    pub totp_unconfirmed: bool,
    /// How many recovery codes are left.
    pub recovery_codes_left: u32,
}

/// Why second factors were not changed.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// There is no such identity.
    #[error("no such identity")]
    IdentityNotFound,
    /// An app counts already; it is removed first.
    #[error("the identity has an authenticator app already")]
    Exists,
    /// There is no app to confirm or to remove.
    #[error("the identity has no authenticator app that this could be about")]
    NotFound,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes an app's secret, which counts once it is confirmed; none where the same request did before, and showed it then.
    pub async fn enrol_totp(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Option<TotpEnrolment>, SecondFactorError> {
        let mut tx = match self.begin_named(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(_) => return Ok(None),
        };
        let identity = tx.identity(tenant, which).await?.ok_or(SecondFactorError::IdentityNotFound)?;
        let secret: [u8; totp::SECRET_BYTES] = self.entropy().array();
        let (secret, id) = (Secret::new(secret), CredentialId::new(self.ids()));
        let factor = TotpFactor {
            id,
            tenant: tenant.clone(),
            identity: identity.id,
            sealed_secret: self.kek().seal(&sealed_as(id), &secret, self.entropy()),
            kek_id: self.kek().id().to_owned(),
            created_at: self.now(),
            confirmed_at: None,
            last_step: 0,
        };
        if !tx.put_totp_factor(&factor).await? {
            return Err(SecondFactorError::Exists);
        }
        self.note_factor(&mut *tx, actor, &identity, "second_factor.enrol").await?;
        tx.commit(identity.id.to_string(), self.now()).await?;
        let uri = totp::uri_of(&secret, &self.settings().display_name, identity.name.as_str());
        Ok(Some(TotpEnrolment { secret: totp::text_of(&secret), uri }))
    }

    /// Makes an app count, by a code of it.
    pub async fn confirm_totp(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        code: &Secret,
    ) -> Result<TotpConfirmation, SecondFactorError> {
        if self.answer_before(actor, tenant).await?.is_some() {
            return Ok(TotpConfirmation::ConfirmedBefore);
        }
        let identity = self.identity(tenant, which).await?.ok_or(SecondFactorError::IdentityNotFound)?;
        let slot = self.knock_at([AttemptKey::second_factor(tenant, identity.id)]).await?;
        let refused = Ok(TotpConfirmation::Refused(Refusal { retry_after: slot.retry_after() }));
        if matches!(slot, Slot::Delayed { .. }) {
            return refused;
        }
        let mut tx = match self.begin_named(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(_) => return Ok(TotpConfirmation::ConfirmedBefore),
        };
        let now = self.now();
        let factor = tx.totp_factor(tenant, identity.id).await?.filter(|factor| !factor.is_confirmed());
        let factor = factor.ok_or(SecondFactorError::NotFound)?;
        let Some(step) = totp::step_of(&self.secret_of(&factor)?, code, now) else { return refused };
        if !tx.confirm_totp_factor(&factor, step, now).await? {
            return refused;
        }
        let codes = self.draw_recovery_codes(&mut *tx, &identity).await?;
        self.give_back(&mut *tx, &slot).await?;
        self.note_factor(&mut *tx, actor, &identity, "second_factor.confirm").await?;
        tx.commit(identity.id.to_string(), now).await?;
        Ok(TotpConfirmation::Confirmed(codes))
    }

    /// Takes the app and all recovery codes away: the password alone logs in again.
    pub async fn remove_second_factor(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<(), SecondFactorError> {
        let mut tx = match self.begin_named(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(_) => return Ok(()),
        };
        let identity = tx.identity(tenant, which).await?.ok_or(SecondFactorError::IdentityNotFound)?;
        if !tx.remove_second_factor(tenant, identity.id).await? {
            return Err(SecondFactorError::NotFound);
        }
        self.note_factor(&mut *tx, actor, &identity, "second_factor.remove").await?;
        Ok(tx.commit(identity.id.to_string(), self.now()).await?)
    }

    /// New recovery codes in place of those before. Shown once: none where the same request was answered before.
    pub async fn renew_recovery_codes(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Option<Vec<Secret>>, SecondFactorError> {
        let mut tx = match self.begin_named(actor, tenant).await? {
            Begun::New(change) => change,
            Begun::Before(_) => return Ok(None),
        };
        let identity = tx.identity(tenant, which).await?.ok_or(SecondFactorError::IdentityNotFound)?;
        let factor = tx.totp_factor(tenant, identity.id).await?.filter(TotpFactor::is_confirmed);
        factor.ok_or(SecondFactorError::NotFound)?;
        let codes = self.draw_recovery_codes(&mut *tx, &identity).await?;
        self.note_factor(&mut *tx, actor, &identity, "second_factor.recovery_codes").await?;
        tx.commit(identity.id.to_string(), self.now()).await?;
        Ok(Some(codes))
    }

    /// What an identity has.
    pub async fn second_factors(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
    ) -> Result<Option<SecondFactors>, StoreError> {
        let mut view = self.store().read().await?;
        let Some(identity) = view.identity(tenant, which).await? else { return Ok(None) };
        let factor = view.totp_factor(tenant, identity.id).await?;
        Ok(Some(SecondFactors {
            totp_since: factor.as_ref().and_then(|factor| factor.confirmed_at),
            totp_unconfirmed: factor.is_some_and(|factor| !factor.is_confirmed()),
            recovery_codes_left: view.recovery_codes_left(tenant, identity.id).await?,
        }))
    }

    /// Uses a code if it is one.
    pub(crate) async fn use_factor(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: &Identity,
        code: &FactorCode,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match code {
            FactorCode::Totp(code) => self.use_totp_code(tx, identity, code, now).await,
            FactorCode::Recovery(code) => self.use_recovery_code(tx, identity, code, actor.address(), now).await,
        }
    }

    /// Uses a code of the identity's app: of a time step near now, and after the newest that was used.
    async fn use_totp_code(
        &self,
        tx: &mut dyn WriteTx,
        identity: &Identity,
        code: &Secret,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let factor = tx.totp_factor(&identity.tenant, identity.id).await?.filter(TotpFactor::is_confirmed);
        let Some(factor) = factor else { return Ok(false) };
        match totp::step_of(&self.secret_of(&factor)?, code, now) {
            Some(step) => tx.use_totp_step(&factor, step).await,
            None => Ok(false),
        }
    }

    /// Uses a recovery code of the identity.
    async fn use_recovery_code(
        &self,
        tx: &mut dyn WriteTx,
        identity: &Identity,
        code: &Secret,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let digest = recovery_digest(identity.id, code);
        let used = tx.use_recovery_code(&identity.tenant, identity.id, &digest, now).await?;
        if used {
            let actor = Actor::identity(&identity.tenant, identity.id).at(address);
            self.note_factor(tx, &actor, identity, "second_factor.recovery_code_used").await?;
        }
        Ok(used)
    }

    fn secret_of(&self, factor: &TotpFactor) -> Result<Secret, StoreError> {
        let corrupt = StoreError::Corrupt { what: "an authenticator app's secret that does not open" };
        let Ok(kek) = self.keks().named(&factor.kek_id) else { return Err(corrupt) };
        kek.open(&sealed_as(factor.id), &factor.sealed_secret).map_err(|_| corrupt)
    }

    pub(crate) async fn draw_recovery_codes(
        &self,
        tx: &mut dyn WriteTx,
        identity: &Identity,
    ) -> Result<Vec<Secret>, StoreError> {
        let codes: Vec<Secret> = (0..RECOVERY_CODES).map(|_| grouped(self.entropy().array())).collect();
        let digests: Vec<_> = codes.iter().map(|code| recovery_digest(identity.id, code)).collect();
        tx.put_recovery_codes(&identity.tenant, identity.id, &digests).await?;
        Ok(codes)
    }

    pub(crate) async fn note_factor(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: &Identity,
        action: &'static str,
    ) -> Result<(), StoreError> {
        tx.insert_audit(&self.audit(actor, &identity.tenant, action, About::Identity(identity.id))).await
    }
}

/// Another name than any signing key's, so that the one never opens as the other.
pub(crate) fn sealed_as(id: CredentialId) -> Vec<u8> {
    [b"totp".as_slice(), id.as_bytes()].concat()
}

/// Four groups of four characters.
fn grouped(bytes: [u8; RECOVERY_BYTES]) -> Secret {
    let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
    let groups: Vec<&str> = [0, 4, 8, 12].into_iter().filter_map(|from| text.get(from..from + 4)).collect();
    Secret::from(groups.join("-"))
}

/// Of the code as it is written, without hyphens and spaces and in any case. It has 80 random bits, so a fast digest is
/// enough.
fn recovery_digest(identity: IdentityId, code: &Secret) -> [u8; 32] {
    let plain: Vec<u8> = code.expose_bytes().iter().filter(|byte| byte.is_ascii_alphanumeric()).copied().collect();
    let plain = Secret::new(plain.to_ascii_uppercase());
    Sha256::new_with_prefix("recovery code")
        .chain_update(identity.as_bytes())
        .chain_update(plain.expose_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_read_as_people_write_it() {
        let code = grouped([0xff; RECOVERY_BYTES]);
        assert_eq!(code.expose_str(), Some("7777-7777-7777-7777"));
        let id = IdentityId::from_bytes([1; 16]);
        let digest = |text: &str| recovery_digest(id, &Secret::from(text));
        for same in ["abcd-efgh-ijkl-mnop", "ABCDEFGHIJKLMNOP", " abcd efgh ijkl mnop "] {
            assert_eq!(digest(same), digest("abcd-efgh-ijkl-mnop"), "{same}");
        }
        assert_ne!(digest("abcd-efgh-ijkl-mnoq"), digest("abcd-efgh-ijkl-mnop"));
        let other = recovery_digest(IdentityId::from_bytes([2; 16]), &Secret::from("abcd-efgh-ijkl-mnop"));
        assert_ne!(other, digest("abcd-efgh-ijkl-mnop"));
    }
}
