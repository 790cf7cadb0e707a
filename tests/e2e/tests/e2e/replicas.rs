//! Several authorities on one PostgreSQL database: one order, one receipt, whoever is asked.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::{GatewayState, ReceiptStatus};
use test_harness::{Api, Authority, Closed, Database, Gateway, GatewayOptions, Site, Socket};

const SHORT: &str = "[guarantee]\nlease_ms = 2000\nprobe_interval_ms = 200\n";

/// A site on a database of its own, whose leases are short.
async fn site() -> (Database, Site) {
    let database = Database::create();
    let site = Site::start_with(&(database.toml() + SHORT)).await;
    (database, site)
}

/// A gateway at another authority of the site.
async fn gateway_at(site: &Site, authority: &Authority, id: &str) -> Gateway {
    let options = GatewayOptions { authority: authority.grpc, ..site.gateway_options(id) };
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    gateway
}

async fn open(gateway: &Gateway, token: &str) -> Socket {
    let mut socket = gateway.open().await;
    socket.connect(Some(token)).await;
    socket
}

async fn receipt(api: &Api, revision: Option<v1::Revision>, timeout_ms: i64) -> v1::Receipt {
    let answer = api.credentials().await_enforced(v1::AwaitEnforcedRequest { revision, timeout_ms }).await;
    answer.expect("an answer").into_inner().receipt.expect("a receipt")
}

fn part<'a>(receipt: &'a v1::Receipt, gateway: &str) -> &'a v1::GatewayReceipt {
    let part = receipt.gateways.iter().find(|part| part.gateway_id == gateway);
    part.unwrap_or_else(|| panic!("{gateway} is missing in {receipt:?}"))
}

#[tokio::test]
async fn gateways_enforce_what_an_authority_on_postgresql_revokes() {
    let (_database, site) = site().await;
    let alice = site.log_in("alice").await;
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        sockets.push(open(gateway, &alice.access_token).await);
    }
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, Closed { code: 4511, reason: "session revoked".to_owned() });
    }
    let receipt = receipt(&site.backend, revoked.revision, 10_000).await;
    assert_eq!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
    assert_eq!(receipt.gateways.len(), 2);
    assert!(site.authority.metric("portcullis_auth_beats", "proven").await > 0.0);
}

#[tokio::test]
async fn a_receipt_of_any_replica_names_every_gateway_with_its_figures() {
    let (_database, site) = site().await;
    let second = site.start_replica("authority-2").await;
    let third = site.start_replica("authority-3").await;
    let gateway = gateway_at(&site, &second, "gateway-3").await;
    let alice = site.log_in("alice").await;
    let mut at_first = open(&site.gateways[0], &alice.access_token).await;
    let mut at_second = open(&gateway, &alice.access_token).await;
    let revoked = site.backend_at(&third).await.revoke_session("acme", &alice.session).await;
    assert_eq!((at_first.closed().await.code, at_second.closed().await.code), (4511, 4511));
    for authority in [&site.authority, &second, &third] {
        let receipt = receipt(&site.backend_at(authority).await, revoked.revision, 10_000).await;
        assert_eq!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
        assert_eq!(receipt.gateways.len(), 3, "{receipt:?}");
        for (gateway, fenced) in [("gateway-1", 1), ("gateway-2", 0), ("gateway-3", 1)] {
            let part = part(&receipt, gateway);
            assert_eq!(part.state(), GatewayState::Applied, "{receipt:?}");
            assert_eq!(part.acknowledgement.map(|said| said.fenced), Some(fenced), "{receipt:?}");
        }
    }
}
