//! The authority's program: configuration, storage, rules and transports put together.
//!
//! Owns no rule: those are in `auth-domain`. Refuses to start on a configuration that would break a promise.

mod config;
mod denial;
mod denials;
mod denied_logins;
mod doctor;
mod forks;
mod grpc;
mod guarantee;
mod hashing;
mod http;
mod http_client;
mod issuer_keys;
mod kek;
mod key_tending;
mod key_uses;
mod leases_given;
mod listen;
mod metrics;
mod named_files;
mod private_file;
mod receipts;
mod replica;
mod retention;
mod revoker;
mod sealer;
mod startup;
mod store;
mod tailer;
#[cfg(test)]
mod tests;
mod tls;
mod upkeep;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use portcullis_observe::Traces;
use portcullis_types::{AuditAnchor, Shutdown, SystemClock, SystemEntropy};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::doctor::{Output, Severity};
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

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default).
    Serve,
    /// Say whether the configuration is valid, with the files that it names, and do nothing else: nobody is connected to.
    CheckConfig,
    /// Bring the schema up to date, making the store if there is none, and do not serve. A start does this too.
    Migrate,
    /// Make the first administrator, and write its key to `admin.key` in the data directory. The first start does this too.
    Bootstrap {
        /// Make another key for it instead, for whoever lost theirs; also enables it again. May run beside `serve` on
        /// PostgreSQL; on SQLite stop the server first.
        #[arg(long)]
        new_key: bool,
    },
    /// Look for what is wrong with this installation and say how to mend it. Changes nothing; may run beside `serve`.
    Doctor {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Copy the store, consistent and checked, to a new file. May run beside `serve`. SQLite only.
    Backup {
        /// The file to write, which must not be there.
        to: PathBuf,
    },
    /// Have gateways judge every socket again, after a database was restored by its own tools: they may not notice by
    /// themselves. May run beside `serve` on PostgreSQL, not on SQLite, where `restore` does this too.
    Restored,
    /// Have the key-encryption key vouch for seals of the audit trail that a version without marks made, so that they can be
    /// removed when they are old enough. May run beside `serve` on PostgreSQL, not on SQLite.
    Vouch {
        /// The newest seal to vouch for, `<number>-<64 hex digits>`, as it was noted elsewhere when it was made: take it from
        /// there, never from the store that it is to be compared with. Everything up to it is hashed anew first.
        #[arg(long)]
        up_to: AuditAnchor,
    },
    /// Put a backup in the place of the store, while nothing serves it. SQLite only.
    Restore {
        /// The backup.
        from: PathBuf,
        /// Move a store that is there aside. What was committed after the backup is lost with it.
        #[arg(long)]
        replace: bool,
    },
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
    match arguments.command.clone().unwrap_or(Command::Serve) {
        Command::CheckConfig => {
            config.log.check()?;
            named_files::check(&config, named_files::Given::here())?;
            println!("the configuration is valid");
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve => {
            config.log.start()?;
            runtime()?.block_on(serve(&config))
        }
        other => runtime()?.block_on(look_after(&config, other)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn surroundings() -> Surroundings {
    Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), shutdown: Shutdown::new() }
}

/// Everything that neither serves nor only reads the configuration.
async fn look_after(config: &Config, command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let around = surroundings();
    let said = match command {
        Command::Serve | Command::CheckConfig => return Ok(ExitCode::SUCCESS),
        Command::Migrate => upkeep::migrate(config, &around).await?,
        Command::Bootstrap { new_key: false } => upkeep::bootstrap(config, &around).await?,
        Command::Bootstrap { new_key: true } => upkeep::new_key(config, &around).await?,
        Command::Restored => upkeep::restored(config, &around).await?,
        Command::Vouch { up_to } => upkeep::vouch(config, up_to, &around).await?,
        Command::Backup { to } => upkeep::backup(config, &to).await?,
        Command::Restore { from, replace } => upkeep::restore(config, &from, replace, &around).await?,
        Command::Doctor { output } => {
            let report = doctor::examine(config, &around.clock).await;
            print!("{}", report.text(output));
            return Ok(if report.worst() == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
    };
    println!("{said}");
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let around = surroundings();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let running = startup::start(config, around).await?;
    let traces = Traces::start(&config.traces, "auth-service", &running.grpc.to_string())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        () = running.ended() => tracing::error!("cannot go on: stopping"),
    }
    let stopped = running.stop().await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
