//! `cargo xtask fuzz`: goes on where the tests stop, from a new seed and for as long as is asked for.
//!
//! Owns how long and which: what is done is `tests/fuzz`. An input that fails is kept by its target below `regressions/`,
//! and replayed by every run of the tests from then on.

use std::io;
use std::process::{Command, ExitStatus};

use crate::workspace;

/// The variable by which the targets are told how long to go on.
const SECONDS: &str = "PORTCULLIS_FUZZ_SECONDS";
/// The crates with targets, and where they are in each.
const TARGETS: [&[&str]; 2] = [
    &["--package", "portcullis-fuzz", "--test", "targets"],
    &["--package", "storage-conformance", "--test", AUTHORITY],
];
/// Other tests of the authority are no targets. On the store in this process more inputs are tried than over a connection.
const AUTHORITY: &str = "authority-sqlite";

/// How long, and which.
#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// For how long each target runs.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Only targets whose test has this in its name.
    target: Option<String>,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FuzzError {
    /// Cargo could not be called.
    #[error("cannot call cargo: {0}")]
    Call(#[from] io::Error),
    /// A target failed.
    #[error("a target failed ({0}); its input is kept below `regressions/`: see above")]
    Failed(ExitStatus),
}

/// Runs the targets.
pub(crate) fn run(args: &FuzzArgs) -> Result<(), FuzzError> {
    for crate_of in TARGETS {
        let status = command(args, crate_of).status()?;
        if !status.success() {
            return Err(FuzzError::Failed(status));
        }
    }
    Ok(())
}

fn command(args: &FuzzArgs, crate_of: &[&str]) -> Command {
    let mut cargo = workspace::cargo();
    cargo.arg("test").args(crate_of).args(["--", "--nocapture"]);
    let filter = args.target.as_deref().or_else(|| crate_of.contains(&AUTHORITY).then_some("fuzz::"));
    cargo.args(filter).env(SECONDS, args.seconds.to_string());
    cargo
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_targets_are_told_how_long_and_which() {
        let line = |target: Option<&str>| {
            let args = FuzzArgs { seconds: 5, target: target.map(str::to_owned) };
            let command = command(&args, TARGETS[1]);
            let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            assert!(command.get_envs().any(|(name, value)| name == SECONDS && value.is_some_and(|value| value == "5")));
            words.join(" ")
        };
        assert!(line(None).ends_with("-- --nocapture fuzz::"));
        assert!(line(Some("ticket")).ends_with("-- --nocapture ticket"));
    }

    #[test]
    fn the_programs_with_targets_are_there() {
        let metadata = workspace::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output();
        let workspace: Value = serde_json::from_slice(&metadata.expect("cargo can be called").stdout).expect("JSON");
        let has = |list: &Value, kind: &str, name: &str| {
            let found = list[kind].as_array().into_iter().flatten().find(|one| one["name"] == name);
            found.unwrap_or_else(|| panic!("{name} is not among the {kind}")).clone()
        };
        for target in TARGETS {
            let [_, package, _, program] = target else { panic!("{target:?}") };
            has(&has(&workspace, "packages", package), "targets", program);
        }
    }
}
