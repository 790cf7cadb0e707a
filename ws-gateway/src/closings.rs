//! How many sockets are closed of those that each entry of the log fenced, until the authority has been told.
//!
//! Owns the counts of the newest entries that fenced somebody, at most [`MOST`]; when there is one more, one whose sockets
//! are all closed is forgotten, or the oldest where there is none. The authority keeps the last count it was told.
//! Guarantees that counting waits for nothing but other counting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_types::Revision;

/// Entries whose counts are kept.
const MOST: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Count {
    revision: Revision,
    fenced: u64,
    closed: u64,
    told: u64,
}

impl Count {
    const fn is_settled(&self) -> bool {
        self.closed >= self.fenced && self.told == self.closed
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Closings(Mutex<VecDeque<Count>>);

impl Closings {
    /// This entry fenced so many sockets.
    pub fn fenced(&self, revision: Revision, fenced: u64) {
        if fenced > 0 {
            self.change(revision, |count| count.fenced = fenced);
        }
    }

    /// A socket that this entry fenced is closed.
    pub fn count(&self, revision: Revision) {
        self.change(revision, |count| count.closed += 1);
    }

    fn change(&self, revision: Revision, change: impl FnOnce(&mut Count)) {
        let mut counts = self.lock();
        // Nearly always one of the newest.
        if let Some(count) = counts.iter_mut().rev().find(|count| count.revision == revision) {
            return change(count);
        }
        if counts.len() == MOST {
            let settled = counts.iter().position(Count::is_settled);
            counts.remove(settled.unwrap_or(0));
        }
        let mut count = Count { revision, fenced: 0, closed: 0, told: 0 };
        change(&mut count);
        counts.push_back(count);
    }

    /// At most `most` counts that the authority does not know; from now on they count as told.
    pub fn take_news(&self, most: usize) -> Vec<(Revision, u64)> {
        let mut counts = self.lock();
        let news = counts.iter_mut().filter(|count| count.told != count.closed).take(most);
        news.map(|count| {
            count.told = count.closed;
            (count.revision, count.closed)
        })
        .collect()
    }

    /// What was told may not have arrived: it is told again.
    pub fn tell_again(&self) {
        for count in self.lock().iter_mut() {
            count.told = 0;
        }
    }

    // Each step leaves the counts whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seq: u64) -> Revision {
        Revision { seq, chain: seq }
    }

    #[test]
    fn a_count_is_told_when_it_has_grown_and_again_on_a_new_watch() {
        let closings = Closings::default();
        for seq in [1, 2, 1] {
            closings.count(at(seq));
        }
        assert_eq!(closings.take_news(9), [(at(1), 2), (at(2), 1)]);
        assert_eq!(closings.take_news(9), []);
        closings.count(at(2));
        assert_eq!(closings.take_news(9), [(at(2), 2)]);
        closings.tell_again();
        assert_eq!(closings.take_news(1), [(at(1), 2)]);
        assert_eq!(closings.take_news(1), [(at(2), 2)]);
    }

    #[test]
    fn what_is_settled_gives_way_to_what_is_closed_slowly() {
        let closings = Closings::default();
        closings.fenced(at(0), 1_000);
        closings.count(at(0));
        for seq in 1..600 {
            closings.fenced(at(seq), 1);
            closings.count(at(seq));
            closings.take_news(9);
        }
        closings.count(at(0));
        assert_eq!(closings.take_news(9), [(at(0), 2)]);
        assert_eq!(closings.lock().len(), MOST);
    }

    #[test]
    fn the_oldest_count_gives_way() {
        let closings = Closings::default();
        for seq in 0..300 {
            closings.fenced(at(seq), 2);
            closings.count(at(seq));
        }
        assert_eq!(closings.lock().len(), MOST);
        assert_eq!(closings.take_news(1), [(at(44), 1)]);
    }
}
