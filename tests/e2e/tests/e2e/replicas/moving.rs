//! Gateways that change replica while something goes on.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::{GatewayState, ReceiptStatus};
use rustix::process::Signal;
use serde_json::json;
use test_harness::{Api, Authority, Database, Edge, Gateway, GatewayOptions, Site, Socket, eventually};

use super::{LONG, open, part, receipt};

/// A site on a database of its own, with two more replicas, and a gateway that knows all three.
async fn three_replicas() -> (Database, Site, [Authority; 2], Gateway) {
    let database = Database::create();
    let site = Site::start_with(&(database.toml() + LONG)).await;
    let others = [site.start_replica("authority-2").await, site.start_replica("authority-3").await];
    let options = GatewayOptions {
        authority: site.authority.grpc,
        others: others.iter().map(|other| other.grpc).collect(),
        ..site.gateway_options("gateway-3")
    };
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    (database, site, others, gateway)
}

/// The site's first replica is asked to end, and whoever was behind it is led to this one.
fn drain(site: &Site, to: &Authority) {
    site.link.retarget(to.grpc);
    site.authority.process.signal(Signal::TERM);
}

async fn has_moved(gateway: &Gateway) {
    eventually("the watch to move", || async {
        (gateway.metric("portcullis_gateway_watch_moves", "").await > 0.0).then_some(())
    })
    .await;
}

async fn revoke_at_pace(api: &Api, closes_per_second: u32) -> Option<v1::Revision> {
    let identity = v1::identity_reference::Identity::Name("alice".to_owned());
    let identity = v1::IdentityReference { tenant: "acme".to_owned(), identity: Some(identity) };
    let request = v1::RevokeRequest {
        tenant: "acme".to_owned(),
        target: Some(v1::revoke_request::Target::Identity(identity)),
        closes_per_second,
        ..Default::default()
    };
    api.credentials().revoke(request).await.expect("it is acknowledged").into_inner().revision
}

/// Waits until a replica's receipt says that so many sockets of the gateway were fenced, and as many closed as is asked.
async fn figures(api: &Api, revision: Option<v1::Revision>, fenced: u64, enough: impl Fn(u64) -> bool) {
    eventually("the receipt to fill in", || async {
        let receipt = receipt(api, revision, 0).await;
        let said = part(&receipt, "gateway-3").acknowledgement?;
        assert_eq!(said.fenced, fenced, "{receipt:?}");
        enough(said.closed).then_some(())
    })
    .await;
}

/// What a program counted in its series that begin so; nothing where there is none.
pub(crate) async fn counted(edge: Edge, series: &str) -> f64 {
    let page = edge.get("/metrics").await.expect("it answers").text;
    let values = page.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

/// What the gateway fenced it told a replica that is gone: whoever hears of the closing must hear that too.
#[tokio::test]
async fn a_paced_close_fills_in_the_receipts_of_all_replicas_though_its_gateway_moves_in_the_middle() {
    const SOCKETS: usize = 100;
    let (_database, mut site, others, gateway) = three_replicas().await;
    let alice = site.log_in("alice").await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(open(&gateway, &alice.access_token).await);
    }
    // It would take longer than anything here may.
    let revoked = revoke_at_pace(&site.backend, 1).await;
    let fenced = SOCKETS as u64;
    figures(&site.backend, revoked, fenced, |closed| closed > 0).await;
    drain(&site, &others[0]);
    has_moved(&gateway).await;
    assert!(site.authority.process.ended().await.success());
    // The one that the gateway is behind now is asked last: asked, it looks what was said to others.
    let mut apis = Vec::new();
    for other in others.iter().rev() {
        apis.push(site.backend_at(other).await);
    }
    let then = receipt(&apis[0], revoked, 0).await;
    let then = part(&then, "gateway-3").acknowledgement.map_or(0, |said| said.closed);
    for api in &apis {
        figures(api, revoked, fenced, |closed| closed > then && closed < fenced).await;
    }
    // A later one without a pace closes whoever still waits.
    revoke_at_pace(&apis[1], 0).await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await.code, 4512);
    }
    for api in &apis {
        figures(api, revoked, fenced, |closed| closed == fenced).await;
    }
    // Each entry counts once, whoever heard of it and however often.
    assert_eq!(gateway.metric("portcullis_gateway_entries_applied", "").await, 2.0);
    assert_eq!(gateway.metric("portcullis_gateway_fence_seconds", "_count").await, 2.0);
    let mut applied = 0.0;
    for other in &others {
        applied += counted(other.edge(), "portcullis_auth_gateway_applied_seconds_count{gateway=\"gateway-3\"}").await;
    }
    assert_eq!(applied, 1.0, "the first entry was measured where it was said first");
}

/// Make before break, over a real database: whoever leaves goes on until its watches stand elsewhere.
#[tokio::test]
async fn a_replica_that_is_drained_hands_its_gateways_over_and_no_socket_notices() {
    let (_database, mut site, others, gateway) = three_replicas().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = open(&gateway, &alice.access_token).await;
    let mut of_bob = open(&gateway, &bob.access_token).await;
    of_bob.subscribe("room:lobby").await;
    drain(&site, &others[0]);
    has_moved(&gateway).await;
    assert!(site.authority.process.ended().await.success());
    for behind in &site.gateways {
        behind.synced().await;
    }
    let api = site.backend_at(&others[1]).await;
    let revoked = api.revoke_session("acme", &alice.session).await;
    assert_eq!(of_alice.closed().await.code, 4511);
    let enforced = receipt(&api, revoked.revision, 20_000).await;
    assert_eq!(enforced.status(), ReceiptStatus::EnforcedByAcknowledgement, "{enforced:?}");
    assert_eq!(part(&enforced, "gateway-3").state(), GatewayState::Applied, "{enforced:?}");
    nothing_was_noticed(&mut of_bob).await;
    assert_eq!(gateway.metric("portcullis_gateway_watches", "").await, 2.0, "one before, one after");
    assert_eq!(counted(Edge::at(gateway.http), "portcullis_gateway_resyncs_total").await, 0.0);
}

/// Nothing was said to this socket, as that it froze, and it is heard.
async fn nothing_was_noticed(socket: &mut Socket) {
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "alive" } });
    socket.send_text(&publish.to_string()).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(socket.next().await.expect("it is open").to_string());
    }
    assert!(said.iter().any(|frame| frame.contains("alive")), "{said:?}");
    assert!(said.iter().any(|frame| frame.contains("77")), "{said:?}");
}

/// Who has said that it is over is over for all, not only for the replica that it said it to.
#[tokio::test]
async fn a_gateway_that_ended_in_order_is_waited_for_by_no_replica() {
    let (_database, mut site, others, mut gateway) = three_replicas().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = open(&site.gateways[0], &alice.access_token).await;
    let _of_bob = open(&site.gateways[1], &bob.access_token).await;
    assert!(gateway.process.stop().await.success());
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    assert_eq!(of_alice.closed().await.code, 4511);
    for authority in [&others[1], &others[0], &site.authority] {
        let receipt = receipt(&site.backend_at(authority).await, revoked.revision, 15_000).await;
        assert_eq!(receipt.status(), ReceiptStatus::EnforcedByAcknowledgement, "{receipt:?}");
        assert_eq!(part(&receipt, "gateway-3").state(), GatewayState::CannotHoldLease, "{receipt:?}");
    }
    // Who is killed is waited for.
    site.gateways[1].process.kill();
    let revoked = site.backend.revoke_session("acme", &bob.session).await;
    let receipt = receipt(&site.backend_at(&others[1]).await, revoked.revision, 0).await;
    assert_eq!(
        (receipt.status(), part(&receipt, "gateway-2").state()),
        (ReceiptStatus::Pending, GatewayState::Lagging)
    );
}

/// Leases that others gave count from the first answer on.
#[tokio::test]
async fn a_replica_that_has_just_begun_promises_nothing_shorter_than_what_others_gave() {
    let database = Database::create();
    let longer = "[guarantee]\nbound_ms = 75000\n";
    let site = Site::start_with(&(database.toml() + longer)).await;
    let alice = site.log_in("alice").await;
    let folder = site.folder().join("authority-2");
    let fresh = Authority::start(&folder, &["https://app.example"], &database.toml()).await;
    let revoked = site.backend_at(&fresh).await.revoke_session("acme", &alice.session).await;
    assert_eq!(revoked.enforced_within_ms, 75_000);
}
