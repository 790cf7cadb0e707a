//! The authority: what every rule needs, in one place.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Boottime, Clock, Entropy, LeaseTerms, Secret, SigningKeyId, TenantId, Timestamp, UuidSource};

use crate::audit::{About, Actor, AuditEntry, AuditOutcome, Detail};
use crate::denied_logins::DeniedLogins;
use crate::key_uses::KeyUses;
use crate::keyring::{self, Keyring};
use crate::passwords::{HashError, PasswordHasher};
use crate::{
    Audience, CookieRules, EventQuota, GuardRules, IssuerKeys, KekMissing, KeyEncryptionKey, KeyEncryptionKeys,
    KeySettings, PasswordPolicy, SignatureKeyRules, Store, StoreError, TicketRules,
};

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `iss` of access tokens.
    pub issuer: String,
    /// The default audience: `aud` of access tokens, and what a route without a name of its own asks for.
    pub audience: Audience,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// How long a refresh token lives, unless its session ends before.
    pub refresh_ttl: Duration,
    /// How long a session lives.
    pub session_ttl: Duration,
    /// How long a ticket lives, unless its parent ends before.
    pub ticket_ttl: Duration,
    /// How many tickets there may be at once.
    pub ticket_rules: TicketRules,
    /// For how long a verdict may be reused.
    pub cache_ttl: Duration,
    /// For how long a spent refresh token still names its successor.
    pub refresh_grace: Duration,
    /// Whether an external issuer may be spoken to in the clear on this machine: for tests.
    pub allow_loopback_issuers: bool,
    /// How signing keys come and go.
    pub keys: KeySettings,
    /// How long the leases of gateways are, and B: how long after a revocation a frame may still pass, whatever fails.
    pub leases: LeaseTerms,
    /// What new passwords must be.
    pub password_policy: PasswordPolicy,
    /// What slows those who guess.
    pub guard: GuardRules,
    /// How long session cookies live, and when they are exchanged.
    pub cookies: CookieRules,
    /// What authenticator apps show beside an account.
    pub display_name: String,
    /// How many public signature keys there may be.
    pub signature_keys: SignatureKeyRules,
    /// How many events the services of a tenant may write in a minute.
    pub events_per_minute: u32,
}

/// What an authority is made of.
#[derive(Debug)]
pub struct Parts {
    /// Rows and log.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Where passwords are hashed.
    pub passwords: Arc<dyn PasswordHasher>,
    /// Where the keys of external issuers come from.
    pub issuer_keys: Arc<dyn IssuerKeys>,
    /// What protects private keys at rest.
    pub keks: KeyEncryptionKeys,
    /// What an operator decided.
    pub settings: Settings,
}

/// Why an authority did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signing key is encrypted under a key-encryption key that was not given.
    #[error("the signing key cannot be decrypted: {0}")]
    Kek(#[from] KekMissing),
    /// The signing key does not decrypt.
    #[error("signing key {0} does not decrypt: its row was changed")]
    KeyDamaged(SigningKeyId),
    /// No password can be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Issues, judges and revokes.
#[derive(Debug)]
pub struct Authority {
    parts: Parts,
    keyring: Keyring,
    key_uses: KeyUses,
    quota: Arc<EventQuota>,
    denied_logins: DeniedLogins,
    dummy_phc: String,
    /// Both clocks when it was opened.
    opened: (Timestamp, Boottime),
}

impl Authority {
    /// Loads or makes the signing key. Makes no tenant: that is [`Authority::bootstrap`].
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        let keyring = {
            let Parts { store, keks, settings, clock, entropy, .. } = &parts;
            Keyring::open(&**store, keks, &settings.keys, &**clock, &**entropy).await?
        };
        // Checked against when there is no password, so that an unknown name costs what a known one costs.
        let nobody: [u8; 32] = parts.entropy.array();
        let dummy_phc = parts.passwords.hash(Secret::new(nobody)).await?;
        let quota = Arc::new(EventQuota::new(parts.settings.events_per_minute));
        let opened = (parts.clock.now(), parts.clock.boottime());
        let (key_uses, denied_logins) = (KeyUses::default(), DeniedLogins::default());
        Ok(Self { parts, keyring, key_uses, quota, denied_logins, dummy_phc, opened })
    }

    /// Rows and log.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// The public keys whose signatures are good, as a JSON Web Key Set.
    pub async fn jwks(&self) -> Result<serde_json::Value, StoreError> {
        keyring::jwks(&**self.store(), &self.key_plan(), self.now()).await
    }

    /// B: how long after a revocation a frame may still pass, whatever fails.
    pub fn bound(&self) -> Duration {
        self.parts.settings.leases.bound()
    }

    /// What an operator decided.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// What the clocks said when it was opened.
    pub(crate) const fn opened_at(&self) -> (Timestamp, Boottime) {
        self.opened
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.parts.entropy
    }

    pub(crate) fn ids(&self) -> UuidSource<'_> {
        UuidSource::new(&*self.parts.clock, &*self.parts.entropy)
    }

    pub(crate) fn passwords(&self) -> &dyn PasswordHasher {
        &*self.parts.passwords
    }

    pub(crate) fn issuer_keys(&self) -> &dyn IssuerKeys {
        &*self.parts.issuer_keys
    }

    pub(crate) fn dummy_phc(&self) -> &str {
        &self.dummy_phc
    }

    pub(crate) fn key_uses(&self) -> &KeyUses {
        &self.key_uses
    }

    pub(crate) fn quota(&self) -> &Arc<EventQuota> {
        &self.quota
    }

    pub(crate) fn denied_logins(&self) -> &DeniedLogins {
        &self.denied_logins
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What encrypts and derives from now on.
    pub(crate) fn kek(&self) -> &KeyEncryptionKey {
        self.parts.keks.current()
    }

    /// What decrypts.
    pub(crate) fn keks(&self) -> &KeyEncryptionKeys {
        &self.parts.keks
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    pub(crate) fn audit(&self, actor: &Actor, tenant: &TenantId, action: &'static str, about: About) -> AuditEntry {
        let request = actor.asked().map(|asked| asked.id.clone());
        AuditEntry {
            at: self.now(),
            tenant: tenant.clone(),
            actor: actor.clone(),
            action,
            about,
            outcome: AuditOutcome::Done,
            reason: None,
            detail: Detail::default(),
            request,
        }
    }
}
