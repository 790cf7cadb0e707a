//! What an attacker makes of a credential that the other files do not: hostile names, other formats, pieces.
//!
//! The whole list, with the test of each, is docs/attacks.md.

use auth_domain::DenyReason;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_types::Secret;
use serde_json::{Value, json};

use super::access_tokens::{claims_of, header, signed_by_us};
use super::world::Shown as _;
use super::world::World;

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// The token with another header, its signature as it was.
fn with_header(token: &Secret, header: &Value) -> Secret {
    let (_, rest) = token.expose_str().expect("text").split_once('.').expect("three parts");
    Secret::from(format!("{}.{rest}", encoded(header)))
}

#[tokio::test]
async fn a_hostile_kid_names_no_key_no_file_and_no_statement() {
    let world = World::new().await;
    let access = world.log_in().await.1.access;
    let keys = || async { world.store.read().await.expect("reads").signing_keys().await.expect("reads").len() };
    let before = keys().await;
    for kid in [
        json!("../../../../dev/null"),
        json!("file:///etc/passwd"),
        json!("https://evil.example/key"),
        json!("' OR '1'='1"),
        json!("x'; DROP TABLE signing_keys; --"),
        json!("0192f0c1-2345-7abc-8def-0123456789ab\u{0}"),
        json!("\u{0}"),
        json!("$(reboot)"),
        json!("A".repeat(3_000)),
        json!(""),
        json!(null),
        json!(7),
        json!(["a"]),
        json!({"$ne": ""}),
    ] {
        let token = with_header(&access, &json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}));
        let mut tokens = vec![token];
        if kid.is_string() {
            // Whatever it leads to, a signature by our own key does not make it good.
            let ours = header(&json!({"typ": "at+jwt", "alg": "ES256", "kid": kid}));
            tokens.push(signed_by_us(&world, &ours, &claims_of(&access)).await);
        }
        for token in tokens {
            let (reason, permanent) = world.denied(&token).await;
            assert!(permanent && matches!(reason, DenyReason::Invalid | DenyReason::Malformed), "{kid}: {reason:?}");
        }
    }
    assert_eq!(keys().await, before);
    world.allowed(&access).await;
}

#[tokio::test]
async fn a_header_that_names_a_parameter_twice_is_refused() {
    let world = World::new().await;
    let access = world.log_in().await.1.access;
    let text = access.expose_str().expect("text");
    let (header, rest) = text.split_once('.').expect("three parts");
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("text");
    for twice in [
        header.replacen('{', "{\"alg\":\"none\",", 1),
        header.replacen('{', "{\"kid\":\"0192f0c1-2345-7abc-8def-0123456789ab\",", 1),
        header.replace('}', ",\"typ\":\"JWT\"}"),
    ] {
        let token = Secret::from(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(&twice)));
        assert_eq!(world.denied(&token).await, (DenyReason::Invalid, true), "{twice}");
    }
}

#[tokio::test]
async fn an_encrypted_token_and_other_formats_are_no_access_tokens() {
    let world = World::new().await;
    let access = world.log_in().await.1.access;
    let text = access.expose_str().expect("text");
    let jwe = encoded(&json!({"alg": "dir", "enc": "A256GCM", "typ": "at+jwt"}));
    let nested = encoded(&json!({"alg": "dir", "enc": "A256GCM", "cty": "JWT"}));
    let mut parts = text.split('.');
    let (header, claims, signature) =
        (parts.next().expect("three"), parts.next().expect("three"), parts.next().expect("three"));
    for token in [
        format!("{jwe}..AAAAAAAAAAAAAAAA.{claims}.AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{nested}..AAAAAAAAAAAAAAAA.{}.AAAAAAAAAAAAAAAAAAAAAA", URL_SAFE_NO_PAD.encode(text)),
        // JSON serialisations of JWS.
        json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
        json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]}).to_string(),
        // Unencoded and detached payloads.
        format!("{header}..{signature}"),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{text}."),
        format!("{text}.{signature}"),
        format!("Bearer {text}"),
        // The same bytes in the alphabets that we do not speak.
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        text.replacen('.', ".\n", 1),
        format!(" {text}"),
    ] {
        let (reason, permanent) = world.denied(&Secret::from(token.clone())).await;
        assert!(permanent && matches!(reason, DenyReason::Invalid | DenyReason::Malformed), "{token}: {reason:?}");
    }
}

#[tokio::test]
async fn no_piece_of_a_credential_is_one() {
    let world = World::new().await;
    let access = world.log_in().await.1.access;
    let key = world.api_key().await.shown();
    let cookie = world.cookie().await.1;
    for whole in [&access, &key, &cookie] {
        world.allowed(whole).await;
        let text = whole.expose_str().expect("text");
        for length in (0..text.len()).step_by(7).chain([text.len() - 1]) {
            let (reason, permanent) = world.denied(&Secret::from(&text[..length])).await;
            assert!(permanent && reason != DenyReason::Unknown, "the first {length}: {reason:?} cost a look-up");
            let (_, permanent) = world.denied(&Secret::from(&text[text.len() - length..])).await;
            assert!(permanent, "the last {length}");
        }
        let twice = Secret::from(format!("{text}{text}"));
        assert!(world.denied(&twice).await.1);
    }
}

/// The last character of a base64 text has bits that mean nothing: another text of the same bytes is another token.
#[tokio::test]
async fn a_signature_has_one_text() {
    let world = World::new().await;
    let access = world.log_in().await.1.access;
    let text = access.expose_str().expect("text");
    let (rest, last) = text.split_at(text.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for other in alphabet.chars().filter(|other| !last.starts_with(*other)) {
        let (reason, _) = world.denied(&Secret::from(format!("{rest}{other}"))).await;
        assert_eq!(reason, DenyReason::Invalid, "{other} in place of {last}");
    }
}
