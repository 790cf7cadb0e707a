//! `ws-gateway`: serves sockets, or checks its configuration.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use portcullis_observe::Traces;
use portcullis_types::{Clock as _, SystemClock, SystemEntropy};
use tokio::signal::unix::{SignalKind, signal};
use ws_gateway::authority;
use ws_gateway::config::Config;
use ws_gateway::startup::Gateway;

/// The stateless WebSocket gateway of Portcullis.
#[derive(Debug, Parser)]
#[command(name = "ws-gateway", version)]
struct Arguments {
    /// A TOML file; environment variables `PORTCULLIS_GATEWAY__…` are read over it.
    #[arg(long, global = true, env = "PORTCULLIS_GATEWAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Serves sockets until SIGTERM or Ctrl-C; what is done when nothing is said.
    Serve,
    /// Reads the configuration and the files that it names, says whether they are good, and ends: nobody is connected to.
    CheckConfig,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    match arguments.command.unwrap_or(Command::Serve) {
        Command::CheckConfig => check_config(&config),
        Command::Serve => match config.log.start() {
            Ok(()) => serve(config),
            Err(error) => failed(&error),
        },
    }
}

/// Also the files that it names, as a start would read them.
fn check_config(config: &Config) -> ExitCode {
    if let Err(error) = config.log.check() {
        return failed(&error);
    }
    if let Err(error) = authority::check(&config.authority, SystemClock.now()) {
        return failed(&error);
    }
    println!("the configuration is good");
    ExitCode::SUCCESS
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("ws-gateway: {error}");
    ExitCode::FAILURE
}

#[tokio::main]
async fn serve(config: Config) -> ExitCode {
    let traces = match Traces::start(&config.traces, "ws-gateway", config.gateway_id.as_str()) {
        Ok(traces) => traces,
        Err(error) => return failed(&error),
    };
    let gateway = match Gateway::start(config, Arc::new(SystemClock), Arc::new(SystemEntropy)) {
        Ok(gateway) => gateway,
        Err(error) => return failed(&error),
    };
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return failed(&error),
    };
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let stopped = gateway.run(stop).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
