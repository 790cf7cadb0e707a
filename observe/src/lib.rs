//! How both programs are watched over: the figures of the process, a listener of its own for metrics, and traces.
//!
//! Owns what is the same for the authority and the gateway; their own series and spans are their own.
//! Refuses to know anything of either.
#![forbid(unsafe_code)]

mod listener;
mod process;
mod traces;

pub use listener::{MetricsConfig, MetricsListener, Page};
pub use process::Process;
pub use traces::{Kind, Parent, Span, Traces, TracesConfig, TracesError};
