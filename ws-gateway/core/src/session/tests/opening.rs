//! From the first frame to the first answer: who the client is, or why it is refused.

use super::*;

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
