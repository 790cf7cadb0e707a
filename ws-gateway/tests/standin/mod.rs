//! An authority that says what a test wants, when the test wants it, and a gateway before it.
//!
//! It speaks the real contract over a real socket. It keeps a log with a true chain; everything else is scripted.

mod authority;
mod client;

pub(crate) use authority::StandIn;
pub(crate) use client::{Client, Closed, Refused};

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, SeededEntropy, SystemClock, SystemEntropy};
use tempfile::NamedTempFile;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ws_gateway::config::Config;
use ws_gateway::startup::Gateway;

/// A gateway in this process, and its authority.
pub(crate) struct Stage {
    /// What it asks.
    pub(crate) authority: StandIn,
    /// Where it listens.
    pub(crate) gateway: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<bool>,
    _key: NamedTempFile,
}

impl Stage {
    /// With this TOML after the least configuration.
    pub(crate) async fn set(extra: &str) -> Self {
        Self::with(StandIn::start().await, extra).await
    }

    /// Before an authority that stands already.
    pub(crate) async fn with(authority: StandIn, extra: &str) -> Self {
        Self::with_replicas(authority, &[], extra).await
    }

    /// Before an authority that has more replicas.
    pub(crate) async fn with_replicas(authority: StandIn, others: &[&StandIn], extra: &str) -> Self {
        let replicas = std::iter::once(&authority).chain(others.iter().copied());
        let endpoints: Vec<_> = replicas.map(|replica| format!("http://{}", replica.address)).collect();
        let mut key = NamedTempFile::new().expect("a temporary file");
        key.write_all(opaque(OpaqueKind::ApiKey, 1).as_bytes()).expect("the key is written");
        let text = format!(
            "gateway_id = \"gw-test\"\nlisten = \"127.0.0.1:0\"\n\
             authority = {{ endpoints = {endpoints:?}, api_key_file = {:?} }}\n{extra}",
            key.path(),
        );
        let file = NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("the configuration is written");
        let config = Config::load(Some(file.path())).expect("a valid configuration");
        let gateway = Gateway::start(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).expect("it starts");
        let address = gateway.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(gateway.run(async move {
            let _told = stopped.await;
        }));
        Self { authority, gateway: address, stop: Some(stop), running, _key: key }
    }

    /// Waits until the gateway admits.
    pub(crate) async fn live(self) -> Self {
        loop {
            if client::status(self.gateway, "/ready", &[]).await.0 == 200 {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Opens a socket with these headers.
    pub(crate) async fn open(&self, query: &str, headers: &[(&str, &str)]) -> Result<Client, Refused> {
        Client::open(self.gateway, query, headers).await
    }

    /// Opens a socket by a bearer token and says `connect`.
    pub(crate) async fn connected(&self, token: &str) -> Client {
        let bearer = format!("Bearer {token}");
        let mut client = self.open("", &[("authorization", &bearer)]).await.expect("upgraded");
        client.say(r#"{"id":1,"connect":{}}"#).await;
        let reply = client.hear().await;
        assert_eq!(reply["connect"]["data"]["authenticated"], true, "{reply}");
        client
    }

    /// What a path answers: status, headers in lower case, body.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        client::status(self.gateway, path, headers).await
    }

    /// Asks the gateway to stop.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("it is running");
        }
    }

    /// Waits until it has; true when everything ended well.
    pub(crate) async fn stopped(mut self) -> bool {
        self.stop();
        self.running.await.expect("it does not panic")
    }
}

/// A token with the form of an access token; what it is worth is the script's.
pub(crate) fn token(name: &str) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part(&format!(r#"{{"sub":"{name}"}}"#)), part("signature"))
}

/// An opaque credential with a true checksum.
pub(crate) fn opaque(kind: OpaqueKind, number: u8) -> String {
    let token = OpaqueToken::generate(kind, CredentialId::from_bytes([number; 16]), &SeededEntropy::new(1));
    token.reveal().expose_str().expect("ASCII").to_owned()
}
