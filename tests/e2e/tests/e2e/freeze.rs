//! When the lease runs out sockets freeze: nothing passes, nobody reconnects, and who was revoked meanwhile never thaws.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use test_harness::{Closed, Login, Node, Site, Socket, eventually};

const SHORT: &str = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";

fn message(kind: &str) -> serde_json::Value {
    json!({ "push": { "message": { "data": { "type": kind } } } })
}

/// A login, and a socket of it on the first gateway.
async fn logged_in(site: &Site, name: &str) -> (Login, Socket) {
    let login = site.log_in(name).await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    (login, socket)
}

#[tokio::test]
async fn a_frozen_socket_passes_nothing_and_thaws_when_the_authority_is_heard_again() {
    let site = Site::start_with(SHORT).await;
    let gateway = &site.gateways[0];
    let (_, mut of_alice) = logged_in(&site, "alice").await;
    of_alice.subscribe("room:lobby").await;
    let (_, mut of_bob) = logged_in(&site, "bob").await;
    // Silence, not a cut: no error tells the gateway anything.
    site.link.silence();
    assert_eq!(of_alice.next().await, Ok(message("frozen")));
    assert_eq!(of_bob.next().await, Ok(message("frozen")));
    gateway.unready().await;
    // Said into the frozen gateway; whether it passed is seen by who answers first after the thaw.
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "while frozen" } });
    of_bob.send_text(&publish.to_string()).await;
    let before = gateway.metric("portcullis_gateway_messages_received", "").await;
    site.link.restore();
    assert_eq!(of_bob.next().await, Ok(message("thawed")));
    assert_eq!(of_bob.next().await.expect("the connection stays")["id"], json!(77));
    assert!(gateway.metric("portcullis_gateway_messages_received", "").await > before, "it was read after the thaw");
    assert_eq!(of_alice.next().await, Ok(message("thawed")));
    assert_eq!(of_alice.publication("room:lobby").await["data"], json!("while frozen"));
}

#[tokio::test]
async fn whoever_is_revoked_while_the_gateway_is_cut_off_is_closed_and_never_thaws() {
    let site = Site::start_with(SHORT).await;
    let (alice, mut of_alice) = logged_in(&site, "alice").await;
    let (_, mut of_bob) = logged_in(&site, "bob").await;
    of_bob.subscribe("room:lobby").await;
    site.link.cut();
    assert_eq!(of_alice.next().await, Ok(message("frozen")));
    site.backend.revoke_session("acme", &alice.session).await;
    let publish = json!({ "id": 77, "publish": { "channel": "room:lobby", "data": "from the grave" } });
    of_alice.send_text(&publish.to_string()).await;
    site.link.restore();
    assert_eq!(of_alice.next().await, Err(Closed { code: 4511, reason: "session revoked".to_owned() }));
    assert_eq!(of_bob.next().await, Ok(message("frozen")));
    assert_eq!(of_bob.next().await, Ok(message("thawed")));
    // What the dead one said was not passed on: the first publication that arrives is bob's own.
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
}

#[tokio::test]
async fn a_gateway_that_wakes_from_a_pause_passes_no_frame_before_it_has_caught_up() {
    nothing_passes_after_a_pause(SHORT, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_gateway_that_wakes_after_twenty_seconds_passes_none_of_the_frames_that_waited() {
    nothing_passes_after_a_pause("", Duration::from_secs(20)).await;
}

async fn nothing_passes_after_a_pause(guarantee: &str, pause: Duration) {
    let site = Site::start_with(guarantee).await;
    let gateway = &site.gateways[0];
    let (alice, mut of_alice) = logged_in(&site, "alice").await;
    let (_, mut of_bob) = logged_in(&site, "bob").await;
    of_bob.subscribe("room:lobby").await;

    gateway.process.signal(Signal::STOP);
    let revoked = site.backend.revoke_session("acme", &alice.session).await;
    for id in 77..97 {
        let publish = json!({ "id": id, "publish": { "channel": "room:lobby", "data": "from the grave" } });
        of_alice.send_text(&publish.to_string()).await;
    }
    // The bound passes while the process stands still and the frames wait in its socket.
    assert!(pause >= Duration::from_millis(revoked.enforced_within_ms.unsigned_abs()));
    tokio::time::sleep(pause).await;
    gateway.process.signal(Signal::CONT);

    let closed = of_alice.closed().await;
    assert_eq!(closed.code, 4511, "{closed:?}");
    of_bob.publish("room:lobby", json!("alive")).await.expect("an answer");
    assert_eq!(of_bob.publication("room:lobby").await["data"], json!("alive"));
}

#[tokio::test]
async fn a_stopped_authority_freezes_its_gateways_and_they_thaw_when_it_goes_on() {
    let site = Site::start_with(SHORT).await;
    let (_, mut of_alice) = logged_in(&site, "alice").await;
    site.authority.process.signal(Signal::STOP);
    assert_eq!(of_alice.next().await, Ok(message("frozen")));
    site.authority.process.signal(Signal::CONT);
    assert_eq!(of_alice.next().await, Ok(message("thawed")));
    assert!(of_alice.is_alive().await);
}

#[tokio::test]
async fn a_killed_authority_freezes_its_gateways_and_who_was_revoked_before_it_died_never_thaws() {
    let mut site = Site::start_with(SHORT).await;
    let (alice, mut of_alice) = logged_in(&site, "alice").await;
    let (_, mut of_bob) = logged_in(&site, "bob").await;
    // The gateways do not hear of it before it dies.
    site.link.silence();
    site.backend.revoke_session("acme", &alice.session).await;
    site.kill_authority();
    assert_eq!(of_alice.next().await, Ok(message("frozen")));
    assert_eq!(of_bob.next().await, Ok(message("frozen")));
    site.link.restore();
    site.restart_authority().await;
    assert_eq!(of_alice.closed().await.code, 4511);
    assert_eq!(of_bob.next().await, Ok(message("thawed")));
    assert!(of_bob.is_alive().await);
}

#[tokio::test]
async fn the_published_sdk_neither_reconnects_nor_loses_its_subscription_over_a_freeze() {
    let site = Site::start_with(SHORT).await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    // A ping interval so short that silence would be noticed: the SDK gives up 5 s after it.
    let mut options = site.gateway_options("gateway-pings");
    options.more = "[ping]\ninterval_ms = 1000\npong_timeout_ms = 500\n".to_owned();
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    let mut sdk = Node::sdk();
    sdk.send("open", json!({ "url": gateway.url(), "token": alice.access_token, "asks": false })).await;
    sdk.event("connected").await;
    sdk.send("subscribe", json!({ "channel": "room:lobby" })).await;
    sdk.event("subscribed").await;
    site.link.silence();
    assert_eq!(sdk.event("message").await.0["data"], json!({ "type": "frozen" }));
    // Longer than the SDK's patience with a silent server (its ping interval and 10 s): only pings keep it.
    let handshakes = gateway.metric("portcullis_gateway_handshakes", "").await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    site.link.restore();
    assert_eq!(sdk.event("message").await.0["data"], json!({ "type": "thawed" }));
    gateway.synced().await;
    let mut of_bob = gateway.open().await;
    of_bob.connect(Some(&bob.access_token)).await;
    of_bob.publish("room:lobby", json!("after the thaw")).await.expect("an answer");
    assert_eq!(sdk.event("publication").await.0["data"], json!("after the thaw"));
    for forbidden in ["connecting", "disconnected", "subscribing", "unsubscribed"] {
        let times = sdk.seen().iter().filter(|event| event.name() == forbidden).count();
        let at_the_start = usize::from(forbidden == "connecting" || forbidden == "subscribing");
        assert!(times <= at_the_start, "{forbidden} {times} times");
    }
    assert!(gateway.metric("portcullis_gateway_handshakes", "").await - handshakes <= 1.0, "somebody reconnected");
}

#[tokio::test]
async fn what_stays_frozen_for_too_long_is_closed_and_may_come_back() {
    let site = Site::start_with(SHORT).await;
    let mut options = site.gateway_options("gateway-impatient");
    options.more = "[freeze]\nmax_ms = 1000\n".to_owned();
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    let login = site.log_in("alice").await;
    let mut socket = gateway.open().await;
    socket.connect(Some(&login.access_token)).await;
    site.link.silence();
    assert_eq!(socket.next().await, Ok(message("frozen")));
    assert_eq!(socket.closed().await, Closed { code: 4030, reason: "authority lost".to_owned() });
    site.link.restore();
    gateway.synced().await;
    eventually("alice to be let in again", || async {
        let mut again = gateway.open().await;
        let answer = again.try_connect(Some(&login.access_token)).await;
        answer.ok().filter(|answer| answer.error().is_none()).map(|_| ())
    })
    .await;
}
