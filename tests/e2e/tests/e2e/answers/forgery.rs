//! Credentials that nobody should believe.

use aws_lc_rs::{hmac, rand, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, SystemEntropy};
use serde_json::{Value, json};
use test_harness::Edge;

/// A token with its header and claims changed; the signature stays as it was.
pub(super) fn tampered(token: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut header, mut claims, signature) = taken_apart(token);
    change(&mut header, &mut claims);
    format!("{}.{signature}", signing_input(&header, &claims))
}

pub(super) fn taken_apart(token: &str) -> (Value, Value, String) {
    let parts: Vec<_> = token.split('.').collect();
    let json = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (json(parts[0]), json(parts[1]), parts[2].to_owned())
}

pub(super) fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

pub(super) fn token_id(token: &str) -> String {
    taken_apart(token).1["jti"].as_str().expect("a token has an id").to_owned()
}

/// The authority's public key as everybody can fetch it, in PEM.
async fn public_key_pem(edge: &Edge) -> String {
    const P256_SPKI: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    let keys = edge.get("/.well-known/jwks.json").await.expect("it answers").json();
    let coordinate = |name: &str| {
        let text = keys["keys"][0][name].as_str().expect("a coordinate");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    let text = STANDARD.encode([P256_SPKI, &coordinate("x"), &coordinate("y")].concat());
    let (first, second) = text.split_at(64);
    format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
}

/// A token whose claims are good, signed with HMAC under the public key.
pub(super) async fn signed_with_the_public_key(token: &str, edge: &Edge) -> String {
    let (mut header, claims, _) = taken_apart(token);
    header["alg"] = json!("HS256");
    let input = signing_input(&header, &claims);
    let pem = public_key_pem(edge).await;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes()), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A token whose claims are good, signed with a key of the forger's own, which `embed` puts into its header.
pub(super) fn forged(token: &str, embed: bool) -> String {
    use signature::KeyPair as _;
    let key = signature::EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let (mut header, claims, _) = taken_apart(token);
    if embed {
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(32);
        let text = |half: &[u8]| json!(URL_SAFE_NO_PAD.encode(half));
        header["jwk"] = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": text(x), "y": text(y) });
    }
    let input = signing_input(&header, &claims);
    let signed = key.sign(&rand::SystemRandom::new(), input.as_bytes()).expect("a signature");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signed))
}

/// A credential of the right form that nobody has issued.
pub(super) fn invented(kind: OpaqueKind, id: CredentialId) -> String {
    let token = OpaqueToken::generate(kind, id, &SystemEntropy);
    token.reveal().expose_str().expect("it is text").to_owned()
}

/// A text of the right length and form, but for its last character.
pub(super) fn mistyped(credential: &str) -> String {
    let (rest, last) = credential.split_at(credential.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}
