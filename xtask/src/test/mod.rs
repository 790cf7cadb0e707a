//! `cargo xtask test`: every check, in order of how soon it can fail, stopping at the first that does.

mod tools;

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use portcullis_types::{Clock, SystemClock};

use self::tools::ToolsError;
use crate::workspace;

/// Why not all checks passed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    /// A program that the checks need is missing.
    #[error(transparent)]
    Tools(#[from] ToolsError),
    /// A check could not be started.
    #[error("{step}: cannot call {program}: {source}")]
    Call {
        /// Which check.
        step: &'static str,
        /// Which program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A check failed.
    #[error("{step} failed ({status}); run it alone with: {command}")]
    Failed {
        /// Which check.
        step: &'static str,
        /// How.
        status: ExitStatus,
        /// To repeat it.
        command: String,
    },
}

/// Runs all checks.
pub(crate) fn run() -> Result<(), TestError> {
    let root = workspace::root();
    timed("tools", tools::ensure)?;
    let clients = root.join("tests").join("clients");
    if clients.join("package-lock.json").is_file() {
        step("client packages", npm_ci(&clients))?;
    }
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    if clients.is_dir() {
        step("contract", buf_lint(&clients, &root.join("proto")))?;
    }
    step("lints", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // The tests with real processes find the programs in the target directory.
    step("build", cargo(&["build", "--workspace", "--bins"]))?;
    step("tests", cargo(&["test", "--workspace"]))?;
    // Apart from the rest, so that the feature reaches no program.
    let faults = ["--features", "protocol-cores/faults,auth-domain/faults"];
    let cores = [&["test", "--package", "protocol-cores", "--package", "auth-domain"][..], &faults[..]].concat();
    step("broken rules", cargo(&cores))?;
    println!("all steps passed");
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(arguments);
    cargo
}

fn npm_ci(clients: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(clients);
    npm
}

fn buf_lint(clients: &Path, proto: &Path) -> Command {
    let mut buf = Command::new(clients.join("node_modules").join(".bin").join("buf"));
    buf.arg("lint").current_dir(proto);
    buf
}

fn step(name: &'static str, mut command: Command) -> Result<(), TestError> {
    timed(name, || {
        let status = command.status().map_err(|source| {
            let program = command.get_program().to_string_lossy().into_owned();
            TestError::Call { step: name, program, source }
        })?;
        if status.success() {
            return Ok(());
        }
        Err(TestError::Failed { step: name, status, command: line_of(&command) })
    })
}

fn timed<E>(name: &str, run: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    println!("==> {name}");
    let began = SystemClock.boottime();
    let outcome = run();
    let took = SystemClock.boottime().saturating_since(began);
    let word = if outcome.is_ok() { "passed" } else { "failed" };
    println!("==> {name} {word} in {:.1} s\n", took.as_secs_f64());
    outcome
}

/// The command as a person would type it.
fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let words = std::iter::once(name).chain(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_says_how_to_repeat_it() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "exit 3"]);
        let error = step("lints", failing).expect_err("it fails").to_string();
        assert!(error.contains("lints failed (exit status: 3)") && error.contains("sh -c exit 3"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = step("contract", Command::new("/nonexistent/buf")).expect_err("not there").to_string();
        assert!(error.contains("contract") && error.contains("/nonexistent/buf"), "{error}");
    }
}
