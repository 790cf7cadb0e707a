//! How both programs are watched over: the figures of the process, and a listener of its own for metrics.
//!
//! Owns what is the same for the authority and the gateway; their own series are their own.
//! Refuses to know anything of either.
#![forbid(unsafe_code)]

mod listener;
mod process;

pub use listener::{MetricsConfig, MetricsListener, Page};
pub use process::Process;
