//! What a frame says, and what is no frame.

use proptest::prelude::*;

use super::decode::{is_deeper_than, parse};
use super::*;

const LIMITS: FrameLimits = FrameLimits { bytes: 200, depth: 4, commands: 3 };

fn kinds(frame: &str) -> Vec<Result<(u32, &'static str), Malformed>> {
    let name = |request: Request<'_>| match request {
        Request::Pong => "pong",
        Request::Connect { .. } => "connect",
        Request::Subscribe { .. } => "subscribe",
        Request::Unsubscribe { .. } => "unsubscribe",
        Request::Publish { .. } => "publish",
        Request::Refresh { .. } => "refresh",
        Request::Ping => "ping",
        Request::Unknown => "unknown",
    };
    let commands = decode(frame, LIMITS).expect("within the limits");
    commands.map(|command| command.map(|command| (command.id, name(command.request)))).collect()
}

#[test]
fn a_frame_holds_a_command_a_line_and_blank_lines_mean_nothing() {
    let frame = "\n{\"id\":1,\"connect\":{}}\r\n \n{}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n";
    assert_eq!(kinds(frame), [Ok((1, "connect")), Ok((0, "pong")), Ok((2, "subscribe"))]);
    assert_eq!(kinds(""), []);
}

#[test]
fn an_empty_command_is_a_pong_and_an_unknown_one_is_known_as_such() {
    for (line, id, kind) in [
        ("{}", 0, "pong"),
        (r#"{"id":0}"#, 0, "pong"),
        (r#"{"id":5}"#, 5, "unknown"),
        (r#"{"id":5,"rpc":{"method":"x"}}"#, 5, "unknown"),
        (r#"{"id":5,"connect":null}"#, 5, "unknown"),
        (r#"{"id":5,"ping":{},"novelty":[1]}"#, 5, "ping"),
        (r#"{"id":4294967295,"ping":{}}"#, u32::MAX, "ping"),
    ] {
        assert_eq!(kinds(line), [Ok((id, kind))], "{line}");
    }
}

#[test]
fn what_is_no_command_is_malformed() {
    for line in [
        "x",
        "[]",
        "[1,{}]",
        "null",
        "1",
        "\"{}\"",
        "{",
        "{}{}",
        "{} x",
        "{\"id\":1,}",
        r#"{"id":-1,"ping":{}}"#,
        r#"{"id":1.0,"ping":{}}"#,
        r#"{"id":"1","ping":{}}"#,
        r#"{"id":4294967296,"ping":{}}"#,
        r#"{"id":99999999999999999999999999,"ping":{}}"#,
        r#"{"id":1,"id":2,"ping":{}}"#,
        r#"{"id":1,"ping":{},"ping":{}}"#,
        r#"{"id":1,"ping":{},"refresh":{}}"#,
        r#"{"id":1,"connect":[]}"#,
        r#"{"id":1,"connect":{"token":"a","token":"b"}}"#,
        r#"{"id":1,"connect":{"token":1}}"#,
        r#"{"id":1,"connect":{"token":"\ud800"}}"#,
        r#"{"id":1,"subscribe":{"channel":"a","channel":"b"}}"#,
        r#"{"id":1,"publish":{"channel":"a","data":}}"#,
        r#"{"ping":{}}"#,
        r#"{"id":0,"connect":{}}"#,
        r#"{"send":{}}"#,
    ] {
        assert_eq!(kinds(line), [Err(Malformed)], "{line}");
    }
}

#[test]
fn an_empty_token_is_none() {
    for (line, presented) in [
        (r#"{"id":1,"connect":{"token":""}}"#, None),
        (r#"{"id":1,"connect":{}}"#, None),
        (r#"{"id":1,"connect":{"token":"a\u0062"}}"#, Some("ab")),
    ] {
        let Ok(Request::Connect { token }) = parse(line).map(|c| c.request) else { panic!("not a connect: {line}") };
        assert_eq!(token.as_ref().and_then(|token| token.expose_str()), presented);
    }
}

#[test]
fn a_decoded_command_does_not_show_its_credential() {
    let command = parse(r#"{"id":1,"connect":{"token":"hunter2"}}"#).expect("a command");
    assert!(!format!("{command:?}").contains("hunter2"));
}

#[test]
fn data_passes_as_it_came() {
    for data in ["1.50", "null", "\"\\u00e9\\/\"", "{\"b\":1, \"a\":[ ]}", "1e999", "{\"a\":1,\"a\":2}"] {
        let line = format!(r#"{{"id":1,"publish":{{"channel":"a","data":{data}}}}}"#);
        let Ok(Request::Publish { data: Some(raw), .. }) = parse(&line).map(|c| c.request) else { panic!("{line}") };
        assert_eq!(raw.get(), data);
    }
}

#[test]
fn limits_are_checked_before_anything_is_parsed() {
    let refused = |frame: &str| decode(frame, LIMITS).err();
    assert_eq!(refused(&" ".repeat(201)), Some(FrameRefused::TooLong));
    assert_eq!(refused("x\nx\nx\nx"), Some(FrameRefused::TooManyCommands));
    assert_eq!(refused("{[{[{"), Some(FrameRefused::TooDeep));
    assert_eq!(refused("x\n\nx\nx\n\n"), None);
}

#[test]
fn depth_counts_brackets_outside_of_strings() {
    for (line, depth) in [("{}", 1), ("[[1],[2]]", 2), (r#"{"[[[[":"]]{{\"[["}"#, 1), (r#"["\\",[]]"#, 2), ("1", 0)] {
        assert!(!is_deeper_than(line, depth), "{line}");
        assert!(depth == 0 || is_deeper_than(line, depth - 1), "{line}");
    }
}

#[test]
fn depth_that_nobody_reads_costs_no_stack() {
    let deep = format!(r#"{{"id":1,"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let limits = FrameLimits { bytes: usize::MAX, depth: usize::MAX, commands: 1 };
    assert_eq!(decode(&deep, limits).expect("no limits").count(), 1);
}

#[test]
fn names_are_escaped_where_they_are_written() {
    let name = portcullis_types::ChannelName::try_from(r#"a"\},"#).expect("visible ASCII");
    let frame = unsubscribe_push(&name);
    let value: serde_json::Value = serde_json::from_slice(&frame).expect("JSON");
    assert_eq!(value["push"]["channel"], r#"a"\},"#);
}

#[test]
fn an_error_says_whether_to_try_again() {
    let text = |frame: bytes::Bytes| String::from_utf8(frame.to_vec()).expect("text");
    let denied = r#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#;
    assert_eq!(text(error_reply(3, ErrorCode::PermissionDenied)), denied);
    let busy = r#"{"id":3,"error":{"code":111,"message":"too many requests","temporary":true}}"#;
    assert_eq!(text(error_reply(3, ErrorCode::TooManyRequests)), busy);
}

fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ":",
        ",",
        "\n",
        " ",
        "0",
        "1",
        "-",
        "e9",
        ".",
        "null",
        "true",
        "\\u",
        "d800",
        "\"id\":",
        "\"connect\":",
        "\"subscribe\":",
        "\"publish\":",
        "\"data\":",
        "\"channel\":",
        "\"token\":",
        "\"a\"",
        "{}",
        "é",
        "\u{0}",
        "\u{2028}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_decoded_or_refused(frame in prop_oneof![nearly_json(), any::<String>()]) {
        if let Ok(commands) = decode(&frame, LIMITS) {
            prop_assert!(frame.len() <= LIMITS.bytes);
            let commands: Vec<_> = commands.collect();
            prop_assert!(commands.len() <= LIMITS.commands);
            for command in commands.into_iter().flatten() {
                // All that decoding may own is text of the frame itself, shorter than it was with its escapes.
                let owned = match &command.request {
                    Request::Connect { token } | Request::Refresh { token } => token.as_ref().map_or(0, |t| t.len()),
                    Request::Subscribe { channel } | Request::Unsubscribe { channel } => channel.len(),
                    Request::Publish { channel, data } => channel.len() + data.map_or(0, |d| d.get().len()),
                    Request::Pong | Request::Ping | Request::Unknown => 0,
                };
                prop_assert!(owned <= frame.len());
            }
        }
    }

    #[test]
    fn any_json_value_passes_as_data(number in any::<f64>(), text in ".*") {
        let data = serde_json::json!({"n": number, "t": text}).to_string();
        let line = format!(r#"{{"id":1,"publish":{{"channel":"a","data":{data}}}}}"#);
        let command = parse(&line).expect("a command");
        let Request::Publish { data: Some(raw), .. } = command.request else { panic!("not a publish") };
        prop_assert_eq!(raw.get(), data.as_str());
        let name = portcullis_types::ChannelName::try_from("a").expect("a valid name");
        let frame = publication(&name, raw, None);
        let value: serde_json::Value = serde_json::from_slice(&frame).expect("JSON");
        prop_assert_eq!(&value["push"]["pub"]["data"].to_string(), &serde_json::from_str::<serde_json::Value>(&data).expect("JSON").to_string());
    }
}
