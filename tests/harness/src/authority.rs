//! A running `auth-service`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::gateway::metric;
use crate::{Api, Edge, Process, log_config, remember};

/// A running authority over a data directory.
#[derive(Debug)]
pub struct Authority {
    /// The program.
    pub process: Process,
    /// Its gRPC address.
    pub grpc: SocketAddr,
    /// Its HTTP address.
    pub http: SocketAddr,
    admin_key_file: PathBuf,
}

/// Everything on free ports.
const CONFIG: &str = r#"
[grpc]
listen = "127.0.0.1:0"
reflection = true
"#;

/// Unless a test says otherwise: the least that is allowed.
const CHEAP_PASSWORDS: &str = "[password]\nmemory_kib = 7168\niterations = 5\n";

impl Authority {
    /// Starts one in `folder`; what is stored there is kept from an earlier one. `more` is TOML put before the rest.
    pub async fn start(folder: &Path, allowed_origins: &[&str], more: &str) -> Self {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        let ready = folder.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let config = folder.join("auth-service.toml");
        let passwords = if more.contains("[password]") { "" } else { CHEAP_PASSWORDS };
        let log = if more.contains("[log]") { String::new() } else { log_config() };
        let text = format!(
            "data_dir = {:?}\nready_file = {ready:?}\n{CONFIG}\n[http]\nlisten = \"127.0.0.1:0\"\nallowed_origins = {allowed_origins:?}\n{passwords}\n{log}\n{more}\n",
            folder.join("data"),
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let config = config.to_str().expect("the path is text");
        let mut process = Process::start("auth-service", &["--config", config], &folder.join("auth-service.log"));
        let addresses = process.ready(&ready).await;
        let keks = std::fs::read(folder.join("data/kek")).unwrap_or_default();
        keks.split(|byte| *byte == b'\n').for_each(|line| remember("a key-encryption key", line));
        remember("a key-encryption key", &keks);
        let address = |key: &str| addresses[key].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let admin_key_file = addresses["admin_key_file"].as_str().expect("a path").into();
        Self { process, grpc: address("grpc"), http: address("http"), admin_key_file }
    }

    /// The administrator's key.
    pub fn admin_key(&self) -> String {
        let key = std::fs::read_to_string(&self.admin_key_file).expect("the key file exists").trim().to_owned();
        remember("the administrator's key", &key);
        key
    }

    /// Where the administrator's key is.
    pub fn admin_key_file(&self) -> &Path {
        &self.admin_key_file
    }

    /// The gRPC API as the administrator.
    pub async fn admin(&self) -> Api {
        Api::connect(self.grpc, &self.admin_key()).await
    }

    /// The value of a metric, summed over its labels that contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        metric(self.http, name, labels).await
    }

    /// The HTTP edge.
    pub const fn edge(&self) -> Edge {
        Edge::at(self.http)
    }
}
