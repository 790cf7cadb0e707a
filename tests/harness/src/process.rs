//! One running program.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{eventually, secrets};

/// A stopped program never answers.
const PAGE_TIME: Duration = Duration::from_millis(500);

/// Where the built program `name` is. The first call builds all programs, so that a test never meets an old one.
///
/// # Panics
/// When they do not build.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let packages = ["auth-service", "ws-gateway", "portcullis-cli", "portcullis-demo"];
        let mut command = Command::new(cargo);
        command.arg("build").arg("--quiet").current_dir(env!("CARGO_MANIFEST_DIR"));
        for package in packages {
            command.args(["--package", package]);
        }
        assert!(command.status().expect("cargo runs").success(), "the programs do not build");
        // The test program is in target/debug/deps, the programs in target/debug.
        let test = std::env::current_exe().expect("a running program has a path");
        test.parent().and_then(Path::parent).expect("two folders up").to_owned()
    });
    folder.join(name)
}

/// A running program, killed when dropped. Its log is kept and shown when the test fails.
///
/// At its end its log, its ready file and its metrics are searched for secrets; what is found fails the test.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ready_file: Option<PathBuf>,
    metrics: Option<SocketAddr>,
}

impl Process {
    /// Starts `name` with `arguments`; its output is appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, arguments: &[&str], log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut command = Command::new(program(name));
        command.args(arguments).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a file can be cloned")).stderr(output);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("PORTCULLIS_")) {
            command.env_remove(key);
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned(), ready_file: None, metrics: None }
    }

    /// Waits until the program has written its ready file, and reads it.
    ///
    /// # Panics
    /// When the program ends instead, or takes too long.
    pub async fn ready(&mut self, file: &Path) -> serde_json::Value {
        let name = self.name.clone();
        self.ready_file = Some(file.to_owned());
        let said: serde_json::Value = eventually(&format!("{name} to be ready"), || {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{name} ended with {status}:\n{}", self.log());
            }
            let ready = std::fs::read_to_string(file).ok();
            async move { ready.map(|text| serde_json::from_str(&text).expect("the ready file is JSON")) }
        })
        .await;
        self.metrics = said["http"].as_str().and_then(|address| address.parse().ok());
        said
    }

    /// Its metrics as they are read by a scraper; empty when it does not answer.
    fn metrics_page(&mut self) -> Vec<u8> {
        let running = matches!(self.child.try_wait(), Ok(None));
        let page = self.metrics.filter(|_| running).map(|address| -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&address, PAGE_TIME)?;
            stream.set_read_timeout(Some(PAGE_TIME))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
            let mut page = Vec::new();
            stream.read_to_end(&mut page)?;
            Ok(page)
        });
        page.and_then(Result::ok).unwrap_or_default()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it is no longer running.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child has a pid");
        kill_process(pid, signal).expect("the program runs");
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} to end", self.name);
        eventually(&what, || {
            let status = self.child.try_wait().expect("a child can be asked");
            async move { status }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let page = self.metrics_page();
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of the log of {} ---", self.name);
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
            return;
        }
        secrets::assert_none_in_file(&self.log);
        self.ready_file.iter().for_each(|file| secrets::assert_none_in_file(file));
        secrets::assert_none_in(&format!("the metrics of {}", self.name), &page);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("pid", &self.child.id()).finish_non_exhaustive()
    }
}
