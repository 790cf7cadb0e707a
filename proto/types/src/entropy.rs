//! Chance, as an argument: the only file that asks for random bytes.

use std::fmt;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// A source of random bytes. Held as `Arc<dyn Entropy>` at the edge.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// An array of random bytes.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number, evenly over all values.
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// The operating system's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the file that implements chance")]
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the kernel's random source answers on every supported system");
    }
}

/// The same bytes for the same seed: for tests, never for secrets.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    drawn: Mutex<u64>,
}

impl SeededEntropy {
    /// Starts at the beginning of the seed's bytes.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: Mutex::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut drawn = self.drawn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for block in out.chunks_mut(32) {
            *drawn += 1;
            let bytes =
                Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(drawn.to_le_bytes()).finalize();
            block.copy_from_slice(&bytes[..block.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_two_seeds_differ() {
        let draw = |seed| {
            let source: Box<dyn Entropy> = Box::new(SeededEntropy::new(seed));
            (source.u64(), source.array::<40>())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
