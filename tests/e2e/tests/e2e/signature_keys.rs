//! Public signature keys, with the real programs: what a revoked one closes, and what a rotated one does not.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_proto::auth::v1;
use serde_json::json;
use test_harness::{Closed, Login, Site, Socket, eventually};

/// A new key's public half, and its private half's proof for a session of alice.
async fn proven(site: &Site, session: &str) -> (String, String) {
    let pair = Ed25519KeyPair::generate().expect("it draws");
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(pair.public_key()));
    let begin = v1::BeginSignatureKeyRequest { identity: alice(), session_id: session.to_owned() };
    let begun = site.backend.signature_keys().begin_signature_key(begin).await.expect("a challenge").into_inner();
    let jkt = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jwk.as_bytes()));
    let header = json!({ "typ": "portcullis-key-proof+jwt", "alg": "EdDSA" });
    let claims = json!({ "aud": begun.audience, "challenge": begun.challenge, "jkt": jkt });
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    (jwk, format!("{signed}.{signature}"))
}

fn alice() -> Option<v1::IdentityReference> {
    let identity = Some(v1::identity_reference::Identity::Name("alice".to_owned()));
    Some(v1::IdentityReference { tenant: "acme".to_owned(), identity })
}

async fn register(site: &Site, session: &str) -> v1::RegisterSignatureKeyResponse {
    let (jwk, proof) = proven(site, session).await;
    let request = v1::RegisterSignatureKeyRequest {
        identity: alice(),
        session_id: session.to_owned(),
        jwk,
        proof,
        ..Default::default()
    };
    site.backend.signature_keys().register_signature_key(request).await.expect("a new key").into_inner()
}

/// Every gateway has applied it.
async fn applied(site: &Site, revision: Option<v1::Revision>) -> v1::Receipt {
    let request = v1::AwaitEnforcedRequest { revision, timeout_ms: 20_000 };
    let answer = site.backend.credentials().await_enforced(request).await.expect("an answer").into_inner();
    let receipt = answer.receipt.expect("a receipt");
    assert_eq!(receipt.status(), v1::ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
    receipt
}

async fn on_both(site: &Site, login: &Login) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        let mut socket = gateway.open().await;
        assert!(socket.connect(Some(&login.access_token)).await.is_authenticated());
        sockets.push(socket);
    }
    sockets
}

async fn carried(site: &Site, login: &Login) -> Vec<String> {
    let allowed = site.backend.verify(&login.access_token).await.allowed.expect("the session goes on");
    let mut keys: Vec<_> = allowed.signature_keys.into_iter().map(|key| key.id).collect();
    keys.sort_unstable();
    keys
}

/// One key was there before the sockets; the other came while they were open. Revoking either closes them, and no socket of
/// another session of the same person.
#[tokio::test]
async fn revoking_a_key_closes_the_sockets_that_were_set_up_with_it_and_no_others() {
    let site = Site::start().await;
    for before in [true, false] {
        let (with, without) = (site.log_in("alice").await, site.log_in("alice").await);
        let early = if before { Some(register(&site, &with.session).await) } else { None };
        let (mut with_key, mut others) = (on_both(&site, &with).await, on_both(&site, &without).await);
        let registered = match early {
            Some(registered) => registered,
            None => register(&site, &with.session).await,
        };
        applied(&site, registered.revision).await;
        for socket in &mut with_key {
            assert!(socket.is_alive().await, "registering closes nothing");
        }
        let id = registered.signature_key.expect("the key").id;
        let request = v1::RevokeSignatureKeyRequest { tenant: "acme".to_owned(), id, ..Default::default() };
        let revoked = site.backend.signature_keys().revoke_signature_key(request).await.expect("it dies").into_inner();
        for socket in &mut with_key {
            assert_eq!(socket.closed().await, Closed { code: 4510, reason: "credential revoked".to_owned() });
        }
        let receipt = applied(&site, revoked.revision).await;
        let mut named: Vec<_> = receipt.gateways.iter().map(|part| (part.gateway_id.as_str(), fenced(part))).collect();
        named.sort_unstable();
        assert_eq!(named, [("gateway-1", 1), ("gateway-2", 1)], "{receipt:?}");
        for socket in &mut others {
            assert!(socket.is_alive().await, "another session");
        }
        assert!(carried(&site, &with).await.is_empty(), "its session goes on, without it");
        // The token itself is as good as before: both gateways have a verdict on it that carried the key, and ask anew.
        for socket in &mut on_both(&site, &with).await {
            assert!(socket.is_alive().await, "it came back by the same token");
        }
    }
}

fn fenced(part: &v1::GatewayReceipt) -> u64 {
    part.acknowledgement.map_or(0, |said| said.fenced)
}

#[tokio::test]
async fn an_exchanged_key_closes_no_socket_and_verdicts_carry_both_until_the_overlap_ends() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let old = register(&site, &login.session).await.signature_key.expect("the key").id;
    let mut sockets = on_both(&site, &login).await;
    let (jwk, proof) = proven(&site, &login.session).await;
    let request = v1::RotateSignatureKeyRequest {
        tenant: "acme".to_owned(),
        id: old.clone(),
        jwk,
        proof,
        old_ends_in_ms: 3_600_000,
        ..Default::default()
    };
    let rotated = site.backend.signature_keys().rotate_signature_key(request).await.expect("a successor").into_inner();
    let next = rotated.signature_key.expect("the successor").id;
    let mut both = [old.clone(), next.clone()];
    both.sort_unstable();
    assert_eq!(carried(&site, &login).await, both);
    applied(&site, rotated.revision).await;
    for socket in &mut sockets {
        assert!(socket.is_alive().await, "it goes on with both");
    }

    let (jwk, proof) = proven(&site, &login.session).await;
    let request = v1::RotateSignatureKeyRequest {
        tenant: "acme".to_owned(),
        id: next,
        jwk,
        proof,
        old_ends_in_ms: 1,
        ..Default::default()
    };
    let rotated = site.backend.signature_keys().rotate_signature_key(request).await.expect("a successor").into_inner();
    let last = rotated.signature_key.expect("the successor").id;
    let mut left = [old, last];
    left.sort_unstable();
    eventually("the overlap ends", || async { (carried(&site, &login).await == left).then_some(()) }).await;
    applied(&site, rotated.revision).await;
    for socket in &mut sockets {
        assert!(socket.is_alive().await, "the end of an overlap closes nothing");
    }
}
