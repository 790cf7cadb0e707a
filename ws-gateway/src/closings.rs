//! How many sockets are closed of those that each entry of the log fenced, until the authority has been told.
//!
//! Owns the counts of the newest entries that fenced somebody, at most [`MOST`]; when there is one more, one whose sockets
//! are all closed is forgotten, or the oldest where there is none. The authority keeps the last count it was told.
//! Guarantees that counting waits for nothing but other counting, and that whoever listens on a new watch hears every
//! count with what it is a part of: it may be another replica, which knows nothing of the entry from us.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_types::Revision;

/// Entries whose counts are kept.
const MOST: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Count {
    revision: Revision,
    fenced: u64,
    /// From the entry's arrival to the last fence.
    apply: Duration,
    closed: u64,
    /// On this watch; none: not even that it is counted.
    told: Option<u64>,
    /// On any watch.
    ever_told: u64,
}

impl Count {
    fn is_settled(&self) -> bool {
        self.closed >= self.fenced && !self.is_news()
    }

    fn is_news(&self) -> bool {
        self.told != Some(self.closed)
    }
}

/// What the authority is told of an entry's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Which entry.
    pub revision: Revision,
    /// How many sockets it fenced.
    pub fenced: u64,
    /// From its arrival to the last fence.
    pub apply: Duration,
    /// How many of them are closed.
    pub closed: u64,
    /// No more of them than was said on an earlier watch.
    pub again: bool,
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

    /// Fencing them took so long, from the arrival of the entry; nothing to an entry that fenced none.
    pub fn took(&self, revision: Revision, apply: Duration) {
        if let Some(count) = self.lock().iter_mut().rev().find(|count| count.revision == revision) {
            count.apply = apply;
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
        // `Applied` tells of it.
        let told = Some(0);
        let mut count = Count { revision, fenced: 0, apply: Duration::ZERO, closed: 0, told, ever_told: 0 };
        change(&mut count);
        counts.push_back(count);
    }

    /// At most `most` counts that the authority does not know; from now on they count as told.
    pub fn take_news(&self, most: usize) -> Vec<News> {
        let mut counts = self.lock();
        let news = counts.iter_mut().filter(|count| count.is_news()).take(most);
        news.map(|count| {
            let Count { revision, fenced, apply, closed, ever_told, .. } = *count;
            (count.told, count.ever_told) = (Some(closed), closed);
            News { revision, fenced, apply, closed, again: closed <= ever_told }
        })
        .collect()
    }

    /// There is a new watch: what was told may not have arrived, or elsewhere. It is told again, what no socket is closed
    /// of as well.
    pub fn tell_again(&self) {
        for count in self.lock().iter_mut() {
            count.told = None;
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

    fn told(closings: &Closings, most: usize) -> Vec<(Revision, u64, bool)> {
        closings.take_news(most).into_iter().map(|news| (news.revision, news.closed, news.again)).collect()
    }

    #[test]
    fn a_count_is_told_when_it_has_grown_and_again_on_a_new_watch() {
        let closings = Closings::default();
        for seq in [1, 2, 1] {
            closings.count(at(seq));
        }
        assert_eq!(told(&closings, 9), [(at(1), 2, false), (at(2), 1, false)]);
        assert_eq!(told(&closings, 9), []);
        closings.count(at(2));
        assert_eq!(told(&closings, 9), [(at(2), 2, false)]);
        closings.tell_again();
        assert_eq!(told(&closings, 1), [(at(1), 2, true)]);
        closings.count(at(2));
        assert_eq!(told(&closings, 1), [(at(2), 3, false)], "it has grown meanwhile, and that was not said before");
    }

    #[test]
    fn a_new_watch_hears_what_was_fenced_before_anybody_is_closed() {
        let closings = Closings::default();
        let apply = Duration::from_micros(80);
        closings.fenced(at(1), 10);
        closings.took(at(1), apply);
        assert_eq!(closings.take_news(9), [], "as long as `Applied` has said so");
        closings.tell_again();
        let fenced = News { revision: at(1), fenced: 10, apply, closed: 0, again: true };
        assert_eq!(closings.take_news(9), [fenced]);
        closings.count(at(1));
        assert_eq!(closings.take_news(9), [News { closed: 1, again: false, ..fenced }]);
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
        assert_eq!(told(&closings, 9), [(at(0), 2, false)]);
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
        assert_eq!(told(&closings, 1), [(at(44), 1, false)]);
    }
}
