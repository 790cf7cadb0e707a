//! Processes that a run starts: on a core, killed when dropped, spoken to in lines of JSON.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::{BenchError, Outcome, While as _};
use crate::machine::{self, Cores};

/// The longest that any one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program of the same build as this one.
pub(crate) fn program(name: &str) -> Outcome<PathBuf> {
    let path = std::env::current_exe().during("finding the programs")?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(BenchError::new("finding the programs", format!("{} is not built", path.display())))
}

/// A command without the variables that configure Portcullis's programs.
pub(crate) fn command(name: &str) -> Outcome<Command> {
    let mut command = Command::new(program(name)?);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("PORTCULLIS_")) {
        command.env_remove(key);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Starts a process that is measured, on the servers' core. It inherits the core from this thread.
pub(crate) fn start_server(mut command: Command, cores: Cores) -> Outcome<Child> {
    machine::pin(cores.servers)?;
    let started = command.spawn();
    machine::pin(cores.load)?;
    started.during("starting a server")
}

/// A part of this program in a process of its own, that answers each line with a line.
#[derive(Debug)]
pub(crate) struct Part {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts a part on the load's core.
    pub(crate) fn load(arguments: &[&str]) -> Outcome<Self> {
        Self::of(part_command(arguments)?.spawn().during("starting a part of the benchmark")?)
    }

    /// Starts a part that is measured, on the servers' core.
    pub(crate) fn server(arguments: &[&str], cores: Cores) -> Outcome<Self> {
        Self::of(start_server(part_command(arguments)?, cores)?)
    }

    fn of(mut child: Child) -> Outcome<Self> {
        let to = child.stdin.take().during("speaking to a part of the benchmark")?;
        let from = child.stdout.take().during("listening to a part of the benchmark")?;
        Ok(Self { child, to, from: BufReader::new(from).lines() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Outcome<u32> {
        self.child.id().during("looking at a part of the benchmark")
    }

    /// The next thing it says.
    pub(crate) async fn hear<A: DeserializeOwned>(&mut self) -> Outcome<A> {
        let line = tokio::time::timeout(PATIENCE, self.from.next_line()).await;
        let line =
            line.during("waiting for a part of the benchmark")?.during("listening to a part of the benchmark")?;
        let line = line.ok_or_else(|| BenchError::new("listening to a part of the benchmark", "it ended"))?;
        serde_json::from_str(&line).during("reading what a part of the benchmark said")
    }

    /// Says something and returns the answer.
    pub(crate) async fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> Outcome<A> {
        let mut line = serde_json::to_vec(question).during("writing to a part of the benchmark")?;
        line.push(b'\n');
        self.to.write_all(&line).await.during("writing to a part of the benchmark")?;
        self.to.flush().await.during("writing to a part of the benchmark")?;
        self.hear().await
    }
}

fn part_command(arguments: &[&str]) -> Outcome<Command> {
    let mut command = command("portcullis-bench")?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}
