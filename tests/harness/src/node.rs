//! A program for Node, steered by the test: the published SDK, a real browser, an OpenID Connect
//! provider, or an OAuth client library.
//!
//! Commands go in and events come out as JSON lines. Guarantees: every event waits for the test in the order in which it
//! happened; every wait has a deadline; the program is killed when this is dropped, and what it said is shown when the
//! test fails. Refuses to install anything: what is missing is named with the command that brings it.

use std::fmt;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::within;

/// Something that the program said.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(pub Value);

impl Event {
    /// What kind of event it is.
    pub fn name(&self) -> &str {
        self.0["event"].as_str().unwrap_or_default()
    }

    /// The code it carries.
    pub fn code(&self) -> Option<u64> {
        self.0["code"].as_u64()
    }

    /// The text under this key; empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// Code and reason, as the SDK gives them with a change of its state.
    pub fn why(&self) -> (u64, &str) {
        (self.code().unwrap_or_default(), self.text("reason"))
    }
}

/// See the module.
pub struct Node {
    script: &'static str,
    _child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<Event>,
}

impl Node {
    /// The published Centrifuge SDK. Its commands and events are listed at the top of `tests/clients/sdk.mjs`.
    pub fn sdk() -> Self {
        Self::start("sdk.mjs")
    }

    /// Chromium. Its commands and answers are listed at the top of `tests/clients/browser.mjs`.
    pub fn browser() -> Self {
        Self::start("browser.mjs")
    }

    /// An OpenID Connect provider. Its commands and answers are listed at the top of `tests/clients/oidc.mjs`.
    pub fn oidc() -> Self {
        Self::start("oidc.mjs")
    }

    /// An OAuth client library. Its commands and answers are listed at the top of `tests/clients/oauth.mjs`.
    pub fn oauth() -> Self {
        Self::start("oauth.mjs")
    }

    fn start(script: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients");
        assert!(
            folder.join("node_modules").is_dir(),
            "the clients' packages are not installed; run: npm ci --prefix tests/clients"
        );
        let mut command = Command::new("node");
        command.arg(script).current_dir(folder).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("node does not start: {error}"));
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { script, _child: child, stdin, lines, seen: Vec::new() }
    }

    /// Sends a command: what to `do`, and with what.
    ///
    /// # Panics
    /// When the program has ended.
    pub async fn send(&mut self, what: &str, mut with: Value) {
        with["do"] = json!(what);
        let stdin = self.stdin.as_mut().expect("only `rest` closes it");
        let line = format!("{with}\n");
        within("a command to be taken", stdin.write_all(line.as_bytes())).await.expect("the program runs");
    }

    /// The next event; `None` when the program has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let line = within("an event", self.lines.next_line()).await.expect("the output is text")?;
        let event = Event(serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")));
        self.seen.push(event.clone());
        Some(event)
    }

    /// The next event of this name; others before it are passed over, and stay in [`Self::seen`].
    ///
    /// # Panics
    /// When the program ends before.
    pub async fn event(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the program ended before \"{name}\""));
            if event.name() == name {
                return event;
            }
        }
    }

    /// Sends a command and waits for the event that answers it, which bears the command's name.
    pub async fn ask(&mut self, what: &str, with: Value) -> Event {
        self.send(what, with).await;
        self.event(what).await
    }

    /// Everything it has said so far.
    pub fn seen(&self) -> &[Event] {
        &self.seen
    }

    /// Sends nothing more and returns what it still says until it ends by itself. A client that would ever come back does
    /// not end.
    pub async fn rest(&mut self) -> Vec<Event> {
        self.stdin = None;
        let mut rest = Vec::new();
        while let Some(event) = self.next().await {
            rest.push(event);
        }
        rest
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what {} said ---", self.script);
            for Event(event) in self.seen.iter().rev().take(40).rev() {
                eprintln!("{event}");
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("script", &self.script).field("seen", &self.seen).finish_non_exhaustive()
    }
}
