//! API keys with limits, at the gateways.

use portcullis_proto::auth::v1;
use test_harness::{Closed, Site};

fn backend() -> Option<v1::IdentityReference> {
    let identity = Some(v1::identity_reference::Identity::Name("backend".to_owned()));
    Some(v1::IdentityReference { tenant: "acme".to_owned(), identity })
}

async fn key(site: &Site, addresses: &[&str]) -> (String, String) {
    let addresses = addresses.iter().map(|&range| range.to_owned()).collect();
    let request = v1::CreateApiKeyRequest { identity: backend(), addresses, ..Default::default() };
    let made = site.admin.api_keys().create_api_key(request).await.expect("a new key").into_inner();
    (made.api_key.expect("the key").id, made.secret)
}

#[tokio::test]
async fn a_key_opens_sockets_from_its_addresses_only() {
    let site = Site::start().await;
    let (_, here) = key(&site, &["127.0.0.0/8"]).await;
    let (_, elsewhere) = key(&site, &["10.0.0.0/8"]).await;
    let mut socket = site.gateways[0].open().await;
    assert!(socket.connect(Some(&here)).await.is_authenticated());
    assert!(socket.is_alive().await);
    let mut refused = site.gateways[0].open().await;
    let error = refused.call("connect", serde_json::json!({ "token": elsewhere })).await.expect("an answer");
    assert_eq!(error["error"]["message"], "wrong_address", "{error}");
    assert_eq!(refused.closed().await, Closed { code: 4503, reason: "wrong_address".to_owned() });
}

#[tokio::test]
async fn a_socket_of_an_exchanged_key_ends_with_it_and_one_of_its_successor_does_not() {
    let site = Site::start().await;
    let (id, old) = key(&site, &[]).await;
    let mut by_old = site.gateways[0].open().await;
    assert!(by_old.connect(Some(&old)).await.is_authenticated());
    let request =
        v1::RotateApiKeyRequest { tenant: "acme".to_owned(), id, old_ends_in_ms: 1_500, ..Default::default() };
    let rotated = site.admin.api_keys().rotate_api_key(request).await.expect("it is exchanged").into_inner();
    assert!(by_old.is_alive().await, "the old one still works");
    let mut by_new = site.gateways[1].open().await;
    assert!(by_new.connect(Some(&rotated.secret)).await.is_authenticated());
    assert_eq!(by_old.closed().await, Closed { code: 4001, reason: "credential expired".to_owned() });
    assert!(by_new.is_alive().await);

    let id = rotated.api_key.expect("the successor").id;
    let request = v1::RotateApiKeyRequest { tenant: "acme".to_owned(), id, ..Default::default() };
    site.admin.api_keys().rotate_api_key(request).await.expect("it is exchanged at once");
    assert_eq!(by_new.closed().await.code, 4510);
}
