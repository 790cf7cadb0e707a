//! Trying again what another writer was faster at.
//!
//! A store over several processes lets writers run side by side and refuses one of two that meet: it has left no trace,
//! so the whole of it is done again, on what the other left. Owns how often; then the caller is told.

use crate::{BeginError, RevokeError, StoreError};

/// How often in all.
const TRIES: u32 = 4;

/// Whether an operation was refused for that, and only for that.
pub(crate) trait Outrun {
    fn is_outrun(&self) -> bool;
}

impl Outrun for StoreError {
    fn is_outrun(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

impl Outrun for BeginError {
    fn is_outrun(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outrun())
    }
}

impl Outrun for RevokeError {
    fn is_outrun(&self) -> bool {
        match self {
            Self::Store(error) => error.is_outrun(),
            Self::Begin(error) => error.is_outrun(),
            _ => false,
        }
    }
}

/// Does it until nobody was faster.
pub(crate) async fn unless_outrun<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    E: Outrun,
    F: Future<Output = Result<T, E>>,
{
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.is_outrun() => {}
            outcome => return outcome,
        }
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Of futures that never wait.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn tries(failures: u32, error: fn() -> BeginError) -> (u32, bool) {
        let tried = Cell::new(0);
        let attempt = || {
            tried.set(tried.get() + 1);
            std::future::ready(if tried.get() > failures { Ok(()) } else { Err(error()) })
        };
        let outcome = now(unless_outrun(attempt));
        (tried.get(), outcome.is_ok())
    }

    #[test]
    fn what_another_writer_was_faster_at_is_tried_again_and_nothing_else_is() {
        let outrun = || BeginError::Store(StoreError::Conflict);
        assert_eq!(tries(0, outrun), (1, true));
        assert_eq!(tries(3, outrun), (4, true));
        assert_eq!(tries(9, outrun), (4, false), "then the caller is told");
        assert_eq!(tries(1, || BeginError::CallerRefused), (1, false));
    }
}
