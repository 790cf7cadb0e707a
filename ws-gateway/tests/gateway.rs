//! A whole gateway in this process, before a scripted authority.

#[path = "gateway/refuted.rs"]
mod refuted;
#[path = "gateway/replicas.rs"]
mod replicas;
mod standin;

use portcullis_proto::auth::v1::{Action, DenyReason, Effect};
use portcullis_types::{KeyKind, OpaqueKind};
use standin::{Closed, Stage, StandIn, opaque, token};
use tokio_tungstenite::tungstenite::Message;

const GUESTS: &str = "[hub.anonymous]\ntenant = \"demo\"\nsubscribe = [\"public:*\"]\n";

fn closed(code: u16, reason: &str) -> Closed {
    Closed { code: Some(code), reason: reason.to_owned() }
}

async fn alice(extra: &str) -> Stage {
    let stage = Stage::set(extra).await.live().await;
    stage.authority.knows(&token("alice"), 1);
    stage.authority.knows(&token("bob"), 2);
    stage
}

#[tokio::test]
async fn a_client_is_recognised_follows_a_channel_and_hears_what_is_said_there() {
    let stage = alice("[drain]\nwindow_ms = 10\n").await;
    let (mut alice, mut bob) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    alice.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(alice.hear().await["id"], 2);
    bob.say(r#"{"id":2,"publish":{"channel":"news","data":{"user":"a lie"}}}"#).await;
    let push = alice.hear().await;
    assert_eq!(push["push"]["pub"]["data"]["user"], "a lie");
    assert_eq!(push["push"]["pub"]["info"]["user"], bob_id(), "{push}");
    assert_eq!(bob.hear().await["id"], 2);
    drop((alice, bob));
    assert!(stage.stopped().await);
}

fn bob_id() -> String {
    portcullis_types::IdentityId::from_bytes([2; 16]).to_string()
}

#[tokio::test]
async fn revoking_a_session_closes_its_sockets_and_no_other() {
    let stage = alice("").await;
    let (first, second) = (stage.connected(&token("alice")).await, stage.connected(&token("alice")).await);
    let mut bob = stage.connected(&token("bob")).await;
    stage.authority.revokes_session_of(1);
    assert_eq!(first.closed().await, closed(4511, "session revoked"));
    assert_eq!(second.closed().await, closed(4511, "session revoked"));
    bob.say(r#"{"id":2,"ping":{}}"#).await;
    assert_eq!(bob.hear().await["id"], 2);
}

#[tokio::test]
async fn a_cached_verdict_admits_nobody_after_the_revocation() {
    let stage = alice("").await;
    let first = stage.connected(&token("alice")).await;
    stage.authority.revokes_session_of(1);
    assert_eq!(first.closed().await.code, Some(4511));
    let bearer = format!("Bearer {}", token("alice"));
    let mut again = stage.open("", &[("authorization", &bearer)]).await.expect("upgraded to be told");
    again.say(r#"{"id":1,"connect":{}}"#).await;
    let reply = again.hear().await;
    assert_eq!((&reply["error"]["message"], &reply["id"]), (&"session_revoked".into(), &1.into()), "{reply}");
    assert_eq!(again.closed().await.code, Some(4511));
    assert_eq!(stage.authority.questions().len(), 1, "the cache answered, and the fence stopped it");
}

#[tokio::test]
async fn a_verdict_made_before_a_revocation_admits_nobody_however_late_it_comes() {
    let stage = alice("").await;
    let witness = stage.connected(&token("bob")).await;
    stage.authority.holds_verdicts(true);
    let bearer = format!("Bearer {}", token("alice"));
    let mut late = stage.open("", &[("authorization", &bearer)]).await.expect("upgraded");
    late.say(r#"{"id":1,"connect":{}}"#).await;
    stage.authority.asked(2).await;
    // The verdict on alice is made and says yes; now the session dies, and the gateway hears of it first.
    stage.authority.revokes_session_of(1);
    stage.authority.revokes_session_of(2);
    // Whoever rests on the second event is closed: the gateway has applied both.
    assert_eq!(witness.closed().await.code, Some(4511));
    stage.authority.holds_verdicts(false);
    let reply = late.hear().await;
    assert_eq!(reply["error"]["message"], "session_revoked", "{reply}");
    assert_eq!(late.closed().await.code, Some(4511));
}

#[tokio::test]
async fn nobody_with_a_credential_is_admitted_before_the_gateway_is_live() {
    let authority = StandIn::start().await;
    authority.answers_probes(false);
    let stage = Stage::with(authority, GUESTS).await;
    let bearer = format!("Bearer {}", token("alice"));
    let refused = stage.open("", &[("authorization", &bearer)]).await.err().expect("refused");
    assert_eq!((refused.status, refused.reason.as_str(), refused.retry_after), (503, "not_ready", true));
    assert_eq!(stage.get("/ready", &[]).await.0, 503);
    assert_eq!(stage.get("/health", &[]).await.0, 200);
    // A guest may come, but not become somebody.
    let mut guest = stage.open("", &[]).await.expect("guests are welcome");
    guest.say(&format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, token("alice"))).await;
    let reply = guest.hear().await;
    assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&108.into(), &true.into()), "{reply}");
    assert_eq!(guest.closed().await, closed(1013, "not_ready"));
    assert!(stage.authority.questions().is_empty(), "nobody was asked about");
}

#[tokio::test]
async fn when_the_lease_ends_known_clients_freeze_then_are_closed_and_guests_stay() {
    let authority = StandIn::start().await;
    authority.lease_ms(1_500);
    authority.knows(&token("alice"), 1);
    let stage = Stage::with(authority, &format!("{GUESTS}[freeze]\nmax_ms = 300\n")).await.live().await;
    let mut known = stage.connected(&token("alice")).await;
    let mut guest = stage.open("", &[]).await.expect("guests are welcome");
    guest.say(r#"{"id":1,"connect":{}}"#).await;
    assert_eq!(guest.hear().await["connect"]["data"]["reason"], "no_credential");
    stage.authority.answers_probes(false);
    assert_eq!(known.hear().await["push"]["message"]["data"]["type"], "frozen");
    assert_eq!(known.closed().await, closed(4030, "authority lost"));
    guest.say(r#"{"id":2,"ping":{}}"#).await;
    assert_eq!(guest.hear().await["id"], 2);
    let bearer = format!("Bearer {}", token("alice"));
    assert_eq!(stage.open("", &[("authorization", &bearer)]).await.err().expect("refused").status, 503);
    stage.authority.answers_probes(true);
    let stage = stage.live().await;
    stage.connected(&token("alice")).await;
}

#[tokio::test]
async fn a_lost_grant_is_unsubscribed_and_told_and_the_socket_stays() {
    let stage = alice("").await;
    let (mut alice, mut bob) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    alice.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(alice.hear().await["id"], 2);
    stage.authority.grants(&[(Action::Publish, "news")]);
    stage.authority.commits(KeyKind::Identity, 1, Effect::Reauthorize);
    let push = alice.hear().await;
    assert_eq!((&push["push"]["channel"], &push["push"]["unsubscribe"]["code"]), (&"news".into(), &2000.into()));
    bob.say(r#"{"id":2,"publish":{"channel":"news","data":1}}"#).await;
    assert_eq!(bob.hear().await["id"], 2);
    alice.say(r#"{"id":3,"subscribe":{"channel":"news"}}"#).await;
    let reply = alice.hear().await;
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&3.into(), &103.into()), "{reply}");
}

#[tokio::test]
async fn a_ticket_is_asked_about_at_once_with_a_redemption_of_its_own_and_never_cached() {
    let stage = alice("").await;
    let ticket = opaque(OpaqueKind::Ticket, 9);
    stage.authority.knows(&ticket, 1);
    let first = stage.open(&format!("?ticket={ticket}"), &[]).await.expect("upgraded");
    // Nothing was said on the socket yet.
    stage.authority.asked(1).await;
    stage.authority.refuses(&ticket, DenyReason::Spent);
    let mut second = stage.open(&format!("?ticket={ticket}"), &[]).await.expect("upgraded to be told");
    second.say(r#"{"id":1,"connect":{}}"#).await;
    let reply = second.hear().await;
    assert_eq!((&reply["error"]["code"], &reply["error"]["message"]), (&109.into(), &"spent".into()), "{reply}");
    assert_eq!(second.closed().await, closed(4001, "spent"));
    let redemptions: Vec<_> = stage.authority.questions().into_iter().map(redemption).collect();
    assert!(redemptions.len() == 2 && redemptions[0] != redemptions[1] && redemptions[0].len() == 16);
    drop(first);
}

fn redemption(question: portcullis_proto::auth::v1::VerifyRequest) -> Vec<u8> {
    use portcullis_proto::auth::v1::verify_request::Credential;
    match question.credential {
        Some(Credential::Ticket(ticket)) => ticket.redemption_id,
        Some(Credential::Bearer(_)) | None => panic!("a ticket is presented as one"),
    }
}

#[tokio::test]
async fn refusals_are_told_in_the_first_frame_with_their_reason_and_code() {
    let stage = alice("[hub]\nallowed_origins = [\"https://app.test\"]\n").await;
    stage.authority.refuses(&token("expired"), DenyReason::Expired);
    let (bearer, expired) = (format!("Bearer {}", token("alice")), format!("Bearer {}", token("expired")));
    let ticket = format!("?ticket={}", opaque(OpaqueKind::Ticket, 9));
    for (query, headers, connect_token, reason, error, code) in [
        ("", vec![], String::new(), "no_credential", 101, 4501),
        ("?token=x", vec![], String::new(), "credential_in_url", 101, 4501),
        (ticket.as_str(), vec![("authorization", bearer.as_str())], String::new(), "two_credentials", 101, 4501),
        ("", vec![("authorization", bearer.as_str())], token("bob"), "two_credentials", 101, 4501),
        ("", vec![("authorization", expired.as_str())], String::new(), "expired", 109, 4001),
        ("", vec![("origin", "https://evil.test")], token("alice"), "origin_not_allowed", 103, 4540),
        ("", vec![("authorization", "Bearer garbage")], String::new(), "malformed", 101, 4501),
    ] {
        let headers: Vec<(&str, &str)> = headers;
        let mut client = stage.open(query, &headers).await.expect("upgraded to be told");
        client.say(&format!(r#"{{"id":7,"connect":{{"token":"{connect_token}"}}}}"#)).await;
        let reply = client.hear().await;
        assert_eq!(
            (&reply["id"], &reply["error"]["message"], &reply["error"]["code"]),
            (&7.into(), &reason.into(), &error.into())
        );
        assert_eq!(client.closed().await, closed(code, reason));
    }
}

#[tokio::test]
async fn a_route_may_refuse_over_http() {
    let stage = alice("[hub]\nrefusal = \"http\"\n").await;
    stage.authority.refuses(&token("revoked"), DenyReason::SessionRevoked);
    let bearer = |name: &str| format!("Bearer {}", token(name));
    for (query, header, status, reason) in [
        ("", bearer("revoked"), 401, "session_revoked"),
        ("?jwt=x", bearer("alice"), 400, "credential_in_url"),
        ("", "Basic YTpi".to_owned(), 403, "wrong_kind"),
    ] {
        let refused = stage.open(query, &[("authorization", &header)]).await.err().expect("refused");
        assert_eq!((refused.status, refused.reason.as_str()), (status, reason));
    }
    stage.connected(&token("alice")).await;
}

#[tokio::test]
async fn a_bad_credential_may_make_a_guest_who_is_told_so() {
    let stage = alice(&format!("[hub]\ninvalid_credential = \"anonymous\"\n{GUESTS}")).await;
    stage.authority.refuses(&token("revoked"), DenyReason::SessionRevoked);
    let mut guest = stage.open("", &[]).await.expect("upgraded");
    guest.say(&format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, token("revoked"))).await;
    let data = guest.hear().await["connect"]["data"].clone();
    assert_eq!((&data["authenticated"], &data["reason"]), (&false.into(), &"session_revoked".into()));
    guest.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(guest.hear().await["error"]["code"], 103);
}

#[tokio::test]
async fn a_refresh_goes_on_and_one_that_names_somebody_else_ends_it() {
    let stage = alice("").await;
    stage.authority.knows(&token("alice again"), 1);
    let mut client = stage.open("", &[]).await.expect("upgraded");
    client.say(&format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, token("alice"))).await;
    let connected = client.hear().await;
    assert_eq!(connected["connect"]["expires"], true, "{connected}");
    client.say(&format!(r#"{{"id":2,"refresh":{{"token":"{}"}}}}"#, token("alice again"))).await;
    assert_eq!(client.hear().await["refresh"]["expires"], true);
    client.say(&format!(r#"{{"id":3,"refresh":{{"token":"{}"}}}}"#, token("bob"))).await;
    assert_eq!(client.hear().await["error"]["message"], "another_identity");
    assert_eq!(client.closed().await, closed(4501, "another_identity"));
}

#[tokio::test]
async fn frames_that_are_no_messages_of_the_protocol_end_the_socket() {
    let stage = alice("[limits]\nmessage_bytes = 1024\n").await;
    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 3501),
        (Message::text("garbage"), 3501),
        (Message::text("x".repeat(2_000)), 1009),
        (Message::text("[".repeat(500)), 3501),
    ] {
        let mut client = stage.connected(&token("alice")).await;
        client.send(message).await;
        assert_eq!(client.closed().await.code, Some(code));
    }
}

#[tokio::test]
async fn a_message_without_end_ends_the_socket() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let stage = alice("[limits]\nmessage_bytes = 1024\n").await;
    let mut client = stage.connected(&token("alice")).await;
    let fragment = |code| Message::Frame(Frame::message(Vec::new(), OpCode::Data(code), false));
    client.send(fragment(Data::Text)).await;
    // Their content adds up to nothing; the gateway stops reading before it is through.
    while client.try_send(fragment(Data::Continue)).await {}
    let (_, _, text) = stage.get("/metrics", &[]).await;
    assert!(text.contains("portcullis_gateway_closed_total{code=\"1009\"} 1"), "{text}");
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_socket() {
    let stage = alice("[limits]\ncommands_per_second = 1\n").await;
    let mut client = stage.connected(&token("alice")).await;
    for _ in 0..1_000 {
        if !client.try_send(Message::Ping(Vec::new().into())).await {
            break;
        }
    }
    assert_ne!(client.closed().await.code, Some(1012));
    let (_, _, text) = stage.get("/metrics", &[]).await;
    assert!(text.contains("portcullis_gateway_closed_total{code=\"4029\"} 1"), "{text}");
}

#[tokio::test]
async fn an_oversized_head_is_refused_before_anything_is_read_from_it() {
    let stage = alice("").await;
    let (status, ..) = stage.get("/health", &[("x-big", &"x".repeat(20_000))]).await;
    assert_eq!(status, 431);
}

#[tokio::test]
async fn above_the_cap_of_sockets_whoever_comes_is_told_to_come_back() {
    let stage = alice("[limits]\nsockets = 2\n").await;
    let first = stage.connected(&token("alice")).await;
    let _second = stage.connected(&token("bob")).await;
    let refused = stage.open("", &[]).await.err().expect("refused");
    assert_eq!((refused.status, refused.retry_after), (503, true));
    assert_eq!(stage.get("/health", &[]).await.0, 200, "the operator is not kept out");
    drop(first);
    let stage = stage.live().await;
    drop(stage);
}

#[tokio::test]
async fn a_slow_reader_of_a_fast_channel_is_closed_and_costs_nobody_else_anything() {
    let stage = alice("[limits]\noutgoing_bytes_per_socket = 65536\ncommands_per_second = 100000\n").await;
    let (mut slow, mut fast) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    slow.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(slow.hear().await["id"], 2);
    let publish = format!(r#"{{"id":2,"publish":{{"channel":"news","data":"{}"}}}}"#, "x".repeat(60_000));
    // Nobody reads on `slow`: the kernel's buffers fill, then the outbox overflows.
    loop {
        fast.say(&publish).await;
        assert_eq!(fast.hear().await["id"], 2);
        let (_, _, text) = stage.get("/metrics", &[]).await;
        if text.contains("portcullis_gateway_closed_total{code=\"4008\"} 1") {
            break;
        }
    }
    drop(slow);
}

#[tokio::test]
async fn a_peer_with_half_a_frame_is_cut_off_when_its_session_is_revoked() {
    let stage = alice("[limits]\noutgoing_bytes_per_socket = 16777216\ncommands_per_second = 100000\n").await;
    let (mut slow, mut fast) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    slow.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(slow.hear().await["id"], 2);
    let publish = format!(r#"{{"id":2,"publish":{{"channel":"news","data":"{}"}}}}"#, "x".repeat(60_000));
    // More than the kernel holds for somebody who does not read, and less than the budget.
    for _ in 0..200 {
        fast.say(&publish).await;
        assert_eq!(fast.hear().await["id"], 2);
    }
    stage.authority.revokes_session_of(1);
    assert_eq!(slow.closed().await, Closed { code: None, reason: String::new() });
    let (_, _, text) = stage.get("/metrics", &[]).await;
    assert!(text.contains("portcullis_gateway_closed_total{code=\"4511\"} 1"), "{text}");
}

#[tokio::test]
async fn a_gateway_that_stops_closes_its_sockets_with_1012() {
    let mut stage = alice("[drain]\nwindow_ms = 50\n").await;
    let (first, second) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    stage.stop();
    assert_eq!(first.closed().await, closed(1012, "gateway restarting"));
    assert_eq!(second.closed().await, closed(1012, "gateway restarting"));
    assert!(stage.stopped().await);
}

#[tokio::test]
async fn a_gateway_that_was_cut_off_learns_what_it_missed_before_it_trusts_its_cache() {
    let stage = alice("").await;
    let socket = stage.connected(&token("alice")).await;
    stage.authority.refuses_watches(true);
    stage.authority.revokes_session_of(1);
    stage.authority.refuses_watches(false);
    assert_eq!(socket.closed().await, closed(4511, "session revoked"));
    let bearer = format!("Bearer {}", token("alice"));
    let mut again = stage.open("", &[("authorization", &bearer)]).await.expect("upgraded to be told");
    again.say(r#"{"id":1,"connect":{}}"#).await;
    assert_eq!(again.hear().await["error"]["message"], "session_revoked");
}

#[tokio::test]
async fn what_is_not_a_handshake_on_the_hubs_path_is_told_so() {
    let stage = alice("").await;
    let (status, head, body) = stage.get("/connection/websocket?token=secret", &[]).await;
    assert_eq!(status, 426);
    assert!(head.contains("upgrade: websocket") && head.contains("application/problem+json"), "{head}");
    assert!(!body.contains("secret"), "nothing of the request is repeated");
    assert_eq!(stage.get("/nothing", &[]).await.0, 404);
}

/// Alice follows `news` and is being judged again; meanwhile bob has said something there.
async fn while_alice_is_judged_again(grants: &[(Action, &str)]) -> (Stage, standin::Client) {
    let stage = alice("").await;
    let (mut alice, mut bob) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    alice.say(r#"{"id":2,"subscribe":{"channel":"news"}}"#).await;
    assert_eq!(alice.hear().await["id"], 2);
    stage.authority.holds_verdicts(true);
    stage.authority.grants(grants);
    stage.authority.commits(KeyKind::Identity, 1, Effect::Reauthorize);
    stage.authority.asked_again(1).await;
    bob.say(r#"{"id":2,"publish":{"channel":"news","data":"meanwhile"}}"#).await;
    assert_eq!(bob.hear().await["id"], 2);
    alice.say(r#"{"id":3,"publish":{"channel":"news","data":"mine"}}"#).await;
    stage.authority.holds_verdicts(false);
    (stage, alice)
}

#[tokio::test]
async fn what_waits_while_grants_are_judged_again_passes_when_they_are_kept() {
    let kept = [(Action::Subscribe, "news"), (Action::Publish, "news")];
    let (_stage, mut alice) = while_alice_is_judged_again(&kept).await;
    assert_eq!(alice.hear().await["push"]["pub"]["data"], "meanwhile");
    assert_eq!(alice.hear().await["push"]["pub"]["data"], "mine");
    assert_eq!(alice.hear().await["id"], 3);
}

#[tokio::test]
async fn what_waits_while_grants_are_judged_again_is_never_seen_when_they_are_lost() {
    let (_stage, alice) = while_alice_is_judged_again(&[(Action::Publish, "news")]).await;
    assert_eq!(alice.closed_without_a_word().await, closed(4002, "authority changed"));
}

#[tokio::test]
async fn after_a_fork_of_the_log_everybody_is_judged_again() {
    let stage = alice("").await;
    stage.authority.commits(KeyKind::Session, 3, Effect::Kill);
    let (alice, mut bob) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    stage.authority.forgets(1);
    stage.authority.forks();
    assert_eq!(alice.closed().await, closed(4510, "credential_revoked"));
    bob.say(r#"{"id":2,"ping":{}}"#).await;
    assert_eq!(bob.hear().await["id"], 2);
    let (_, _, text) = stage.get("/metrics", &[]).await;
    assert!(text.contains("portcullis_gateway_resyncs_total{reason=\"fork\"} 1"), "{text}");
}
