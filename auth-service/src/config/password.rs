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

/// The least that protects a password (OWASP, Password Storage Cheat Sheet): with so much memory, so many passes.
const ENOUGH: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

impl Password {
    /// Which of its keys may not be used.
    pub(super) fn rules(&self) -> [Rule; 5] {
        let is_enough = ENOUGH.iter().any(|(memory, passes)| self.memory_kib >= *memory && self.iterations >= *passes);
        [
            (
                self.parallelism > 0 && (8 * self.parallelism..=1 << 20).contains(&self.memory_kib),
                "password.memory_kib",
                "must be 8 × `password.parallelism` to 1048576",
            ),
            ((1..=64).contains(&self.iterations), "password.iterations", "must be 1 to 64"),
            (
                is_enough,
                "password.memory_kib",
                "is too weak: at least 47104 with 1 of `password.iterations`, 19456 with 2, 12288 with 3, 9216 with 4, or 7168 with 5",
            ),
            ((1..=64).contains(&self.workers), "password.workers", "must be 1 to 64"),
            ((1..=65_536).contains(&self.queue), "password.queue", "must be 1 to 65536"),
        ]
    }
}
