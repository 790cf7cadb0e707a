//! A small world: tenant `acme` with `alice`, who has a password and the role `speaker`.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Action, Actor, Algorithm, Allowed, ApiKey, Audience, Authority, Batch, Brought, Caller, Committed, CookieRules,
    DenyReason, FirstPassword, Grant, GuardRules, Identity, IdentityKind, IdentityRef, IssuedApiKey, Judgement,
    KeyEncryptionKey, KeyEncryptionKeys, KeySettings, LoginAttempt, LoginMode, LoginOutcome, NewApiKey, NewIdentity,
    NewSession, NewTicket, Origin, Page, Paged, Parts, PasswordPolicy, Pattern, PresentationContext, Presented, Reason,
    RevokeRequest, RevokeTarget, Role, Scopes, ServiceToken, SessionCredentials, Settings, SignatureKeyRules,
    SigningKey, Store, Target, TicketAsker, TicketOutcome, TicketRules, TokenPair, Verdict,
};
use portcullis_types::{
    ClientId, IdentityName, LeaseLengths, LeaseTerms, ManualClock, RedemptionId, RoleName, Secret, SeededEntropy,
    TenantId, Timestamp,
};

use super::data::Data;
use super::issuers::PublishedSet;
use super::passwords::CountingHasher;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct World {
    pub(crate) data: Box<dyn Data>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) hasher: Arc<CountingHasher>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) admin: Caller,
    pub(crate) alice: Identity,
}

pub(crate) fn tenant() -> TenantId {
    TenantId::try_from("acme").expect("a valid name")
}

pub(crate) fn named(name: &str) -> IdentityRef {
    IdentityRef::Name(IdentityName::try_from(name).expect("a valid name"))
}

pub(crate) fn role(name: &str) -> RoleName {
    RoleName::try_from(name).expect("a valid name")
}

pub(crate) fn audience(text: &str) -> Audience {
    Audience::try_from(text).expect("a valid audience")
}

pub(crate) fn origin(text: &str) -> Origin {
    Origin::try_from(text).expect("a valid origin")
}

pub(crate) fn grant(action: Action, pattern: &str) -> Grant {
    Grant { action, pattern: Pattern::try_from(pattern).expect("a valid pattern") }
}

pub(crate) fn actor() -> Actor {
    Actor::edge()
}

pub(crate) const KEYS: KeySettings = KeySettings {
    algorithm: Algorithm::Es256,
    rotate_every: Some(Duration::from_secs(30 * 86_400)),
    jwks_max_age: Duration::from_secs(300),
};
fn leases() -> LeaseTerms {
    let lengths = LeaseLengths {
        strict: Duration::from_secs(5),
        standard: Duration::from_secs(15),
        tolerant: Duration::from_secs(60),
        hold_max: Duration::from_secs(60),
        bound: Duration::from_secs(60),
    };
    LeaseTerms::new(lengths).expect("they are in order")
}

fn settings() -> Settings {
    Settings {
        issuer: "https://portcullis.test".to_owned(),
        audience: audience("portcullis"),
        access_ttl: Duration::from_secs(600),
        refresh_ttl: Duration::from_secs(86_400),
        session_ttl: Duration::from_secs(30 * 86_400),
        ticket_ttl: Duration::from_secs(30),
        ticket_rules: TicketRules { per_session: 64, per_key: 1_000 },
        cache_ttl: Duration::from_secs(30),
        refresh_grace: Duration::from_secs(30),
        allow_loopback_issuers: false,
        events_per_minute: 6_000,
        keys: KEYS,
        leases: leases(),
        password_policy: PasswordPolicy { shortest: 8, deny_common: true, deny_name: true },
        guard: GUARD,
        cookies: COOKIES,
        display_name: "Portcullis".to_owned(),
        signature_keys: SignatureKeyRules::default(),
    }
}

/// Few enough that a test reaches them.
pub(crate) const GUARD: GuardRules = GuardRules {
    free_per_place: 5,
    free_per_account: 8,
    free_per_address: 12,
    longest: Duration::from_secs(60),
    forget_after: Duration::from_secs(900),
};

pub(crate) const COOKIES: CookieRules = CookieRules {
    idle_after: Duration::from_secs(8 * 3_600),
    exchange_after: Duration::from_secs(3_600),
    grace: Duration::from_secs(60),
};

/// What the signing key is encrypted under.
pub(crate) const KEK: [u8; 32] = [7; 32];

pub(crate) fn parts(
    store: Arc<dyn Store>,
    clock: &Arc<ManualClock>,
    hasher: &Arc<CountingHasher>,
    keks: impl Into<KeyEncryptionKeys>,
) -> Parts {
    Parts {
        store,
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
        passwords: Arc::clone(hasher) as _,
        issuer_keys: Arc::new(PublishedSet),
        keks: keks.into(),
        settings: settings(),
    }
}

/// An authority over what is there.
pub(crate) async fn open(
    data: &dyn Data,
    clock: &Arc<ManualClock>,
    hasher: &Arc<CountingHasher>,
    seed: u64,
) -> (Arc<dyn Store>, Arc<Authority>) {
    let entropy = Arc::new(SeededEntropy::new(seed));
    let store = data.open(&*entropy).await;
    let parts = parts(Arc::clone(&store), clock, hasher, KeyEncryptionKey::new(&KEK));
    let parts = Parts { entropy, ..parts };
    (store, Arc::new(Authority::open(parts).await.expect("opens")))
}

impl World {
    pub(crate) async fn new() -> Self {
        let data = crate::data();
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000)));
        let hasher = Arc::new(CountingHasher::new());
        let (store, authority) = open(&*data, &clock, &hasher, 1).await;
        let key = authority.bootstrap(|_| Ok(())).await.expect("starts").expect("the first start");
        let admin = authority.authenticate_caller(&key.shown(), None).await.expect("its own key");
        authority.create_tenant(&actor(), tenant(), None, None).await.expect("a new tenant");
        let grants = vec![grant(Action::Subscribe, "room:*"), grant(Action::Publish, "room:1")];
        let speaker = Role { tenant: tenant(), name: role("speaker"), grants };
        authority.put_role(&actor(), speaker, None).await.expect("a new role");
        let name = IdentityName::try_from("alice").expect("a valid name");
        let alice = NewIdentity {
            password: Some(FirstPassword::Chosen(Secret::from(PASSWORD))),
            roles: vec![role("speaker")],
            ..NewIdentity::plain(tenant(), IdentityKind::User, name)
        };
        let alice = authority.create_identity(&actor(), alice).await.expect("a new identity");
        Self { data, clock, hasher, store, authority, admin, alice }
    }

    /// The same world, and an authority that was told something else.
    pub(crate) async fn with_settings(mut self, settings: Settings) -> Self {
        let parts = parts(Arc::clone(&self.store), &self.clock, &self.hasher, KeyEncryptionKey::new(&KEK));
        let parts = Parts { settings, entropy: Arc::new(SeededEntropy::new(2)), ..parts };
        self.authority = Arc::new(Authority::open(parts).await.expect("opens"));
        self
    }

    pub(crate) fn attempt(&self, name: &str, password: &str) -> LoginAttempt {
        LoginAttempt {
            tenant: tenant(),
            name: IdentityName::try_from(name).expect("a valid name"),
            password: Secret::from(password),
            mode: LoginMode::Tokens,
            device: None,
            client: Some(ClientId::try_from("web").expect("a valid id")),
            from: None,
            brought: Brought::default(),
        }
    }

    pub(crate) async fn log_in(&self) -> (NewSession, TokenPair) {
        let outcome = self.authority.log_in(&actor(), self.attempt("alice", PASSWORD)).await.expect("an outcome");
        let LoginOutcome::Granted(opened) = outcome else { panic!("alice could not log in") };
        let SessionCredentials::Tokens(tokens) = opened.credentials.clone() else { panic!("tokens were asked for") };
        (*opened, tokens)
    }

    pub(crate) async fn cookie(&self) -> (NewSession, Secret) {
        let attempt = LoginAttempt { mode: LoginMode::Cookie, ..self.attempt("alice", PASSWORD) };
        let outcome = self.authority.log_in(&actor(), attempt).await.expect("an outcome");
        let LoginOutcome::Granted(opened) = outcome else { panic!("alice could not log in") };
        let SessionCredentials::Cookie { value, .. } = opened.credentials.clone() else {
            panic!("a cookie was asked for")
        };
        (*opened, value)
    }

    pub(crate) async fn api_key(&self) -> IssuedApiKey {
        let new = NewApiKey {
            tenant: tenant(),
            identity: named("alice"),
            label: None,
            scopes: Scopes::NONE,
            expires_in: None,
            grants: None,
            addresses: Vec::new(),
        };
        self.authority.create_api_key(&self.admin, new).await.expect("a new key")
    }

    pub(crate) async fn listed_key(&self) -> ApiKey {
        self.api_keys(false, Page::default()).await.items.remove(0)
    }

    pub(crate) async fn api_keys(&self, only_active: bool, page: Page) -> Paged<ApiKey> {
        self.authority.api_keys(&tenant(), &named("alice"), only_active, page).await.expect("alice exists")
    }

    pub(crate) async fn ticket(&self, parent: &Secret, audience: Option<&str>, from: Option<&str>) -> Secret {
        let request = NewTicket {
            parent: parent.clone(),
            audience: audience.map(self::audience),
            origin: from.map(self::origin),
            within: None,
            by: TicketAsker::Service,
        };
        match self.authority.create_ticket(&actor(), request).await.expect("an outcome") {
            TicketOutcome::Granted { ticket, .. } => ticket,
            TicketOutcome::Denied(reason) => panic!("no ticket: {reason:?}"),
        }
    }

    pub(crate) async fn verify(&self, bearer: &Secret) -> Verdict {
        let context = PresentationContext::default();
        self.authority.verify(Presented::Bearer(bearer), &context).await.expect("a verdict")
    }

    pub(crate) async fn redeem(&self, ticket: &Secret, handshake: u8, context: &PresentationContext) -> Verdict {
        let presented = Presented::Ticket { ticket, redemption: RedemptionId::from_bytes([handshake; 16]) };
        self.authority.verify(presented, context).await.expect("a verdict")
    }

    pub(crate) async fn allowed(&self, bearer: &Secret) -> Allowed {
        allowed(self.verify(bearer).await)
    }

    pub(crate) async fn denied(&self, bearer: &Secret) -> (DenyReason, bool) {
        denied(self.verify(bearer).await)
    }

    pub(crate) async fn revoke(&self, target: RevokeTarget) -> Committed {
        let request =
            RevokeRequest { tenant: tenant(), target, reason: Reason::Administrative, pace: None, request_id: None };
        self.authority.revoke(&actor(), request).await.expect("revokes")
    }

    /// The private half of a signing key.
    pub(crate) fn unseal(&self, key: &SigningKey) -> Vec<u8> {
        let private = KeyEncryptionKey::new(&KEK).open(key.id.as_bytes(), &key.sealed_private);
        private.expect("the same key-encryption key").expose_bytes().to_vec()
    }

    /// What no call of the authority does yet.
    pub(crate) async fn kill(&self, target: Target) {
        let tx = self.store.write().await.expect("writes");
        let now = portcullis_types::Clock::now(&*self.clock);
        tx.commit_with(Batch::kill(target, Reason::Compromised), now).await.expect("appends");
    }
}

/// What is shown once, where it was.
pub(crate) trait Shown {
    fn shown(&self) -> Secret;
}

impl Shown for IssuedApiKey {
    fn shown(&self) -> Secret {
        self.secret.clone().expect("a request without a name shows it")
    }
}

impl Shown for ServiceToken {
    fn shown(&self) -> Secret {
        self.token.clone().expect("a request without a name shows it")
    }
}

pub(crate) fn allowed(verdict: Verdict) -> Allowed {
    match verdict.judgement {
        Judgement::Allowed(allowed) => *allowed,
        Judgement::Denied { reason, .. } => panic!("denied: {reason:?}"),
    }
}

pub(crate) fn denied(verdict: Verdict) -> (DenyReason, bool) {
    match verdict.judgement {
        Judgement::Allowed(_) => panic!("allowed"),
        Judgement::Denied { reason, permanent } => (reason, permanent),
    }
}
