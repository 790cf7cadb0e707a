//! A revocation at a pace: everything is fenced at once, and the closing is spread.

use portcullis_proto::auth::v1;
use serde_json::json;
use test_harness::{Closed, Site, Socket};

const SOCKETS: usize = 200;
const PACE: u32 = 50;

async fn revoke_alice(site: &Site) -> v1::RevokeResponse {
    let identity = v1::identity_reference::Identity::Name("alice".to_owned());
    let identity = v1::IdentityReference { tenant: "acme".to_owned(), identity: Some(identity) };
    let request = v1::RevokeRequest {
        tenant: "acme".to_owned(),
        target: Some(v1::revoke_request::Target::Identity(identity)),
        closes_per_second: PACE,
        ..Default::default()
    };
    site.backend.credentials().revoke(request).await.expect("it is acknowledged").into_inner()
}

fn said(receipt: &v1::Receipt) -> (u64, u64) {
    let said = receipt.gateways.iter().filter_map(|part| part.acknowledgement);
    said.fold((0, 0), |(fenced, closed), said| (fenced + said.fenced, closed + said.closed))
}

#[tokio::test]
async fn a_paced_revocation_fences_everybody_at_once_and_closes_one_after_another() {
    let site = Site::start().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let gateway = &site.gateways[0];
    let mut of_bob = gateway.open().await;
    of_bob.connect(Some(&bob.access_token)).await;
    of_bob.subscribe("room:lobby").await;
    let mut sockets: Vec<Socket> = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = gateway.open().await;
        socket.connect(Some(&alice.access_token)).await;
        sockets.push(socket);
    }

    let revoked = revoke_alice(&site).await;
    let request = v1::WatchEnforcedRequest { revision: revoked.revision, timeout_ms: 60_000 };
    let mut stream = site.backend.credentials().watch_enforced(request).await.expect("it begins").into_inner();
    let mut counts = Vec::new();
    let mut tried = false;
    while let Some(answer) = stream.message().await.expect("it does not break") {
        let receipt = answer.receipt.expect("a receipt");
        let enforced = receipt.status() == v1::ReceiptStatus::EnforcedByAcknowledgement;
        counts.push(said(&receipt));
        if enforced && !std::mem::replace(&mut tried, true) {
            let (fenced, closed) = said(&receipt);
            assert_eq!(fenced, SOCKETS as u64, "all are fenced before the receipt says enforced");
            assert!(closed < SOCKETS as u64, "and most are not closed yet");
            assert!(gateway.metric("portcullis_gateway_closing", "").await > 0.0);
            // From now on nothing that any of them says goes anywhere.
            let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
            for socket in &mut sockets {
                socket.send_text(&publish.to_string()).await;
            }
        }
    }
    assert!(tried, "it never said enforced: {counts:?}");
    assert_eq!(counts.last(), Some(&(SOCKETS as u64, SOCKETS as u64)), "the receipt fills in");
    assert!(counts.windows(2).all(|two| two[0].1 <= two[1].1), "{counts:?}");
    // Four seconds at this pace: had they been closed together, one or two messages would have told of them all.
    let steps: std::collections::BTreeSet<_> = counts.iter().map(|(_, closed)| *closed).collect();
    assert!(steps.len() >= 10, "closed in {} steps: {counts:?}", steps.len());

    for socket in &mut sockets {
        assert_eq!(socket.closed().await, Closed { code: 4512, reason: "identity revoked".to_owned() });
    }
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
    assert!(gateway.metric("portcullis_gateway_closing", "").await < 1.0);
}
