//! `[password]`: how passwords are hashed.

use serde::Deserialize;

use super::Rule;

/// `[password]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Password {
    /// argon2id's memory for one hash.
    pub(crate) memory_kib: u32,
    /// argon2id's passes.
    pub(crate) iterations: u32,
    /// argon2id's lanes.
    pub(crate) parallelism: u32,
    /// How many hashes are computed at once.
    pub(crate) workers: usize,
    /// How many more may wait; beyond that a login is refused as overloaded.
    pub(crate) queue: usize,
}

impl Default for Password {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, workers: 2, queue: 64 }
    }
}

impl Password {
    /// Which of its keys may not be used.
    pub(super) fn rules(&self) -> [Rule; 4] {
        [
            (
                self.parallelism > 0 && (8 * self.parallelism..=1 << 20).contains(&self.memory_kib),
                "password.memory_kib",
                "must be 8 × `password.parallelism` to 1048576",
            ),
            ((1..=64).contains(&self.iterations), "password.iterations", "must be 1 to 64"),
            ((1..=64).contains(&self.workers), "password.workers", "must be 1 to 64"),
            ((1..=65_536).contains(&self.queue), "password.queue", "must be 1 to 65536"),
        ]
    }
}
