//! A WebSocket client that speaks the client protocol and nothing else.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{secrets, within};

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code; 1006 when there was no close frame.
    pub code: u16,
    /// The reason.
    pub reason: String,
}

/// The answer to `connect`.
#[derive(Clone, Debug)]
pub struct Connected(pub Value);

impl Connected {
    /// What the gateway says about the client.
    pub fn data(&self) -> &Value {
        &self.0["connect"]["data"]
    }

    /// Whether it was let in with a credential.
    pub fn is_authenticated(&self) -> bool {
        self.data()["authenticated"] == json!(true)
    }

    /// The error, when it was refused.
    pub fn error(&self) -> Option<(u64, &str)> {
        Some((self.0["error"]["code"].as_u64()?, self.0["error"]["message"].as_str()?))
    }
}

/// A command with an id.
pub fn command(id: u32, name: &str, body: Value) -> Value {
    json!({ "id": id, name: body })
}

/// An open connection.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    waiting: VecDeque<Value>,
    next_id: u32,
    ended: Option<Closed>,
}

impl Socket {
    /// Opens a connection, or says with which HTTP status (and body) it was refused.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, (u16, String)> {
        let mut request = url.into_client_request().expect("a valid URL");
        secrets::remember_url(url);
        for (name, value) in headers {
            secrets::remember_header(name, value);
            let name: HeaderName = name.parse().expect("a valid header name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a valid header value"));
        }
        match within("a WebSocket handshake", connect_async(request)).await {
            Ok((stream, _)) => Ok(Self { stream, waiting: VecDeque::new(), next_id: 1, ended: None }),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
            }
            Err(other) => Err((0, other.to_string())),
        }
    }

    /// Sends a text frame as it is.
    pub async fn send_text(&mut self, text: &str) {
        secrets::remember_text(text);
        // A connection that is ending may refuse it; the reader sees how it ended.
        let _ = self.stream.send(Message::text(text)).await;
    }

    /// Sends a binary frame as it is.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        let _ = self.stream.send(Message::binary(bytes.to_vec())).await;
    }

    /// The next thing the gateway says; pings are answered and not returned.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        within("a frame", self.next_frame()).await
    }

    async fn next_frame(&mut self) -> Result<Value, Closed> {
        loop {
            while let Some(value) = self.waiting.pop_front() {
                if value != json!({}) {
                    return Ok(value);
                }
                self.send_text("{}").await;
            }
            if let Some(ended) = &self.ended {
                return Err(ended.clone());
            }
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.waiting.extend(text.lines().map(|line| serde_json::from_str(line).expect("JSON")));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    self.ended = Some(Closed { code: frame.code.into(), reason: frame.reason.to_string() });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.ended.get_or_insert(Closed { code: 1006, reason: String::new() });
                }
            }
        }
    }

    /// Sends a command and returns its answer; what comes between waits.
    pub async fn call(&mut self, name: &str, body: Value) -> Result<Value, Closed> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_text(&command(id, name, body).to_string()).await;
        let mut others = VecDeque::new();
        loop {
            let value = self.next().await?;
            if value["id"] == json!(id) {
                others.append(&mut self.waiting);
                self.waiting = others;
                return Ok(value);
            }
            others.push_back(value);
        }
    }

    /// Sends `connect` with a token, or with none, and returns the answer.
    pub async fn try_connect(&mut self, token: Option<&str>) -> Result<Connected, Closed> {
        let body = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
        self.call("connect", body).await.map(Connected)
    }

    /// Connects and must be let in.
    ///
    /// # Panics
    /// When it is not.
    pub async fn connect(&mut self, token: Option<&str>) -> Connected {
        let connected = self.try_connect(token).await.expect("the connection stands");
        assert!(connected.error().is_none(), "refused: {:?}", connected.0);
        connected
    }

    /// Subscribes and must be allowed to.
    pub async fn subscribe(&mut self, channel: &str) {
        let answer = self.call("subscribe", json!({ "channel": channel })).await.expect("the connection stands");
        assert!(answer.get("error").is_none(), "refused: {answer}");
    }

    /// Publishes and returns the answer.
    pub async fn publish(&mut self, channel: &str, data: Value) -> Result<Value, Closed> {
        self.call("publish", json!({ "channel": channel, "data": data })).await
    }

    /// Waits for the next publication in a channel and returns it.
    pub async fn publication(&mut self, channel: &str) -> Value {
        loop {
            let value = self.next().await.expect("the connection stands");
            if value["push"]["channel"] == json!(channel) && value["push"].get("pub").is_some() {
                return value["push"]["pub"].clone();
            }
        }
    }

    /// Waits for the end.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next().await {
                return closed;
            }
        }
    }

    /// Whether it answers: a command that changes nothing goes there and back.
    pub async fn is_alive(&mut self) -> bool {
        self.call("unsubscribe", json!({ "channel": "no-such-channel" })).await.is_ok()
    }
}
