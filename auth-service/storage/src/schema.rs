//! Which migrations a database has, and which this program has.

use std::collections::BTreeSet;

use sqlx::migrate::Migrator;

/// Both sides, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    applied: BTreeSet<i64>,
    known: BTreeSet<i64>,
}

impl Schema {
    pub(crate) fn new(applied: impl IntoIterator<Item = i64>, known: &Migrator) -> Self {
        let known = known.iter().map(|migration| migration.version).collect();
        Self { applied: applied.into_iter().collect(), known }
    }

    /// The newest migration that the database has; none for an empty one.
    pub fn newest(&self) -> Option<i64> {
        self.applied.last().copied()
    }

    /// What this program would apply.
    pub fn missing(&self) -> Vec<i64> {
        self.known.difference(&self.applied).copied().collect()
    }

    /// What a newer program has applied.
    pub fn unknown(&self) -> Vec<i64> {
        self.applied.difference(&self.known).copied().collect()
    }
}
