//! The program `portcullis`; what it does is in the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_cli::run()
}
