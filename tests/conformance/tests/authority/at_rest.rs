//! What lies on disk.

use std::sync::Arc;

use auth_domain::{Authority, KeyEncryptionKey, OpenError, PresentationContext, RevokeTarget};
use portcullis_types::{OpaqueToken, SeededEntropy};

use super::world::Shown as _;
use super::world::{KEK, PASSWORD, World, actor, named, parts, tenant};

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn nothing_that_could_be_presented_lies_on_disk() {
    let world = World::new().await;
    let (tokens, (browser, cookie), key) =
        (world.log_in().await.1, world.cookie().await, world.api_key().await.shown());
    let device = browser.device.expect("a browser is remembered").value;
    let ticket = world.ticket(&tokens.access, None, None).await;
    world.redeem(&ticket, 1, &PresentationContext::default()).await;
    let app = world
        .authority
        .enrol_totp(&actor(), &tenant(), &named("alice"))
        .await
        .expect("enrols")
        .expect("it is new")
        .secret;
    let private = world.unseal(&world.store.read().await.expect("reads").signing_keys().await.expect("reads")[0]);
    world.revoke(RevokeTarget::Presented(key.clone())).await;
    world.store.close().await;

    let disk = world.data.on_disk().await;
    assert!(contains(&disk, b"alice"), "it is read as it is");
    assert!(!contains(&disk, PASSWORD.as_bytes()), "the password");
    // PKCS #8 of a P-256 key has the scalar here; the public half beside it is public.
    assert!(!contains(&disk, &private[36..68]), "the signing key");
    let raw = data_encoding::BASE32_NOPAD.decode(app.expose_bytes()).expect("base 32");
    assert!(!contains(&disk, &raw) && !contains(&disk, app.expose_bytes()), "the authenticator app's secret");
    let text = device.expose_str().expect("text");
    assert!(!contains(&disk, text.as_bytes()) && !contains(&disk, &raw_secret(text)), "what the device is known by");
    for secret in [&tokens.access, &tokens.refresh, &cookie, &key, &ticket] {
        let text = secret.expose_str().expect("text");
        let half = &text[text.len() / 2..];
        assert!(!contains(&disk, half.as_bytes()), "{half} in the clear");
        if let Ok(token) = OpaqueToken::parse(text) {
            let raw = raw_secret(text);
            assert!(!contains(&disk, &raw), "the bytes of {token:?}");
            assert!(contains(&disk, &token.digest()), "only the digest of {token:?}");
        }
    }
}

fn raw_secret(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&text[26..69]).expect("the form is known")
}

#[tokio::test]
async fn another_key_encryption_key_opens_nothing() {
    let world = World::new().await;
    world.store.close().await;
    let World { data, clock, hasher, authority, store, .. } = world;
    drop((authority, store));

    let store = data.open(&SeededEntropy::new(9)).await;
    let other = KeyEncryptionKey::new(&[8; 32]);
    let other_id = other.id().to_owned();
    let refused = Authority::open(parts(Arc::clone(&store), &clock, &hasher, other)).await;
    assert!(matches!(refused, Err(OpenError::Kek(missing)) if missing.given == other_id));
    let same = Authority::open(parts(store, &clock, &hasher, KeyEncryptionKey::new(&KEK))).await;
    assert!(same.is_ok());
}
