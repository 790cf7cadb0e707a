//! Following channels, saying something in them, and what a payload cannot do.

use super::*;

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
