//! What each program is told: its configuration file or its arguments, and where the files of a data directory are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::ports::Ports;
use crate::workspace;

/// The route of the hub.
const HUB_PATH: &str = "/connection/websocket";

/// Where the files of a data directory are.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// In this directory.
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The key of the gateways' service account.
    pub(super) fn gateway_key(&self) -> PathBuf {
        self.root.join("gateway.key")
    }

    /// The key of the demo back end's service account.
    pub(super) fn backend_key(&self) -> PathBuf {
        self.root.join("backend.key")
    }

    /// The demo users' passwords, for the page to fill in.
    pub(super) fn passwords(&self) -> PathBuf {
        self.root.join("demo-passwords.json")
    }

    /// The configuration of a process.
    pub(super) fn config(&self, process: &str) -> PathBuf {
        self.root.join(format!("{process}.toml"))
    }

    /// The ready file of a process.
    pub(super) fn ready(&self, process: &str) -> PathBuf {
        self.root.join(format!("{process}.ready.json"))
    }

    /// All ready files: none may be left from an earlier start.
    pub(super) fn ready_files(&self) -> Vec<PathBuf> {
        ["auth", "gateway-1", "gateway-2", "demo"].iter().map(|process| self.ready(process)).collect()
    }
}

/// The authority's configuration.
pub(super) fn authority(ports: &Ports, layout: &Layout, log: &str) -> String {
    format!(
        "# Written by `cargo xtask dev`; changes are lost at its next start.\n\
         data_dir = {data}\n\
         ready_file = {ready}\n\n\
         [grpc]\n\
         listen = \"127.0.0.1:{grpc}\"\n\
         reflection = true\n\n\
         [http]\n\
         listen = \"127.0.0.1:{http}\"\n\
         allowed_origins = {origins}\n\n\
         [log]\n\
         filter = {log}\n",
        data = quoted_path(&layout.root),
        ready = quoted_path(&layout.ready("auth")),
        grpc = ports.grpc,
        http = ports.http,
        origins = origins(ports.demo),
        log = quoted(log),
    )
}

/// A gateway's configuration.
pub(super) fn gateway(name: &str, port: u16, grpc: &str, demo_port: u16, layout: &Layout, log: &str) -> String {
    format!(
        "# Written by `cargo xtask dev`; changes are lost at its next start.\n\
         gateway_id = {name}\n\
         listen = \"127.0.0.1:{port}\"\n\
         ready_file = {ready}\n\n\
         [authority]\n\
         endpoint = {endpoint}\n\
         api_key_file = {key}\n\n\
         [hub]\n\
         path = \"{HUB_PATH}\"\n\
         allowed_origins = {origins}\n\n\
         [hub.anonymous]\n\
         tenant = \"demo\"\n\
         subscribe = [\"public:*\"]\n\n\
         [drain]\n\
         window_ms = 500\n\n\
         [log]\n\
         filter = {log}\n",
        name = quoted(name),
        ready = quoted_path(&layout.ready(name)),
        endpoint = quoted(&format!("http://{grpc}")),
        key = quoted_path(&layout.gateway_key()),
        origins = origins(demo_port),
        log = quoted(log),
    )
}

/// The demo's command line.
pub(super) fn demo(program: &Path, port: u16, grpc: &str, http: &str, gateways: &[String], layout: &Layout) -> Command {
    let mut command = workspace::without_configuration(program);
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--authority").arg(format!("http://{grpc}"));
    command.arg("--authority-http").arg(format!("http://{http}"));
    command.arg("--api-key-file").arg(layout.backend_key());
    command.args(["--tenant", "demo"]);
    for gateway in gateways {
        command.arg("--gateway").arg(socket_url(gateway));
    }
    command.arg("--passwords-file").arg(layout.passwords());
    command.arg("--ready-file").arg(layout.ready("demo"));
    command
}

/// Where sockets of a gateway are opened.
pub(super) fn socket_url(gateway: &str) -> String {
    format!("ws://{gateway}{HUB_PATH}")
}

/// The page's origins, as browsers write them: it may be opened by either name.
fn origins(port: u16) -> String {
    format!("[\"http://127.0.0.1:{port}\", \"http://localhost:{port}\"]")
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A TOML basic string; JSON escapes the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_told_its_name_its_key_and_the_origins_of_the_page() {
        let layout = Layout::new(PathBuf::from("/data"));
        let text = gateway("gateway-1", 7711, "127.0.0.1:7700", 7780, &layout, "info");
        for line in [
            "gateway_id = \"gateway-1\"",
            "listen = \"127.0.0.1:7711\"",
            "endpoint = \"http://127.0.0.1:7700\"",
            "api_key_file = \"/data/gateway.key\"",
            "allowed_origins = [\"http://127.0.0.1:7780\", \"http://localhost:7780\"]",
            "[hub.anonymous]",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_path_with_quotes_stays_one_string() {
        let layout = Layout::new(PathBuf::from("/da\"ta\\x"));
        let text = authority(&Ports::from_base(7700), &layout, "info");
        assert!(text.contains("data_dir = \"/da\\\"ta\\\\x\""), "{text}");
        assert!(text.contains("reflection = true"));
    }
}
