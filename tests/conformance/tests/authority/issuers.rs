//! Tokens that others sign.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_domain::{
    Audience, Authority, DenyReason, IdentityKind, Issuer, IssuerAlgorithm, IssuerKey, IssuerKeys, IssuerSilent,
    IssuerUrl, KeyEncryptionKey, KeySet, Mapping, NameTemplate, NewIdentity, NewIssuer, PresentationContext, Presented,
    PutIssuerError, Reason, RetentionRules, RevokeTarget, RoleRule, StoreError, Tidied, VerifyError,
};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_types::{
    Clock as _, IdentityName, IssuerName, KeyDigest, KeyKind, RoleName, Secret, SessionId, TenantId,
};
use serde_json::{Value, json};

use super::world::{KEK, World, actor, allowed, denied, named, parts, role, tenant};

pub(crate) const URL: &str = "https://id.example";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Whether the issuer that answers once has answered.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Issuers that publish one key each, at two URLs; a third URL answers once, and others do not.
#[derive(Debug)]
pub(crate) struct PublishedSet;

#[async_trait::async_trait]
impl IssuerKeys for PublishedSet {
    fn is_out_of_reach(&self, issuer: &IssuerUrl) -> bool {
        issuer.as_str() == "https://10.0.0.1"
    }

    async fn key(&self, issuer: &IssuerUrl, kid: &str) -> Result<Option<Arc<IssuerKey>>, IssuerSilent> {
        match issuer.as_str() {
            URL => Ok(keys(0).1.get(kid).cloned()),
            "https://other.example" => Ok(keys(1).1.get(kid).cloned()),
            "https://once.example" if !ASKED.swap(true, Ordering::Relaxed) => Ok(keys(1).1.get(kid).cloned()),
            _ => Err(IssuerSilent),
        }
    }
}

/// Two issuers with a key each, which they call by the same name. Both publish one more, of another algorithm.
fn keys(which: usize) -> &'static (EncodingKey, KeySet) {
    static KEYS: OnceLock<[(EncodingKey, KeySet); 2]> = OnceLock::new();
    let made = KEYS.get_or_init(|| {
        [(); 2].map(|()| {
            let key = fresh();
            let set = json!({"keys": [public_half(&key), ed25519().1]}).to_string();
            (key, KeySet::parse(set.as_bytes()).expect("is a set"))
        })
    });
    &made[which]
}

/// That key, and its public half.
fn ed25519() -> &'static (EncodingKey, Value) {
    static KEY: OnceLock<(EncodingKey, Value)> = OnceLock::new();
    KEY.get_or_init(|| {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("makes a key");
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).expect("it was just made");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "ed25519", "x": x});
        (EncodingKey::from_ed_der(private.as_ref()), public)
    })
}

pub(crate) fn sign(which: usize, header: impl FnOnce(&mut Header), claims: &Value) -> Secret {
    let mut head = Header::new(Algorithm::ES256);
    head.kid = Some("k1".to_owned());
    header(&mut head);
    Secret::from(jsonwebtoken::encode(&head, claims, &keys(which).0).expect("signs"))
}

pub(crate) fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text).expect("a valid name")
}

pub(crate) fn corp() -> NewIssuer {
    let rule =
        RoleRule { claim: "groups".try_into().expect("a valid claim"), value: "staff".into(), role: role("speaker") };
    NewIssuer {
        tenant: tenant(),
        name: name("corp"),
        url: IssuerUrl::try_from(URL).expect("a valid issuer"),
        audience: Audience::try_from("acme-app").expect("a valid audience"),
        algorithms: vec![IssuerAlgorithm::Es256],
        mapping: Mapping {
            name: NameTemplate::try_from("corp:{sub}").expect("a valid template"),
            roles: vec![rule],
            create_identities: true,
            link_identities: false,
        },
        from: None,
    }
}

impl World {
    pub(crate) async fn trusting() -> (Self, Issuer) {
        let world = Self::new().await;
        let issuer = world.authority.put_issuer(&actor(), corp()).await.expect("trusts");
        (world, issuer)
    }

    pub(crate) fn claims(&self, change: Value) -> Value {
        let now = self.clock.now().as_unix_seconds();
        let mut claims = json!({"iss": URL, "aud": "acme-app", "sub": "u1", "iat": now, "exp": now + 3_600,
                                "sid": "s1", "groups": ["staff"]});
        for (key, value) in change.as_object().expect("an object") {
            claims[key] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        claims
    }

    pub(crate) fn token(&self, change: Value) -> Secret {
        sign(0, |_| (), &self.claims(change))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_is_a_new_identity_with_roles_by_its_claims() {
    let (world, issuer) = World::trusting().await;
    let good = world.allowed(&world.token(json!({}))).await;
    assert_eq!(good.principal.identity_name.as_str(), "corp:u1");
    assert_eq!(good.principal.grants.len(), 2, "those of `speaker`");
    assert_eq!(good.expires_in, Some(3_600 * SECOND));
    let session = good.principal.session.expect("it has one");
    for (kind, id) in [
        (KeyKind::Tenant, "acme".to_owned()),
        (KeyKind::Identity, good.principal.identity.to_string()),
        (KeyKind::Session, session.to_string()),
        (KeyKind::Credential, good.principal.credential.to_string()),
        (KeyKind::Issuer, issuer.id.to_string()),
        (KeyKind::Role, "speaker".to_owned()),
    ] {
        assert!(good.keys.contains(&KeyDigest::of(&tenant(), kind, &id)), "{kind:?}");
    }
    let again = world.allowed(&world.token(json!({}))).await;
    assert_eq!(again.principal.credential, good.principal.credential, "the same token is the same credential");
    world.pass(SECOND);
    let next = world.allowed(&world.token(json!({"groups": ["guests"]}))).await;
    assert_eq!(next.principal.session, Some(session), "one `sid` is one session");
    assert_ne!(next.principal.credential, good.principal.credential);
    assert!(next.principal.grants.is_empty(), "each token brings its own roles");
    let verdicts = world.authority.batch_verify(&[good.reference.clone(), next.reference]).await.expect("verdicts");
    let judged: Vec<_> = verdicts.into_iter().map(|verdict| allowed(verdict).principal.grants.len()).collect();
    assert_eq!(judged, [2, 0], "by reference, without the token");
}

#[tokio::test]
async fn a_token_that_says_less_or_more_than_it_must_is_refused() {
    let (world, _) = World::trusting().await;
    let now = world.clock.now().as_unix_seconds();
    let invalid = (DenyReason::Invalid, true);
    for (change, expected) in [
        (json!({"exp": null}), invalid),
        (json!({"exp": (now + 60).to_string()}), invalid),
        (json!({"exp": 1.5}), invalid),
        (json!({"exp": now + 86_401}), invalid),
        (json!({"exp": now}), invalid),
        (json!({"iat": null}), invalid),
        (json!({"iat": now - 60, "exp": now - 1}), (DenyReason::Expired, true)),
        (json!({"iat": now - 60, "exp": now}), (DenyReason::Expired, true)),
        (json!({"iat": now + 61}), (DenyReason::Invalid, false)),
        (json!({"nbf": now + 61}), (DenyReason::Invalid, false)),
        (json!({"nbf": "soon"}), invalid),
        (json!({"sub": null}), invalid),
        (json!({"sub": ""}), invalid),
        (json!({"sub": 7}), invalid),
        (json!({"sub": "two words"}), (DenyReason::Invalid, false)),
        (json!({"aud": null}), (DenyReason::WrongAudience, false)),
        (json!({"aud": "another"}), (DenyReason::WrongAudience, false)),
        (json!({"aud": {"acme-app": true}}), (DenyReason::WrongAudience, false)),
        (json!({"iss": "https://id.example/"}), (DenyReason::Unknown, false)),
        (json!({"iss": "https://nobody.example"}), (DenyReason::Unknown, false)),
    ] {
        assert_eq!(world.denied(&world.token(change.clone())).await, expected, "{change}");
    }
    let good = world.allowed(&world.token(json!({"iat": now + 60, "nbf": now + 60, "aud": ["x", "acme-app"]}))).await;
    assert_eq!(good.principal.identity_name.as_str(), "corp:u1", "clocks differ by a minute");
}

#[tokio::test]
async fn a_header_does_not_say_how_it_is_verified() {
    let (world, _) = World::trusting().await;
    let claims = world.claims(json!({}));
    let forged = |header: Value, signature: &str| {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        Secret::from(format!("{}.{}.{signature}", part(&header), part(&claims)))
    };
    for header in [
        json!({"alg": "none", "kid": "k1"}),
        json!({"alg": "HS256", "kid": "k1"}),
        json!({"alg": "RS256", "kid": "k1"}),
        json!({"alg": "ES256"}),
        json!({"kid": "k1"}),
        json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]}),
        json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
        json!({"alg": "ES256", "kid": "k1"}),
    ] {
        for signature in ["", "AAAA"] {
            assert_eq!(world.denied(&forged(header.clone(), signature)).await, (DenyReason::Invalid, true), "{header}");
        }
    }
    let typed = |typ: &str| sign(0, |header| header.typ = Some(typ.to_owned()), &claims);
    world.allowed(&typed("at+jwt")).await;
    assert_eq!(world.denied(&typed("dpop+jwt")).await, (DenyReason::Invalid, true));
    let unknown = sign(0, |header| header.kid = Some("k2".to_owned()), &claims);
    assert_eq!(world.denied(&unknown).await, (DenyReason::Unknown, false), "it may be published in a moment");
}

#[tokio::test]
async fn an_issuer_signs_by_the_algorithms_that_the_tenant_takes_and_by_no_others() {
    let (world, _) = World::trusting().await;
    let claims = world.claims(json!({}));
    let header = Header { kid: Some("ed25519".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let token = Secret::from(jsonwebtoken::encode(&header, &claims, &ed25519().0).expect("signs"));
    assert_eq!(world.denied(&token).await, (DenyReason::Invalid, true));
    let both = NewIssuer { algorithms: vec![IssuerAlgorithm::Es256, IssuerAlgorithm::EdDsa], ..corp() };
    world.authority.put_issuer(&actor(), both).await.expect("trusts");
    world.allowed(&token).await;
}

pub(crate) fn fresh() -> EncodingKey {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("makes a key");
    EncodingKey::from_ec_der(private.as_ref())
}

pub(crate) fn public_half(key: &EncodingKey) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).expect("has a public half");
    jwk.common.key_id = Some("k1".to_owned());
    jwk
}

/// The forms in which somebody may hold a public key of P-256, and take it for a secret.
fn forms_of(jwk: &Jwk) -> Vec<Vec<u8>> {
    let AlgorithmParameters::EllipticCurve(point) = &jwk.algorithm else { panic!("it is on a curve") };
    let [x, y] = [&point.x, &point.y].map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64"));
    let bare = [x, y].concat();
    let whole = [vec![4], bare.clone()].concat();
    // SubjectPublicKeyInfo (RFC 5480), up to the point.
    let prefix =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let der = [&prefix[..], &whole].concat();
    let text = STANDARD.encode(&der);
    let (first, second) = text.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----");
    let document = serde_json::to_vec(jwk).expect("is JSON");
    vec![bare, whole, der, pem.clone().into_bytes(), format!("{pem}\n").into_bytes(), document]
}

#[tokio::test]
async fn the_public_key_is_no_secret_that_signs() {
    let (world, _) = World::trusting().await;
    let claims = world.claims(json!({}));
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in forms_of(&public_half(&keys(0).0)) {
            let header = Header { kid: Some("k1".to_owned()), ..Header::new(algorithm) };
            let signed = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).expect("signs");
            assert_eq!(world.denied(&Secret::from(signed)).await, (DenyReason::Invalid, true), "{secret:?}");
        }
    }
}

/// Puts something of a key into a header.
type Bring = fn(&mut Header, &Jwk);

#[tokio::test]
async fn a_header_brings_no_key() {
    let (world, _) = World::trusting().await;
    let claims = world.claims(json!({}));
    let own = fresh();
    let brought: [(&str, Bring); 4] = [
        ("jwk", |header, jwk| header.jwk = Some(jwk.clone())),
        ("jku", |header, _| header.jku = Some("https://evil.example/jwks".to_owned())),
        ("x5u", |header, _| header.x5u = Some("https://evil.example/key.pem".to_owned())),
        ("x5c", |header, _| header.x5c = Some(vec!["AAAA".to_owned()])),
    ];
    for (what, bring) in brought {
        let mut header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        bring(&mut header, &public_half(&own));
        let signed = |key: &EncodingKey| Secret::from(jsonwebtoken::encode(&header, &claims, key).expect("signs"));
        assert_eq!(world.denied(&signed(&own)).await, (DenyReason::Invalid, true), "{what}");
        // Nobody looks at it: a token that its issuer signed is good all the same.
        world.allowed(&signed(&keys(0).0)).await;
    }
}

#[tokio::test]
async fn the_key_of_one_issuer_signs_nothing_for_another() {
    let (world, _) = World::trusting().await;
    let globex = TenantId::try_from("globex").expect("a valid name");
    world.authority.create_tenant(&actor(), globex.clone(), None, None).await.expect("a new tenant");
    let mut other = corp();
    other.tenant = globex.clone();
    other.url = IssuerUrl::try_from("https://other.example").expect("a valid issuer");
    other.mapping.roles.clear();
    world.authority.put_issuer(&actor(), other.clone()).await.expect("trusts");
    let own = sign(1, |_| (), &world.claims(json!({"iss": "https://other.example"})));
    assert_eq!(world.allowed(&own).await.principal.tenant, globex);
    for (key, iss) in [(1, URL), (0, "https://other.example")] {
        let mixed_up = sign(key, |_| (), &world.claims(json!({"iss": iss})));
        assert_eq!(world.denied(&mixed_up).await, (DenyReason::Invalid, true), "{iss}");
    }
    let within = PresentationContext { within: Some(tenant()), ..PresentationContext::default() };
    let verdict = world.authority.verify(Presented::Bearer(&own), &within).await.expect("a verdict");
    assert_eq!(denied(verdict), (DenyReason::Unknown, false), "of another tenant nothing is known");

    other.url = IssuerUrl::try_from(URL).expect("a valid issuer");
    other.name = name("second");
    let taken = world.authority.put_issuer(&actor(), other.clone()).await.expect_err("it is another tenant's");
    assert!(matches!(taken, PutIssuerError::Taken), "{taken:?}");
    other.audience = Audience::try_from("globex-app").expect("a valid audience");
    world.authority.put_issuer(&actor(), other).await.expect("trusts");
    let for_both = world.token(json!({"aud": ["acme-app", "globex-app"]}));
    assert_eq!(world.denied(&for_both).await, (DenyReason::Invalid, true), "it would be good for two tenants");
}

#[tokio::test]
async fn revoking_the_identity_kills_what_was_seen_and_what_was_issued_before() {
    let (world, _) = World::trusting().await;
    let (seen, unseen) = (world.token(json!({})), world.token(json!({"jti": "never presented"})));
    let good = world.allowed(&seen).await;
    world.pass(SECOND);
    world.revoke(RevokeTarget::Identity(named("corp:u1"))).await;
    assert_eq!(world.denied(&seen).await, (DenyReason::IdentityRevoked, true));
    assert_eq!(world.denied(&unseen).await, (DenyReason::IdentityRevoked, true));
    let verdict = world.authority.batch_verify(&[good.reference]).await.expect("verdicts").remove(0);
    assert_eq!(denied(verdict), (DenyReason::IdentityRevoked, true));
    world.pass(MINUTE);
    assert_eq!(
        world.denied(&world.token(json!({}))).await,
        (DenyReason::IdentityRevoked, true),
        "the clocks' tolerance"
    );
    world.pass(SECOND);
    let new = world.allowed(&world.token(json!({}))).await;
    assert_eq!(new.principal.identity, good.principal.identity);
    assert_ne!(new.principal.session, good.principal.session, "the same `sid`, and the old session stays dead");
    assert_eq!(world.denied(&seen).await, (DenyReason::IdentityRevoked, true));
}

/// It is ahead for a while, in which the log is compacted, and set back: what was issued before the revocation and was not
/// seen since stays dead, and what is issued later is taken.
async fn a_clock_was_ahead(restarts: bool) {
    const DAYS: Duration = Duration::from_secs(10 * 86_400);
    let (mut world, _) = World::trusting().await;
    world.allowed(&world.token(json!({}))).await;
    let unseen = world.token(json!({"jti": "never presented"}));
    world.pass(MINUTE);
    let revoked = world.revoke(RevokeTarget::Identity(named("corp:u1"))).await;
    for _ in 0..2 {
        world.revoke(RevokeTarget::Identity(named("alice"))).await;
    }
    let now = world.clock.now();
    world.clock.set_wall(now + DAYS);
    if restarts {
        let kek = KeyEncryptionKey::new(&KEK);
        let parts = parts(Arc::clone(&world.store), &world.clock, &world.hasher, kek);
        world.authority = Arc::new(Authority::open(parts).await.expect("opens"));
    }
    while let Tidied::Removed { .. } = world.authority.compact_log(&RetentionRules::default()).await.expect("compacts")
    {
    }
    let is_gone = world.store.horizon().await.expect("reads") >= revoked.revision.seq;
    assert_eq!(is_gone, restarts, "a process that began before it knows that no time has passed");
    world.clock.set_wall(now + MINUTE);
    assert_eq!(world.denied(&unseen).await, (DenyReason::IdentityRevoked, true));
    world.pass(MINUTE);
    world.allowed(&world.token(json!({"jti": "new"}))).await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_while_brings_no_revoked_token_back() {
    a_clock_was_ahead(false).await;
}

#[tokio::test]
async fn nor_does_a_process_that_began_while_the_clock_was_ahead() {
    a_clock_was_ahead(true).await;
}

#[tokio::test]
async fn a_session_that_was_revoked_does_not_come_back() {
    let (world, _) = World::trusting().await;
    let good = world.allowed(&world.token(json!({}))).await;
    world.revoke(RevokeTarget::Session(good.principal.session.expect("it has one"))).await;
    world.pass(2 * MINUTE);
    assert_eq!(world.denied(&world.token(json!({}))).await, (DenyReason::SessionRevoked, true));
    world.allowed(&world.token(json!({"sid": "s2"}))).await;
    world.revoke(RevokeTarget::Identity(named("corp:u1"))).await;
    world.pass(2 * MINUTE);
    assert_eq!(
        world.denied(&world.token(json!({}))).await,
        (DenyReason::SessionRevoked, true),
        "nor under a later one"
    );
    world.allowed(&world.token(json!({"sid": "s2"}))).await;
}

/// Its session is removed between the moment that it is found and the moment that it is prolonged.
#[tokio::test]
async fn no_token_is_taken_in_under_a_session_that_is_gone() {
    let (world, issuer) = World::trusting().await;
    let good = world.allowed(&world.token(json!({}))).await.principal.identity;
    let sid = digest(&SHA256, b"s2").as_ref().try_into().expect("it has 32 bytes");
    let mut tx = world.store.write().await.expect("writes");
    let gone = SessionId::from_bytes([9; 16]);
    assert!(tx.insert_external_session(issuer.id, &sid, 0, good, None, gone).await.expect("writes"));
    tx.commit().await.expect("commits");
    let (token, context) = (world.token(json!({"sid": "s2"})), PresentationContext::default());
    let error = world.authority.verify(Presented::Bearer(&token), &context).await.expect_err("it is outrun");
    assert!(matches!(error, VerifyError::Store(StoreError::Conflict)), "{error:?}");
}

#[tokio::test]
async fn revoking_one_token_spares_the_others_of_its_session() {
    let (world, _) = World::trusting().await;
    let (one, other) = (world.token(json!({})), world.token(json!({"jti": "other"})));
    world.allowed(&one).await;
    world.allowed(&other).await;
    world.revoke(RevokeTarget::Presented(one.clone())).await;
    assert_eq!(world.denied(&one).await, (DenyReason::CredentialRevoked, true));
    world.allowed(&other).await;
    let unseen = world.token(json!({"jti": "revoked before it was seen"}));
    world.revoke(RevokeTarget::Presented(unseen.clone())).await;
    assert_eq!(world.denied(&unseen).await, (DenyReason::CredentialRevoked, true));
}

#[tokio::test]
async fn an_issuer_that_is_revoked_or_removed_takes_its_tokens_with_it() {
    let (world, issuer) = World::trusting().await;
    let first = world.token(json!({}));
    world.allowed(&first).await;
    world.authority.revoke_issuer(&actor(), &tenant(), &name("corp"), Reason::Compromised).await.expect("revokes");
    assert_eq!(world.denied(&first).await, (DenyReason::CredentialRevoked, true));
    world.pass(MINUTE + SECOND);
    let second = world.token(json!({}));
    world.allowed(&second).await;
    world.authority.remove_issuer(&actor(), &tenant(), &name("corp")).await.expect("removes");
    assert_eq!(world.denied(&second).await, (DenyReason::Unknown, false), "nobody trusts it");
    let again = world.authority.put_issuer(&actor(), corp()).await.expect("trusts again");
    assert_eq!(again.id, issuer.id);
    assert_eq!(world.denied(&second).await, (DenyReason::CredentialRevoked, true), "and what died stays dead");
    let unseen = world.token(json!({"jti": "from before"}));
    assert_eq!(world.denied(&unseen).await, (DenyReason::CredentialRevoked, true));
    world.pass(MINUTE + SECOND);
    world.allowed(&world.token(json!({}))).await;
}

#[tokio::test]
async fn the_identity_behind_a_token_is_disabled_and_deleted_like_any_other() {
    let (world, _) = World::trusting().await;
    world.allowed(&world.token(json!({}))).await;
    world.authority.disable_identity(&actor(), &tenant(), &named("corp:u1")).await.expect("disables");
    world.pass(2 * MINUTE);
    assert_eq!(world.denied(&world.token(json!({}))).await, (DenyReason::IdentityDisabled, false));
    world.authority.enable_identity(&actor(), &tenant(), &named("corp:u1")).await.expect("enables");
    world.allowed(&world.token(json!({}))).await;
    world.authority.delete_identity(&actor(), &tenant(), &named("corp:u1")).await.expect("deletes");
    world.pass(2 * MINUTE);
    assert_eq!(world.denied(&world.token(json!({}))).await.0, DenyReason::IdentityDisabled, "it is not made anew");
}

#[tokio::test]
async fn a_subject_takes_no_name_that_is_somebody_elses() {
    let world = World::new().await;
    let mut issuer = corp();
    issuer.mapping.name = NameTemplate::try_from("{preferred_username}").expect("a valid template");
    world.authority.put_issuer(&actor(), issuer.clone()).await.expect("trusts");
    let as_name = |sub: &str, name: &str| world.token(json!({"sub": sub, "sid": sub, "preferred_username": name}));
    let refused = (DenyReason::Invalid, false);
    assert_eq!(world.denied(&as_name("u1", "alice")).await, refused, "alice is from here, and linking is not allowed");
    world.allowed(&as_name("u2", "bob")).await;
    assert_eq!(world.denied(&as_name("u3", "bob")).await, refused, "bob is another subject");
    let tombstone = format!("deleted:{}", world.alice.id);
    assert_eq!(world.denied(&as_name("u7", &tombstone)).await, refused, "it is kept for alice, when she is deleted");
    let moved = world.allowed(&as_name("u2", "robert")).await;
    assert_eq!(moved.principal.identity_name.as_str(), "bob", "a subject stays who it is");

    issuer.mapping.link_identities = true;
    issuer.mapping.create_identities = false;
    world.authority.put_issuer(&actor(), issuer).await.expect("changes the mapping");
    assert_eq!(world.allowed(&as_name("u1", "alice")).await.principal.identity, world.alice.id);
    assert_eq!(world.denied(&as_name("u4", "alice")).await, refused, "alice is another subject now");
    assert_eq!(world.denied(&as_name("u5", "carol")).await, refused, "nobody is called so");
    let robot = IdentityName::try_from("robot").expect("a valid name");
    let robot = NewIdentity::plain(tenant(), IdentityKind::Service, robot);
    world.authority.create_identity(&actor(), robot).await.expect("a new identity");
    assert_eq!(world.denied(&as_name("u6", "robot")).await, refused, "a service is nobody's to vouch for");
    world.authority.delete_identity(&actor(), &tenant(), &named("alice")).await.expect("nobody has its last name");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_leaves_no_verdict() {
    let world = World::new().await;
    let mut silent = corp();
    silent.url = IssuerUrl::try_from("https://silent.example").expect("a valid issuer");
    world.authority.put_issuer(&actor(), silent).await.expect("trusts");
    let token = world.token(json!({"iss": "https://silent.example"}));
    let context = PresentationContext::default();
    let error = world.authority.verify(Presented::Bearer(&token), &context).await.expect_err("nothing is known");
    assert!(matches!(error, VerifyError::Issuer(IssuerSilent)), "{error:?}");
}

#[tokio::test]
async fn a_ticket_from_an_external_token_dies_with_its_issuer() {
    let (world, _) = World::trusting().await;
    let ticket = world.ticket(&world.token(json!({})), None, None).await;
    let good = allowed(world.redeem(&ticket, 1, &PresentationContext::default()).await);
    assert_eq!(good.principal.identity_name.as_str(), "corp:u1");
    world.authority.remove_issuer(&actor(), &tenant(), &name("corp")).await.expect("removes");
    let verdict = world.authority.batch_verify(&[good.reference]).await.expect("verdicts").remove(0);
    assert_eq!(denied(verdict), (DenyReason::CredentialRevoked, true));
}

#[tokio::test]
async fn an_issuer_that_could_be_nobodys_or_everybodys_is_refused() {
    let world = World::new().await;
    let refused = |change: fn(&mut NewIssuer)| {
        let mut issuer = corp();
        change(&mut issuer);
        let authority = Arc::clone(&world.authority);
        async move { authority.put_issuer(&actor(), issuer).await.expect_err("it is refused") }
    };
    let url = |text| IssuerUrl::try_from(text).expect("a valid issuer");
    assert!(matches!(refused(|i| i.tenant = TenantId::system()).await, PutIssuerError::SystemTenant));
    assert!(matches!(refused(|i| i.algorithms.clear()).await, PutIssuerError::NoAlgorithm));
    assert!(matches!(refused(|i| i.mapping.create_identities = false).await, PutIssuerError::NobodyKnown));
    assert!(matches!(
        refused(|i| i.mapping.roles[0].role = RoleName::try_from("ghost").expect("valid")).await,
        PutIssuerError::RoleNotFound(_)
    ));
    let error = world.authority.put_issuer(&actor(), NewIssuer { url: url("https://10.0.0.1"), ..corp() }).await;
    assert!(matches!(error, Err(PutIssuerError::OutOfReach)), "{error:?}");
    for (text, why) in [("http://id.example", "plaintext"), ("https://portcullis.test", "ourselves")] {
        let issuer = NewIssuer { url: url(text), ..corp() };
        let error = world.authority.put_issuer(&actor(), issuer).await.expect_err(why);
        assert!(matches!(error, PutIssuerError::Plaintext | PutIssuerError::Ourselves), "{error:?}");
    }
    world.authority.put_issuer(&actor(), corp()).await.expect("trusts");
    let error = world.authority.put_issuer(&actor(), NewIssuer { url: url("https://x.example"), ..corp() }).await;
    assert!(matches!(error, Err(PutIssuerError::NameTaken)), "{error:?}");
}
