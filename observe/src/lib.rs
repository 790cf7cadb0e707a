//! How both programs are watched over: its log lines and figures, a listener of its own for
//! metrics, traces, how long its certificates are good, and where it listens.
//!
//! Owns what is the same for the authority and the gateway; their own series and spans are their own.
//! Refuses to know anything of either.
#![forbid(unsafe_code)]

mod certificate;
mod listener;
mod log;
mod process;
mod ready;
mod traces;

pub use certificate::CertificateWatch;
pub use listener::{MetricsConfig, MetricsListener, Page};
pub use log::{InvalidFilter, LogConfig, LogFormat};
pub use process::Process;
pub use ready::announce;
pub use traces::{Kind, Parent, Span, Traces, TracesConfig, TracesError};
