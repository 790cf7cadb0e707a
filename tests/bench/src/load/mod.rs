//! The load: clients in processes of their own, told what to do line by line.
//!
//! Owns what is said between a run and its load processes ([`Order`], [`Reply`]). A load process does one order at a
//! time, answers each, and ends when nobody speaks to it any more.

mod sockets;
mod watchers;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use self::sockets::Sockets;
use self::watchers::Watchers;
use crate::child::Part;
use crate::error::{BenchError, Outcome, While as _};

/// What a socket says when it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Talk {
    /// To a hub: a bearer credential at the handshake, then `connect`, whose answer is awaited.
    Connect,
    /// The same, then `subscribe` to a room of ten, whose answer is awaited.
    Subscribe,
    /// To the bare server: nothing at the handshake, then one text frame as long as `connect`, whose answer is awaited.
    Bare,
}

/// Sockets to open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// What they are called together.
    pub(crate) group: String,
    /// Where.
    pub(crate) url: String,
    /// How many.
    pub(crate) count: usize,
    /// Their credentials, taken in turn.
    pub(crate) bearers: Vec<String>,
    /// What they say.
    pub(crate) talk: Talk,
}

/// Clients that follow a stream of entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Watching {
    /// Where.
    pub(crate) address: SocketAddr,
    /// How many, each on a connection of its own.
    pub(crate) count: usize,
    /// The key of a gateway; none: the bare server's `Follow` instead of the authority's `Watch`.
    pub(crate) key: Option<String>,
}

/// What a load process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Opens sockets and keeps them.
    Open(Opening),
    /// Sends a WebSocket ping on each socket of a group, one after the other.
    Ping {
        /// Which.
        group: String,
    },
    /// Waits until so many sockets of a group have seen a close frame.
    Closed {
        /// Which.
        group: String,
        /// How many.
        count: usize,
    },
    /// Ends a group's sockets, without a word.
    Drop {
        /// Which.
        group: String,
    },
    /// Opens watches and keeps them.
    Watch(Watching),
    /// Waits until every watcher has received so many entries in all.
    Entries {
        /// How many.
        count: usize,
    },
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// Round trips, in nanoseconds.
    RoundTrips(Vec<u64>),
    /// When each close frame was seen, microseconds since 1970, in the order of arrival.
    Closes(Vec<i64>),
    /// When the slowest watcher received each entry, microseconds since 1970.
    Slowest(Vec<i64>),
    /// It could not be done.
    Failed(String),
}

/// A load process, seen from the run.
#[derive(Debug)]
pub(crate) struct Load(Part);

impl Load {
    /// Starts one.
    pub(crate) fn start() -> Outcome<Self> {
        Part::load(&["load"]).map(Self)
    }

    async fn order(&mut self, order: Order) -> Outcome<Reply> {
        match self.0.ask(&order).await? {
            Reply::Failed(why) => Err(BenchError::new("making load", why)),
            reply => Ok(reply),
        }
    }

    /// Opens sockets.
    pub(crate) async fn open(&mut self, opening: Opening) -> Outcome<()> {
        self.order(Order::Open(opening)).await.map(drop)
    }

    /// Round trips of WebSocket pings over each socket of a group, in nanoseconds.
    pub(crate) async fn ping(&mut self, group: &str) -> Outcome<Vec<u64>> {
        match self.order(Order::Ping { group: group.to_owned() }).await? {
            Reply::RoundTrips(nanos) => Ok(nanos),
            other => Err(unexpected(&other)),
        }
    }

    /// When so many sockets of a group saw their close frame.
    pub(crate) async fn closed(&mut self, group: &str, count: usize) -> Outcome<Vec<i64>> {
        match self.order(Order::Closed { group: group.to_owned(), count }).await? {
            Reply::Closes(at_us) => Ok(at_us),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends sockets from this side.
    pub(crate) async fn drop_sockets(&mut self, group: &str) -> Outcome<()> {
        self.order(Order::Drop { group: group.to_owned() }).await.map(drop)
    }

    /// Opens watches.
    pub(crate) async fn watch(&mut self, watching: Watching) -> Outcome<()> {
        self.order(Order::Watch(watching)).await.map(drop)
    }

    /// When the slowest watcher received each of the first so many entries.
    pub(crate) async fn entries(&mut self, count: usize) -> Outcome<Vec<i64>> {
        match self.order(Order::Entries { count }).await? {
            Reply::Slowest(at_us) => Ok(at_us),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(reply: &Reply) -> BenchError {
    BenchError::new("listening to a load process", format!("it said {reply:?}"))
}

/// A load process: does what it is told until its standard input ends.
pub(crate) async fn run() -> Outcome<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut answers = tokio::io::stdout();
    let (mut sockets, mut watchers) = (Sockets::default(), Watchers::default());
    while let Some(line) = orders.next_line().await.during("reading an order")? {
        let order = serde_json::from_str(&line).during("reading an order")?;
        let done = match order {
            Order::Open(opening) => sockets.open(opening).await.map(|()| Reply::Done),
            Order::Ping { group } => sockets.ping(&group).await.map(Reply::RoundTrips),
            Order::Closed { group, count } => sockets.closed(&group, count).await.map(Reply::Closes),
            Order::Drop { group } => {
                sockets.forget(&group);
                Ok(Reply::Done)
            }
            Order::Watch(watching) => watchers.open(watching).await.map(|()| Reply::Done),
            Order::Entries { count } => watchers.entries(count).await.map(Reply::Slowest),
        };
        let reply = done.unwrap_or_else(|error| Reply::Failed(error.to_string()));
        let mut text = serde_json::to_vec(&reply).during("writing an answer")?;
        text.push(b'\n');
        answers.write_all(&text).await.during("writing an answer")?;
        answers.flush().await.during("writing an answer")?;
    }
    Ok(())
}
