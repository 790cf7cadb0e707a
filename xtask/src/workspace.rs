//! Where the checkout is, and how its programs are called.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout: where `Cargo.toml` of the workspace is.
pub(crate) fn root() -> PathBuf {
    // Set by `cargo run`; the value at compile time serves a binary that is started by hand.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// A program of the workspace: cargo puts all of one profile beside this one.
pub(crate) fn binary(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// Cargo, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// A command without the variables that configure Portcullis's programs, so that what a person exported for one of
/// them does not reach another.
pub(crate) fn without_configuration(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command
}
