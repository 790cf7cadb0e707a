//! Pings, rates, sizes, and the end.

use super::*;

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
