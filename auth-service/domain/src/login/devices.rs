//! Devices that an account was logged into on: a way in for whoever comes from changing addresses.
//!
//! Guarantees: a device is known by a random value that the authority drew at a completed login, and of which it keeps a
//! digest. The digest is of the account too, of its password, and of what ended its sessions last: so a new password,
//! "log out everywhere" and the end of everything in the tenant make each of its devices unknown, with no row to delete.
//! A value proves nothing and opens nothing; it is good for one account, and says nothing about it. One that is forged, of
//! another account, or too old is as good as none. Whoever steals one has the guesses of that one device at that one
//! account, beside those that everybody has. It stays the same from login to login: an exchange would leave whoever lost
//! an answer without, and a thief who is as far as the browser's memory takes the next one too.
//! Refuses to take a value that the client chose, which somebody may have planted: what is not known is replaced by one
//! that is drawn.

use std::time::Duration;

use portcullis_types::{CredentialId, IdentityId, OpaqueKind, OpaqueToken, Secret, Timestamp};

use super::LoginMode;
use crate::guard::{AttemptKey, PLACE_KNOWN, is_known_place};
use crate::{Authority, Identity, ReadView, StoreError, Tenant, WriteTx};

/// What came with a step of a login, beside what it says.
#[derive(Clone, Debug, Default)]
pub struct Brought {
    /// The session cookie: its session ends when the login succeeds.
    pub replaces: Option<Secret>,
    /// What an earlier login gave to remember this device by.
    pub device: Option<Secret>,
    /// Whether a new value is wanted where there is none, or none that is good. A cookie implies it.
    pub remember: bool,
}

/// What a device is known by from now on.
#[derive(Clone, Debug)]
pub struct KnownDevice {
    /// To be shown at the next login.
    pub value: Secret,
    /// Until it is forgotten, unless it is used.
    pub expires_in: Duration,
}

/// What a device's value is bound to, beside the account's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bond {
    identity: IdentityId,
    password: CredentialId,
    /// What ended the sessions of the identity, or of all its tenant, last.
    ended: Option<u64>,
}

impl Bond {
    pub(crate) fn new(identity: &Identity, password: CredentialId, tenant: Option<&Tenant>) -> Self {
        let tenant_ended = tenant.and_then(|tenant| tenant.revoked_seq);
        Self { identity: identity.id, password, ended: identity.revoked_seq.max(tenant_ended) }
    }

    fn key(&self, account: &AttemptKey, token: &OpaqueToken) -> AttemptKey {
        let ended = self.ended.map_or([0; 9], |seq| {
            let mut bytes = [1; 9];
            bytes[1..].copy_from_slice(&seq.to_be_bytes());
            bytes
        });
        AttemptKey::device(account, &[self.identity.as_bytes(), self.password.as_bytes(), &ended, &token.digest()])
    }
}

fn read(shown: Option<&Secret>) -> Option<OpaqueToken> {
    let token = OpaqueToken::parse(shown?.expose_str()?).ok()?;
    (token.kind == OpaqueKind::Device).then_some(token)
}

/// The device that is shown, if this account was logged into on it. Where nobody has the name, it is looked for all the
/// same, so that the time does not tell.
pub(crate) async fn known_device(
    view: &mut dyn ReadView,
    account: &AttemptKey,
    bond: Option<&Bond>,
    shown: Option<&Secret>,
    now: Timestamp,
) -> Result<Option<AttemptKey>, StoreError> {
    let Some(token) = read(shown) else { return Ok(None) };
    let nobody = Bond { identity: IdentityId::from_bytes([0; 16]), password: token.id, ended: None };
    let device = bond.unwrap_or(&nobody).key(account, &token);
    let known = is_known_place(view, &account.devices(), &device, now).await?;
    Ok((known && bond.is_some()).then_some(device))
}

impl Authority {
    /// Remembers the device on which a session is opened, if it may be.
    pub(crate) async fn remember_device(
        &self,
        tx: &mut dyn WriteTx,
        account: &AttemptKey,
        (identity, password): (&Identity, CredentialId),
        brought: &Brought,
        mode: LoginMode,
    ) -> Result<Option<KnownDevice>, StoreError> {
        let tenant = tx.tenant(&identity.tenant).await?;
        let bond = Bond::new(identity, password, tenant.as_ref());
        let devices = account.devices();
        let mut known = None;
        if let Some(token) = read(brought.device.as_ref())
            && is_known_place(tx, &devices, &bond.key(account, &token), self.now()).await?
        {
            known = Some(token);
        }
        // A browser has somewhere to keep it.
        let may_remember = brought.remember || mode == LoginMode::Cookie;
        let token = match known {
            Some(token) => token,
            None if !may_remember => return Ok(None),
            None => OpaqueToken::generate(OpaqueKind::Device, CredentialId::new(self.ids()), self.entropy()),
        };
        self.welcome_at(tx, &devices, Some(&bond.key(account, &token))).await?;
        Ok(Some(KnownDevice { value: token.reveal(), expires_in: PLACE_KNOWN }))
    }
}
