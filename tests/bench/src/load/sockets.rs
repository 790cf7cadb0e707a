//! WebSocket clients that stay open, answer pings, and note when they are told to close.
//!
//! A client that was told to close does nothing more until all of its group are dropped.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, header};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{Opening, Talk};
use crate::error::{BenchError, Outcome, While as _};
use crate::machine;

/// Handshakes under way at once.
const OPENED_AT_ONCE: usize = 32;
/// The client side must not be what takes the memory.
const READ_BUFFER: usize = 2 * 1_024;
/// The longest that closing may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sockets in one room.
const ROOM: usize = 10;

pub(crate) const CONNECT: &str = r#"{"id":1,"connect":{}}"#;

type Stream = WebSocketStream<TcpStream>;
type Pinged = oneshot::Sender<u64>;

/// Sockets that are spoken of together.
#[derive(Debug)]
struct Group {
    tasks: JoinSet<()>,
    pings: Vec<mpsc::Sender<Pinged>>,
    closes: Arc<Closes>,
}

/// When sockets of a group were told to close.
#[derive(Debug)]
struct Closes {
    at_us: Mutex<Vec<i64>>,
    count: watch::Sender<usize>,
}

impl Closes {
    fn note(&self) {
        let at = machine::wall_us();
        let mut all = self.at_us.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(at);
        self.count.send_replace(all.len());
    }
}

impl Default for Group {
    fn default() -> Self {
        let closes = Closes { at_us: Mutex::default(), count: watch::Sender::new(0) };
        Self { tasks: JoinSet::new(), pings: Vec::new(), closes: Arc::new(closes) }
    }
}

/// All sockets of a load process.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<String, Group>);

impl Sockets {
    /// Opens sockets; all of them, or it fails.
    pub(super) async fn open(&mut self, opening: Opening) -> Outcome<()> {
        let Opening { group, url, count, bearers, talk } = opening;
        let group = self.0.entry(group).or_default();
        let open = |index: usize| open(&url, bearers.get(index % bearers.len().max(1)), talk, index / ROOM);
        let mut opened = stream::iter(0..count).map(open).buffer_unordered(OPENED_AT_ONCE);
        while let Some(stream) = opened.try_next().await? {
            let (ping, pings) = mpsc::channel(1);
            group.pings.push(ping);
            group.tasks.spawn(stay(stream, pings, Arc::clone(&group.closes)));
        }
        Ok(())
    }

    /// Pings each socket of a group that is still open.
    pub(super) async fn ping(&mut self, group: &str) -> Outcome<Vec<u64>> {
        let group = self.group(group)?;
        let mut round_trips = Vec::new();
        for socket in &group.pings {
            let (answer, answered) = oneshot::channel();
            if socket.send(answer).await.is_ok()
                && let Ok(nanos) = answered.await
            {
                round_trips.push(nanos);
            }
        }
        Ok(round_trips)
    }

    /// Waits for close frames.
    pub(super) async fn closed(&mut self, group: &str, count: usize) -> Outcome<Vec<i64>> {
        let closes = &self.group(group)?.closes;
        let mut counted = closes.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counted.wait_for(|&closed| closed >= count)).await;
        if waited.is_err() {
            let seen = *closes.count.borrow();
            return Err(BenchError::new("waiting for close frames", format!("{seen} of {count} came")));
        }
        Ok(closes.at_us.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Ends a group.
    pub(super) fn forget(&mut self, group: &str) {
        self.0.remove(group);
    }

    fn group(&self, name: &str) -> Outcome<&Group> {
        self.0.get(name).ok_or_else(|| BenchError::new("finding sockets", format!("there are none called {name}")))
    }
}

async fn open(url: &str, bearer: Option<&String>, talk: Talk, room: usize) -> Outcome<Stream> {
    let mut request = url.into_client_request().during("reading a URL")?;
    if let Some(bearer) = bearer {
        let value = HeaderValue::from_str(&format!("Bearer {bearer}")).during("presenting a credential")?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let address: SocketAddr =
        request.uri().authority().during("reading a URL")?.as_str().parse().during("reading a URL")?;
    let tcp = TcpStream::connect(address).await.during("connecting")?;
    tcp.set_nodelay(true).during("connecting")?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let (mut stream, _) = client_async_with_config(request, tcp, Some(config)).await.during("opening a WebSocket")?;
    say(&mut stream, CONNECT, talk != Talk::Bare).await?;
    if talk == Talk::Subscribe {
        let subscribe = format!(r#"{{"id":2,"subscribe":{{"channel":"room:{room}"}}}}"#);
        say(&mut stream, &subscribe, true).await?;
    }
    Ok(stream)
}

/// Sends a text frame and awaits the next one, which must not be an error.
async fn say(stream: &mut Stream, text: &str, judged: bool) -> Outcome<()> {
    stream.send(Message::text(text)).await.during("sending a frame")?;
    loop {
        match stream.try_next().await.during("awaiting a frame")? {
            Some(Message::Text(answer))
                if judged && (answer.contains("\"error\"") || answer.contains("\"authenticated\":false")) =>
            {
                return Err(BenchError::new("saying hello", answer));
            }
            Some(Message::Text(_)) => return Ok(()),
            Some(Message::Close(frame)) => return Err(BenchError::new("saying hello", format!("closed: {frame:?}"))),
            Some(_) => {}
            None => return Err(BenchError::new("saying hello", "the connection ended")),
        }
    }
}

/// Keeps a socket until it ends: answers both kinds of pings, sends one when asked.
async fn stay(mut stream: Stream, mut pings: mpsc::Receiver<Pinged>, closes: Arc<Closes>) {
    let mut asked: Option<(u64, Pinged)> = None;
    loop {
        tokio::select! {
            frame = stream.next() => match frame {
                Some(Ok(Message::Close(_))) => {
                    closes.note();
                    // Answering and ending cost more than seeing the frame, and this core must not be what is measured:
                    // the socket is kept as it is until its group is dropped.
                    return std::future::pending().await;
                }
                Some(Ok(Message::Text(text))) if text.as_str() == "{}" => {
                    // A connection that is ending may refuse it; the next read says how it ended.
                    let _ = stream.send(Message::text("{}")).await;
                }
                Some(Ok(Message::Pong(_))) => {
                    if let Some((sent, answer)) = asked.take() {
                        let _ = answer.send(machine::nanos().saturating_sub(sent));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            Some(answer) = pings.recv() => {
                asked = Some((machine::nanos(), answer));
                let _ = stream.send(Message::Ping(bytes::Bytes::new())).await;
            }
        }
    }
}
