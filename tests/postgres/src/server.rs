//! One server.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::port::Port;
use crate::programs::{program, user};
use crate::watchdog::Watched;

const SUPERUSER: &str = "postgres";
/// The server trusts whoever comes; a program that shows what it connects with shows this.
const PASSWORD: &str = "a-password-for-the-database";
/// How often to look whether it answers, and for how long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOKS: u32 = 1500;

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether commits reach the disk. Tests survive no power cut, so by default they do not; figures need it.
    pub durable: bool,
    /// More settings, `name = value` each.
    pub settings: Vec<String>,
    /// The server that it follows, as a standby of this name.
    pub follows: Option<(u16, String)>,
    /// Where its directory is made; absent: where temporary directories are, which may be in memory.
    pub parent: Option<PathBuf>,
}

/// A running server, or one that was stopped and can be started again.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: Port,
    arguments: Vec<String>,
    running: Option<Watched>,
}

impl Server {
    /// Makes one and starts it.
    ///
    /// # Panics
    /// When there is no PostgreSQL, or it does not start.
    pub fn start(options: Options) -> Self {
        let parent = options.parent.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("portcullis-pg-").tempdir_in(parent).expect("a directory").keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        if let Some(user) = user() {
            chown(&folder, Some(user.uid), Some(user.gid)).expect("the superuser may");
        }
        let data = folder.join("data");
        match &options.follows {
            None => run(program("initdb").arg("-D").arg(&data).args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ])),
            Some((primary, name)) => run(program("pg_basebackup").arg("-D").arg(&data).args([
                &format!("--dbname=host=127.0.0.1 port={primary} user={SUPERUSER} application_name={name}"),
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ])),
        }
        let arguments = arguments(&folder, &options);
        let mut server = Self { folder, port: Port::reserve(), arguments, running: None };
        server.start_again();
        server
    }

    /// Starts it after it was stopped, on the same port, and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn start_again(&mut self) {
        let mut command = program("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port().to_string()).args(&self.arguments);
        self.running = Some(Watched::run(&command, &self.folder, user()));
        let answered = looked(|| {
            let output = self.psql("postgres", "SHOW data_directory").output().ok()?;
            output.status.success().then(|| text(&output.stdout))
        });
        let Some(whose) = answered else {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("PostgreSQL does not answer:\n{log}");
        };
        assert_eq!(whose, self.data().to_string_lossy(), "another server answers at this port");
    }

    /// Stops it as a crash would: no connection is told, nothing is written that was not written.
    pub fn crash(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) {
        self.crash();
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
        self.start_again();
    }

    /// Makes a standby the primary, and waits until it is.
    ///
    /// # Panics
    /// When it does not become one.
    pub fn promote(&self) {
        assert_eq!(self.query("postgres", "SELECT pg_promote(true, 30)"), "t");
    }

    /// Where it listens, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port.number()
    }

    /// Makes an empty database; its address.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create_database(&self, name: &str) -> String {
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        self.address(name)
    }

    /// The address of a database.
    pub fn address(&self, name: &str) -> String {
        address(self.port(), name)
    }

    /// What a statement answers, as text.
    ///
    /// # Panics
    /// When it fails.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database, sql).output().expect("psql can be called");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        text(&output.stdout)
    }

    /// Asks a statement again and again until it answers what is looked for.
    ///
    /// # Panics
    /// When it never does, or fails.
    pub fn until(&self, database: &str, sql: &str, is: impl Fn(&str) -> bool) {
        let found = looked(|| is(&self.query(database, sql)).then_some(()));
        assert!(found.is_some(), "{sql} never answered what was waited for");
    }

    pub(crate) fn psql(&self, database: &str, sql: &str) -> Command {
        let mut psql = program("psql");
        let port = self.port().to_string();
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", SUPERUSER, "-d", database, "-XqAt", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-c", sql]).stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        psql
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// The address of a database behind a port of this machine.
pub fn address(port: u16, database: &str) -> String {
    format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/{database}?sslmode=disable")
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever watches it removes the folder, unless it was stopped before.
        if self.running.take().is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn arguments(folder: &Path, options: &Options) -> Vec<String> {
    let log = folder.join("log");
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=200".to_owned(),
        "shared_buffers=32MB".to_owned(),
        "max_wal_senders=8".to_owned(),
        "logging_collector=on".to_owned(),
        format!("log_directory={}", folder.display()),
        format!("log_filename={}", log.file_name().and_then(|name| name.to_str()).unwrap_or("log")),
    ];
    if !options.durable {
        settings.extend(["fsync=off".to_owned(), "full_page_writes=off".to_owned()]);
    }
    settings.extend(options.settings.iter().cloned());
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// Looks again and again, for as long as anybody waits.
fn looked<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(LOOK_AGAIN);
    }
    None
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be called: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
