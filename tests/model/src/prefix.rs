//! Prefixes of the log, and revisions.
//!
//! Owns one fact: the chain is a hash without collisions, so a revision `(seq, chain)` *is* the prefix it names. Where
//! a faulty rule looks at the sequence number alone, it looks at the length.

use std::fmt;

/// The row that is the revocation of interest, X.
pub(crate) const REVOCATION: u8 = 7;

const BITS: u8 = 3;
const MOST_ROWS: u8 = 5;

/// The first rows of a log, three bits each; a row 0 is a hole, which only the sequence-column mutant makes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    rows: u16,
    len: u8,
}

impl Prefix {
    pub(crate) const EMPTY: Self = Self { rows: 0, len: 0 };

    /// The sequence number of the last row.
    pub(crate) const fn len(self) -> u8 {
        self.len
    }

    pub(crate) const fn row(self, seq: u8) -> u8 {
        ((self.rows >> (BITS * (seq - 1))) & 7) as u8
    }

    /// Its first `len` rows.
    pub(crate) const fn cut(self, len: u8) -> Self {
        if len >= self.len { self } else { Self { rows: self.rows & ((1 << (BITS * len)) - 1), len } }
    }

    /// With `row` as the row `seq`.
    pub(crate) fn with(self, seq: u8, row: u8) -> Self {
        debug_assert!(seq <= MOST_ROWS && self.rows >> (BITS * (seq - 1)) & 7 == 0);
        Self { rows: self.rows | u16::from(row) << (BITS * (seq - 1)), len: self.len.max(seq) }
    }

    /// With `row` after its last.
    pub(crate) fn then(self, row: u8) -> Self {
        self.with(self.len + 1, row)
    }

    /// Without the rows of `hidden`, and not longer than the last one left.
    pub(crate) fn without(self, hidden: u16) -> Self {
        let rows = self.rows & !hidden;
        let len = (1..=self.len).rev().find(|seq| Self { rows, len: self.len }.row(*seq) != 0).unwrap_or(0);
        Self { rows, len }
    }

    /// The bits of one row, for [`Prefix::without`].
    pub(crate) const fn mask(seq: u8) -> u16 {
        7 << (BITS * (seq - 1))
    }

    /// Whether `branch` begins with it.
    pub(crate) fn is_on(self, branch: Self) -> bool {
        self.len <= branch.len && branch.cut(self.len) == self
    }

    /// Where X stands in it; 0 if it does not.
    pub(crate) fn revocation(self) -> u8 {
        (1..=self.len).find(|seq| self.row(*seq) == REVOCATION).unwrap_or(0)
    }

    /// Whether X is in it.
    pub(crate) fn has_revocation(self) -> bool {
        self.revocation() != 0
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.len)?;
        for seq in 1..=self.len {
            match self.row(seq) {
                REVOCATION => write!(f, "X")?,
                row => write!(f, "{row}")?,
            }
        }
        Ok(())
    }
}
