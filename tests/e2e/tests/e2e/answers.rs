//! The table in `docs/answers.md`, row by row: each row is one test, and each test is one row.
//!
//! A test does what its row says, once with a plain socket and once with the published SDK, and puts what it saw into the
//! table's own words. So the table cannot say anything that is not so.

mod forgery;
mod scene;
mod words;

use std::cell::RefCell;

use portcullis_proto::auth::v1::revoke_request::Target;
use portcullis_types::{CredentialId, OpaqueKind};
use rustix::process::Signal;
use serde_json::{Value, json};
use test_harness::{Link, Node};

use forgery::{forged, invented, mistyped, signed_with_the_public_key, signing_input, taken_apart, tampered, token_id};
use scene::{Attempt, Frame, Scene, in_connect, in_header, in_query, nothing};
use words::{NOTHING, Seen, close_text, error_text, first_state};

const DOCUMENT: &str = include_str!("../../../../docs/answers.md");

/// The table: id and what is to be seen.
fn table() -> Vec<(String, Seen)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let [id, _input, answer, close, sdk] = <[String; 5]>::try_from(cells).expect("five columns");
        (id.trim_matches('`').to_owned(), Seen { answer, close, sdk })
    })
    .collect()
}

fn assert_row(id: &str, seen: &Seen) {
    let row = table().into_iter().find(|(row, _)| row == id);
    let (_, said) = row.unwrap_or_else(|| panic!("docs/answers.md has no row `{id}`"));
    assert_eq!(*seen, said, "what is seen (left) is not what docs/answers.md says (right) in row `{id}`");
}

macro_rules! rows {
    ($($id:ident $body:block)*) => {
        $(
            #[tokio::test]
            async fn $id() {
                let seen: Seen = async $body.await;
                assert_row(stringify!($id), &seen);
            }
        )*

        #[test]
        fn every_row_has_a_test_and_every_test_a_row() {
            let tests = [$(stringify!($id)),*];
            let rows: Vec<_> = table().into_iter().map(|(id, _)| id).collect();
            assert_eq!(rows, tests, "rows (left) and tests (right), in the same order");
        }
    };
}

const NO_ANONYMOUS: &str = "allowed_origins = [\"https://app.example\"]";
const SHORT_TOKENS: &str = "[tokens]\naccess_ttl_ms = 2000\n";

rows! {
    access_token_in_header {
        let scene = Scene::new().await;
        scene.of(async || in_header(scene.token())).await
    }

    api_key_in_header {
        let scene = Scene::new().await;
        let (_, key) = scene.api_key().await;
        scene.of(async || in_header(&key)).await
    }

    ticket_in_url {
        let scene = Scene::new().await;
        scene.of(async || in_query(format!("?ticket={}", scene.ticket().await))).await
    }

    access_token_in_connect {
        let scene = Scene::new().await;
        scene.of(async || in_connect(scene.token())).await
    }

    api_key_in_connect {
        let scene = Scene::new().await;
        let (_, key) = scene.api_key().await;
        scene.of(async || in_connect(&key)).await
    }

    ticket_in_connect {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&scene.ticket().await)).await
    }

    nothing_where_anonymous_is_allowed {
        let scene = Scene::new().await;
        scene.of(async || nothing()).await
    }

    nothing_where_anonymous_is_refused {
        let scene = Scene::with_gateway(NO_ANONYMOUS, "").await;
        scene.of(async || nothing()).await
    }

    bad_credential_where_it_means_anonymous {
        let hub = "invalid_credential = \"anonymous\"\n[hub.anonymous]\ntenant = \"acme\"\nsubscribe = [\"public:*\"]";
        let scene = Scene::with_gateway(hub, "").await;
        scene.of(async || in_connect(&tampered(scene.token(), |_, claims| claims["tenant"] = json!("other")))).await
    }

    bad_credential_where_refusals_are_http {
        let scene = Scene::with_gateway("refusal = \"http\"", "").await;
        scene.of(async || in_header(&tampered(scene.token(), |_, claims| claims["tenant"] = json!("other")))).await
    }

    expired_token_in_header {
        let scene = Scene::with_authority(SHORT_TOKENS).await;
        scene.token_has_expired().await;
        scene.of(async || in_header(scene.token())).await
    }

    expired_token_in_connect {
        let scene = Scene::with_authority(SHORT_TOKENS).await;
        scene.token_has_expired().await;
        scene.of(async || in_connect(scene.token())).await
    }

    credential_revoked {
        let scene = Scene::new().await;
        scene.site.backend.revoke("acme", Target::CredentialId(token_id(scene.token()))).await;
        scene.of(async || in_connect(scene.token())).await
    }

    session_revoked {
        let scene = Scene::new().await;
        scene.site.backend.revoke_session("acme", &scene.alice.session).await;
        scene.of(async || in_connect(scene.token())).await
    }

    identity_revoked {
        let scene = Scene::new().await;
        scene.site.backend.revoke_identity("acme", "alice").await;
        scene.of(async || in_connect(scene.token())).await
    }

    identity_disabled {
        let scene = Scene::new().await;
        let (_, key) = scene.api_key().await;
        scene.site.admin.disable("acme", "backend").await;
        scene.of(async || in_connect(&key)).await
    }

    session_of_a_ticket_revoked {
        let scene = Scene::new().await;
        let tickets = RefCell::new(vec![scene.ticket().await, scene.ticket().await]);
        scene.site.backend.revoke_session("acme", &scene.alice.session).await;
        scene.of(async || in_connect(&tickets.borrow_mut().pop().expect("two attempts"))).await
    }

    replayed_ticket_in_url {
        let scene = Scene::new().await;
        let ticket = scene.spent_ticket().await;
        scene.of(async || in_query(format!("?ticket={ticket}"))).await
    }

    replayed_ticket_in_connect {
        let scene = Scene::new().await;
        let ticket = scene.spent_ticket().await;
        scene.of(async || in_connect(&ticket)).await
    }

    expired_ticket {
        let scene = Scene::with_authority("[tokens]\nticket_ttl_ms = 1000\n").await;
        let ticket = scene.ticket().await;
        scene.ticket_has_expired(&ticket).await;
        scene.of(async || in_connect(&ticket)).await
    }

    unknown_ticket {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&invented(OpaqueKind::Ticket, CredentialId::from_bytes([7; 16])))).await
    }

    mistyped_ticket {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&mistyped(&scene.ticket().await))).await
    }

    ticket_of_another_page {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&scene.ticket_with(&[("origin", "https://app.example")], json!({})).await)).await
    }

    wrong_audience {
        let scene = Scene::new().await;
        // A token is for one audience and its tickets too; a key is for any.
        let (_, key) = scene.api_key().await;
        scene.of(async || in_connect(&scene.ticket_of(&key, &[], json!({ "audience": "elsewhere" })).await)).await
    }

    alg_none {
        let scene = Scene::new().await;
        let (mut header, claims, _) = taken_apart(scene.token());
        header["alg"] = json!("none");
        scene.of(async || in_connect(&format!("{}.", signing_input(&header, &claims)))).await
    }

    hs256_under_the_public_key {
        let scene = Scene::new().await;
        let forged = signed_with_the_public_key(scene.token(), &scene.edge()).await;
        scene.of(async || in_connect(&forged)).await
    }

    signed_by_a_forger {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&forged(scene.token(), false))).await
    }

    key_in_the_header {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&forged(scene.token(), true))).await
    }

    wrong_typ {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&tampered(scene.token(), |header, _| header["typ"] = json!("JWT")))).await
    }

    exp_is_a_text {
        let scene = Scene::new().await;
        let make = |_: &mut Value, claims: &mut Value| claims["exp"] = json!(claims["exp"].to_string());
        scene.of(async || in_connect(&tampered(scene.token(), make))).await
    }

    exp_is_absent {
        let scene = Scene::new().await;
        let make = |_: &mut Value, claims: &mut Value| {
            claims.as_object_mut().expect("an object").remove("exp");
        };
        scene.of(async || in_connect(&tampered(scene.token(), make))).await
    }

    claims_changed {
        let scene = Scene::new().await;
        let bob = scene.site.log_in("bob").await;
        scene.of(async || in_connect(&tampered(scene.token(), |_, claims| claims["sub"] = json!(bob.identity)))).await
    }

    unknown_kid {
        let scene = Scene::new().await;
        let kid = json!("0192f0c1-2345-7abc-8def-0123456789ab");
        scene.of(async || in_connect(&tampered(scene.token(), |header, _| header["kid"] = kid.clone()))).await
    }

    truncated_signature {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&scene.token()[..scene.token().len() - 10])).await
    }

    truncated_claims {
        let scene = Scene::new().await;
        let end = scene.token().rfind('.').expect("three parts") - 10;
        scene.of(async || in_connect(&scene.token()[..end])).await
    }

    oversized_credential {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&format!("{}{}", scene.token(), "A".repeat(9_000)))).await
    }

    not_a_credential {
        let scene = Scene::new().await;
        scene.of(async || in_connect("hunter2")).await
    }

    api_key_with_a_wrong_checksum {
        let scene = Scene::new().await;
        let (_, key) = scene.api_key().await;
        scene.of(async || in_connect(&mistyped(&key))).await
    }

    api_key_with_a_wrong_secret {
        let scene = Scene::new().await;
        let (id, _) = scene.api_key().await;
        let id = CredentialId::try_from(id.as_str()).expect("an id");
        scene.of(async || in_connect(&invented(OpaqueKind::ApiKey, id))).await
    }

    unknown_api_key {
        let scene = Scene::new().await;
        scene.of(async || in_connect(&invented(OpaqueKind::ApiKey, CredentialId::from_bytes([7; 16])))).await
    }

    api_key_where_none_is_allowed {
        let scene = Scene::with_gateway("allow_api_keys = false", "").await;
        let (_, key) = scene.api_key().await;
        scene.of(async || in_connect(&key)).await
    }

    refresh_token_as_bearer {
        let scene = Scene::new().await;
        scene.of(async || in_header(&scene.alice.refresh_token)).await
    }

    ticket_as_bearer {
        let scene = Scene::new().await;
        scene.of(async || in_header(&scene.ticket().await)).await
    }

    header_and_ticket {
        let scene = Scene::new().await;
        scene.of(async || Attempt { query: format!("?ticket={}", scene.ticket().await), ..in_header(scene.token()) }).await
    }

    header_and_connect {
        let scene = Scene::new().await;
        scene.of(async || Attempt { token: Some(scene.token().to_owned()), ..in_header(scene.token()) }).await
    }

    ticket_and_connect {
        let scene = Scene::new().await;
        let ticket = async || format!("?ticket={}", scene.ticket().await);
        scene.of(async || Attempt { token: Some(scene.token().to_owned()), ..in_query(ticket().await) }).await
    }

    token_parameter {
        let scene = Scene::new().await;
        scene.of(async || in_query(format!("?token={}", scene.token()))).await
    }

    access_token_parameter {
        let scene = Scene::new().await;
        scene.of(async || in_query(format!("?access_token={}", scene.token()))).await
    }

    token_in_an_unrelated_parameter {
        let scene = Scene::new().await;
        scene.of(async || in_query(format!("?lang={}", scene.token()))).await
    }

    token_as_ticket {
        let scene = Scene::new().await;
        scene.of(async || in_query(format!("?ticket={}", scene.token()))).await
    }

    oversized_header {
        let scene = Scene::new().await;
        scene.of(async || Attempt { headers: vec![("x-long", "a".repeat(20_000))], ..nothing() }).await
    }

    wrong_origin {
        let scene = Scene::new().await;
        let page = || vec![("origin", "https://evil.example".to_owned())];
        scene.of(async || Attempt { headers: page(), ..in_connect(&scene.ticket().await) }).await
    }

    not_ready {
        let mut scene = Scene::new().await;
        let link = Link::to(scene.site.authority.grpc).await;
        link.cut();
        let mut options = scene.site.gateway_options("gateway-early");
        options.authority = link.address();
        scene.gateway = scene.site.start_gateway(&options).await;
        scene.of(async || in_header(scene.token())).await
    }

    route_over_bound {
        let mut scene = Scene::new().await;
        let mut options = scene.site.gateway_options("gateway-patient");
        options.hub = format!("lease_class = \"tolerant\"\n{}", options.hub);
        scene.gateway = scene.site.start_gateway(&options).await;
        let edge = test_harness::Edge::at(scene.gateway.http);
        test_harness::eventually("the gateway to know the bound", || {
            let edge = edge.clone();
            async move { edge.get("/ready").await.ok().filter(|it| it.text.contains("route_over_bound")).map(|_| ()) }
        })
        .await;
        scene.of(async || in_header(scene.token())).await
    }

    authority_silent {
        let scene = Scene::new().await;
        scene.site.link.silence();
        scene.of(async || in_connect(scene.token())).await
    }

    garbage {
        Scene::new().await.of_frame(Frame::Text("hello?".to_owned())).await
    }

    binary {
        Scene::new().await.of_frame(Frame::Binary(b"\x01\x02\x03".to_vec())).await
    }

    not_a_command {
        Scene::new().await.of_frame(Frame::Text(json!({ "id": 99, "subscribe": ["room:lobby"] }).to_string())).await
    }

    connect_twice {
        Scene::new().await.of_frame(Frame::Text(json!({ "id": 99, "connect": {} }).to_string())).await
    }

    command_before_connect {
        let scene = Scene::new().await;
        let command = json!({ "id": 99, "subscribe": { "channel": "public:news" } });
        let mut socket = scene.gateway.open().await;
        socket.send_text(&command.to_string()).await;
        let close = close_text(&socket.closed().await);
        let mut sdk = Node::sdk();
        let open = json!({ "url": scene.gateway.url(), "token": scene.token(), "asks": true, "first": command.to_string() });
        sdk.send("open", open).await;
        Seen { answer: NOTHING.to_owned(), close, sdk: first_state(&mut sdk).await }
    }

    no_connect {
        let scene = Scene::with_gateway("", "[limits]\nconnect_timeout_ms = 200").await;
        let mut socket = scene.gateway.open().await;
        // The SDK always connects, and at once.
        Seen { answer: NOTHING.to_owned(), close: close_text(&socket.closed().await), sdk: NOTHING.to_owned() }
    }

    oversized_message {
        let scene = Scene::new().await;
        let data = json!("x".repeat(70_000));
        scene.after(async || in_connect(scene.token()), async |socket, sdk| {
            let said = socket.publish("room:lobby", data.clone()).await;
            assert!(said.is_err(), "{said:?}");
            sdk.send("publish", json!({ "channel": "room:lobby", "data": data })).await;
            None
        })
        .await
    }

    deep_json {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let frame = format!(r#"{{"id":99,"publish":{{"channel":"room:lobby","data":{deep}}}}}"#);
        Scene::new().await.of_frame(Frame::Text(frame)).await
    }

    too_many_subscriptions {
        // The personal channel is one of them.
        let scene = Scene::with_gateway("", "[limits]\nsubscriptions_per_socket = 2").await;
        let channel = |name: &str| json!({ "channel": name });
        scene.after(async || in_connect(scene.token()), async |socket, sdk| {
            socket.subscribe("room:one").await;
            let refused = socket.call("subscribe", channel("room:two")).await.expect("it stays open");
            sdk.send("subscribe", channel("room:one")).await;
            sdk.event("subscribed").await;
            sdk.send("subscribe", channel("room:two")).await;
            let left = sdk.event("unsubscribed").await;
            assert_eq!((left.code(), left.text("state")), (Some(106), "connected"));
            Some(error_text(&refused))
        })
        .await
    }

    forbidden_channel {
        let scene = Scene::new().await;
        let channel = json!({ "channel": "admin:all" });
        scene.after(async || in_connect(scene.token()), async |socket, sdk| {
            let refused = socket.call("subscribe", channel.clone()).await.expect("it stays open");
            sdk.send("subscribe", channel.clone()).await;
            let left = sdk.event("unsubscribed").await;
            assert_eq!((left.code(), left.text("state")), (Some(103), "connected"));
            Some(error_text(&refused))
        })
        .await
    }

    too_many_commands {
        let limits = "[limits]\ncommands_per_second = 1\nsubscriptions_per_socket = 2";
        let scene = Scene::with_gateway("", limits).await;
        scene.after(async || in_connect(scene.token()), async |socket, sdk| {
            let mut refused = None;
            for id in 1_000..1_200 {
                let ping = json!({ "id": id, "ping": {} }).to_string();
                socket.send_text(&ping).await;
                sdk.send("raw", json!({ "text": ping })).await;
            }
            while let Ok(answer) = socket.next().await {
                refused = refused.or_else(|| answer.get("error").is_some().then(|| error_text(&answer)));
            }
            refused
        })
        .await
    }

    credential_revoked_while_open {
        let scene = Scene::new().await;
        scene.after(async || in_connect(scene.token()), async |_, _| {
            scene.site.backend.revoke("acme", Target::CredentialId(token_id(scene.token()))).await;
            None
        })
        .await
    }

    session_revoked_while_open {
        let scene = Scene::new().await;
        scene.after(async || in_connect(scene.token()), async |_, _| {
            scene.site.backend.revoke_session("acme", &scene.alice.session).await;
            None
        })
        .await
    }

    identity_revoked_while_open {
        let scene = Scene::new().await;
        scene.after(async || in_connect(scene.token()), async |_, _| {
            scene.site.backend.revoke_identity("acme", "alice").await;
            None
        })
        .await
    }

    identity_disabled_while_open {
        let scene = Scene::new().await;
        scene.after(async || in_connect(&scene.ticket().await), async |_, _| {
            scene.site.backend.disable("acme", "alice").await;
            None
        })
        .await
    }

    token_expires_while_open {
        let scene = Scene::with_authority("[tokens]\naccess_ttl_ms = 5000\n").await;
        // Carried by the header, so that the SDK has no way to renew it.
        scene.after(async || in_header(scene.token()), async |_, _| None).await
    }

    gateway_stops {
        let scene = Scene::new().await;
        scene.after(async || in_connect(scene.token()), async |_, _| {
            scene.gateway.process.signal(Signal::TERM);
            None
        })
        .await
    }

    authority_lost {
        let short_lease = "[guarantee]\nstandard_ms = 2000\nprobe_interval_ms = 200\n";
        let scene = Scene::with(short_lease, "", "[freeze]\nmax_ms = 500").await;
        scene.after(async || in_connect(scene.token()), async |_, _| {
            scene.site.link.silence();
            None
        })
        .await
    }
}
