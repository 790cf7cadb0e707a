//! One event a line, as text or JSON, on standard error.
//!
//! Refuses: credentials. Nothing that is logged anywhere in this program is taken from a request's body or its
//! `Authorization` and `Cookie` headers.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("configuration: `log.filter`: {0}")]
pub(crate) struct InvalidFilter(#[from] tracing_subscriber::filter::ParseError);

/// Checks the filter without starting anything.
pub(crate) fn filter(log: &Log) -> Result<EnvFilter, InvalidFilter> {
    Ok(EnvFilter::builder().parse(&log.filter)?)
}

/// Starts writing events; once a process.
pub(crate) fn start(log: &Log) -> Result<(), InvalidFilter> {
    let events = tracing_subscriber::fmt().with_env_filter(filter(log)?).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => events.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
    Ok(())
}
