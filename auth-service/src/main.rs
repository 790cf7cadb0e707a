//! The authority's program: configuration, storage, rules and transports put together.
//!
//! Owns no rule: those are in `auth-domain`. Refuses to start on a configuration that would break a promise.

mod config;
mod denial;
mod grpc;
mod guarantee;
mod hashing;
mod http;
mod issuer_keys;
mod kek;
mod key_tending;
mod key_uses;
mod leases_given;
mod listen;
mod logging;
mod metrics;
mod private_file;
mod ready_file;
mod receipts;
mod replica;
mod startup;
mod store;
mod tailer;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use portcullis_types::{Shutdown, SystemClock, SystemEntropy};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::startup::Surroundings;
use crate::tailer::SourceText as _;

/// The authority: issues, verifies and revokes credentials.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The TOML file to read; the environment (`PORTCULLIS_AUTH__GRPC__LISTEN`, …) lies over it.
    #[arg(long, global = true, env = "PORTCULLIS_AUTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default).
    Serve,
    /// Say whether the configuration is valid, and do nothing else.
    CheckConfig,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let cause = error.as_ref().source_text();
            let because = if cause.is_empty() { "" } else { ": " };
            eprintln!("auth-service: {error}{because}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let config = Config::load(arguments.config.as_deref())?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::CheckConfig => {
            logging::filter(&config.log)?;
            println!("the configuration is valid");
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve => {
            logging::start(&config.log)?;
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(&config))
        }
    }
}

async fn serve(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let around =
        Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), shutdown: Shutdown::new() };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let running = startup::start(config, around).await?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        () = running.ended() => tracing::error!("cannot go on: stopping"),
    }
    Ok(if running.stop().await { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
