//! What is seen, in the words of the table.

use serde_json::Value;
use test_harness::{Closed, Connected, Node, Socket};

/// Nothing, in the words of the table.
pub(super) const NOTHING: &str = "—";

/// One row's last three columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) answer: String,
    pub(super) close: String,
    pub(super) sdk: String,
}

pub(super) fn http_answer(status: u16, body: &str) -> String {
    let reason =
        serde_json::from_str::<Value>(body).ok().and_then(|problem| Some(problem["reason"].as_str()?.to_owned()));
    reason.map_or_else(|| format!("HTTP {status}"), |reason| format!("HTTP {status} {reason}"))
}

pub(super) fn connect_answer(answer: &Result<Connected, Closed>) -> String {
    match answer {
        Err(_) => NOTHING.to_owned(),
        Ok(told) => match told.error() {
            Some((code, message)) => format!("error {code} {message}"),
            None if told.is_authenticated() => "connected".to_owned(),
            None => format!("anonymous, {}", told.data()["reason"].as_str().expect("it is told why")),
        },
    }
}

/// How the connection ends after the answer to `connect`.
pub(super) async fn end_of(answer: &Result<Connected, Closed>, socket: &mut Socket) -> String {
    match answer {
        Err(closed) => close_text(closed),
        Ok(told) if told.error().is_some() => close_text(&socket.closed().await),
        Ok(_) => {
            assert!(socket.is_alive().await);
            NOTHING.to_owned()
        }
    }
}

pub(super) fn close_text(Closed { code, reason }: &Closed) -> String {
    format!("{code} {reason}")
}

/// In which state the SDK is once it has an answer.
pub(super) async fn first_state(sdk: &mut Node) -> String {
    loop {
        let event = sdk.next().await.expect("it says how it went");
        match event.name() {
            "connected" => return "connected".to_owned(),
            // After 109 it asks for a new token, or finds that it has no way to.
            "error" if event.code() == Some(109) || event.text("type") == "configuration" => {}
            "error" => return "connecting, tries again".to_owned(),
            "token_wanted" => return "connecting, asks for a new token".to_owned(),
            "disconnected" => return stopped(sdk, event.why()).await,
            _ => {}
        }
    }
}

/// In which state the SDK is after its open connection was closed.
pub(super) async fn last_state(sdk: &mut Node) -> String {
    loop {
        let event = sdk.next().await.expect("it says how it went");
        match event.name() {
            "disconnected" => return stopped(sdk, event.why()).await,
            "connecting" => match first_state(sdk).await {
                // A gateway ends a token's time a little early, so it may come back once more before it is over.
                state if state == "connected" && event.code() == Some(4001) => {}
                state if state == "connected" => return "connecting, tries again".to_owned(),
                state => return state,
            },
            _ => {}
        }
    }
}

/// It has stopped for good: it only gives up what was under way, and its program ends by itself.
async fn stopped(sdk: &mut Node, (code, reason): (u64, &str)) -> String {
    let rest = sdk.rest().await;
    assert!(rest.iter().all(|event| event.name() == "publish_failed"), "{rest:?}");
    format!("disconnected {code} {reason}")
}

pub(super) fn error_text(answer: &Value) -> String {
    let error = &answer["error"];
    format!("error {} {}", error["code"], error["message"].as_str().expect("a text"))
}
