//! The programs that the checks need besides cargo: Node, npm, Chromium and PostgreSQL's.
//!
//! Installs what is missing when it may; otherwise names the one command that does.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// The oldest Node that the client tests run on.
const NODE: u32 = 18;

/// Each program, and the Debian packages that bring it.
const TOOLS: [(&str, &str); 4] =
    [("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium"), ("postgres", "postgresql")];

/// Where Debian keeps PostgreSQL's server of each version, off the path.
const SERVERS: &str = "/usr/lib/postgresql";

/// Why a program is missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    /// It must be installed by someone who may.
    #[error("missing: {missing}\n  next: {next}")]
    Missing {
        /// Which programs.
        missing: String,
        /// The command that installs them.
        next: String,
    },
    /// Node is too old.
    #[error(
        "node is version {found}; the client tests need {NODE} or newer\n  next: install it from https://nodejs.org"
    )]
    OldNode {
        /// What `node --version` says.
        found: String,
    },
    /// The package manager failed.
    #[error("{command} failed ({status})")]
    Install {
        /// Which command.
        command: String,
        /// How.
        status: ExitStatus,
    },
    /// The package manager could not be called.
    #[error("cannot call {command}: {source}")]
    Call {
        /// Which command.
        command: String,
        /// Why.
        source: io::Error,
    },
}

/// Sees to it that all programs are there.
pub(super) fn ensure() -> Result<(), ToolsError> {
    let packages = packages_for(&missing());
    if !packages.is_empty() {
        let root = rustix::process::geteuid().is_root();
        if !root || version_of("apt-get").is_none() {
            return Err(missing_error(&packages));
        }
        install(&packages)?;
    }
    let still = packages_for(&missing());
    if !still.is_empty() {
        return Err(missing_error(&still));
    }
    let node = version_of("node").unwrap_or_default();
    if is_new_enough(&node) { Ok(()) } else { Err(ToolsError::OldNode { found: node }) }
}

fn missing() -> Vec<&'static str> {
    TOOLS.iter().map(|(program, _)| *program).filter(|program| version_of(program).is_none()).collect()
}

fn packages_for(missing: &[&str]) -> Vec<&'static str> {
    TOOLS.iter().filter(|(program, _)| missing.contains(program)).map(|(_, package)| *package).collect()
}

fn missing_error(packages: &[&str]) -> ToolsError {
    let list = packages.join(" ");
    ToolsError::Missing {
        missing: packages.join(", "),
        next: format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"),
    }
}

fn install(packages: &[&str]) -> Result<(), ToolsError> {
    apt(&["update", "-q"])?;
    apt(&[&["install", "-y", "-q", "--no-install-recommends"], packages].concat())
}

fn apt(arguments: &[&str]) -> Result<(), ToolsError> {
    let command = || format!("apt-get {}", arguments.join(" "));
    println!("{}", command());
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|source| ToolsError::Call { command: command(), source })?;
    if status.success() { Ok(()) } else { Err(ToolsError::Install { command: command(), status }) }
}

/// What a program answers to `--version`; none if it is not there.
fn version_of(program: &str) -> Option<String> {
    let mut answer = Command::new(program).arg("--version").output();
    if answer.is_err() && program == "postgres" {
        answer = Command::new(server_off_the_path()?).arg("--version").output();
    }
    let answer = answer.ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

fn server_off_the_path() -> Option<PathBuf> {
    let versions = std::fs::read_dir(SERVERS).ok()?.flatten();
    versions.map(|version| version.path().join("bin").join("postgres")).find(|server| server.is_file())
}

fn is_new_enough(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= NODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_judged_by_its_major_version() {
        for (version, enough) in [("v20.20.2", true), ("v18.0.0", true), ("v16.9.1", false), ("", false), ("x", false)]
        {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[test]
    fn who_may_not_install_is_told_the_exact_command() {
        let error = missing_error(&packages_for(&["node", "chromium"])).to_string();
        assert!(error.contains("missing: nodejs, chromium"), "{error}");
        assert!(error.ends_with("install -y --no-install-recommends nodejs chromium"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version_of("portcullis-no-such-program"), None);
    }
}
