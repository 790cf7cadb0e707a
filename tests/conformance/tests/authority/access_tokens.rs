//! Tricks with access tokens.

use auth_domain::{DenyReason, LoginAttempt, LoginOutcome, SessionCredentials};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_types::Secret;
use serde_json::{Value, json};

use super::issuers::{fresh, public_half};
use super::world::{PASSWORD, World, actor};

struct Parts {
    header: Value,
    claims: Value,
    signature: String,
}

impl Parts {
    fn of(token: &Secret) -> Self {
        let mut parts = token.expose_str().expect("text").split('.');
        let mut json = || {
            let part = URL_SAFE_NO_PAD.decode(parts.next().expect("three parts")).expect("base64url");
            serde_json::from_slice(&part).expect("JSON")
        };
        let (header, claims) = (json(), json());
        Self { header, claims, signature: parts.next().expect("three parts").to_owned() }
    }

    fn text(&self) -> Secret {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        Secret::from(format!("{}.{}.{}", part(&self.header), part(&self.claims), self.signature))
    }
}

/// What a token says.
pub(crate) fn claims_of(token: &Secret) -> Value {
    Parts::of(token).claims
}

#[tokio::test]
async fn every_token_names_its_client_and_an_older_one_without_is_good() {
    let world = World::new().await;
    let attempt = LoginAttempt { client: None, ..world.attempt("alice", PASSWORD) };
    let outcome = world.authority.log_in(&actor(), attempt).await.expect("an outcome");
    let LoginOutcome::Granted(opened) = outcome else { panic!("alice could not log in") };
    let SessionCredentials::Tokens(tokens) = opened.credentials else { panic!("tokens were asked for") };
    let parts = Parts::of(&tokens.access);
    assert_eq!(parts.claims["client_id"], "portcullis", "the default audience");
    let service = world.authority.issue_service_token(&world.admin, None, None).await.expect("a token");
    let claims = claims_of(&service.token.expect("it is new"));
    assert_eq!(claims["client_id"], world.admin.credential.to_string());

    let mut claims = parts.claims.clone();
    claims.as_object_mut().expect("an object").remove("client_id");
    world.allowed(&signed_by_us(&world, &header(&parts.header), &claims).await).await;
}

async fn assert_invalid(world: &World, token: &Secret, why: &str) {
    assert_eq!(world.denied(token).await, (DenyReason::Invalid, true), "{why}");
}

#[tokio::test]
async fn a_token_says_what_rfc_9068_asks_for() {
    let world = World::new().await;
    let (opened, tokens) = world.log_in().await;
    let parts = Parts::of(&tokens.access);
    assert_eq!((&parts.header["typ"], &parts.header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let jwks = world.authority.jwks().await.expect("reads");
    assert_eq!(parts.header["kid"], jwks["keys"][0]["kid"]);
    assert_eq!(parts.claims["iss"], "https://portcullis.test");
    assert_eq!(parts.claims["aud"], "portcullis");
    assert_eq!(parts.claims["sub"], world.alice.id.to_string());
    assert_eq!(parts.claims["sid"], opened.session.id.to_string());
    assert_eq!(parts.claims["exp"].as_i64().expect("a number") - parts.claims["iat"].as_i64().expect("a number"), 600);
    assert_eq!(parts.claims["client_id"], "web");
    assert_eq!(parts.claims["rev"], opened.session.issued.to_string());
}

#[tokio::test]
async fn the_published_key_verifies_a_token() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let jwks = world.authority.jwks().await.expect("reads");
    let jwk = serde_json::from_value(jwks["keys"][0].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a P-256 key");
    let mut validation = jsonwebtoken::Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&["portcullis"]);
    let text = tokens.access.expose_str().expect("text");
    jsonwebtoken::decode::<Value>(text, &key, &validation).expect("the signature is good");
}

#[tokio::test]
async fn a_header_that_says_anything_else_is_refused() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let kid = Parts::of(&tokens.access).header["kid"].clone();
    let unknown = json!("0192f0c1-2345-7abc-8def-0123456789ab");
    let jwk = json!({"kty": "EC"});
    for header in [
        json!({"typ": "at+jwt", "alg": "none", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "NONE", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "ES384", "kid": kid}),
        json!({"typ": "JWT", "alg": "ES256", "kid": kid}),
        json!({"alg": "ES256", "kid": kid}),
        json!({"typ": "at+jwt", "alg": "ES256"}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": "../../etc/passwd"}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": unknown}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "jku": "https://evil.example/keys"}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "x5u": "https://evil.example/cert"}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "jwk": jwk}),
        json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "crit": ["exp"]}),
        json!({"typ": "at+jwt", "alg": ["ES256"], "kid": kid}),
    ] {
        let mut parts = Parts::of(&tokens.access);
        parts.header = header.clone();
        assert_invalid(&world, &parts.text(), &header.to_string()).await;
        parts.signature.clear();
        assert_invalid(&world, &parts.text(), &format!("{header} unsigned")).await;
    }
    world.allowed(&tokens.access).await;
}

#[tokio::test]
async fn changed_claims_and_signatures_are_refused() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    for (claim, value) in [("exp", json!(9_999_999_999_i64)), ("tenant", json!("system")), ("rev", json!("99-00"))] {
        let mut parts = Parts::of(&tokens.access);
        parts.claims[claim] = value;
        assert_invalid(&world, &parts.text(), claim).await;
    }
    let mut parts = Parts::of(&tokens.access);
    parts.signature = URL_SAFE_NO_PAD.encode([0; 64]);
    assert_invalid(&world, &parts.text(), "a signature of zeros").await;
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let public = world.store.read().await.expect("reads").signing_keys().await.expect("reads").remove(0).public;
    let parts = Parts::of(&tokens.access);
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = parts.header["kid"].as_str().map(str::to_owned);
    let forged = jsonwebtoken::encode(&header, &parts.claims, &EncodingKey::from_secret(&public)).expect("signs");
    assert_invalid(&world, &Secret::from(forged), "HS256 with the public key").await;
}

/// Signs with the authority's own key what the authority never would.
pub(crate) async fn signed_by_us(world: &World, header: &Header, claims: &Value) -> Secret {
    let key = world.store.read().await.expect("reads").signing_keys().await.expect("reads").remove(0);
    let private = world.unseal(&key);
    Secret::from(jsonwebtoken::encode(header, claims, &EncodingKey::from_ec_der(&private)).expect("signs"))
}

/// A header as JSON, as the library writes it.
pub(crate) fn header(json: &Value) -> Header {
    serde_json::from_value(json.clone()).expect("a header")
}

#[tokio::test]
async fn a_good_signature_does_not_excuse_a_header_that_says_more() {
    let world = World::new().await;
    let parts = Parts::of(&world.log_in().await.1.access);
    world.allowed(&signed_by_us(&world, &header(&parts.header), &parts.claims).await).await;
    for (parameter, value) in [
        ("typ", json!("JWT")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("cty", json!("JWT")),
        ("crit", json!(["exp"])),
        ("surprise", json!("x")),
    ] {
        let mut json = parts.header.clone();
        json[parameter] = value;
        let token = signed_by_us(&world, &header(&json), &parts.claims).await;
        assert!(Parts::of(&token).header.get(parameter).is_some(), "the library dropped {parameter}");
        assert_invalid(&world, &token, parameter).await;
    }
}

#[tokio::test]
async fn a_token_that_brings_the_key_of_its_signature_is_refused() {
    let world = World::new().await;
    let parts = Parts::of(&world.log_in().await.1.access);
    let own = fresh();
    for brings in [true, false] {
        let mut header = header(&parts.header);
        header.jwk = brings.then(|| public_half(&own));
        let forged = jsonwebtoken::encode(&header, &parts.claims, &own).expect("signs");
        assert_invalid(&world, &Secret::from(forged), "signed by somebody else").await;
    }
}

#[tokio::test]
async fn a_good_signature_does_not_excuse_wrong_claims() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let parts = Parts::of(&tokens.access);
    let same = signed_by_us(&world, &header(&parts.header), &parts.claims).await;
    world.allowed(&same).await;

    let ours = header(&parts.header);
    for missing in ["iss", "sub", "aud", "exp", "iat", "jti", "tenant", "sid", "rev"] {
        let mut claims = parts.claims.clone();
        claims.as_object_mut().expect("an object").remove(missing);
        assert_invalid(&world, &signed_by_us(&world, &ours, &claims).await, missing).await;
    }
    let exp = parts.claims["exp"].as_i64().expect("a number");
    let other = "0192f0c1-2345-7abc-8def-0123456789ab";
    for (claim, value) in [
        ("exp", json!(exp.to_string())),
        ("exp", json!(exp + 1)),
        ("exp", json!(exp as f64 + 0.5)),
        ("exp", Value::Null),
        ("aud", json!(["portcullis", "elsewhere"])),
        ("aud", json!("elsewhere")),
        ("sub", json!(other)),
        ("sid", json!(other)),
        ("tenant", json!("system")),
        ("rev", json!("7-0000000000000000")),
    ] {
        let mut claims = parts.claims.clone();
        claims[claim] = value.clone();
        let token = signed_by_us(&world, &ours, &claims).await;
        assert_invalid(&world, &token, &format!("{claim} {value}")).await;
    }
    for (claim, value, why) in [
        ("jti", other, "a token without a row"),
        ("iss", "https://evil.example", "an issuer that nobody trusts, and somebody may tomorrow"),
    ] {
        let mut claims = parts.claims.clone();
        claims[claim] = json!(value);
        let token = signed_by_us(&world, &ours, &claims).await;
        assert_eq!(world.denied(&token).await, (DenyReason::Unknown, false), "{why}");
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_looked_at() {
    let world = World::new().await;
    let tokens = world.log_in().await.1;
    let mut parts = Parts::of(&tokens.access);
    parts.claims["padding"] = json!("x".repeat(4_096));
    assert_eq!(world.denied(&parts.text()).await, (DenyReason::Malformed, true));
}
