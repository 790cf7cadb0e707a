//! Writing frames: replies and pushes.
//!
//! Each function gives one frame, encoded once. A frame for many receivers is shared by cloning the `Bytes`.

use bytes::Bytes;
use portcullis_types::{ChannelName, IdentityId, Revision, SessionId, TenantId, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::ErrorCode;
use crate::{Denial, Refusal};

/// A ping: the empty reply.
pub const PING: Bytes = Bytes::from_static(b"{}");

/// The answer to `connect`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectResult<'a> {
    /// The gateway's name for this connection.
    pub client: &'a str,
    /// The gateway's version.
    pub version: &'a str,
    /// Seconds until the client should refresh; absent when it cannot or need not.
    #[serde(flatten)]
    pub refresh_in: Option<RefreshIn>,
    /// Who the client is here.
    pub data: ConnectData<'a>,
    /// The personal channel, which the client follows from now on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_map_of_results")]
    pub subs: Option<&'a ChannelName>,
    /// Seconds between pings.
    pub ping: u64,
    /// Pings must be answered.
    pub pong: bool,
}

/// `expires` and `ttl`, which only go together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RefreshIn {
    expires: bool,
    ttl: u32,
}

impl RefreshIn {
    /// In so many seconds, at least one.
    pub fn seconds(ttl: u32) -> Self {
        Self { expires: true, ttl: ttl.max(1) }
    }
}

/// Who the gateway says the client is, and why it says no more.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectData<'a> {
    /// Whether the client is somebody known.
    pub authenticated: bool,
    /// Who, when authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityId>,
    /// In which tenant.
    pub tenant: &'a TenantId,
    /// By which login, when the credential belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Why the client is anonymous, when it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_word")]
    pub reason: Option<Denial>,
    /// When the credential expires, in milliseconds since 1970 (a number that JavaScript holds exactly); absent when it
    /// does not.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_millis")]
    pub expires_at: Option<Timestamp>,
    /// The position in the revocation log as of which this is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What the client may send and follow at most.
    pub limits: EffectiveLimits,
}

/// Limits that a client should know to stay within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveLimits {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Depth of its JSON.
    pub json_depth: usize,
    /// Channels followed at one time.
    pub subscriptions: usize,
    /// Commands a second, in the long run.
    pub commands_per_second: u32,
}

/// The answer to `refresh`.
#[derive(Clone, Debug, Serialize)]
pub struct RefreshResult<'a> {
    /// The gateway's name for this connection.
    pub client: &'a str,
    /// The gateway's version.
    pub version: &'a str,
    /// Seconds until the client should refresh again; absent when the new credential does not expire.
    #[serde(flatten)]
    pub refresh_in: Option<RefreshIn>,
}

/// Who said something: stamped by the gateway.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClientInfo<'a> {
    /// The identity; empty for an anonymous client.
    #[serde(serialize_with = "or_empty")]
    pub user: Option<IdentityId>,
    /// The connection.
    pub client: &'a str,
}

#[derive(Serialize)]
struct Reply<T> {
    id: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Body<'a> {
    Error(ErrorBody<'a>),
    Connect(&'a ConnectResult<'a>),
    Subscribe(Empty),
    Unsubscribe(Empty),
    Publish(Empty),
    Refresh(&'a RefreshResult<'a>),
    Ping(Empty),
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    temporary: bool,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Pushed<'a> {
    push: Push<'a>,
}

#[derive(Serialize)]
struct Push<'a> {
    channel: &'a ChannelName,
    #[serde(rename = "pub", skip_serializing_if = "Option::is_none")]
    publication: Option<Publication<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsubscribe: Option<Unsubscribe>,
}

#[derive(Serialize)]
struct Publication<'a> {
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ClientInfo<'a>>,
}

#[derive(Serialize)]
struct Unsubscribe {
    code: u32,
    reason: &'static str,
}

/// The session is open.
pub fn connect_reply(id: u32, result: &ConnectResult<'_>) -> Bytes {
    frame(&Reply { id, body: Body::Connect(result) })
}

/// A newer credential was taken.
pub fn refresh_reply(id: u32, result: &RefreshResult<'_>) -> Bytes {
    frame(&Reply { id, body: Body::Refresh(result) })
}

/// The channel is followed.
pub fn subscribe_reply(id: u32) -> Bytes {
    frame(&Reply { id, body: Body::Subscribe(Empty {}) })
}

/// The channel is left.
pub fn unsubscribe_reply(id: u32) -> Bytes {
    frame(&Reply { id, body: Body::Unsubscribe(Empty {}) })
}

/// It is said.
pub fn publish_reply(id: u32) -> Bytes {
    frame(&Reply { id, body: Body::Publish(Empty {}) })
}

/// The answer to a client's `ping` command.
pub fn ping_reply(id: u32) -> Bytes {
    frame(&Reply { id, body: Body::Ping(Empty {}) })
}

/// A command is refused, in the protocol's own words.
pub fn error_reply(id: u32, code: ErrorCode) -> Bytes {
    let error = ErrorBody { code: code.number(), message: code.text(), temporary: code.is_temporary() };
    frame(&Reply { id, body: Body::Error(error) })
}

/// A credential is refused; the message is the denial's one word.
pub fn refusal_reply(id: u32, refusal: Refusal) -> Bytes {
    let (code, message) = (refusal.error_code().number(), refusal.denial().text());
    frame(&Reply { id, body: Body::Error(ErrorBody { code, message, temporary: refusal.is_temporary() }) })
}

/// Somebody said something. Without `info` it was a service.
pub fn publication(channel: &ChannelName, data: &RawValue, info: Option<ClientInfo<'_>>) -> Bytes {
    frame(&Pushed { push: Push { channel, publication: Some(Publication { data, info }), unsubscribe: None } })
}

/// The client may no longer follow a channel. The number is below 2500, upon which SDKs do not try again.
pub fn unsubscribe_push(channel: &ChannelName) -> Bytes {
    let unsubscribe = Unsubscribe { code: 2000, reason: "permission denied" };
    frame(&Pushed { push: Push { channel, publication: None, unsubscribe: Some(unsubscribe) } })
}

/// Nothing passes until the gateway has heard from the authority; the connection stays.
pub fn frozen_push() -> Bytes {
    Bytes::from_static(br#"{"push":{"message":{"data":{"type":"frozen"}}}}"#)
}

/// Frames pass again.
pub fn thawed_push() -> Bytes {
    Bytes::from_static(br#"{"push":{"message":{"data":{"type":"thawed"}}}}"#)
}

fn frame(value: &impl Serialize) -> Bytes {
    let mut text =
        serde_json::to_vec(value).expect("structs of texts, numbers and texts as keys always have a JSON form");
    // A shared frame may wait in many queues for long: it holds what it needs and no more.
    text.shrink_to_fit();
    Bytes::from(text)
}

fn as_map_of_results<S: Serializer>(channel: &Option<&ChannelName>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(channel.iter().map(|channel| (channel, Empty {})))
}

fn as_word<S: Serializer>(denial: &Option<Denial>, serializer: S) -> Result<S::Ok, S::Error> {
    denial.map(Denial::text).serialize(serializer)
}

fn as_millis<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_micros().div_euclid(1_000)).serialize(serializer)
}

fn or_empty<S: Serializer>(identity: &Option<IdentityId>, serializer: S) -> Result<S::Ok, S::Error> {
    match identity {
        Some(identity) => identity.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}
