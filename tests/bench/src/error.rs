//! Why a row was not measured.

use std::fmt::Display;

/// Something that a benchmark needed did not work.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub(crate) struct BenchError {
    what: String,
    cause: String,
}

impl BenchError {
    /// `what` was to be done, and `cause` prevented it.
    pub(crate) fn new(what: impl Into<String>, cause: impl Display) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}

/// What a step of a benchmark gives.
pub(crate) type Outcome<T> = Result<T, BenchError>;

/// Says what was to be done when it failed.
pub(crate) trait While<T> {
    /// Adds what was to be done.
    fn during(self, what: &str) -> Outcome<T>;
}

impl<T, E: Display> While<T> for Result<T, E> {
    fn during(self, what: &str) -> Outcome<T> {
        self.map_err(|cause| BenchError::new(what, cause))
    }
}

impl<T> While<T> for Option<T> {
    fn during(self, what: &str) -> Outcome<T> {
        self.ok_or_else(|| BenchError::new(what, "it is not there"))
    }
}
