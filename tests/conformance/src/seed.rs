//! Rows to test with.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Action, Algorithm, Audience, Authentication, Batch, Credential, CredentialKind, Grant, Identity, IdentityKind,
    KeyState, KeyTerms, Label, Method, Methods, Origin, Pattern, Reason, Scope, Session, SigningKey, Store, Target,
    Tenant, WriteTx,
};
use portcullis_types::{
    AddressRange, ClientId, CredentialId, Entropy, IdentityId, IdentityName, ManualClock, SeededEntropy, SessionId,
    SigningKeyId, TenantId, Timestamp, UuidSource,
};

/// A tenant with an identity, a session and a signing key, and where their ids come from.
#[derive(Debug)]
pub struct Seed {
    /// Stands still.
    pub clock: ManualClock,
    entropy: SeededEntropy,
    /// The tenant.
    pub tenant: TenantId,
    /// An identity in it.
    pub identity: IdentityId,
    /// A session of the identity, with client application `web`.
    pub session: SessionId,
    /// The key that signs.
    pub signing_key: SigningKeyId,
}

impl Seed {
    /// Inserts it.
    pub async fn plant(store: &Arc<dyn Store>) -> Self {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000_000));
        let entropy = SeededEntropy::new(42);
        let ids = UuidSource::new(&clock, &entropy);
        let (identity, session) = (IdentityId::new(ids), SessionId::new(ids));
        let signing_key = SigningKeyId::new(ids);
        let tenant = TenantId::try_from("acme").expect("a valid name");
        let seed = Self { tenant, identity, session, signing_key, clock, entropy };
        let mut tx = store.write().await.expect("a store that was opened writes");
        let row = Tenant::new(seed.tenant.clone(), seed.now());
        assert!(tx.insert_tenant(&row).await.expect("writes"));
        assert!(tx.insert_identity(&seed.identity_row("alice", identity)).await.expect("writes"));
        assert!(tx.insert_signing_key(&seed.signing_key_row(signing_key)).await.expect("writes"));
        tx.insert_session(&seed.session_row(session)).await.expect("writes");
        tx.commit().await.expect("commits");
        seed
    }

    /// The time that stands still.
    pub fn now(&self) -> Timestamp {
        portcullis_types::Clock::now(&self.clock)
    }

    /// Where ids come from.
    pub fn ids(&self) -> UuidSource<'_> {
        UuidSource::new(&self.clock, &self.entropy)
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        (&self.entropy as &dyn Entropy).array()
    }

    /// An identity without roles.
    pub fn identity_row(&self, name: &str, id: IdentityId) -> Identity {
        let name = IdentityName::try_from(name).expect("a valid name");
        Identity::new(id, self.tenant.clone(), IdentityKind::User, name, self.now())
    }

    /// A key that signs, of bytes that mean nothing.
    pub fn signing_key_row(&self, id: SigningKeyId) -> SigningKey {
        SigningKey {
            id,
            state: KeyState::Signing,
            algorithm: Algorithm::Es256,
            public: vec![4; 65],
            sealed_private: vec![9; 150],
            kek_id: "kek".to_owned(),
            created_at: self.now(),
            signing_at: Some(self.now()),
            retained_at: None,
            revoked_seq: None,
        }
    }

    /// A session of the identity.
    pub fn session_row(&self, id: SessionId) -> Session {
        Session {
            id,
            tenant: self.tenant.clone(),
            identity: self.identity,
            device: Some(Label::try_from("Zoë's phone").expect("a valid label")),
            client: Some(ClientId::try_from("web").expect("a valid id")),
            authentication: Some(Authentication {
                methods: Methods::from(Method::Password).and(Method::Totp),
                at: self.now(),
            }),
            issued: portcullis_types::Revision { seq: 0, chain: u64::MAX },
            created_at: self.now(),
            expires_at: self.now() + Duration::from_secs(3_600),
            revoked_seq: None,
        }
    }

    /// A credential of the session with every column filled that its kind may fill.
    pub fn credential_row(&self, kind: CredentialKind) -> Credential {
        Credential {
            id: CredentialId::new(self.ids()),
            tenant: self.tenant.clone(),
            identity: self.identity,
            session: Some(self.session),
            kind,
            digest: Some(self.bytes()),
            parent: Some(CredentialId::new(self.ids())),
            label: Some(Label::try_from("for tests").expect("a valid label")),
            scopes: [Scope::Verify, Scope::IdentityRead].into_iter().collect(),
            audiences: vec![Audience::try_from("portcullis").expect("a valid audience")],
            origins: vec![Origin::try_from("https://app.example").expect("a valid origin")],
            issued: portcullis_types::Revision { seq: 0, chain: 1 << 63 },
            signing_key: Some(self.signing_key),
            created_at: self.now(),
            expires_at: Some(self.now() + Duration::from_secs(30)),
            spent: None,
            key_terms: matches!(
                kind,
                CredentialKind::ApiKey | CredentialKind::ClientCertificate | CredentialKind::SignatureKey
            )
            .then(|| self.key_terms()),
            certificate: None,
            revoked_seq: None,
        }
    }

    /// What an API key may be limited to, all of it.
    fn key_terms(&self) -> KeyTerms {
        let grant = Grant { action: Action::Subscribe, pattern: Pattern::try_from("room:*").expect("a valid pattern") };
        KeyTerms {
            grants: Some(vec![grant]),
            addresses: vec![AddressRange::try_from("10.0.0.0/8").expect("a valid range")],
            replaces: Some(CredentialId::new(self.ids())),
            replaced_by: None,
            last_used_at: None,
        }
    }

    /// Inserts a credential.
    pub async fn insert(&self, store: &Arc<dyn Store>, row: &Credential) {
        let mut tx = store.write().await.expect("writes");
        tx.insert_credential(row).await.expect("writes");
        tx.commit().await.expect("commits");
    }

    /// A batch that kills the session.
    pub fn kill(&self) -> Batch {
        Batch::kill(Target::Session(self.tenant.clone(), self.session), Reason::Administrative)
    }
}

/// A transaction, or the test fails.
pub(crate) async fn write(store: &Arc<dyn Store>) -> Box<dyn WriteTx> {
    store.write().await.expect("a store that was opened writes")
}
