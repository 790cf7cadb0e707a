//! How many sockets are closed of those that each entry of the log fenced, until the authority has been told.
//!
//! Owns the counts of the newest entries that fenced somebody, at most [`MOST`]; when there is one more the oldest is
//! forgotten, and the authority keeps the last count it was told.
//! Guarantees that counting waits for nothing but other counting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_types::Revision;

/// Entries whose counts are kept.
const MOST: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Count {
    revision: Revision,
    closed: u64,
    told: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Closings(Mutex<VecDeque<Count>>);

impl Closings {
    /// A socket that this entry fenced is closed.
    pub fn count(&self, revision: Revision) {
        let mut counts = self.lock();
        // Nearly always one of the newest.
        if let Some(count) = counts.iter_mut().rev().find(|count| count.revision == revision) {
            count.closed += 1;
            return;
        }
        if counts.len() == MOST {
            counts.pop_front();
        }
        counts.push_back(Count { revision, closed: 1, told: 0 });
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
    fn the_oldest_count_gives_way() {
        let closings = Closings::default();
        for seq in 0..300 {
            closings.count(at(seq));
        }
        assert_eq!(closings.lock().len(), MOST);
        assert_eq!(closings.take_news(1), [(at(44), 1)]);
    }
}
