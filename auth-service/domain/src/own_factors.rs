//! What the owner of a second factor does about it: taking it away, and new recovery codes.
//!
//! Guarantees: a session and the password are not enough, or the second factor would protect nothing from whoever has
//! both; a code of the app or a recovery code is shown too, and used. Guesses at either are counted as those at a login
//! are.
//! Refuses: to know an app that was never confirmed. It asks for nothing, and the next one takes its place.

use std::net::IpAddr;

use portcullis_types::{Secret, TenantId};

use crate::audit::Actor;
use crate::guard::Slot;
use crate::second_factors::{FactorCode, TotpFactor};
use crate::{Authority, ChangePasswordError, Identity, IdentityRef, Refusal, SecondFactorError, StoreError, WriteTx};

/// What is shown for it.
#[derive(Clone, Debug)]
pub struct OwnProof {
    /// The password.
    pub password: Secret,
    /// The second factor itself.
    pub code: FactorCode,
    /// From where it comes.
    pub from: Option<IpAddr>,
    /// What an earlier login gave to know the device by.
    pub device: Option<Secret>,
}

/// Why an owner's second factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OwnFactorError {
    /// The password was not checked.
    #[error(transparent)]
    Password(#[from] ChangePasswordError),
    /// The second factor was not changed.
    #[error(transparent)]
    Factor(#[from] SecondFactorError),
}

impl From<StoreError> for OwnFactorError {
    fn from(error: StoreError) -> Self {
        Self::Factor(error.into())
    }
}

/// A proof that was good, with what it is good for.
struct Proved {
    tx: Box<dyn WriteTx>,
    identity: Identity,
}

impl Authority {
    /// Takes the app and all recovery codes away: the password alone logs in again.
    pub async fn remove_own_second_factor(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        proof: OwnProof,
    ) -> Result<Result<(), Refusal>, OwnFactorError> {
        let Proved { mut tx, identity } = match self.prove_own(actor, tenant, which, proof).await? {
            Ok(proved) => proved,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !tx.remove_second_factor(tenant, identity.id).await? {
            return Err(SecondFactorError::NotFound.into());
        }
        self.note_factor(tx.as_mut(), actor, &identity, "second_factor.remove").await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// New recovery codes in place of those before. Shown once.
    pub async fn renew_own_recovery_codes(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        proof: OwnProof,
    ) -> Result<Result<Vec<Secret>, Refusal>, OwnFactorError> {
        let Proved { mut tx, identity } = match self.prove_own(actor, tenant, which, proof).await? {
            Ok(proved) => proved,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let codes = self.draw_recovery_codes(tx.as_mut(), &identity).await?;
        self.note_factor(tx.as_mut(), actor, &identity, "second_factor.recovery_codes").await?;
        tx.commit().await?;
        Ok(Ok(codes))
    }

    /// The password first, as at a login; then the code, used in the transaction that goes on.
    async fn prove_own(
        &self,
        actor: &Actor,
        tenant: &TenantId,
        which: &IdentityRef,
        proof: OwnProof,
    ) -> Result<Result<Proved, Refusal>, OwnFactorError> {
        let OwnProof { password, code, from, device } = proof;
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(SecondFactorError::IdentityNotFound)?;
        let factor = view.totp_factor(tenant, identity.id).await?.filter(TotpFactor::is_confirmed);
        drop(view);
        let known = match self.know_own(&identity, password, from, device.as_ref()).await? {
            Ok(known) => known,
            Err(refusal) => return Ok(Err(refusal)),
        };
        factor.ok_or(SecondFactorError::NotFound)?;
        let slot = self.knock_at(known.second_factor(tenant, identity.id)).await?;
        let refused = Ok(Err(Refusal { retry_after: slot.retry_after() }));
        if matches!(slot, Slot::Delayed { .. }) {
            return refused;
        }
        let mut tx = self.begin(actor).await.map_err(SecondFactorError::from)?;
        if !self.use_factor(tx.as_mut(), actor, &identity, &code, self.now()).await? {
            return refused;
        }
        self.give_back(tx.as_mut(), &slot).await?;
        Ok(Ok(Proved { tx, identity }))
    }
}
