//! `cargo xtask`: what a person who works on Portcullis runs.
//!
//! Owns `dev` (everything running on this machine, with a page to open), `test` (everything that must pass), `bench`
//! (what it costs) and `fuzz` (what hostile input does).
//! Few and small dependencies, because it is compiled before anything else.

mod bench;
mod dev;
mod fuzz;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs and checks Portcullis from a checkout.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds and starts the authority, two gateways and the demo page, seeds a demo tenant, follows the logs.
    Dev(dev::DevArgs),
    /// Runs every check there is, from the formatting to the tests with real clients.
    Test,
    /// Builds the programs as they are released and measures them beside bare ones.
    Bench(bench::BenchArgs),
    /// Feeds hostile variants of good input to every parser of what a peer sends, for as long as is asked for.
    Fuzz(fuzz::FuzzArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Dev(args) => dev::run(&args).map_err(|error| error.to_string()),
        Task::Test => test::run().map_err(|error| error.to_string()),
        Task::Fuzz(args) => fuzz::run(&args).map_err(|error| error.to_string()),
        Task::Bench(args) => bench::run(&args).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
