//! How many denied calls are written to the audit trail: each caller some, all together some more, the rest counted.
//!
//! Guarantees: whoever is refused over and over can neither fill the trail nor keep other writers waiting; the next row of
//! the same caller says how many were not written.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_types::{Boottime, CredentialId};

const WINDOW: Duration = Duration::from_secs(60);
/// Rows of one caller in a window.
const EACH: u32 = 10;
/// Rows of all callers in a window.
const ALL: u32 = 300;
/// Callers that are told apart; more share what is left of [`ALL`].
const MOST_CALLERS: usize = 1_024;

/// Who was denied in this window.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Boottime>,
    written: u32,
    callers: HashMap<CredentialId, Of>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Of {
    written: u32,
    unwritten: u64,
    seen: bool,
}

impl Denials {
    /// Whether one more of this caller is to be written, and how many of its were not since the last one that was.
    pub(crate) fn admit(&self, caller: CredentialId, now: Boottime) -> Option<u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).admit(caller, now)
    }
}

impl State {
    fn admit(&mut self, caller: CredentialId, now: Boottime) -> Option<u64> {
        if self.began.is_none_or(|began| now.saturating_since(began) >= WINDOW) {
            self.began = Some(now);
            self.written = 0;
            // What was not written is still to be told, to whoever goes on.
            self.callers.retain(|_, of| std::mem::take(&mut of.seen) && of.unwritten > 0);
            self.callers.values_mut().for_each(|of| of.written = 0);
        }
        if self.callers.len() >= MOST_CALLERS && !self.callers.contains_key(&caller) {
            return None;
        }
        let of = self.callers.entry(caller).or_default();
        of.seen = true;
        if of.written >= EACH || self.written >= ALL {
            of.unwritten += 1;
            return None;
        }
        of.written += 1;
        self.written += 1;
        Some(std::mem::take(&mut of.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(number: u64) -> CredentialId {
        CredentialId::from_bytes(u128::from(number).to_be_bytes())
    }

    #[test]
    fn a_caller_that_is_refused_over_and_over_is_written_a_few_times() {
        let (denials, start) = (Denials::default(), Boottime::from_nanos(0));
        let written = (0..100).filter(|_| denials.admit(caller(1), start).is_some()).count();
        assert_eq!(written, EACH as usize);
        assert_eq!(denials.admit(caller(2), start), Some(0), "another caller is written all the same");
        assert_eq!(denials.admit(caller(1), start + WINDOW), Some(90), "what was not written is told");
        assert_eq!(denials.admit(caller(1), start + WINDOW), Some(0), "once");
        denials.admit(caller(2), start + WINDOW + WINDOW + WINDOW);
        let state = denials.state.lock().expect("nobody panicked");
        assert_eq!(state.callers.len(), 1, "whoever no longer comes is forgotten");
    }

    #[test]
    fn many_callers_together_are_written_a_bounded_number_of_times() {
        let (denials, start) = (Denials::default(), Boottime::from_nanos(0));
        let written = (0..10_000).filter(|number| denials.admit(caller(*number), start).is_some()).count();
        assert_eq!(written, ALL as usize);
        let state = denials.state.lock().expect("nobody panicked");
        assert_eq!(state.callers.len(), MOST_CALLERS);
    }
}
