//! Public signature keys: who registers one, what verdicts carry, and what ends it.

use std::time::Duration;

use auth_domain::{
    Actor, Algorithm, Allowed, CHALLENGE_LIFE, CarriedKey, CredentialState, DenyReason, HolderError, IdentityRef,
    InvalidJwk, InvalidProof, MAX_JWK_BYTES, NewSignatureKey, Page, Reason, RegisterSignatureKeyError,
    RegisteredSignatureKey, RequestId, RevokeSessions, RevokeTarget, RotateSignatureKey, RotateSignatureKeyError,
    RotatedSignatureKey, SessionsBy, SignatureKey, SignatureKeyRules, Target,
};
use auth_domain::{Authority, KeyEncryptionKey, Parts, Settings};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::{CredentialId, Secret, SessionId};
use serde_json::{Value, json};

use super::world::{KEK, SECOND, Shown as _, World, actor, named, parts, tenant};

const ISSUER: &str = "https://portcullis.test";

/// A client's key, with its private half.
pub(crate) enum Client {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Client {
    pub(crate) fn ed25519(seed: u8) -> Self {
        Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes"))
    }

    fn p256() -> Self {
        let way = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(way, &SystemRandom::new()).expect("it draws");
        Self::P256(EcdsaKeyPair::from_pkcs8(way, made.as_ref()).expect("it was just made"))
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(pair.public_key().as_ref())}),
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": coordinate(x), "y": coordinate(y)})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).expect("it signs").as_ref().to_vec(),
        }
    }

    fn thumbprint(&self) -> String {
        auth_domain::PublicKey::from_jwk(&self.jwk().to_string()).expect("a key").thumbprint().text()
    }

    pub(crate) fn prove(&self, challenge: &str) -> String {
        let header = json!({"typ": "portcullis-key-proof+jwt", "alg": self.algorithm().name()});
        let claims = json!({"aud": ISSUER, "challenge": challenge, "jkt": self.thumbprint()});
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

type Registered = Result<RegisteredSignatureKey, RegisterSignatureKeyError>;

impl World {
    async fn challenge(&self, session: Option<SessionId>) -> String {
        let begun = self.authority.begin_signature_key(&tenant(), &named("alice"), session).await;
        let begun = begun.expect("alice can have a key");
        assert_eq!((begun.audience.as_str(), begun.expires_in), (ISSUER, CHALLENGE_LIFE));
        begun.challenge
    }

    async fn wanted(&self, client: &Client, session: Option<SessionId>) -> NewSignatureKey {
        let challenge = self.challenge(session).await;
        NewSignatureKey {
            tenant: tenant(),
            identity: named("alice"),
            session,
            jwk: client.jwk().to_string(),
            proof: client.prove(&challenge),
            label: None,
            expires_in: None,
        }
    }

    async fn put(&self, new: NewSignatureKey) -> Registered {
        self.authority.register_signature_key(&actor(), new).await
    }

    pub(crate) async fn register_key(&self, client: &Client, session: Option<SessionId>) -> SignatureKey {
        let new = self.wanted(client, session).await;
        self.put(new).await.expect("a new key").key
    }

    async fn exchange(
        &self,
        old: &SignatureKey,
        client: &Client,
        old_ends_in: Duration,
    ) -> Result<RotatedSignatureKey, RotateSignatureKeyError> {
        let challenge = self.challenge(old.session).await;
        let asked = RotateSignatureKey {
            tenant: tenant(),
            id: old.id,
            jwk: client.jwk().to_string(),
            proof: client.prove(&challenge),
            old_ends_in,
            expires_in: None,
        };
        self.authority.rotate_signature_key(&actor(), asked).await
    }

    pub(crate) async fn state(&self, id: CredentialId) -> CredentialState {
        self.authority.signature_key(&tenant(), id).await.expect("reads").expect("it is there").state
    }

    pub(crate) async fn carried(&self, bearer: &Secret) -> Vec<CredentialId> {
        ids(&self.allowed(bearer).await.signature_keys)
    }

    async fn head(&self) -> u64 {
        self.store.head().await.expect("reads").seq
    }
}

fn ids(keys: &[CarriedKey]) -> Vec<CredentialId> {
    keys.iter().map(|key| key.id).collect()
}

fn rests_on(allowed: &Allowed, id: CredentialId) -> bool {
    allowed.keys.contains(&Target::Credential(tenant(), id).key())
}

#[tokio::test]
async fn a_verdict_carries_the_keys_of_its_session_and_its_identity() {
    let world = World::new().await;
    let ((laptop, laptop_tokens), (_, phone_tokens)) = (world.log_in().await, world.log_in().await);
    let api_key = world.api_key().await;
    let (session, client, everywhere) = (laptop.session.id, Client::p256(), Client::ed25519(1));
    assert!(world.carried(&laptop_tokens.access).await.is_empty());
    let own = world.register_key(&client, Some(session)).await;
    assert_eq!((own.session, own.expires_at), (Some(session), Some(laptop.session.expires_at)));
    world.clock.advance(SECOND);
    let whole = world.register_key(&everywhere, None).await;
    assert_eq!((whole.session, whole.expires_at), (None, None));

    let verdict = world.allowed(&laptop_tokens.access).await;
    assert_eq!(ids(&verdict.signature_keys), [whole.id, own.id], "newest first");
    let [of_identity, of_session] = <[CarriedKey; 2]>::try_from(verdict.signature_keys.clone()).expect("two");
    assert_eq!((of_session.is_of_session, of_identity.is_of_session), (true, false));
    assert_eq!((of_session.key, of_identity.key.thumbprint().text()), (own.key.clone(), everywhere.thumbprint()));
    assert_eq!(of_identity.expires_in, None);
    assert!(of_session.expires_in.is_some_and(|left| left < Duration::from_secs(30 * 86_400)));
    assert!(rests_on(&verdict, own.id) && rests_on(&verdict, whole.id));
    for other in [&phone_tokens.access, &api_key.shown()] {
        let verdict = world.allowed(other).await;
        assert_eq!(ids(&verdict.signature_keys), [whole.id]);
        assert!(!rests_on(&verdict, own.id));
    }
    let ticket = world.ticket(&laptop_tokens.access, None, None).await;
    let redeemed = super::world::allowed(world.redeem(&ticket, 1, &auth_domain::PresentationContext::default()).await);
    assert_eq!(ids(&redeemed.signature_keys), [whole.id, own.id]);
    let again = world.authority.batch_verify(&[verdict.reference, redeemed.reference]).await.expect("verdicts");
    for verdict in again {
        assert_eq!(ids(&super::world::allowed(verdict).signature_keys), [whole.id, own.id]);
    }
}

#[tokio::test]
async fn registering_has_the_holder_judged_again_and_revoking_kills_what_rests_on_the_key() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let new = world.wanted(&Client::ed25519(1), Some(opened.session.id)).await;
    let registered = world.put(new).await.expect("a new key");
    assert_eq!(registered.committed.revision.seq, world.head().await);
    let before = world.allowed(&tokens.access).await;
    let committed = world.revoke(RevokeTarget::Credential(registered.key.id)).await;
    assert_eq!(world.state(registered.key.id).await, CredentialState::Revoked);
    assert!(rests_on(&before, registered.key.id), "so the entry ends this verdict");
    let after = world.allowed(&tokens.access).await;
    assert!(after.signature_keys.is_empty() && !rests_on(&after, registered.key.id), "its session goes on");
    let again = world.revoke(RevokeTarget::Credential(registered.key.id)).await;
    assert_eq!(again.revision, committed.revision, "it is dead already");
}

#[tokio::test]
async fn a_proof_that_is_sent_again_has_no_effect() {
    let world = World::new().await;
    let new = world.wanted(&Client::ed25519(1), None).await;
    let registered = world.put(new.clone()).await.expect("a new key");
    for _ in 0..2 {
        assert!(matches!(world.put(new.clone()).await, Err(RegisterSignatureKeyError::Known)));
        let id = registered.key.id;
        let head = world.revoke(RevokeTarget::Credential(id)).await.revision.seq;
        assert_eq!(world.head().await, head, "nothing was written for the proof");
    }
    world.clock.advance(CHALLENGE_LIFE);
    let over = world.put(new).await;
    assert!(matches!(over, Err(RegisterSignatureKeyError::Proof(InvalidProof::ChallengeOver))), "{over:?}");
}

#[tokio::test]
async fn a_named_request_is_answered_again_though_its_challenge_is_over() {
    let world = World::new().await;
    let new = world.wanted(&Client::ed25519(1), None).await;
    let asked = |message: &'static str| {
        let id = RequestId::try_from("one").expect("a name");
        actor().asking(Some(world.authority.asked(id, "RegisterSignatureKey", &Secret::from(message))))
    };
    let register = async |actor: Actor| world.authority.register_signature_key(&actor, new.clone()).await;
    let first = register(asked("the same")).await.expect("a new key");
    world.clock.advance(CHALLENGE_LIFE);
    let again = register(asked("the same")).await.expect("answered before");
    assert_eq!((again.key, again.committed), (first.key, first.committed));
    let other = register(asked("another")).await;
    assert!(matches!(other, Err(RegisterSignatureKeyError::Proof(InvalidProof::ChallengeOver))), "{other:?}");
}

#[tokio::test]
async fn who_has_no_private_half_or_no_challenge_of_its_own_registers_nothing() {
    let world = World::new().await;
    let (opened, _) = world.log_in().await;
    let session = Some(opened.session.id);
    let (client, thief) = (Client::ed25519(1), Client::ed25519(2));
    let good = world.wanted(&client, session).await;
    let foreign = world.wanted(&client, None).await;
    let head = world.head().await;
    let cases = [
        (NewSignatureKey { session: None, ..good.clone() }, InvalidProof::OtherChallenge),
        (NewSignatureKey { session, ..foreign }, InvalidProof::OtherChallenge),
        (NewSignatureKey { jwk: thief.jwk().to_string(), ..good.clone() }, InvalidProof::BadSignature),
        (
            NewSignatureKey { proof: thief.prove(&world.challenge(session).await), ..good.clone() },
            InvalidProof::BadSignature,
        ),
        (NewSignatureKey { proof: String::new(), ..good.clone() }, InvalidProof::Malformed),
    ];
    for (new, why) in cases {
        let refused = world.put(new).await.expect_err("it proves nothing");
        assert!(matches!(refused, RegisterSignatureKeyError::Proof(given) if given == why), "{refused:?}");
    }
    let mut private = client.jwk();
    private["d"] = json!("nobody-may-see-this");
    let refused = world.put(NewSignatureKey { jwk: private.to_string(), ..good.clone() }).await.expect_err("private");
    assert!(matches!(refused, RegisterSignatureKeyError::Jwk(InvalidJwk::Private)));
    assert!(!format!("{refused} {refused:?}").contains("nobody-may-see"));
    let long = format!("{{{}{}", " ".repeat(MAX_JWK_BYTES), &good.jwk[1..]);
    let refused = world.put(NewSignatureKey { jwk: long, ..good.clone() }).await;
    assert!(matches!(refused, Err(RegisterSignatureKeyError::Jwk(InvalidJwk::TooLong))), "{refused:?}");
    assert_eq!(world.head().await, head);
    world.put(good).await.expect("the one that is good");
}

#[tokio::test]
async fn a_key_is_registered_once_in_a_tenant_and_a_revoked_one_stays_known() {
    let world = World::new().await;
    let (opened, _) = world.log_in().await;
    let key = world.register_key(&Client::ed25519(1), None).await;
    let of_session = world.wanted(&Client::ed25519(1), Some(opened.session.id)).await;
    assert!(matches!(world.put(of_session).await, Err(RegisterSignatureKeyError::Known)));
    world.revoke(RevokeTarget::Credential(key.id)).await;
    let anew = world.wanted(&Client::ed25519(1), None).await;
    assert!(matches!(world.put(anew).await, Err(RegisterSignatureKeyError::Known)));
}

#[tokio::test]
async fn a_holder_has_so_many_live_keys_and_dead_ones_leave_room() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let SignatureKeyRules { per_session, per_identity } = SignatureKeyRules::default();
    for (session, most) in [(Some(opened.session.id), per_session), (None, per_identity)] {
        let first = u8::try_from(most).expect("few") * u8::from(session.is_none()) * 3 + 1;
        let mut keys = Vec::new();
        for n in first..first + u8::try_from(most).expect("few") {
            keys.push(world.register_key(&Client::ed25519(n), session).await);
        }
        let more = Client::ed25519(first + u8::try_from(most).expect("few"));
        let refused = world.put(world.wanted(&more, session).await).await;
        assert!(matches!(refused, Err(RegisterSignatureKeyError::TooMany)), "{refused:?}");
        let beside = world.exchange(&keys[0], &more, SECOND).await;
        assert!(
            matches!(beside, Err(RotateSignatureKeyError::Register(RegisterSignatureKeyError::TooMany))),
            "{beside:?}"
        );
        world.exchange(&keys[0], &more, Duration::ZERO).await.expect("in its place");
        world.revoke(RevokeTarget::Credential(keys[1].id)).await;
        world.register_key(&Client::ed25519(first + 100), session).await;
    }
    let verdict = world.allowed(&tokens.access).await;
    assert_eq!(verdict.signature_keys.len() as u64, per_session + per_identity);
}

#[tokio::test]
async fn an_exchanged_key_is_carried_until_its_overlap_ends_and_nothing_is_killed() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let old = world.register_key(&Client::ed25519(1), Some(opened.session.id)).await;
    let before = world.allowed(&tokens.access).await;
    world.clock.advance(SECOND);
    let rotated = world.exchange(&old, &Client::p256(), 10 * SECOND).await.expect("a successor");
    assert_eq!((rotated.key.replaces, rotated.old.replaced_by), (Some(old.id), Some(rotated.key.id)));
    assert_eq!((rotated.key.session, rotated.old.state), (old.session, CredentialState::Active));
    let verdict = world.allowed(&tokens.access).await;
    assert_eq!(ids(&verdict.signature_keys), [rotated.key.id, old.id]);
    assert_eq!(verdict.signature_keys[1].expires_in, Some(10 * SECOND));
    assert_eq!(verdict.expires_in.map(|left| left + SECOND), before.expires_in, "the socket lives as long as before");
    let twice = world.exchange(&old, &Client::ed25519(3), SECOND).await;
    assert!(matches!(twice, Err(RotateSignatureKeyError::Replaced(id)) if id == rotated.key.id), "{twice:?}");

    world.clock.advance(10 * SECOND);
    assert_eq!(world.carried(&tokens.access).await, [rotated.key.id]);
    assert_eq!(world.state(old.id).await, CredentialState::Expired);
    let dead = world.exchange(&old, &Client::ed25519(3), SECOND).await;
    assert!(matches!(dead, Err(RotateSignatureKeyError::NotGood)), "{dead:?}");
    let at_once = world.exchange(&rotated.key, &Client::ed25519(3), Duration::ZERO).await.expect("a successor");
    assert_eq!(at_once.old.state, CredentialState::Expired);
    assert_eq!(world.carried(&tokens.access).await, [at_once.key.id]);
}

#[tokio::test]
async fn a_key_ends_when_it_was_asked_to_and_never_after_its_session() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let session = Some(opened.session.id);
    let mut ends = Vec::new();
    for (n, life) in [(1, SECOND), (2, Duration::from_secs(400 * 86_400))] {
        let wanted = world.wanted(&Client::ed25519(n), session).await;
        let key = world.put(NewSignatureKey { expires_in: Some(life), ..wanted }).await.expect("a new key").key;
        ends.push(key.expires_at.expect("it ends"));
    }
    assert_eq!(ends, [portcullis_types::Clock::now(&*world.clock) + SECOND, opened.session.expires_at]);
    world.clock.advance(SECOND);
    assert_eq!(world.carried(&tokens.access).await.len(), 1);
    let wanted = world.wanted(&Client::ed25519(3), session).await;
    let too_long = NewSignatureKey { expires_in: Some(Duration::from_secs(11 * 366 * 86_400)), ..wanted };
    assert!(matches!(world.put(too_long).await, Err(RegisterSignatureKeyError::TooLong)));
}

#[tokio::test]
async fn a_key_dies_with_its_session_and_with_what_ends_its_identitys_sessions() {
    let world = World::new().await;
    let (opened, _) = world.log_in().await;
    let own = world.register_key(&Client::ed25519(1), Some(opened.session.id)).await;
    let whole = world.register_key(&Client::ed25519(2), None).await;
    world.revoke(RevokeTarget::Session(opened.session.id)).await;
    assert_eq!(world.state(own.id).await, CredentialState::Revoked);
    assert_eq!(world.state(whole.id).await, CredentialState::Active);
    let begun = world.authority.begin_signature_key(&tenant(), &named("alice"), Some(opened.session.id)).await;
    assert!(matches!(begun, Err(HolderError::SessionOver)), "{begun:?}");

    let mut n = 2;
    for target in [RevokeTarget::Identity(named("alice")), RevokeTarget::Tenant] {
        world.revoke(target.clone()).await;
        let (_, tokens) = world.log_in().await;
        assert!(world.carried(&tokens.access).await.is_empty(), "{target:?}");
        n += 1;
        let newer = world.register_key(&Client::ed25519(n), None).await;
        assert_eq!(world.carried(&tokens.access).await, [newer.id], "{target:?}");
    }
    assert_eq!(world.state(whole.id).await, CredentialState::Revoked);
}

#[tokio::test]
async fn everything_from_before_a_time_takes_older_keys_with_it() {
    let world = World::new().await;
    let old = world.register_key(&Client::ed25519(1), None).await;
    let (opened, _) = world.log_in().await;
    let own = world.register_key(&Client::ed25519(2), Some(opened.session.id)).await;
    world.clock.advance(10 * SECOND);
    let at = portcullis_types::Clock::now(&*world.clock);
    let young = world.register_key(&Client::ed25519(3), None).await;
    let (_, tokens) = world.log_in().await;
    let request =
        |by| RevokeSessions { tenant: tenant(), which: named("alice"), by, reason: Reason::Compromised, pace: None };
    let ended = world.authority.revoke_sessions(&actor(), request(SessionsBy::BegunBefore(at))).await.expect("ends");
    assert_eq!(ended.sessions, 1);
    assert_eq!(world.carried(&tokens.access).await, [young.id]);
    for (key, state) in [(&old, CredentialState::Revoked), (&own, CredentialState::Revoked)] {
        assert_eq!(world.state(key.id).await, state);
    }
    let nothing = world.authority.revoke_sessions(&actor(), request(SessionsBy::BegunBefore(at))).await.expect("ends");
    assert_eq!((nothing.sessions, nothing.committed), (0, None), "what is dead is not ended again");
}

/// As on a store with several processes, where a "log out everywhere" commits between the head that a registration reads
/// and its row.
#[tokio::test]
async fn a_key_whose_registration_began_before_a_revocation_is_dead_however_late_it_comes() {
    let world = World::new().await;
    let issued = world.store.head().await.expect("reads").revision();
    let key = world.register_key(&Client::ed25519(1), None).await;
    world.revoke(RevokeTarget::Identity(named("alice"))).await;
    let mut tx = world.store.write().await.expect("writes");
    let mut row = tx.signature_key(key.id).await.expect("reads").expect("it is there");
    row.credential.id = CredentialId::from_bytes([9; 16]);
    row.credential.issued = issued;
    row.key = auth_domain::PublicKey::from_jwk(&Client::ed25519(2).jwk().to_string()).expect("a key");
    assert!(tx.insert_signature_key(&row).await.expect("writes"));
    tx.commit().await.expect("commits");
    let (_, tokens) = world.log_in().await;
    assert!(world.carried(&tokens.access).await.is_empty());
    assert_eq!(world.state(row.credential.id).await, CredentialState::Revoked);
}

#[tokio::test]
async fn a_signature_key_is_listed_among_credentials_and_is_nothing_to_present() {
    let world = World::new().await;
    let key = world.register_key(&Client::ed25519(1), None).await;
    let listed = world.authority.credential(&tenant(), key.id).await.expect("reads").expect("it is there");
    assert_eq!(
        (listed.credential.kind, listed.state),
        (auth_domain::CredentialKind::SignatureKey, CredentialState::Active)
    );
    let reference = auth_domain::CredentialReference { tenant: tenant(), credential: key.id };
    let verdict = world.authority.batch_verify(&[reference]).await.expect("verdicts").remove(0);
    assert_eq!(super::world::denied(verdict), (DenyReason::WrongKind, true));
    let elsewhere = portcullis_types::TenantId::system();
    assert_eq!(world.authority.signature_key(&elsewhere, key.id).await.expect("reads"), None);
    let page = Page::new(1, "").expect("a small page");
    let first = world.authority.signature_keys(&tenant(), &named("alice"), None, page).await.expect("reads");
    assert_eq!((first.items, first.next), (vec![key], None));
}

#[tokio::test]
async fn a_disabled_identity_gets_no_key_and_an_unknown_session_neither() {
    let world = World::new().await;
    let begin = async |which: &IdentityRef, session| {
        world.authority.begin_signature_key(&tenant(), which, session).await.expect_err("nobody can have one")
    };
    assert!(matches!(begin(&named("nobody"), None).await, HolderError::NotFound));
    let unknown = SessionId::from_bytes([9; 16]);
    assert!(matches!(begin(&named("alice"), Some(unknown)).await, HolderError::SessionNotFound));
    let wanted = world.wanted(&Client::ed25519(1), None).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("alice")).await.expect("disables");
    assert!(matches!(begin(&named("alice"), None).await, HolderError::Disabled));
    let late = world.put(wanted).await;
    assert!(matches!(late, Err(RegisterSignatureKeyError::Holder(HolderError::Disabled))), "{late:?}");
}

/// Asked for at one replica, answered at another that has the same key-encryption key.
#[tokio::test]
async fn a_challenge_is_good_at_every_replica() {
    let world = World::new().await;
    let wanted = world.wanted(&Client::ed25519(1), None).await;
    let of_other =
        parts(std::sync::Arc::clone(&world.store) as _, &world.clock, &world.hasher, KeyEncryptionKey::new(&KEK));
    let Parts { settings, .. } = &of_other;
    let settings =
        Settings { signature_keys: SignatureKeyRules { per_session: 0, per_identity: 1 }, ..settings.clone() };
    let other = Authority::open(Parts { settings, ..of_other }).await.expect("opens");
    other.register_signature_key(&actor(), wanted).await.expect("a new key");
    let more = world.wanted(&Client::ed25519(2), None).await;
    let refused = other.register_signature_key(&actor(), more).await;
    assert!(matches!(refused, Err(RegisterSignatureKeyError::TooMany)), "as it is configured: {refused:?}");
}
