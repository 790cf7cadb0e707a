//! Log lines: one event a line, as text or JSON, on standard error.
//!
//! What a peer sent (URLs, headers, bodies, frames) is never a field of an event or a span of ours. What libraries say is as
//! much as the filter lets through; JSON leaves out the spans around an event, text names them.
//! Refuses a filter that cannot be read.

use std::io::{self, IsTerminal as _};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// `[log]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Text for people or JSON for programs; one event a line.
    pub format: LogFormat,
    /// Which events, such as `info` or `info,ws_gateway=debug`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log.filter: {0}")]
pub struct InvalidFilter(#[from] tracing_subscriber::filter::ParseError);

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl LogConfig {
    /// Whether it could be started with.
    pub fn check(&self) -> Result<(), InvalidFilter> {
        self.read().map(drop)
    }

    /// Starts writing events for the process; the first call wins.
    pub fn start(&self) -> Result<(), InvalidFilter> {
        let events = tracing_subscriber::fmt().with_env_filter(self.read()?).with_writer(io::stderr);
        // A second subscriber is refused by `tracing`; in one process with several gateways the first one stays.
        let _already_started = match self.format {
            LogFormat::Text => events.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => {
                events.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
            }
        };
        Ok(())
    }

    fn read(&self) -> Result<EnvFilter, InvalidFilter> {
        Ok(EnvFilter::try_new(&self.filter)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_named_before_anything_starts() {
        let with = |filter: &str| LogConfig { filter: filter.to_owned(), ..LogConfig::default() };
        assert!(LogConfig::default().check().is_ok());
        assert!(with("info,ws_gateway=debug").check().is_ok());
        let refused = with("ws_gateway=loud").check().expect_err("loud is no level").to_string();
        assert!(refused.starts_with("log.filter: "), "{refused}");
    }
}
