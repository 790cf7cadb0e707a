//! What a session does, seen from outside: text in, outputs out.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{
    Boottime, ChannelName, CredentialId, IdentityId, Revision, Secret, SessionId, TenantId, Timestamp,
};
use serde_json::{Value, json};

use super::*;
use crate::{Action, CredentialForm};

const ANN: &str = "0192f0c1-0000-7000-8000-0000000000aa";
const BOB: &str = "0192f0c1-0000-7000-8000-0000000000bb";
const T0: Boottime = Boottime::from_nanos(1_000_000_000_000);

fn after(seconds: u64) -> Boottime {
    T0 + Duration::from_secs(seconds)
}

fn limits() -> HubLimits {
    HubLimits {
        message_bytes: 1_000,
        json_depth: 8,
        commands_per_message: 20,
        subscriptions: 4,
        commands_per_second: 10,
        command_burst: 20,
        credential_bytes: 100,
        connect_timeout: Duration::from_secs(10),
        ping_interval: Duration::from_secs(25),
        pong_timeout: Duration::from_secs(10),
        version: "0.1.0".into(),
    }
}

fn principal(identity: &str, grants: &[(Action, &str)]) -> Arc<Principal> {
    Arc::new(Principal {
        tenant: TenantId::try_from("demo").expect("a valid name"),
        identity: IdentityId::try_from(identity).expect("a valid id"),
        name: "somebody".into(),
        session: Some(SessionId::from_bytes([7; 16])),
        credential: CredentialId::from_bytes([8; 16]),
        grants: Arc::new(Grants::compile(grants.iter().copied()).expect("valid patterns")),
    })
}

const CHAT: &[(Action, &str)] = &[(Action::Subscribe, "chat:*"), (Action::Publish, "chat:*")];

fn admitted(identity: &str, expires_in: Option<u64>) -> Ruling {
    let shown = Timestamp::from_unix_seconds(2_000_000_000);
    let expires = expires_in.map(|seconds| Expiry { at: after(seconds), shown });
    let revision = Revision { seq: 42, chain: 0xab };
    Ruling::Admitted(Admission { principal: principal(identity, CHAT), expires, revision })
}

fn anonymous(reason: Denial) -> Ruling {
    let grants = Arc::new(Grants::compile([(Action::Subscribe, "public:*")]).expect("valid patterns"));
    Ruling::Anonymous(Guest { tenant: TenantId::try_from("demo").expect("a valid name"), grants, reason })
}

fn channel(name: &str) -> ChannelName {
    ChannelName::try_from(name).expect("a valid name")
}

fn fresh(handshake: Handshake) -> Session {
    Session::new(Arc::new(limits()), "c-1", handshake, T0)
}

fn send(session: &mut Session, frame: &str, now: Boottime) -> Vec<Output> {
    let mut out = Vec::new();
    session.on_frame(frame, now, &mut out);
    out
}

fn rule(session: &mut Session, ruling: Ruling, now: Boottime) -> Vec<Output> {
    let mut out = Vec::new();
    session.on_ruling(ruling, now, &mut out);
    out
}

fn tick(session: &mut Session, now: Boottime) -> Vec<Output> {
    let mut out = Vec::new();
    session.on_tick(now, &mut out);
    out
}

/// A session of Ann's, by a token that expires in 600 s.
fn connected() -> Session {
    let mut session = fresh(Handshake::Open);
    send(&mut session, r#"{"id":1,"connect":{"token":"jwt"}}"#, T0);
    rule(&mut session, admitted(ANN, Some(600)), T0);
    session
}

fn json_of(output: &Output) -> Value {
    match output {
        Output::Reply(frame) | Output::Publish { frame, .. } => serde_json::from_slice(frame).expect("frames are JSON"),
        other => panic!("no frame: {other:?}"),
    }
}

fn error_of(output: &Output) -> (u64, String, bool) {
    let error = &json_of(output)["error"];
    let message = error["message"].as_str().expect("errors have a message").to_owned();
    (error["code"].as_u64().expect("errors have a code"), message, error["temporary"] == true)
}

fn code_of(out: &[Output]) -> u64 {
    assert_eq!(out.len(), 1, "{out:?}");
    error_of(&out[0]).0
}

fn closed_with(out: &[Output]) -> u16 {
    match out.last() {
        Some(Output::Close(reason)) => reason.code(),
        other => panic!("not closed: {other:?}"),
    }
}

// ---- opening ----

#[test]
fn a_token_is_handed_over_to_be_judged_and_nothing_happens_before_that() {
    let mut session = fresh(Handshake::Open);
    let out = send(&mut session, r#"{"id":1,"connect":{"token":"jwt","data":{"identity":"admin"}}}"#, T0);
    let presented = Presented::Token(Secret::from("jwt"));
    assert_eq!(out, [Output::Verify { presented, purpose: Purpose::Connect }]);
    assert_eq!((session.identity(), session.subscriptions().len()), (None, 0));
}

#[test]
fn the_first_answer_says_who_the_client_is() {
    let mut session = fresh(Handshake::Open);
    send(&mut session, r#"{"id":7,"connect":{"token":"jwt"}}"#, T0);
    let out = rule(&mut session, admitted(ANN, Some(600)), T0);
    let personal = format!("@{ANN}");
    let expected = json!({"id": 7, "connect": {
        "client": "c-1", "version": "0.1.0", "expires": true, "ttl": 570, "ping": 25, "pong": true,
        "subs": {&personal: {}},
        "data": {
            "authenticated": true, "identity": ANN, "tenant": "demo", "session": "07070707-0707-0707-0707-070707070707",
            "expires_at": 2_000_000_000_000_u64, "revision": "42-00000000000000ab",
            "limits": {"message_bytes": 1000, "json_depth": 8, "subscriptions": 4, "commands_per_second": 10},
        },
    }});
    assert_eq!(json_of(&out[0]), expected);
    assert_eq!(out[1..], [Output::Subscribe(channel(&personal))]);
    assert_eq!(session.subscriptions(), [channel(&personal)]);
}

#[test]
fn a_client_that_brought_its_credential_in_the_handshake_is_not_asked_to_refresh() {
    let mut session = fresh(Handshake::Credential);
    let out = send(&mut session, r#"{"id":1,"connect":{}}"#, T0);
    assert_eq!(out, [Output::Verify { presented: Presented::Carried, purpose: Purpose::Connect }]);
    let out = rule(&mut session, admitted(ANN, Some(600)), T0);
    let connect = &json_of(&out[0])["connect"];
    assert_eq!((&connect["expires"], &connect["ttl"]), (&Value::Null, &Value::Null));
    assert_eq!(connect["data"]["expires_at"], 2_000_000_000_000_u64);
}

#[test]
fn two_explicit_credentials_are_refused_without_judging_either() {
    let mut session = fresh(Handshake::Credential);
    let out = send(&mut session, r#"{"id":1,"connect":{"token":"jwt"}}"#, T0);
    assert_eq!(error_of(&out[0]), (101, "two_credentials".into(), false));
    assert_eq!((out.len(), closed_with(&out)), (2, 4501));
}

#[test]
fn an_anonymous_client_is_told_so_and_why_and_has_no_personal_channel() {
    let mut session = fresh(Handshake::Open);
    send(&mut session, r#"{"id":1,"connect":{}}"#, T0);
    let out = rule(&mut session, anonymous(Denial::NoCredential), T0);
    let connect = &json_of(&out[0])["connect"];
    assert_eq!(connect["data"]["authenticated"], false);
    assert_eq!(connect["data"]["reason"], "no_credential");
    assert_eq!((&connect["data"]["identity"], &connect["subs"]), (&Value::Null, &Value::Null));
    assert_eq!(out.len(), 1);
    assert_eq!(send(&mut session, r#"{"id":2,"subscribe":{"channel":"public:a"}}"#, T0).len(), 2);
    assert_eq!(code_of(&send(&mut session, r#"{"id":3,"subscribe":{"channel":"chat:a"}}"#, T0)), 103);
}

#[test]
fn a_refusal_is_spoken_before_the_close_and_both_advise_the_same() {
    for (denial, form, error, close) in [
        (Denial::NoCredential, CredentialForm::Other, (101, false), 4501),
        (Denial::Expired, CredentialForm::Other, (109, true), 4001),
        (Denial::Spent, CredentialForm::Ticket, (109, true), 4001),
        (Denial::Unknown, CredentialForm::Ticket, (109, true), 4001),
        (Denial::Unknown, CredentialForm::Other, (101, false), 4501),
        (Denial::SessionRevoked, CredentialForm::Other, (101, false), 4511),
        (Denial::WrongKind, CredentialForm::Other, (103, false), 4503),
        (Denial::AuthorityUnavailable, CredentialForm::Other, (108, true), 1013),
    ] {
        let mut session = fresh(Handshake::Open);
        send(&mut session, r#"{"id":1,"connect":{"token":"x"}}"#, T0);
        let out = rule(&mut session, Ruling::Refused(Refusal::new(denial, form)), T0);
        assert_eq!(error_of(&out[0]), (error.0, denial.text().into(), error.1));
        assert_eq!((out.len(), closed_with(&out)), (2, close), "{denial:?}");
    }
}

#[test]
fn what_comes_with_connect_waits_for_the_verdict_and_is_judged_by_it() {
    let mut session = fresh(Handshake::Open);
    let batch = "{\"id\":1,\"connect\":{\"token\":\"jwt\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"chat:a\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"secret\"}}";
    assert_eq!(send(&mut session, batch, T0).len(), 1);
    assert!(send(&mut session, r#"{"id":4,"publish":{"channel":"chat:a","data":1}}"#, T0).is_empty());
    let out = rule(&mut session, admitted(ANN, None), T0);
    let ids: Vec<_> = out.iter().filter(|o| matches!(o, Output::Reply(_))).map(|o| json_of(o)["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert!(out.contains(&Output::Subscribe(channel("chat:a"))));
    assert!(!out.contains(&Output::Subscribe(channel("secret"))));
}

#[test]
fn what_waits_for_the_verdict_is_dropped_with_a_refusal() {
    let mut session = fresh(Handshake::Open);
    send(
        &mut session,
        "{\"id\":1,\"connect\":{\"token\":\"jwt\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"chat:a\"}}",
        T0,
    );
    let out = rule(&mut session, Ruling::Refused(Denial::Invalid.into()), T0);
    assert_eq!((out.len(), closed_with(&out)), (2, 4501));
    assert!(rule(&mut session, admitted(ANN, None), T0).is_empty());
    assert!(session.subscriptions().is_empty());
}

#[test]
fn more_than_a_message_of_waiting_commands_closes() {
    let mut session = fresh(Handshake::Open);
    send(&mut session, r#"{"id":1,"connect":{"token":"jwt"}}"#, T0);
    let long = format!(r#"{{"id":2,"publish":{{"channel":"chat:a","data":"{}"}}}}"#, "x".repeat(600));
    assert!(send(&mut session, &long, T0).is_empty());
    assert_eq!(closed_with(&send(&mut session, &long, T0)), 4029);
}

#[test]
fn anything_before_connect_and_a_second_connect_are_out_of_turn() {
    for frame in [
        r#"{"id":1,"subscribe":{"channel":"chat:a"}}"#,
        "{}",
        r#"{"id":1,"refresh":{"token":"x"}}"#,
        r#"{"id":1,"rpc":{}}"#,
    ] {
        assert_eq!(closed_with(&send(&mut fresh(Handshake::Open), frame, T0)), 3501, "{frame}");
    }
    assert_eq!(closed_with(&send(&mut connected(), r#"{"id":2,"connect":{"token":"other"}}"#, T0)), 3501);
    let mut opening = fresh(Handshake::Open);
    send(&mut opening, r#"{"id":1,"connect":{"token":"jwt"}}"#, T0);
    assert!(send(&mut opening, r#"{"id":2,"connect":{"token":"other"}}"#, T0).is_empty());
    assert_eq!(closed_with(&rule(&mut opening, admitted(ANN, None), T0)), 3501);
}

#[test]
fn a_silent_client_is_closed_at_the_deadline_but_not_while_it_is_judged() {
    let mut silent = fresh(Handshake::Open);
    assert_eq!(silent.next_deadline(), Some(after(10)));
    assert!(tick(&mut silent, after(9)).is_empty());
    assert_eq!(closed_with(&tick(&mut silent, after(10))), 3502);
    let mut judged = fresh(Handshake::Open);
    send(&mut judged, r#"{"id":1,"connect":{}}"#, T0);
    assert_eq!(judged.next_deadline(), None);
    assert!(tick(&mut judged, after(1_000)).is_empty());
}

#[test]
fn a_credential_that_is_too_long_is_refused_without_asking_anybody() {
    for (token, code, close) in [("x".repeat(101), 101, 4501), (format!("tk_{}", "x".repeat(98)), 109, 4001)] {
        let out = send(&mut fresh(Handshake::Open), &format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#), T0);
        assert_eq!((error_of(&out[0]).0, error_of(&out[0]).1.as_str()), (code, "malformed"));
        assert_eq!(closed_with(&out), close);
    }
}

// ---- channels ----

#[test]
fn following_is_answered_before_it_begins_and_leaving_after_it_ends() {
    let mut session = connected();
    let out = send(&mut session, r#"{"id":2,"subscribe":{"channel":"chat:a","recoverable":true,"flag":1}}"#, T0);
    assert_eq!(json_of(&out[0]), json!({"id": 2, "subscribe": {}}));
    assert_eq!(out[1..], [Output::Subscribe(channel("chat:a"))]);
    let out = send(&mut session, r#"{"id":3,"unsubscribe":{"channel":"chat:a"}}"#, T0);
    assert_eq!(out[0], Output::Unsubscribe(channel("chat:a")));
    assert_eq!(json_of(&out[1]), json!({"id": 3, "unsubscribe": {}}));
    let out = send(&mut session, r#"{"id":4,"unsubscribe":{"channel":"chat:a"}}"#, T0);
    assert_eq!((out.len(), json_of(&out[0])), (1, json!({"id": 4, "unsubscribe": {}})));
}

#[test]
fn following_is_refused_with_the_reason() {
    let mut session = connected();
    let ask = |session: &mut Session, name: &str| {
        let frame = json!({"id": 2, "subscribe": {"channel": name}}).to_string();
        code_of(&send(session, &frame, T0))
    };
    for (name, code) in [("", 107), ("a b", 107), ("secret", 103), ("$chat:a", 103), ("*", 103)] {
        assert_eq!(ask(&mut session, name), code, "{name}");
    }
    for n in 0..3 {
        send(&mut session, &json!({"id": 9, "subscribe": {"channel": format!("chat:{n}")}}).to_string(), T0);
    }
    assert_eq!(ask(&mut session, "chat:0"), 105);
    assert_eq!(ask(&mut session, "chat:9"), 106);
    assert_eq!(session.subscriptions().len(), 4);
}

#[test]
fn a_personal_channel_is_read_by_its_identity_alone_whatever_is_granted() {
    let mut session = fresh(Handshake::Open);
    send(&mut session, r#"{"id":1,"connect":{"token":"jwt"}}"#, T0);
    let all = principal(ANN, &[(Action::Subscribe, "*"), (Action::Publish, "*"), (Action::Subscribe, "@*")]);
    let admission = Admission { principal: all, expires: None, revision: Revision { seq: 0, chain: 0 } };
    rule(&mut session, Ruling::Admitted(admission), T0);
    let ask = |session: &mut Session, kind: &str, of: &str| {
        let frame = json!({"id": 2, kind: {"channel": format!("@{of}"), "data": 1}}).to_string();
        send(session, &frame, T0)
    };
    assert_eq!(code_of(&ask(&mut session, "subscribe", BOB)), 103);
    assert_eq!(code_of(&ask(&mut session, "subscribe", &ANN.to_uppercase())), 103);
    assert_eq!(code_of(&ask(&mut session, "subscribe", ANN)), 105);
    assert_eq!(code_of(&ask(&mut session, "publish", BOB)), 103);
    assert_eq!(code_of(&ask(&mut session, "publish", ANN)), 103);
    assert_eq!(ask(&mut session, "unsubscribe", ANN).len(), 2);
    assert_eq!(ask(&mut session, "subscribe", ANN).len(), 2);
}

#[test]
fn a_publication_is_stamped_with_its_sender_and_its_payload_cannot_contradict_that() {
    let mut session = connected();
    let lie = format!(
        r#"{{"id":2,"publish":{{"channel":"chat:a","data":{{"info":{{"user":"{BOB}"}}, "n":1.50}},"info":{{"user":"{BOB}"}}}}}}"#
    );
    let out = send(&mut session, &lie, T0);
    let Output::Publish { channel: to, frame } = &out[0] else { panic!("not published: {out:?}") };
    assert_eq!(*to, channel("chat:a"));
    let push = &json_of(&out[0])["push"];
    assert_eq!(push["pub"]["info"], json!({"user": ANN, "client": "c-1"}));
    assert_eq!(push["channel"], "chat:a");
    let text = std::str::from_utf8(frame).expect("frames are text");
    assert!(text.contains(&format!(r#""data":{{"info":{{"user":"{BOB}"}}, "n":1.50}}"#)), "byte for byte: {text}");
    assert_eq!(json_of(&out[1]), json!({"id": 2, "publish": {}}));
}

#[test]
fn a_payload_cannot_break_out_of_its_place() {
    let mut session = connected();
    for data in [r#"1},"info":{"user":"x"}"#, r#"1}}}"#, "{", "", "nul"] {
        let frame = format!(r#"{{"id":2,"publish":{{"channel":"chat:a","data":{data}}}}}"#);
        let out = send(&mut session, &frame, T0);
        for output in out.iter().filter(|output| matches!(output, Output::Publish { .. })) {
            assert_eq!(json_of(output)["push"]["pub"]["info"]["user"], ANN);
        }
        session = connected();
    }
}

#[test]
fn publishing_needs_a_grant_and_something_to_say_but_no_subscription() {
    let mut session = connected();
    assert_eq!(code_of(&send(&mut session, r#"{"id":2,"publish":{"channel":"news","data":1}}"#, T0)), 103);
    assert_eq!(code_of(&send(&mut session, r#"{"id":3,"publish":{"channel":"chat:a"}}"#, T0)), 107);
    assert_eq!(code_of(&send(&mut session, r#"{"id":4,"publish":{"channel":"","data":1}}"#, T0)), 107);
    assert_eq!(send(&mut session, r#"{"id":5,"publish":{"channel":"chat:a","data":null}}"#, T0).len(), 2);
}

#[test]
fn lost_grants_end_subscriptions_at_once_and_the_client_is_told() {
    let mut session = connected();
    send(&mut session, r#"{"id":2,"subscribe":{"channel":"chat:a"}}"#, T0);
    send(&mut session, r#"{"id":3,"subscribe":{"channel":"chat:b"}}"#, T0);
    let mut out = Vec::new();
    session.on_principal(principal(ANN, &[(Action::Subscribe, "chat:b")]), &mut out);
    assert_eq!(out[0], Output::Unsubscribe(channel("chat:a")));
    let push = json!({"push": {"channel": "chat:a", "unsubscribe": {"code": 2000, "reason": "permission denied"}}});
    assert_eq!((json_of(&out[1]), out.len()), (push, 2));
    assert_eq!(session.subscriptions(), [channel(&format!("@{ANN}")), channel("chat:b")]);
    assert_eq!(code_of(&send(&mut session, r#"{"id":4,"publish":{"channel":"chat:b","data":1}}"#, T0)), 103);
}

// ---- refresh ----

fn refreshing() -> Session {
    let mut session = connected();
    let out = send(&mut session, r#"{"id":5,"refresh":{"token":"newer"}}"#, after(570));
    let presented = Presented::Token(Secret::from("newer"));
    assert_eq!(out, [Output::Verify { presented, purpose: Purpose::Refresh }]);
    session
}

#[test]
fn a_refresh_keeps_the_connection_and_gives_a_new_term() {
    let mut session = refreshing();
    assert_eq!(send(&mut session, r#"{"id":6,"ping":{}}"#, after(570)).len(), 1);
    let out = rule(&mut session, admitted(ANN, Some(1_170)), after(570));
    let result = json!({"client": "c-1", "version": "0.1.0", "expires": true, "ttl": 570});
    assert_eq!((json_of(&out[0]), out.len()), (json!({"id": 5, "refresh": result}), 1));
}

#[test]
fn a_refresh_to_a_credential_without_end_asks_for_no_other() {
    let out = rule(&mut refreshing(), admitted(ANN, None), after(570));
    assert_eq!(json_of(&out[0])["refresh"], json!({"client": "c-1", "version": "0.1.0"}));
}

#[test]
fn a_refresh_that_names_another_identity_closes() {
    let out = rule(&mut refreshing(), admitted(BOB, Some(1_170)), after(570));
    assert_eq!(error_of(&out[0]), (101, "another_identity".into(), false));
    assert_eq!(closed_with(&out), 4501);
}

#[test]
fn a_refresh_that_names_another_tenant_closes() {
    let Ruling::Admitted(mut admission) = admitted(ANN, None) else { unreachable!("it is an admission") };
    let mut other = (*admission.principal).clone();
    other.tenant = TenantId::try_from("elsewhere").expect("a valid name");
    admission.principal = Arc::new(other);
    assert_eq!(closed_with(&rule(&mut refreshing(), Ruling::Admitted(admission), after(570))), 4501);
}

#[test]
fn a_late_or_spent_refresh_may_be_tried_again_and_a_revoked_one_ends_the_connection() {
    for (denial, code) in [(Denial::Expired, 109), (Denial::Spent, 109), (Denial::AuthorityUnavailable, 108)] {
        let mut session = refreshing();
        let out = rule(&mut session, Ruling::Refused(denial.into()), after(570));
        assert_eq!((code_of(&out), error_of(&out[0]).2), (code, true));
        assert!(matches!(
            send(&mut session, r#"{"id":6,"refresh":{"token":"newest"}}"#, after(580))[..],
            [Output::Verify { .. }]
        ));
    }
    let out = rule(&mut refreshing(), Ruling::Refused(Denial::CredentialRevoked.into()), after(570));
    assert_eq!((error_of(&out[0]).0, closed_with(&out)), (101, 4510));
}

#[test]
fn only_one_refresh_is_judged_at_a_time_and_nobody_becomes_somebody_by_it() {
    assert_eq!(code_of(&send(&mut refreshing(), r#"{"id":6,"refresh":{"token":"x"}}"#, after(570))), 111);
    assert_eq!(code_of(&send(&mut connected(), r#"{"id":6,"refresh":{}}"#, T0)), 107);
    let mut guest = fresh(Handshake::Open);
    send(&mut guest, r#"{"id":1,"connect":{}}"#, T0);
    rule(&mut guest, anonymous(Denial::NoCredential), T0);
    assert_eq!(code_of(&send(&mut guest, r#"{"id":2,"refresh":{"token":"x"}}"#, T0)), 103);
    assert!(rule(&mut guest, admitted(ANN, None), T0).is_empty());
    assert_eq!(guest.identity(), None);
}

#[test]
fn a_verdict_nobody_asked_for_changes_nothing() {
    let mut session = connected();
    assert!(rule(&mut session, admitted(BOB, None), T0).is_empty());
    assert_eq!(session.identity(), IdentityId::try_from(ANN).ok());
}

// ---- life and limits ----

#[test]
fn pings_go_out_and_an_unanswered_one_ends_the_connection() {
    let mut session = connected();
    let first = session.next_deadline().expect("a ping is due");
    assert!(first > after(12) && first <= after(25));
    assert!(tick(&mut session, T0).is_empty());
    assert_eq!(tick(&mut session, first), [Output::Reply(crate::protocol::PING)]);
    assert!(send(&mut session, "{}", first).is_empty());
    assert_eq!(session.next_deadline(), Some(first + Duration::from_secs(25)));
    let second = first + Duration::from_secs(25);
    assert_eq!(tick(&mut session, second).len(), 1);
    assert!(tick(&mut session, second + Duration::from_secs(9)).is_empty());
    assert_eq!(closed_with(&tick(&mut session, second + Duration::from_secs(10))), 3012);
}

#[test]
fn connections_made_together_are_not_pinged_together() {
    let shared = Arc::new(limits());
    let firsts: std::collections::HashSet<_> = (0..64)
        .map(|n| {
            let mut session = Session::new(shared.clone(), &format!("client-{n}"), Handshake::Open, T0);
            send(&mut session, r#"{"id":1,"connect":{}}"#, T0);
            rule(&mut session, admitted(ANN, None), T0);
            session.next_deadline()
        })
        .collect();
    assert!(firsts.len() > 16, "{} moments", firsts.len());
}

#[test]
fn over_the_rate_commands_are_refused_and_going_on_ends_the_connection() {
    let mut session = connected();
    let ping = r#"{"id":9,"ping":{}}"#;
    // One of the burst of 20 went into `connect`.
    for _ in 0..19 {
        assert_eq!(json_of(&send(&mut session, ping, T0)[0])["ping"], json!({}));
    }
    for _ in 0..20 {
        assert_eq!(error_of(&send(&mut session, ping, T0)[0]), (111, "too many requests".into(), true));
    }
    assert_eq!(closed_with(&send(&mut session, ping, T0)), 4029);
}

#[test]
fn a_pause_makes_room_for_commands_again() {
    let mut session = connected();
    let ping = r#"{"id":9,"ping":{}}"#;
    for round in 0..10 {
        for _ in 0..19 {
            assert_eq!(json_of(&send(&mut session, ping, after(3 * round))[0])["ping"], json!({}));
        }
    }
}

#[test]
fn a_flood_of_pongs_or_of_empty_messages_is_not_free() {
    for frame in ["{}", "", "\n\n"] {
        let mut session = connected();
        let sent = (0..1_000).take_while(|_| send(&mut session, frame, T0).is_empty()).count();
        assert_eq!(sent, 19 + 20, "{frame:?}");
        assert!(session.is_closed());
    }
}

#[test]
fn messages_over_the_limits_close() {
    let long = format!(r#"{{"id":2,"publish":{{"channel":"chat:a","data":"{}"}}}}"#, "x".repeat(1_000));
    assert_eq!(closed_with(&send(&mut connected(), &long, T0)), 1009);
    let deep = format!(r#"{{"id":2,"publish":{{"channel":"chat:a","data":{}1{}}}}}"#, "[".repeat(7), "]".repeat(7));
    assert_eq!(closed_with(&send(&mut connected(), &deep, T0)), 3501);
    let many = "{}\n".repeat(21);
    assert_eq!(closed_with(&send(&mut connected(), &many, T0)), 3501);
}

#[test]
fn commands_before_a_malformed_one_are_still_done() {
    let out = send(&mut connected(), "{\"id\":2,\"ping\":{}}\ngarbage\n{\"id\":3,\"ping\":{}}", T0);
    assert_eq!((out.len(), json_of(&out[0])["id"].clone(), closed_with(&out)), (2, json!(2), 3501));
}

#[test]
fn unknown_commands_are_answered_and_those_without_an_id_close() {
    for kind in ["presence", "presence_stats", "history", "rpc", "sub_refresh", "send", "x"] {
        let frame = format!(r#"{{"id":2,"{kind}":{{}}}}"#);
        assert_eq!(code_of(&send(&mut connected(), &frame, T0)), 104, "{kind}");
    }
    for frame in [r#"{"send":{"data":1}}"#, r#"{"publish":{"channel":"chat:a","data":1}}"#] {
        assert_eq!(closed_with(&send(&mut connected(), frame, T0)), 3501, "{frame}");
    }
}

#[test]
fn after_the_close_nothing_comes_out_and_what_was_followed_can_be_undone() {
    let mut session = connected();
    session.end();
    assert!(send(&mut session, r#"{"id":2,"ping":{}}"#, T0).is_empty());
    assert!(tick(&mut session, after(1_000)).is_empty());
    assert_eq!(session.next_deadline(), None);
    assert_eq!(session.subscriptions(), [channel(&format!("@{ANN}"))]);
    assert_eq!(session.tenant().map(TenantId::as_str), Some("demo"));
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
    assert!(size_of::<Open>() <= 160, "{}", size_of::<Open>());
}
