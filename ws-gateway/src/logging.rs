//! Log lines: one event a line, as text or JSON, on standard error.
//!
//! Guarantees that nothing reaches a line but what a module of ours names as a field: URLs, headers and frames are
//! never fields. Refuses to start with a filter that cannot be read.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log.filter: {0}")]
pub struct InvalidFilter(#[from] tracing_subscriber::filter::ParseError);

/// Starts logging for the process; the first call wins.
pub fn start(config: &LogConfig) -> Result<(), InvalidFilter> {
    let lines =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(&config.filter)?).with_writer(std::io::stderr);
    // A second subscriber is refused by `tracing`; in one process with several gateways the first one stays.
    let _already_started = match config.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    Ok(())
}
