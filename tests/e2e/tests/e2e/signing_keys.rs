//! Signing keys, rotated and revoked while sockets are open.

use portcullis_proto::auth::v1;
use test_harness::{Closed, Login, Site, Socket};

async fn signing_key(site: &Site) -> String {
    let keys = site.admin.keys().list_signing_keys(v1::ListSigningKeysRequest {}).await.expect("they are read");
    let signing = |key: &v1::SigningKey| key.state() == v1::SigningKeyState::Signing;
    keys.into_inner().signing_keys.into_iter().find(signing).expect("one key signs").id
}

async fn sockets(site: &Site, login: &Login) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        let mut socket = gateway.open().await;
        assert!(socket.connect(Some(&login.access_token)).await.is_authenticated());
        sockets.push(socket);
    }
    sockets
}

#[tokio::test]
async fn rotating_closes_nothing_and_revoking_closes_what_the_key_signed_and_nothing_else() {
    let site = Site::start().await;
    let old = signing_key(&site).await;
    let before = site.log_in("alice").await;
    let mut by_old = sockets(&site, &before).await;
    let rotation = v1::RotateSigningKeyRequest { instead_of: old.clone(), at_once: true, ..Default::default() };
    let next = site.admin.keys().rotate_signing_key(rotation).await.expect("it rotates").into_inner();
    assert_eq!(next.signing_key.expect("the next key").id, signing_key(&site).await);
    let mut by_new = sockets(&site, &site.log_in("alice").await).await;
    for socket in by_old.iter_mut().chain(&mut by_new) {
        assert!(socket.is_alive().await);
    }

    let revocation = v1::RevokeSigningKeyRequest {
        signing_key_id: old,
        reason: v1::RevocationReason::Compromised.into(),
        request_id: String::new(),
    };
    site.admin.keys().revoke_signing_key(revocation).await.expect("it is revoked");
    for socket in &mut by_old {
        assert_eq!(
            socket.closed().await,
            Closed { code: 4510, reason: "client or signing key or issuer revoked".to_owned() }
        );
    }
    for socket in &mut by_new {
        assert!(socket.is_alive().await);
    }
    let refreshed = site.edge().log_in("acme", "alice", test_harness::PASSWORD).await;
    assert_eq!(site.backend.verify(&refreshed.access_token).await.outcome(), v1::Outcome::Allowed);
    assert_eq!(site.backend.verify(&before.access_token).await.outcome(), v1::Outcome::DeniedPermanent);
}
