//! The recent part of the log, shared by all watchers.
//!
//! Owns the newest entries, contiguous and chained, bounded by count and by bytes. When it is full the oldest leaves;
//! a watcher that still needs it reads it from the store.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis_types::{Boottime, Revision};

use super::Entry;

/// How much a ring holds. The newest entry always stays, however large.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// At most so many entries.
    pub entries: usize,
    /// At most so many bytes.
    pub bytes: usize,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self { entries: 65_536, bytes: 64 << 20 }
    }
}

/// An entry that does not stand right after the ring's head: the log behind it is not the one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {found} does not follow {head}")]
pub struct NotContiguous {
    /// The ring's head.
    pub head: Revision,
    /// What came instead of the next entry.
    pub found: Revision,
}

/// Where the entry after a position is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Here, and since when.
    Entry(Arc<Entry>, Boottime),
    /// It left, or was there before this ring, and has been known at least since then: ask the store.
    Gone(Boottime),
    /// It is not known yet.
    NotYet,
}

/// The newest entries of the log.
#[derive(Debug)]
pub struct Ring {
    limits: RingLimits,
    entries: VecDeque<(Arc<Entry>, Boottime)>,
    bytes: usize,
    head: Revision,
    last_gone: Boottime,
}

impl Ring {
    /// Empty, at the head of the log as it was read at `now`.
    pub fn starting_at(head: Revision, limits: RingLimits, now: Boottime) -> Self {
        Self { limits, entries: VecDeque::new(), bytes: 0, head, last_gone: now }
    }

    /// The last entry that was appended.
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the next entry, and lets the oldest go while there is too much.
    pub fn append(&mut self, entry: Arc<Entry>, now: Boottime) -> Result<(), NotContiguous> {
        if !entry.follows(self.head) {
            return Err(NotContiguous { head: self.head, found: entry.revision() });
        }
        self.head = entry.revision();
        self.bytes += entry.weight();
        self.entries.push_back((entry, now));
        while self.entries.len() > 1 && (self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes) {
            if let Some((gone, since)) = self.entries.pop_front() {
                self.bytes -= gone.weight();
                self.last_gone = since;
            }
        }
        Ok(())
    }

    /// The position of entry `seq`, if it is the head or held here.
    pub fn revision_at(&self, seq: u64) -> Option<Revision> {
        if seq == self.head.seq {
            return Some(self.head);
        }
        match self.after(seq.checked_sub(1)?) {
            Found::Entry(entry, _) => Some(entry.revision()),
            Found::Gone(_) | Found::NotYet => None,
        }
    }

    /// By when entry `seq` was known here; none when it is not known yet.
    pub fn known_since(&self, seq: u64) -> Option<Boottime> {
        match self.after(seq.saturating_sub(1)) {
            Found::Entry(_, since) | Found::Gone(since) => Some(since),
            Found::NotYet => None,
        }
    }

    /// The entry after `seq`.
    pub fn after(&self, seq: u64) -> Found {
        if seq >= self.head.seq {
            return Found::NotYet;
        }
        let behind = self.head.seq - seq;
        let index = usize::try_from(behind).ok().and_then(|behind| self.entries.len().checked_sub(behind));
        match index.and_then(|index| self.entries.get(index)) {
            Some((entry, since)) => Found::Entry(Arc::clone(entry), *since),
            None => Found::Gone(self.last_gone),
        }
    }
}
