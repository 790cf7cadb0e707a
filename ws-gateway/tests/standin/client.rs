//! A plain WebSocket client.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// An open socket.
pub(crate) struct Client(WebSocketStream<TcpStream>);

/// How the gateway ended a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The close code; none when the connection just broke.
    pub(crate) code: Option<u16>,
    /// The text beside it.
    pub(crate) reason: String,
}

/// A handshake that was not upgraded.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The status.
    pub(crate) status: u16,
    /// The document's reason.
    pub(crate) reason: String,
    /// Whether it says when to come back.
    pub(crate) retry_after: bool,
}

impl Client {
    /// Shakes hands.
    pub(crate) async fn open(gateway: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        let url = format!("ws://{gateway}/connection/websocket{query}");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let stream = TcpStream::connect(gateway).await.expect("it listens");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let document: Value = serde_json::from_slice(&body).unwrap_or_default();
                Err(Refused {
                    status: response.status().as_u16(),
                    reason: document["reason"].as_str().unwrap_or_default().to_owned(),
                    retry_after: response.headers().contains_key("retry-after"),
                })
            }
            Err(other) => panic!("neither upgraded nor refused: {other}"),
        }
    }

    /// Sends a text message.
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the socket is open");
    }

    /// Sends anything.
    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("the socket is open");
    }

    /// Sends anything; false when the gateway takes no more.
    pub(crate) async fn try_send(&mut self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }

    /// The next reply that is no ping.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "{}" => {}
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("replies are JSON"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a reply, got {other:?}"),
            }
        }
    }

    /// Waits for the end; nothing but pings may be said before.
    pub(crate) async fn closed_without_a_word(mut self) -> Closed {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "{}" => {}
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() };
                }
                other => panic!("expected the end, got {other:?}"),
            }
        }
    }

    /// Waits for the end, skipping what is said before.
    pub(crate) async fn closed(mut self) -> Closed {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    // Read on, so that the close is answered.
                    while self.0.next().await.is_some_and(|message| message.is_ok()) {}
                    return Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() };
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Closed { code: None, reason: String::new() },
            }
        }
    }
}

/// The answer to a plain request: status, head, body.
pub(crate) async fn status(gateway: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(gateway).await.expect("it listens");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is answered");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, head.to_ascii_lowercase(), body.to_owned())
}
