//! `cargo xtask bench`: builds the programs as they are released, and measures them.
//!
//! Owns the build only: what is measured, and how, is `tests/bench`.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use crate::workspace;

/// The profile that is measured; its programs are in a folder of this name.
const PROFILE: &str = "measured";
/// The packages whose programs are needed.
const PACKAGES: [&str; 3] = ["auth-service", "ws-gateway", "portcullis-bench"];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Rows and options of the benchmark: `cargo xtask bench -- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ROW or option")]
    arguments: Vec<String>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program could not be called.
    #[error("cannot call {what}: {source}")]
    Call {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It does not build.
    #[error("the programs do not build; see above")]
    Build,
    /// It ran, and not everything was measured.
    #[error("the benchmark ended with {0}; see above")]
    Failed(ExitStatus),
}

/// Builds and measures.
pub(crate) fn run(args: &BenchArgs) -> Result<(), BenchError> {
    let status = build().status().map_err(|source| BenchError::Call { what: "cargo", source })?;
    if !status.success() {
        return Err(BenchError::Build);
    }
    let folder = folder().map_err(|source| BenchError::Call { what: "the benchmark", source })?;
    // Databases and results on the file system of the checkout: a temporary directory may be in memory, where a commit
    // costs nothing.
    let mut bench = Command::new(folder.join(format!("portcullis-bench{}", std::env::consts::EXE_SUFFIX)));
    bench.arg("run").arg("--folder").arg(&folder).arg("--file").arg(folder.join("bench.json")).args(&args.arguments);
    let status = bench.status().map_err(|source| BenchError::Call { what: "the benchmark", source })?;
    if status.success() { Ok(()) } else { Err(BenchError::Failed(status)) }
}

fn build() -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--bins", "--profile", PROFILE]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    cargo
}

/// The folder of the profile: beside that of this program.
fn folder() -> io::Result<PathBuf> {
    let beside = workspace::binary("xtask")?;
    let target = beside.parent().and_then(|profile| profile.parent());
    target.map(|target| target.join(PROFILE)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}
