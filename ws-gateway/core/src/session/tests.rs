//! What a session does, seen from outside: text in, outputs out.

mod channels;
mod limits;
mod opening;
mod refreshing;

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
