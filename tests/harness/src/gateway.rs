//! A running `ws-gateway`.

use std::net::SocketAddr;
use std::path::Path;

use crate::{Edge, Process, Socket, eventually, log_config, remember};

/// How a gateway is set up.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Its name.
    pub id: String,
    /// The authority's gRPC address.
    pub authority: SocketAddr,
    /// The authority's other replicas.
    pub others: Vec<SocketAddr>,
    /// Its API key; empty: it has none.
    pub key: String,
    /// Keys of `[authority]` by which it is spoken to over TLS, as TOML; none: in the clear.
    pub tls: Option<String>,
    /// Keys of `[hub]`, as TOML.
    pub hub: String,
    /// Other tables, as TOML.
    pub more: String,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The program.
    pub process: Process,
    /// Its address.
    pub http: SocketAddr,
}

impl Gateway {
    /// Starts one; it need not be ready to admit anybody.
    pub async fn start(folder: &Path, options: &GatewayOptions) -> Self {
        let GatewayOptions { id, authority, others, key, tls, hub, more } = options;
        std::fs::create_dir_all(folder).expect("the folder can be made");
        let file = |suffix: &str| folder.join(format!("{id}.{suffix}"));
        let (ready, key_file, config) = (file("ready.json"), file("key"), file("toml"));
        let _ = std::fs::remove_file(&ready);
        remember("a gateway's key", key);
        let (scheme, tls) = tls.as_ref().map_or(("http", ""), |tls| ("https", tls));
        let endpoints: Vec<_> =
            std::iter::once(authority).chain(others).map(|replica| format!("{scheme}://{replica}")).collect();
        let log = if more.contains("[log]") { String::new() } else { log_config() };
        std::fs::write(&key_file, key).expect("the key can be written");
        let key = if key.is_empty() { String::new() } else { format!("api_key_file = {key_file:?}") };
        let text = format!(
            "gateway_id = {id:?}\nlisten = \"127.0.0.1:0\"\nready_file = {ready:?}\n\
             [authority]\nendpoints = {endpoints:?}\n{key}\n{tls}\n\
             [hub]\n{hub}\n{log}\n{more}\n",
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let config = config.to_str().expect("the path is text");
        let mut process = Process::start("ws-gateway", &["--config", config], &file("log"));
        let addresses = process.ready(&ready).await;
        let http = addresses["http"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Self { process, http }
    }

    /// Waits until it says that it is ready: synced, with a valid lease.
    pub async fn synced(&self) {
        let edge = Edge::at(self.http);
        eventually("the gateway to be ready", || {
            let edge = edge.clone();
            async move { edge.get("/ready").await.ok().filter(|answer| answer.status == 200).map(|_| ()) }
        })
        .await;
    }

    /// Waits until it says that it is not ready.
    pub async fn unready(&self) {
        let edge = Edge::at(self.http);
        eventually("the gateway not to be ready", || {
            let edge = edge.clone();
            async move { edge.get("/ready").await.ok().filter(|answer| answer.status == 503).map(|_| ()) }
        })
        .await;
    }

    /// The URL of its hub.
    pub fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.http)
    }

    /// Opens a socket without any credential at the handshake.
    pub async fn open(&self) -> Socket {
        Socket::open(&self.url(), &[]).await.expect("the handshake is accepted")
    }

    /// The value of a metric, summed over its labels that contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        metric(self.http, name, labels).await
    }
}

/// The value of a program's metric, summed over its labels that contain `labels`.
///
/// # Panics
/// When there is no such metric.
pub(crate) async fn metric(http: SocketAddr, name: &str, labels: &str) -> f64 {
    let text = Edge::at(http).get("/metrics").await.expect("the program answers").text;
    assert!(text.contains(&format!("# TYPE {name}")), "there is no metric {name}");
    text.lines()
        .filter(|line| line.starts_with(name) && line.contains(labels))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}
