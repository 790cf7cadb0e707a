//! The demonstration of Portcullis: one page, and the small back end that a microservice team would write for it.
//!
//! Owns: the process. It reads its settings, listens, says where, serves until it is asked to stop.
//! Guarantees: it listens on loopback only, and its API key and the users' tokens never reach its log.
//! Refuses: to start anywhere but on loopback, because whoever reaches it may log out and disable the demo's users.

mod api;
mod app;
mod authority;
mod edge;
mod guard;
mod page;
mod problem;
mod ready;
mod receipt;
mod settings;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::guard::Own;
use crate::settings::{Arguments, Settings};

/// How long connections may take to end after the request to stop.
const GRACE: Duration = Duration::from_secs(3);

/// Why the demonstration could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
enum RunError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// The authority's address is unusable.
    #[error("--authority is not an address: {0}")]
    Authority(#[from] tonic::transport::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Where.
        listen: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The file that tells where it listens cannot be written.
    #[error("cannot write the ready file: {0}")]
    Ready(#[source] std::io::Error),
    /// Listening or waiting for signals failed.
    #[error("serving failed: {0}")]
    Serve(#[source] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour).with_env_filter("info").init();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), RunError> {
    let settings = Settings::read(arguments)?;
    let listen = settings.listen;
    let listener = TcpListener::bind(listen).await.map_err(|source| RunError::Listen { listen, source })?;
    let bound = listener.local_addr().map_err(RunError::Serve)?;
    let app = App::new(&settings, Own::at(bound))?;
    let stop = stop_signal().map_err(RunError::Serve)?;
    if let Some(file) = &arguments.ready_file {
        ready::announce(file, bound).map_err(RunError::Ready)?;
    }
    tracing::info!("listening on http://{bound}");
    serve(listener, Arc::new(app), stop).await
}

/// Serves until asked to stop, then waits for open connections, at most for [`GRACE`].
async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, app::router(app)).with_graceful_shutdown(async move {
        stop.await;
        stopping.send_replace(true);
    });
    let late = async {
        // An error means that the server has ended and dropped its side: then this side must not win.
        if stopped.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => ended.map_err(RunError::Serve),
        () = late => Ok(()),
    }
}

/// Resolves at Ctrl-C or SIGTERM; the handlers are in place when this returns.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
