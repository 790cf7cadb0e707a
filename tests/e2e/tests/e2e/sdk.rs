//! The published `centrifuge` SDK, unmodified, does all that its users expect.

use portcullis_proto::auth::v1::{Action, DenyReason};
use serde_json::{Value, json};
use test_harness::{Edge, Event, Link, Login, Node, Site, eventually};

/// Renews a login by its refresh token.
async fn renewed(edge: &Edge, login: &Login) -> Login {
    let body = json!({ "grant_type": "refresh_token", "refresh_token": login.refresh_token });
    let answer = edge.post("/v1/token", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |key: &str| answer.json()[key].as_str().expect("a text").to_owned();
    Login { access_token: text("access_token"), refresh_token: text("refresh_token"), ..login.clone() }
}

/// Starts an SDK client with a token; `asks`: it has a `getToken`, which asks the test.
async fn opened(url: &str, token: &str, asks: bool) -> Node {
    let mut sdk = Node::sdk();
    sdk.send("open", json!({ "url": url, "token": token, "asks": asks })).await;
    sdk
}

/// Starts an SDK client and waits until it is connected.
async fn connected(url: &str, token: &str, asks: bool) -> (Node, Event) {
    let mut sdk = opened(url, token, asks).await;
    let connected = sdk.event("connected").await;
    (sdk, connected)
}

fn has_seen(sdk: &Node, name: &str) -> bool {
    sdk.seen().iter().any(|event| event.name() == name)
}

#[tokio::test]
async fn it_connects_subscribes_publishes_and_receives_with_the_sender_stamped() {
    let site = Site::start().await;
    let url = site.gateways[0].url();
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let (mut of_alice, told) = connected(&url, &alice.access_token, true).await;
    assert_eq!(told.0["data"]["authenticated"], json!(true));
    assert_eq!(told.0["data"]["identity"], json!(alice.identity));
    assert_eq!(told.0["data"]["tenant"], json!("acme"));
    of_alice.send("subscribe", json!({ "channel": "room:lobby" })).await;
    assert_eq!(of_alice.event("subscribed").await.text("channel"), "room:lobby");

    let (mut of_bob, told) = connected(&url, &bob.access_token, true).await;
    let text = json!({ "text": "hello", "user": alice.identity });
    of_bob.send("publish", json!({ "channel": "room:lobby", "data": text })).await;
    of_bob.event("published").await;

    let heard = of_alice.event("publication").await;
    assert_eq!(heard.0["data"], text);
    assert_eq!((heard.text("user"), heard.text("client")), (bob.identity.as_str(), told.text("client")));
}

#[tokio::test]
async fn it_is_subscribed_to_its_personal_channel_by_the_server() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let (mut sdk, _) = connected(&site.gateways[0].url(), &login.access_token, true).await;
    assert_eq!(sdk.event("server_subscribed").await.text("channel"), format!("@{}", login.identity));
}

#[tokio::test]
async fn it_refreshes_in_band_and_stays_connected_beyond_the_first_expiry() {
    let site = Site::start_with("[tokens]\naccess_ttl_ms = 6000\n").await;
    let first = site.log_in("alice").await;
    let (mut sdk, _) = connected(&site.gateways[0].url(), &first.access_token, true).await;
    sdk.send("subscribe", json!({ "channel": "room:lobby" })).await;
    sdk.event("subscribed").await;
    // Each question comes when four fifths of the token before it are over: by the second, the first token is.
    let mut login = first.clone();
    for _ in 0..2 {
        sdk.event("token_wanted").await;
        login = renewed(&site.edge(), &login).await;
        sdk.send("token", json!({ "token": login.access_token })).await;
    }
    assert_eq!(site.admin.verify(&first.access_token).await.deny_reason(), DenyReason::Expired);
    sdk.send("publish", json!({ "channel": "room:lobby", "data": "still here" })).await;
    assert_eq!(sdk.event("publication").await.0["data"], json!("still here"));
    let once = |name: &str| sdk.seen().iter().filter(|event| event.name() == name).count() == 1;
    assert!(once("connected") && once("connecting") && !has_seen(&sdk, "error"));
}

#[tokio::test]
async fn it_stops_for_good_when_its_session_is_revoked_and_never_asks_for_a_token_again() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let (mut sdk, _) = connected(&site.gateways[0].url(), &login.access_token, true).await;
    site.backend.revoke_session("acme", &login.session).await;
    assert_eq!(sdk.event("disconnected").await.why(), (4511, "session revoked"));
    assert!(!has_seen(&sdk, "token_wanted"));
    // Nothing more comes, and the program ends by itself: there is no timer and no socket left that could come back.
    assert_eq!(sdk.rest().await, []);
}

#[tokio::test]
async fn it_stops_for_good_when_its_user_is_disabled() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let (mut sdk, _) = connected(&site.gateways[1].url(), &login.access_token, true).await;
    sdk.send("subscribe", json!({ "channel": "room:lobby" })).await;
    sdk.event("subscribed").await;
    site.backend.disable("acme", "alice").await;
    assert_eq!(sdk.event("disconnected").await.why(), (4512, "identity revoked"));
    assert!(!has_seen(&sdk, "token_wanted"));
    assert_eq!(sdk.rest().await, []);
}

#[tokio::test]
async fn it_reconnects_on_drain_with_a_new_ticket() {
    let mut site = Site::start().await;
    let login = site.log_in("alice").await;
    let link = Link::to(site.gateways[0].http).await;
    let url = format!("ws://{}/connection/websocket", link.address());
    let first = site.edge().ticket(&login.access_token).await;
    let (mut sdk, told) = connected(&url, &first, true).await;
    assert_eq!(told.0["data"]["identity"], json!(login.identity));
    sdk.send("subscribe", json!({ "channel": "room:lobby" })).await;
    sdk.event("subscribed").await;

    // The gateway is stopped, and another takes its place at the same address.
    let mut old = site.gateways.remove(0);
    assert!(old.process.stop().await.success());
    assert_eq!(sdk.event("connecting").await.why(), (1, "transport closed"));
    let new = site.start_gateway(&site.gateway_options("gateway-1")).await;
    new.synced().await;
    link.retarget(new.http);

    // The first ticket is spent: the SDK is told so, and asks for another.
    let asked = sdk.event("token_wanted").await;
    assert_eq!(asked.text("state"), "connecting");
    let told: Vec<_> = sdk.seen().iter().filter(|event| event.text("type") == "connect").collect();
    assert_eq!(told.iter().map(|e| (e.code(), e.text("message"))).collect::<Vec<_>>(), [(Some(109), "spent")]);
    let second = site.edge().ticket(&login.access_token).await;
    assert_ne!(first, second);
    sdk.send("token", json!({ "token": second })).await;
    let again = sdk.event("connected").await;
    assert_eq!(again.0["data"]["authenticated"], json!(true));
    assert_eq!(again.0["data"]["identity"], json!(login.identity));
    // It follows again what it followed before, without being told.
    assert_eq!(sdk.event("subscribed").await.text("channel"), "room:lobby");
}

#[tokio::test]
async fn it_asks_for_a_new_token_when_its_own_has_expired() {
    let site = Site::start_with("[tokens]\naccess_ttl_ms = 4000\n").await;
    let login = site.log_in("alice").await;
    eventually("the token to expire", || async {
        site.admin.verify(&login.access_token).await.allowed.is_none().then_some(())
    })
    .await;
    let mut sdk = opened(&site.gateways[0].url(), &login.access_token, true).await;
    let refused = sdk.event("error").await;
    assert_eq!((refused.code(), refused.text("message")), (Some(109), "expired"));
    sdk.event("token_wanted").await;
    let login = renewed(&site.edge(), &login).await;
    sdk.send("token", json!({ "token": login.access_token })).await;
    assert_eq!(sdk.event("connected").await.0["data"]["identity"], json!(login.identity));
}

#[tokio::test]
async fn it_stops_when_it_asks_for_a_token_and_there_is_none() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let ticket = site.edge().ticket(&login.access_token).await;
    let (_first, _) = connected(&site.gateways[0].url(), &ticket, false).await;
    let mut sdk = opened(&site.gateways[0].url(), &ticket, true).await;
    sdk.event("token_wanted").await;
    sdk.send("token", json!({ "token": null })).await;
    assert_eq!(sdk.event("disconnected").await.why(), (1, "unauthorized"));
    assert_eq!(sdk.rest().await, []);
}

#[tokio::test]
async fn without_a_credential_it_is_told_so() {
    let site = Site::start().await;
    let (mut sdk, told) = connected(&site.gateways[0].url(), "", false).await;
    let data = &told.0["data"];
    assert_eq!((&data["authenticated"], &data["reason"]), (&json!(false), &json!("no_credential")));
    assert_eq!(data["identity"], Value::Null);
    sdk.send("subscribe", json!({ "channel": "public:news" })).await;
    sdk.event("subscribed").await;
}

#[tokio::test]
async fn it_leaves_a_channel_for_good_when_the_grant_is_taken_away() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let (mut sdk, _) = connected(&site.gateways[0].url(), &login.access_token, true).await;
    for channel in ["room:lobby", "public:news"] {
        sdk.send("subscribe", json!({ "channel": channel })).await;
        sdk.event("subscribed").await;
    }
    let grants = [(Action::Subscribe, "public:*"), (Action::Publish, "public:*")];
    site.admin.put_role("acme", "member", &grants).await;
    let left = sdk.event("unsubscribed").await;
    assert_eq!(left.text("channel"), "room:lobby");
    // Everything else goes on.
    sdk.send("publish", json!({ "channel": "public:news", "data": 1 })).await;
    assert_eq!(sdk.event("publication").await.text("channel"), "public:news");
    assert_eq!(left.text("state"), "connected");
    assert!(!has_seen(&sdk, "error"));
}
