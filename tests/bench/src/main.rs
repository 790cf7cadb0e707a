//! `portcullis-bench`: what the programs cost, beside what the transport alone costs, in one run on one machine.
//!
//! Owns the rows, the bare peers and the load. Starts the real programs as a user would and measures them from outside.
//! Refuses to judge: it prints figures and ratios, and no figure fails a run.

mod bare;
mod child;
mod error;
mod figures;
mod fleet;
mod histogram;
mod load;
mod machine;
mod rows;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Outcome, While as _};

/// Measures Portcullis. Start it by `cargo xtask bench`, which builds what it measures.
#[derive(Debug, Parser)]
#[command(name = "portcullis-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures.
    Run(run::RunArgs),
    /// A load process of a run.
    #[command(hide = true)]
    Load,
    /// The bare WebSocket server of a run.
    #[command(hide = true)]
    BareSockets,
    /// The bare gRPC server of a run.
    #[command(hide = true)]
    BareGrpc,
    /// A process that fills a revocation index and says what that cost.
    #[command(hide = true)]
    FillIndex {
        /// How many events.
        events: usize,
        /// Fill a bare map instead.
        #[arg(long)]
        bare: bool,
    },
}

fn main() -> ExitCode {
    match start(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Outcome<()> {
    machine::raise_open_files()?;
    // The bare servers have the runtime that the real ones have; on the one core that they are given it has one worker.
    let runtime = match command {
        Command::BareSockets | Command::BareGrpc => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        Command::Run(_) | Command::Load | Command::FillIndex { .. } => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()
        }
    };
    runtime.during("starting a runtime")?.block_on(async {
        match command {
            Command::Run(args) => Box::pin(run::run(args)).await,
            Command::Load => load::run().await,
            Command::BareSockets => bare::sockets::run().await,
            Command::BareGrpc => bare::grpc::run().await,
            Command::FillIndex { events, bare } => rows::index::fill(events, bare),
        }
    })
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
