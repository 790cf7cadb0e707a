//! Reading frames.
//!
//! A frame is one WebSocket message of UTF-8 text; the WebSocket layer has seen to that. It holds commands, one a line.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use portcullis_types::Secret;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What a frame may be at most. Checked in one scan that allocates nothing, before any parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes.
    pub bytes: usize,
    /// How deep objects and arrays stand in each other, the command itself being the first level.
    pub depth: usize,
    /// Commands.
    pub commands: usize,
}

/// A frame over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefused {
    /// Too many bytes.
    #[error("the frame is too long")]
    TooLong,
    /// Too deep.
    #[error("the frame is nested too deep")]
    TooDeep,
    /// Too many commands.
    #[error("the frame holds too many commands")]
    TooManyCommands,
}

/// Not a command of the protocol. It does not say more: what was typed there may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a command of the client protocol")]
pub struct Malformed;

/// One command.
#[derive(Debug)]
pub struct Command<'a> {
    /// Chosen by the client; 0 only for a pong.
    pub id: u32,
    /// What is wanted.
    pub request: Request<'a>,
}

/// What a command wants. Fields that nobody here reads are skipped, so that newer SDKs may send more.
#[derive(Debug)]
pub enum Request<'a> {
    /// The answer to a ping: an empty command.
    Pong,
    /// To open the session. What the client says of itself in `data`, `name` and `headers` is not even read.
    Connect {
        /// The credential, if it is not empty.
        token: Option<Secret>,
    },
    /// To follow a channel.
    Subscribe {
        /// Which, not yet checked.
        channel: Cow<'a, str>,
    },
    /// To leave a channel.
    Unsubscribe {
        /// Which, not yet checked.
        channel: Cow<'a, str>,
    },
    /// To say something.
    Publish {
        /// Where, not yet checked.
        channel: Cow<'a, str>,
        /// What; absent is not the same as `null`.
        data: Option<&'a RawValue>,
    },
    /// To present a newer credential.
    Refresh {
        /// The credential, if it is not empty.
        token: Option<Secret>,
    },
    /// To be answered.
    Ping,
    /// A command that this gateway does not know.
    Unknown,
}

/// Checks the limits and gives the commands, each parsed when it is asked for.
pub fn decode(frame: &str, limits: FrameLimits) -> Result<Commands<'_>, FrameRefused> {
    if frame.len() > limits.bytes {
        return Err(FrameRefused::TooLong);
    }
    let mut commands = 0;
    for line in lines(frame) {
        commands += 1;
        if commands > limits.commands {
            return Err(FrameRefused::TooManyCommands);
        }
        if is_deeper_than(line, limits.depth) {
            return Err(FrameRefused::TooDeep);
        }
    }
    Ok(Commands { rest: frame })
}

/// The commands of a frame within its limits.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    rest: &'a str,
}

impl<'a> Commands<'a> {
    /// The lines that were not yet asked for.
    pub const fn rest(&self) -> &'a str {
        self.rest
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            self.rest = rest;
            if !is_blank(line) {
                return Some(parse(line));
            }
        }
        None
    }
}

// A newline cannot stand inside a JSON text except as white space, so cutting there is safe.
fn lines(frame: &str) -> impl Iterator<Item = &str> {
    frame.split('\n').filter(|line| !is_blank(line))
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

/// Counts brackets outside of strings. Text that is no JSON may be counted wrongly; the parser refuses it anyway, and
/// skips what nobody reads without recursion.
pub(super) fn is_deeper_than(line: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in line.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    id: u32,
    #[serde(borrow)]
    connect: Option<Object<Token<'a>>>,
    #[serde(borrow)]
    subscribe: Option<Object<Channel<'a>>>,
    #[serde(borrow)]
    unsubscribe: Option<Object<Channel<'a>>>,
    #[serde(borrow)]
    publish: Option<Object<Publish<'a>>>,
    #[serde(borrow)]
    refresh: Option<Object<Token<'a>>>,
    ping: Option<Object<Empty>>,
    #[serde(borrow)]
    send: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(default, borrow)]
    token: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Channel<'a> {
    #[serde(default, borrow)]
    channel: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Publish<'a> {
    #[serde(default, borrow)]
    channel: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Empty {}

/// A struct as the protocol writes it. A derived struct alone would also take an array of its fields, a second form of
/// everything.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

// Without this, `null` would count as absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Token<'_> {
    fn into_secret(self) -> Option<Secret> {
        match self.token {
            Cow::Borrowed("") => None,
            Cow::Borrowed(text) => Some(Secret::from(text)),
            Cow::Owned(text) if text.is_empty() => None,
            Cow::Owned(text) => Some(Secret::from(text)),
        }
    }
}

pub(super) fn parse(line: &str) -> Result<Command<'_>, Malformed> {
    let Object(line): Object<Line<'_>> = serde_json::from_str(line).map_err(|_| Malformed)?;
    let id = line.id;
    let is_message = line.send.is_some();
    let mut requests = line.into_requests();
    let request = match (requests.next(), requests.next()) {
        (Some(request), None) => request,
        (None, _) if id == 0 && !is_message => Request::Pong,
        (None, _) => Request::Unknown,
        (Some(_), Some(_)) => return Err(Malformed),
    };
    // Only a pong goes without an answer, so everything else needs an id to be answered by.
    if id == 0 && !matches!(request, Request::Pong) { Err(Malformed) } else { Ok(Command { id, request }) }
}

impl<'a> Line<'a> {
    fn into_requests(self) -> impl Iterator<Item = Request<'a>> {
        [
            self.connect.map(|Object(r)| Request::Connect { token: r.into_secret() }),
            self.subscribe.map(|Object(r)| Request::Subscribe { channel: r.channel }),
            self.unsubscribe.map(|Object(r)| Request::Unsubscribe { channel: r.channel }),
            self.publish.map(|Object(r)| Request::Publish { channel: r.channel, data: r.data }),
            self.refresh.map(|Object(r)| Request::Refresh { token: r.into_secret() }),
            self.ping.map(|Object(Empty {})| Request::Ping),
        ]
        .into_iter()
        .flatten()
    }
}
