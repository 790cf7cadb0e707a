//! How long to wait before trying again.

use std::time::Duration;

use crate::Entropy;

/// Exponential backoff with full jitter: each delay is drawn evenly from zero to a ceiling that doubles.
///
/// Full jitter spreads many clients that failed together better than any fixed part would.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// The first ceiling, and the last.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// The delay after one more failure.
    pub fn next_delay(&mut self, entropy: &dyn Entropy) -> Duration {
        let ceiling = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(entropy.u64() % nanos.saturating_add(1))
    }

    /// It worked: the next failure starts from the first ceiling.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn delays_stay_under_a_ceiling_that_doubles_to_the_most() {
        let entropy = SeededEntropy::new(7);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for ceiling in [100, 200, 400, 800, 1_000, 1_000] {
            assert!(backoff.next_delay(&entropy) <= Duration::from_millis(ceiling));
        }
        backoff.reset();
        assert!(backoff.next_delay(&entropy) <= Duration::from_millis(100));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let entropy = SeededEntropy::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..100 {
            assert!(backoff.next_delay(&entropy) <= Duration::from_secs(30));
        }
    }
}
