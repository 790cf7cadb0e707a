//! Signing keys: how they come, sign, and go.

use std::sync::Arc;
use std::time::Duration;

use auth_domain::{
    Algorithm, Authority, DenyReason, IdentityKind, KeyEncryptionKey, KeyEncryptionKeys, KeySettings, KeyState,
    NewIdentity, Reason, ReencryptError, RefreshOutcome, RequestId, RotateError, RotateSigningKey, SecondFactorError,
    SigningKeyStanding, Store, StoreError, TotpConfirmation,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::{IdentityName, Secret, SigningKeyId};
use serde_json::Value;

use super::world::{KEK, KEYS, SECOND, World, actor, named, parts, tenant};

const DAY: Duration = Duration::from_secs(86_400);

impl World {
    async fn keys(&self) -> Vec<SigningKeyStanding> {
        self.authority.signing_keys().await.expect("reads")
    }

    async fn in_state(&self, state: KeyState) -> SigningKeyStanding {
        let found = self.keys().await.into_iter().find(|key| key.key.state == state);
        found.unwrap_or_else(|| panic!("no key is {state:?}"))
    }

    async fn shown(&self) -> Vec<String> {
        let set = self.authority.jwks().await.expect("reads");
        let keys = set["keys"].as_array().expect("a list").iter();
        keys.map(|key| key["kid"].as_str().expect("text").to_owned()).collect()
    }

    async fn tend_until_nothing_is_due(&self) -> usize {
        let mut moves = 0;
        while self.authority.tend_signing_keys().await.expect("looks") {
            moves += 1;
        }
        moves
    }

    async fn rotate(&self, at_once: bool) -> SigningKeyId {
        let asked = RotateSigningKey { instead_of: None, at_once };
        self.authority.rotate_signing_key(&actor(), asked).await.expect("rotates").next.id
    }

    /// Another replica over the same store.
    async fn replica(&self, keks: impl Into<KeyEncryptionKeys>, keys: KeySettings) -> Authority {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let mut parts = parts(store, &self.clock, &self.hasher, keks);
        parts.settings.keys = keys;
        parts.entropy = Arc::new(portcullis_types::SeededEntropy::new(99));
        Box::pin(Authority::open(parts)).await.expect("opens")
    }
}

fn header(token: &Secret) -> Value {
    let text = token.expose_str().expect("text").split('.').next().expect("a header").to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
}

fn kid(token: &Secret) -> String {
    header(token)["kid"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn the_next_key_is_published_before_every_cache_of_the_set_ends_and_then_signs() {
    let world = World::new().await;
    let (old, token) = (world.in_state(KeyState::Signing).await.key.id, world.log_in().await.1.access);
    world.clock.advance(SECOND);
    let next = world.rotate(false).await;
    assert_eq!(world.shown().await, [old.to_string(), next.to_string()], "both are in the set");
    assert_eq!(kid(&world.log_in().await.1.access), old.to_string(), "the old one still signs");

    world.clock.advance(KEYS.jwks_max_age + Duration::from_secs(59));
    assert_eq!(world.tend_until_nothing_is_due().await, 0, "a cache may still be without it");
    world.clock.advance(SECOND);
    assert_eq!(world.tend_until_nothing_is_due().await, 1);
    assert_eq!(kid(&world.log_in().await.1.access), next.to_string());
    assert_eq!(world.in_state(KeyState::Retained).await.key.id, old);
    world.allowed(&token).await;
}

#[tokio::test]
async fn a_rotation_by_schedule_needs_nobody_and_leaves_no_token_behind() {
    let world = World::new().await;
    let old = world.in_state(KeyState::Signing).await.key.id;
    world.clock.advance(30 * DAY - KEYS.published_for() - SECOND);
    assert_eq!(world.tend_until_nothing_is_due().await, 0);
    world.clock.advance(SECOND);
    assert_eq!(world.tend_until_nothing_is_due().await, 1, "published");
    world.clock.advance(KEYS.published_for());
    let last = world.log_in().await.1.access;
    assert_eq!(world.tend_until_nothing_is_due().await, 1, "promoted");

    world.clock.advance(Duration::from_secs(599));
    world.allowed(&last).await;
    assert!(world.shown().await.contains(&old.to_string()), "a verifier may still need it");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.denied(&last).await.0, DenyReason::Expired);
    assert!(!world.shown().await.contains(&old.to_string()), "nothing it signed is good");
    world.clock.advance(30 * DAY);
    assert_eq!(world.tend_until_nothing_is_due().await, 1, "and so on");
}

#[tokio::test]
async fn a_key_that_no_longer_signs_has_no_private_half() {
    let world = World::new().await;
    world.rotate(true).await;
    assert!(world.in_state(KeyState::Retained).await.key.sealed_private.is_empty());
    assert!(!world.in_state(KeyState::Signing).await.key.sealed_private.is_empty());
}

#[tokio::test]
async fn a_rotation_that_was_asked_for_twice_happens_once() {
    let world = World::new().await;
    let old = world.in_state(KeyState::Signing).await.key.id;
    let (one, two) = (world.rotate(false).await, world.rotate(false).await);
    assert_eq!(one, two, "the published key is the next one");
    let asked = RotateSigningKey { instead_of: Some(old), at_once: true };
    world.authority.rotate_signing_key(&actor(), asked).await.expect("rotates");
    let again = world.authority.rotate_signing_key(&actor(), asked).await.expect_err("it no longer signs");
    assert!(matches!(again, RotateError::OtherSigns(id) if id == one), "{again:?}");
    assert_eq!(world.keys().await.len(), 2);
}

#[tokio::test]
async fn a_replica_signs_with_a_key_made_elsewhere_without_a_restart() {
    let world = World::new().await;
    let other = world.replica(KeyEncryptionKey::new(&KEK), KEYS).await;
    let (_, before) = world.log_in().await;
    let asked = RotateSigningKey { instead_of: None, at_once: true };
    let next = other.rotate_signing_key(&actor(), asked).await.expect("rotates").next.id;
    let (_, after) = world.log_in().await;
    assert_eq!(kid(&after.access), next.to_string());
    for token in [&before.access, &after.access] {
        world.allowed(token).await;
    }
}

#[tokio::test]
async fn replicas_that_see_the_same_thing_due_do_it_once() {
    let world = World::new().await;
    let other = Arc::new(world.replica(KeyEncryptionKey::new(&KEK), KEYS).await);
    world.clock.advance(31 * DAY);
    for expected in [2, 2] {
        let both = [Arc::clone(&world.authority), Arc::clone(&other)];
        let tasks = both.map(|authority| tokio::spawn(async move { authority.tend_signing_keys().await }));
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(world.keys().await.len(), expected);
        world.clock.advance(KEYS.published_for());
    }
    assert_eq!(world.keys().await.iter().filter(|key| key.key.state == KeyState::Signing).count(), 1);
}

#[tokio::test]
async fn revoking_the_key_that_signs_kills_what_it_signed_and_another_signs_at_once() {
    let world = World::new().await;
    let (old, (_, tokens)) = (world.in_state(KeyState::Signing).await.key.id, world.log_in().await);
    let (_, cookie) = world.cookie().await;
    let killed = world.authority.revoke_signing_key(&actor(), old, Reason::Compromised, None).await.expect("revokes");
    assert_eq!(world.denied(&tokens.access).await, (DenyReason::CredentialRevoked, true));
    assert!(!world.shown().await.contains(&old.to_string()));
    world.allowed(&cookie).await;

    let outcome = world.authority.refresh_tokens(&actor(), &tokens.refresh).await.expect("an outcome");
    let RefreshOutcome::Granted(next) = outcome else { panic!("the session lives") };
    assert_ne!(kid(&next.access), old.to_string());
    world.allowed(&next.access).await;
    let again = world.authority.revoke_signing_key(&actor(), old, Reason::Compromised, None).await.expect("answers");
    assert_eq!(again, killed, "dead already: the entry that killed it");
}

#[tokio::test]
async fn revoking_the_key_that_signs_promotes_the_published_one() {
    let world = World::new().await;
    let (old, next) = (world.in_state(KeyState::Signing).await.key.id, world.rotate(false).await);
    world.authority.revoke_signing_key(&actor(), old, Reason::Compromised, None).await.expect("revokes");
    assert_eq!(world.in_state(KeyState::Signing).await.key.id, next);
}

#[tokio::test]
async fn a_key_has_one_algorithm_and_the_next_may_have_another() {
    let world = World::new().await;
    let settings = KeySettings { algorithm: Algorithm::EdDsa, ..KEYS };
    let other = world.replica(KeyEncryptionKey::new(&KEK), settings).await;
    let (_, old) = world.log_in().await;
    world.clock.advance(SECOND);
    let asked = RotateSigningKey { instead_of: None, at_once: true };
    other.rotate_signing_key(&actor(), asked).await.expect("rotates");
    let (_, new) = world.log_in().await;
    assert_eq!((&header(&old.access)["alg"], &header(&new.access)["alg"]), (&"ES256".into(), &"EdDSA".into()));
    for token in [&old.access, &new.access] {
        world.allowed(token).await;
    }
    let set = world.authority.jwks().await.expect("reads");
    let jwk = serde_json::from_value(set["keys"][1].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("an Ed25519 key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["portcullis"]);
    let text = new.access.expose_str().expect("text");
    jsonwebtoken::decode::<Value>(text, &key, &validation).expect("the published key verifies it");

    // The same key under the name of the other algorithm.
    let (mut parts, kid) = (text.split('.').map(str::to_owned).collect::<Vec<_>>(), header(&new.access)["kid"].clone());
    let lying = serde_json::json!({"typ": "at+jwt", "alg": "ES256", "kid": kid});
    parts[0] = URL_SAFE_NO_PAD.encode(lying.to_string());
    assert_eq!(world.denied(&Secret::from(parts.join("."))).await, (DenyReason::Invalid, true));
}

fn versions(current: u8, older: &[u8]) -> KeyEncryptionKeys {
    let older = older.iter().map(|byte| KeyEncryptionKey::new(&[*byte; 32])).collect();
    KeyEncryptionKeys::new(KeyEncryptionKey::new(&[current; 32]), older)
}

#[tokio::test]
async fn an_older_key_encryption_key_goes_once_everything_is_encrypted_anew() {
    let world = World::new().await;
    let (_, before) = world.log_in().await;
    let both = world.replica(versions(8, &[KEK[0]]), KEYS).await;
    let published = both.rotate_signing_key(&actor(), RotateSigningKey::default()).await.expect("rotates").next;
    assert_eq!(published.kek_id, KeyEncryptionKey::new(&[8; 32]).id(), "what is new is under the current one");

    let alone = world.replica_refused(versions(8, &[])).await;
    assert!(alone.contains(KeyEncryptionKey::new(&KEK).id()), "{alone}");
    let done = both.reencrypt(&actor()).await.expect("encrypts anew");
    assert_eq!((done.count, &*done.kek_id), (1, KeyEncryptionKey::new(&[8; 32]).id()));
    assert_eq!(both.reencrypt(&actor()).await.expect("looks").count, 0);
    world.replica(versions(8, &[]), KEYS).await;

    // A lost answer to a refresh is still answered with the successor that the older key derived.
    let outcome = world.authority.refresh_tokens(&actor(), &before.refresh).await.expect("an outcome");
    let RefreshOutcome::Granted(first) = outcome else { panic!("it is unused") };
    let outcome = both.refresh_tokens(&actor(), &before.refresh).await.expect("an outcome");
    let RefreshOutcome::Granted(second) = outcome else { panic!("the answer was lost") };
    assert_eq!(first.refresh, second.refresh);
}

#[tokio::test]
async fn authenticator_apps_are_encrypted_anew_too() {
    let world = World::new().await;
    let alice = named("alice");
    world.authority.enrol_totp(&actor(), &tenant(), &alice).await.expect("enrols").expect("it is new");
    let wrong = Secret::from("000000");
    let alone = async || {
        let other = world.replica(versions(8, &[]), KEYS).await;
        other.confirm_totp(&actor(), &tenant(), &alice, &wrong).await
    };
    let both = world.replica(versions(8, &[KEK[0]]), KEYS).await;
    both.rotate_signing_key(&actor(), RotateSigningKey { instead_of: None, at_once: true }).await.expect("rotates");
    assert!(matches!(alone().await, Err(SecondFactorError::Store(_))), "it cannot open the secret");
    assert_eq!(both.reencrypt(&actor()).await.expect("encrypts anew").count, 1);
    world.clock.advance(Duration::from_secs(3_600));
    assert!(matches!(alone().await, Ok(TotpConfirmation::Refused(_))), "it opens, and the code is wrong");
}

#[tokio::test]
async fn a_named_request_is_known_after_the_key_encryption_key_was_exchanged() {
    let world = World::new().await;
    let both = world.replica(versions(8, &[KEK[0]]), KEYS).await;
    let (id, message) = (RequestId::try_from("make").expect("a valid id"), Secret::from("acme/carol"));
    let make = async |authority: &Authority| {
        let actor = actor().asking(Some(authority.asked(id.clone(), "CreateIdentity", &message)));
        let carol = IdentityName::try_from("carol").expect("a valid name");
        let new = NewIdentity::plain(tenant(), IdentityKind::User, carol);
        authority.create_identity(&actor, new).await.expect("made, or answered as before").id
    };
    assert_eq!(make(&world.authority).await, make(&both).await);
}

#[tokio::test]
async fn a_missing_key_encryption_key_is_named() {
    let world = World::new().await;
    let other = world.replica(versions(8, &[KEK[0]]), KEYS).await;
    // What the other replica makes, this one cannot open.
    let asked = RotateSigningKey { instead_of: None, at_once: true };
    other.rotate_signing_key(&actor(), asked).await.expect("rotates");
    let refused = world.authority.log_in(&actor(), world.attempt("alice", super::world::PASSWORD)).await;
    let error = refused.expect_err("it cannot sign");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains(KeyEncryptionKey::new(&[8; 32]).id()), "{error}: {cause}");
    let error = world.authority.reencrypt(&actor()).await.expect_err("it cannot decrypt");
    assert!(matches!(error, ReencryptError::Kek(missing) if missing.wanted == KeyEncryptionKey::new(&[8; 32]).id()));
}

impl World {
    async fn replica_refused(&self, keks: KeyEncryptionKeys) -> String {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let refused = Box::pin(Authority::open(parts(store, &self.clock, &self.hasher, keks))).await;
        refused.expect_err("a key-encryption key is missing").to_string()
    }
}
