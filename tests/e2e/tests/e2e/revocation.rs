//! Revoke, and exactly the right sockets close, on every gateway.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revoke_request::Target;
use serde_json::json;
use test_harness::{Closed, Login, Site, Socket, eventually};

/// One socket on each gateway, opened with this token.
async fn sockets(site: &Site, login: &Login) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for gateway in &site.gateways {
        let mut socket = gateway.open().await;
        let connected = socket.connect(Some(&login.access_token)).await;
        assert!(connected.is_authenticated());
        assert_eq!(connected.data()["identity"], json!(login.identity));
        sockets.push(socket);
    }
    sockets
}

async fn assert_closed(sockets: &mut [Socket], code: u16, reason: &str) {
    for socket in sockets {
        assert_eq!(socket.closed().await, Closed { code, reason: reason.to_owned() });
    }
}

async fn assert_alive(sockets: &mut [Socket]) {
    for socket in sockets {
        assert!(socket.is_alive().await);
    }
}

/// The claims of a token, unchecked.
fn token_id(login: &Login) -> String {
    let payload = login.access_token.split('.').nth(1).expect("a token has three parts");
    let json = base64_url(payload);
    let claims: serde_json::Value = serde_json::from_slice(&json).expect("claims are JSON");
    claims["jti"].as_str().expect("a token has an id").to_owned()
}

fn base64_url(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes() {
        bits = bits << 6 | u32::from(value(byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

#[tokio::test]
async fn revoking_a_session_closes_its_sockets_on_both_gateways_and_no_others() {
    let site = Site::start().await;
    let (phone, laptop, bob) = (site.log_in("alice").await, site.log_in("alice").await, site.log_in("bob").await);
    let mut on_phone = sockets(&site, &phone).await;
    let mut on_laptop = sockets(&site, &laptop).await;
    let mut of_bob = sockets(&site, &bob).await;

    site.backend.revoke_session("acme", &phone.session).await;

    assert_closed(&mut on_phone, 4511, "session revoked").await;
    assert_alive(&mut on_laptop).await;
    assert_alive(&mut of_bob).await;
}

#[tokio::test]
async fn revoking_an_identity_closes_all_its_sockets_and_it_can_log_in_again() {
    let site = Site::start().await;
    let (phone, laptop, bob) = (site.log_in("alice").await, site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = sockets(&site, &phone).await;
    of_alice.extend(sockets(&site, &laptop).await);
    let mut of_bob = sockets(&site, &bob).await;

    site.backend.revoke_identity("acme", "alice").await;

    assert_closed(&mut of_alice, 4512, "identity revoked").await;
    assert_alive(&mut of_bob).await;
    let again = site.log_in("alice").await;
    assert_alive(&mut sockets(&site, &again).await).await;
}

/// On each gateway, and with a receipt that says so.
#[tokio::test]
async fn what_began_in_a_tenant_before_a_time_closes_and_what_began_later_goes_on() {
    let site = Site::start().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let later = site.log_in("alice").await;
    let mut before = sockets(&site, &alice).await;
    before.extend(sockets(&site, &bob).await);
    let mut after = sockets(&site, &later).await;
    let request = v1::GetSessionRequest { tenant: "acme".to_owned(), session_id: later.session.clone() };
    let session = site.backend.credentials().get_session(request).await.expect("it may").into_inner().session;
    let begun_before = session.expect("it is there").created_at;

    let revoked = site.backend.revoke("acme", Target::TenantBefore(v1::TenantBefore { begun_before })).await;

    assert_closed(&mut before, 4513, "tenant_revoked").await;
    assert_alive(&mut after).await;
    let request = v1::AwaitEnforcedRequest { revision: revoked.revision, timeout_ms: 20_000 };
    let answer = site.backend.credentials().await_enforced(request).await.expect("an answer").into_inner();
    let receipt = answer.receipt.expect("a receipt");
    let enforced = [v1::ReceiptStatus::EnforcedByAcknowledgement, v1::ReceiptStatus::EnforcedByTime];
    assert!(enforced.contains(&receipt.status()), "{receipt:?}");
    for login in [&alice, &bob] {
        for gateway in &site.gateways {
            let mut socket = gateway.open().await;
            let refused = socket.try_connect(Some(&login.access_token)).await.expect("an answer before the close");
            assert!(refused.error().is_some(), "let in: {:?}", refused.0);
        }
    }
    assert_alive(&mut sockets(&site, &site.log_in("bob").await).await).await;
}

#[tokio::test]
async fn revoking_a_credential_closes_only_what_was_opened_with_it() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": login.refresh_token });
    let answer = site.edge().post("/v1/token", &[], &refresh).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let newer =
        Login { access_token: answer.json()["access_token"].as_str().expect("a token").to_owned(), ..login.clone() };
    let mut with_old = sockets(&site, &login).await;
    let mut with_new = sockets(&site, &newer).await;

    site.backend.revoke("acme", Target::CredentialId(token_id(&login))).await;

    assert_closed(&mut with_old, 4510, "credential revoked").await;
    assert_alive(&mut with_new).await;
}

#[tokio::test]
async fn a_socket_opened_by_ticket_dies_with_the_session_behind_it() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let mut opened = Vec::new();
    for gateway in &site.gateways {
        let ticket = site.edge().ticket(&login.access_token).await;
        let mut socket = Socket::open(&format!("{}?ticket={ticket}", gateway.url()), &[]).await.expect("a handshake");
        assert!(socket.connect(None).await.is_authenticated());
        opened.push(socket);
    }
    site.backend.revoke_session("acme", &login.session).await;
    assert_closed(&mut opened, 4511, "session revoked").await;
}

#[tokio::test]
async fn logging_out_closes_the_sockets_of_that_session() {
    let site = Site::start().await;
    let (phone, laptop) = (site.log_in("alice").await, site.log_in("alice").await);
    let mut on_phone = sockets(&site, &phone).await;
    let mut on_laptop = sockets(&site, &laptop).await;
    let bearer = format!("Bearer {}", phone.access_token);
    let answer = site.edge().post("/v1/logout", &[("authorization", &bearer)], &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_closed(&mut on_phone, 4511, "session revoked").await;
    assert_alive(&mut on_laptop).await;
}

#[tokio::test]
async fn a_disabled_user_cannot_come_back_by_any_carrier_and_can_with_new_credentials_once_enabled() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let unused_ticket = site.edge().ticket(&login.access_token).await;
    let mut opened = sockets(&site, &login).await;

    site.backend.disable("acme", "alice").await;
    assert_closed(&mut opened, 4512, "identity revoked").await;

    // Every old credential, by every carrier, on every gateway, cached or not, while disabled and afterwards.
    for enabled in [false, true] {
        if enabled {
            site.backend.enable("acme", "alice").await;
        }
        for gateway in &site.gateways {
            let bearer = format!("Bearer {}", login.access_token);
            let ticket_url = format!("{}?ticket={unused_ticket}", gateway.url());
            let by_header = Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect("a handshake");
            let by_url = Socket::open(&ticket_url, &[]).await.expect("a handshake");
            let by_connect = gateway.open().await;
            let attempts = [(by_header, None), (by_url, None), (by_connect, Some(login.access_token.as_str()))];
            for (mut socket, token) in attempts {
                let refused = socket.try_connect(token).await.expect("an answer before the close");
                assert!(refused.error().is_some(), "let in: {:?}", refused.0);
                let closed = socket.closed().await;
                assert!((4500..5000).contains(&closed.code) || closed.code == 4001, "{closed:?}");
            }
            let mut socket = gateway.open().await;
            let refused = socket.try_connect(Some(&unused_ticket)).await.expect("an answer before the close");
            assert!(refused.error().is_some(), "let in: {:?}", refused.0);
        }
        assert_eq!(site.edge().try_ticket(&login.access_token).await.status, 401);
        let refresh = json!({ "grant_type": "refresh_token", "refresh_token": login.refresh_token });
        assert_eq!(site.edge().post("/v1/token", &[], &refresh).await.status, 401);
        let status = site.edge().try_log_in("acme", "alice", test_harness::PASSWORD).await.status;
        assert_eq!(status, if enabled { 200 } else { 401 });
    }
    let again = site.log_in("alice").await;
    assert_alive(&mut sockets(&site, &again).await).await;
}

#[tokio::test]
async fn a_socket_opened_with_an_api_key_dies_with_the_key_and_with_its_identity() {
    let site = Site::start().await;
    let (id, key) = site.admin.create_api_key("acme", "backend", &[]).await;
    let (_, other) = site.admin.create_api_key("acme", "backend", &[]).await;
    let mut by_key = site.gateways[0].open().await;
    by_key.connect(Some(&key)).await;
    let mut by_other = site.gateways[1].open().await;
    by_other.connect(Some(&other)).await;

    site.admin.revoke("acme", Target::CredentialId(id)).await;
    assert_eq!(by_key.closed().await.code, 4510);
    assert!(by_other.is_alive().await);

    site.admin.disable("acme", "backend").await;
    assert_eq!(by_other.closed().await.code, 4512);
}

/// The gateway has a verdict on it that the first entry refuted, and the second time one that says no for a moment.
#[tokio::test]
async fn an_api_key_comes_back_as_soon_as_its_identity_may_and_was_never_let_in_meanwhile() {
    let site = Site::start().await;
    let (id, key) = site.admin.create_api_key("acme", "backend", &[]).await;
    let mut socket = site.gateways[0].open().await;
    assert!(socket.connect(Some(&key)).await.is_authenticated());

    site.admin.revoke_identity("acme", "backend").await;
    assert_eq!(socket.closed().await.code, 4512);
    let mut socket = site.gateways[0].open().await;
    assert!(socket.connect(Some(&key)).await.is_authenticated(), "a key is no session: it outlives what ends them");

    site.admin.disable("acme", "backend").await;
    assert_eq!(socket.closed().await.code, 4512);
    let mut refused = site.gateways[0].open().await;
    let answer = refused.try_connect(Some(&key)).await.expect("an answer before the close");
    assert_eq!(answer.error().map(|(_, message)| message), Some("identity_disabled"));

    site.admin.enable("acme", "backend").await;
    let mut socket = eventually("the key to be let in again", || async {
        let mut socket = site.gateways[0].open().await;
        let answer = socket.try_connect(Some(&key)).await.ok()?;
        answer.is_authenticated().then_some(socket)
    })
    .await;

    site.admin.revoke("acme", Target::CredentialId(id)).await;
    assert_eq!(socket.closed().await.code, 4510);
    let mut refused = site.gateways[0].open().await;
    let answer = refused.try_connect(Some(&key)).await.expect("an answer before the close");
    assert_eq!(answer.error().map(|(_, message)| message), Some("credential_revoked"));
}

#[tokio::test]
async fn anonymous_sockets_are_told_why_and_are_not_touched() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let mut anonymous = site.gateways[0].open().await;
    let connected = anonymous.connect(None).await;
    assert_eq!(connected.data()["authenticated"], json!(false));
    assert_eq!(connected.data()["reason"], json!("no_credential"));
    anonymous.subscribe("public:news").await;
    let refused = anonymous.call("subscribe", json!({ "channel": "room:lobby" })).await.expect("an answer");
    assert_eq!(refused["error"]["code"], json!(103));

    let mut alice = site.gateways[0].open().await;
    alice.connect(Some(&login.access_token)).await;
    alice.publish("public:news", json!("hello")).await.expect("published");
    assert_eq!(anonymous.publication("public:news").await["data"], json!("hello"));

    site.backend.revoke_identity("acme", "alice").await;
    assert_eq!(alice.closed().await.code, 4512);
    assert!(anonymous.is_alive().await);
}

#[tokio::test]
async fn a_message_says_who_sent_it_and_the_payload_cannot_contradict() {
    let site = Site::start().await;
    let (alice, bob) = (site.log_in("alice").await, site.log_in("bob").await);
    let mut of_alice = site.gateways[0].open().await;
    of_alice.connect(Some(&alice.access_token)).await;
    of_alice.subscribe("room:lobby").await;
    let mut of_bob = site.gateways[0].open().await;
    let lies = json!({ "token": bob.access_token, "data": { "identity": alice.identity, "user": alice.identity } });
    let connected = of_bob.call("connect", lies).await.expect("an answer");
    assert_eq!(connected["connect"]["data"]["identity"], json!(bob.identity));
    let forged = json!({ "user": alice.identity, "info": { "user": alice.identity } });
    of_bob.publish("room:lobby", forged.clone()).await.expect("published");
    let publication = of_alice.publication("room:lobby").await;
    assert_eq!(publication["info"]["user"], json!(bob.identity));
    assert_eq!(publication["data"], forged);
    // The personal channel of somebody else.
    let refused = of_bob.call("subscribe", json!({ "channel": format!("@{}", alice.identity) })).await;
    assert_eq!(refused.expect("an answer")["error"]["code"], json!(103));
}

#[tokio::test]
async fn changed_grants_reach_a_live_socket() {
    use portcullis_proto::auth::v1::Action;
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let mut socket = site.gateways[0].open().await;
    socket.connect(Some(&login.access_token)).await;
    socket.subscribe("room:lobby").await;
    socket.subscribe("public:news").await;
    site.admin.put_role("acme", "member", &[(Action::Subscribe, "public:*")]).await;
    loop {
        let push = socket.next().await.expect("the connection stays");
        if push["push"].get("unsubscribe").is_some() {
            assert_eq!(push["push"]["channel"], json!("room:lobby"));
            break;
        }
    }
    let refused = socket.call("subscribe", json!({ "channel": "room:lobby" })).await.expect("an answer");
    assert_eq!(refused["error"]["code"], json!(103));
    assert!(socket.is_alive().await);
}

#[tokio::test]
async fn grants_taken_away_between_the_handshake_and_connect_are_gone() {
    let site = Site::start().await;
    let login = site.log_in("alice").await;
    let gateway = &site.gateways[0];
    let bearer = format!("Bearer {}", login.access_token);
    let mut warm = Socket::open(&gateway.url(), &[("authorization", &bearer)]).await.expect("a handshake");
    // Judged and registered at the handshake, and nothing was said yet.
    test_harness::eventually("the handshake to be judged", || async {
        (gateway.metric("portcullis_gateway_verdict_cache_misses", "").await >= 1.0).then_some(())
    })
    .await;
    let seq = site.set_roles("alice", &[]).await.seq;
    test_harness::eventually("the gateway to apply the change", || async {
        (gateway.metric("portcullis_gateway_applied_seq", "").await >= seq as f64).then_some(())
    })
    .await;
    warm.connect(None).await;
    let refused = warm.call("subscribe", json!({ "channel": "room:secret" })).await.expect("an answer");
    assert_eq!(refused["error"]["code"], json!(103));
    let refused = warm.publish("room:secret", json!("leak")).await.expect("an answer");
    assert_eq!(refused["error"]["code"], json!(103));
}

#[tokio::test]
async fn a_login_that_began_before_everybody_was_logged_out_ends_with_a_dead_session() {
    // Hashing takes so long that the login is caught between reading the log and inserting its session.
    let site = Site::start_with("[password]\nmemory_kib = 65536\niterations = 12\n").await;
    let edge = site.edge();
    let login = tokio::spawn(async move { edge.try_log_in("acme", "alice", test_harness::PASSWORD).await });
    test_harness::eventually("the password to be hashed", || async {
        (site.authority.metric("portcullis_auth_hash_queue_depth", "").await >= 1.0).then_some(())
    })
    .await;
    site.backend.revoke_identity("acme", "alice").await;
    assert!(!login.is_finished(), "the login was over before the revocation: hash for longer");
    let answer = login.await.expect("the task ends");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
    let verdict = site.backend.verify(&token).await;
    assert_eq!(verdict.deny_reason(), portcullis_proto::auth::v1::DenyReason::IdentityRevoked);
    let mut socket = site.gateways[0].open().await;
    let refused = socket.try_connect(Some(&token)).await.expect("an answer");
    assert_eq!(refused.error(), Some((101, "identity_revoked")));
}
