//! HTTP, as a browser or a script speaks it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{secrets, within};

/// A program's HTTP address.
#[derive(Clone, Debug)]
pub struct Edge {
    address: SocketAddr,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body as text.
    pub text: String,
}

impl Answer {
    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a login gave.
#[derive(Clone, Debug)]
pub struct Login {
    /// The identity's id.
    pub identity: String,
    /// The session's id.
    pub session: String,
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl Edge {
    /// At an address.
    pub const fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> std::io::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            secrets::remember_header(name, value);
            request = request.header(*name, *value);
        }
        secrets::remember_url(path);
        secrets::remember_text(&body);
        let request = request.body(Full::new(Bytes::from(body))).expect("a valid request");
        within("an HTTP answer", async {
            let stream = TcpStream::connect(self.address).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
            let connection = tokio::spawn(connection);
            let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            connection.abort();
            let text = String::from_utf8(body.to_vec()).map_err(std::io::Error::other)?;
            for cookie in head.headers.get_all("set-cookie") {
                secrets::remember_header("set-cookie", cookie.to_str().unwrap_or_default());
            }
            secrets::remember_text(&text);
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, text })
        })
        .await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> std::io::Result<Answer> {
        self.send(Method::GET, path, &[], String::new()).await
    }

    /// POST with JSON.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body.to_string()).await.expect("the program answers")
    }

    /// Tries to log in.
    pub async fn try_log_in(&self, tenant: &str, name: &str, password: &str) -> Answer {
        let body = json!({ "tenant": tenant, "name": name, "password": password, "mode": "token" });
        self.post("/v1/login", &[], &body).await
    }

    /// Logs in.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn log_in(&self, tenant: &str, name: &str, password: &str) -> Login {
        let answer = self.try_log_in(tenant, name, password).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let body = answer.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Login {
            identity: text(&body["identity"]["id"]),
            session: text(&body["session"]),
            access_token: text(&body["access_token"]),
            refresh_token: text(&body["refresh_token"]),
        }
    }

    /// Asks for a ticket with an access token or an API key.
    pub async fn try_ticket(&self, bearer: &str) -> Answer {
        self.post("/v1/ws-ticket", &[("authorization", &format!("Bearer {bearer}"))], &json!({})).await
    }

    /// Gets a ticket.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn ticket(&self, bearer: &str) -> String {
        let answer = self.try_ticket(bearer).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["ticket"].as_str().expect("a text").to_owned()
    }
}
