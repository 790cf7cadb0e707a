//! The revocation index: what has been revoked lately, and the branch of history it was revoked on.
//!
//! Owns V of the protocol: for each key the newest entry that names it, complete for every entry in `(floor, applied]`,
//! and the chain at each position in `[floor, applied]`.
//! Guarantees: [`RevocationIndex::append`] takes only the next entry of the chain (I8); evicting raises the floor
//! before it forgets (I11), so a verdict that is too old to be judged is sent back to the authority, never let in.
//! Refuses: to compare revisions of different branches.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use portcullis_types::{Boottime, KeyDigest, KeyKind, Revision};

use crate::faults::{Fault, is_broken};

/// What an entry does to what rests on its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is dead.
    Kill,
    /// The authority must be asked again.
    Reauthorize,
}

/// One key of one entry, and what happens to what rests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    /// The key.
    pub(crate) key: KeyDigest,
    /// What happens.
    pub(crate) effect: Effect,
    /// How many of the connections that it kills are closed in a second; 0: as this gateway is set up.
    pub(crate) closes_per_second: u32,
}

/// Not the next entry of the chain: the watch must be resumed or begun anew, nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {got} does not follow {applied}")]
pub(crate) struct NotNext {
    /// What has been applied.
    pub(crate) applied: Revision,
    /// What came.
    pub(crate) got: Revision,
}

/// How a verdict stands against what has been revoked since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing it rests on has been named since.
    Current,
    /// It was made after the last entry applied here: wait for that entry.
    Ahead,
    /// It cannot be judged here (too old, or of another branch), or something it rests on changed or was killed since and
    /// its credential may be good all the same: ask the authority again.
    Stale,
    /// Something that its credential cannot outlive was killed since.
    Killed(KeyKind),
}

#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    kill: u64,
    reauthorize: u64,
}

#[derive(Debug)]
struct Entry {
    chain: u64,
    applied_at: Boottime,
    keys: Box<[KeyDigest]>,
}

/// V: see the module.
#[derive(Debug)]
pub(crate) struct RevocationIndex {
    newest: HashMap<KeyDigest, Newest>,
    floor: Revision,
    /// Entries `floor.seq + 1 ..= applied.seq`.
    entries: VecDeque<Entry>,
    keys: usize,
    most_keys: usize,
    window: Duration,
}

impl RevocationIndex {
    /// Knows nothing older than `start`. Holds at most `most_keys` keys, and none for longer than `window`: what is
    /// older is forgotten, oldest first, and the floor rises.
    pub(crate) fn starting_at(start: Revision, most_keys: usize, window: Duration) -> Self {
        Self { newest: HashMap::new(), floor: start, entries: VecDeque::new(), keys: 0, most_keys, window }
    }

    /// The last entry applied.
    pub(crate) fn applied(&self) -> Revision {
        self.entries
            .back()
            .map_or(self.floor, |last| Revision { seq: self.floor.seq + self.entries.len() as u64, chain: last.chain })
    }

    /// How many keys are remembered.
    pub(crate) const fn len(&self) -> usize {
        self.keys
    }

    /// Whether this is the next entry of the chain.
    pub(crate) fn check_next(&self, revision: Revision, previous_chain: u64) -> Result<(), NotNext> {
        let applied = self.applied();
        let on_chain = previous_chain == applied.chain || is_broken(Fault::NoChain);
        if revision.seq == applied.seq.wrapping_add(1) && on_chain {
            Ok(())
        } else {
            Err(NotNext { applied, got: revision })
        }
    }

    /// Takes the next entry in.
    pub(crate) fn append(
        &mut self,
        revision: Revision,
        previous_chain: u64,
        facts: &[Fact],
        now: Boottime,
    ) -> Result<(), NotNext> {
        self.check_next(revision, previous_chain)?;
        for fact in facts {
            let newest = self.newest.entry(fact.key).or_default();
            match fact.effect {
                Effect::Kill => newest.kill = revision.seq,
                Effect::Reauthorize => newest.reauthorize = revision.seq,
            }
        }
        self.keys += facts.len();
        let keys = facts.iter().map(|fact| fact.key).collect();
        self.entries.push_back(Entry { chain: revision.chain, applied_at: now, keys });
        while self.keys > self.most_keys && self.evict_oldest() {}
        Ok(())
    }

    /// Forgets what is older than the window.
    pub(crate) fn forget_old(&mut self, now: Boottime) {
        while self.entries.front().is_some_and(|oldest| now.saturating_since(oldest.applied_at) >= self.window)
            && self.evict_oldest()
        {}
    }

    fn evict_oldest(&mut self) -> bool {
        if is_broken(Fault::ForgottenSilently) {
            return self.forget_silently();
        }
        let Some(oldest) = self.entries.pop_front() else { return false };
        // The floor first: from here on no verdict from before this entry is judged by what is forgotten next.
        self.floor = Revision { seq: self.floor.seq + 1, chain: oldest.chain };
        self.keys -= oldest.keys.len();
        for key in &oldest.keys {
            let floor = self.floor.seq;
            if self.newest.get(key).is_some_and(|newest| newest.kill.max(newest.reauthorize) <= floor) {
                self.newest.remove(key);
            }
        }
        true
    }

    /// The fault: keys are gone, and the floor stays below them.
    fn forget_silently(&mut self) -> bool {
        let Some(oldest) = self.entries.iter_mut().find(|entry| !entry.keys.is_empty()) else { return false };
        let keys = std::mem::take(&mut oldest.keys);
        self.keys -= keys.len();
        for key in &keys {
            self.newest.remove(key);
        }
        true
    }

    /// The chain at a position in `[floor, applied]`.
    pub(crate) fn chain_at(&self, seq: u64) -> Option<u64> {
        let offset = seq.checked_sub(self.floor.seq)?;
        match offset.checked_sub(1) {
            None => Some(self.floor.chain),
            Some(index) => self.entries.get(usize::try_from(index).ok()?).map(|entry| entry.chain),
        }
    }

    /// How a verdict made at `revision` and resting on `keys` stands, whose credential is over with those that `is_end`
    /// says when they are killed. It stands no more when any of them is.
    pub(crate) fn standing(
        &self,
        revision: Revision,
        keys: &[KeyDigest],
        is_end: impl Fn(&KeyDigest) -> bool,
    ) -> Standing {
        if revision.seq > self.applied().seq {
            return Standing::Ahead;
        }
        match self.chain_at(revision.seq) {
            Some(chain) if chain == revision.chain || is_broken(Fault::NoChain) => {}
            None if is_broken(Fault::FloorUnchecked) => {}
            // Below the floor, or of another branch.
            Some(_) | None => return Standing::Stale,
        }
        let mut standing = Standing::Current;
        for key in keys {
            let Some(newest) = self.newest.get(key) else { continue };
            if newest.kill > revision.seq && is_end(key) {
                return Standing::Killed(key.kind);
            }
            if newest.kill.max(newest.reauthorize) > revision.seq {
                standing = Standing::Stale;
            }
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Boottime = Boottime::from_nanos(1_000_000_000);
    const START: Revision = Revision { seq: 10, chain: 100 };

    fn key(n: u8) -> KeyDigest {
        KeyDigest { kind: KeyKind::Session, id: [n; 16] }
    }

    /// Every key is one that the credential cannot outlive, but that of 7.
    fn end(key: &KeyDigest) -> bool {
        key.id != [7; 16]
    }

    fn kill(n: u8) -> Fact {
        Fact { key: key(n), effect: Effect::Kill, closes_per_second: 0 }
    }

    fn at(seq: u64) -> Revision {
        Revision { seq, chain: seq * 10 }
    }

    fn index(most_keys: usize) -> RevocationIndex {
        RevocationIndex::starting_at(START, most_keys, Duration::from_secs(60))
    }

    fn append(index: &mut RevocationIndex, facts: &[Fact]) {
        let applied = index.applied();
        index.append(at(applied.seq + 1), applied.chain, facts, NOW).expect("the next entry");
    }

    #[test]
    fn only_the_next_entry_of_the_chain_is_taken() {
        let mut index = index(10);
        for (revision, previous) in [(at(12), 100), (at(11), 99), (at(10), 100), (at(0), 100)] {
            assert!(index.append(revision, previous, &[kill(1)], NOW).is_err());
            assert_eq!((index.applied(), index.len()), (START, 0));
        }
        assert!(index.append(at(11), 100, &[kill(1)], NOW).is_ok());
        assert_eq!(index.applied(), at(11));
    }

    #[test]
    fn an_entry_ends_older_verdicts_and_leaves_newer_ones() {
        let mut index = index(10);
        append(&mut index, &[kill(1)]);
        assert_eq!(index.standing(START, &[key(1)], end), Standing::Killed(KeyKind::Session));
        assert_eq!(index.standing(at(11), &[key(1)], end), Standing::Current);
        assert_eq!(index.standing(START, &[key(2)], end), Standing::Current);
    }

    #[test]
    fn a_change_of_grants_sends_older_verdicts_back_and_a_kill_outweighs_it() {
        let mut index = index(10);
        append(&mut index, &[Fact { key: key(1), effect: Effect::Reauthorize, closes_per_second: 0 }]);
        assert_eq!(index.standing(START, &[key(1)], end), Standing::Stale);
        assert_eq!(index.standing(at(11), &[key(1)], end), Standing::Current);
        append(&mut index, &[kill(2)]);
        assert_eq!(index.standing(START, &[key(1), key(2)], end), Standing::Killed(KeyKind::Session));
    }

    #[test]
    fn a_kill_that_the_credential_may_outlive_sends_older_verdicts_back_and_one_that_it_cannot_outweighs_it() {
        let mut index = index(10);
        append(&mut index, &[kill(7)]);
        assert_eq!(index.standing(START, &[key(7), key(1)], end), Standing::Stale);
        assert_eq!(index.standing(at(11), &[key(7), key(1)], end), Standing::Current);
        append(&mut index, &[kill(1)]);
        for keys in [[key(7), key(1)], [key(1), key(7)]] {
            assert_eq!(index.standing(START, &keys, end), Standing::Killed(KeyKind::Session));
        }
    }

    #[test]
    fn a_verdict_of_another_branch_is_sent_back() {
        let index = index(10);
        assert_eq!(index.standing(Revision { seq: 10, chain: 101 }, &[], end), Standing::Stale);
    }

    #[test]
    fn a_verdict_newer_than_what_is_applied_waits() {
        assert_eq!(index(10).standing(at(11), &[], end), Standing::Ahead);
    }

    #[test]
    fn evicting_raises_the_floor_and_older_verdicts_are_sent_back_not_let_in() {
        let mut index = index(2);
        for n in 1..=3 {
            append(&mut index, &[kill(n)]);
        }
        assert_eq!(index.floor, at(11));
        assert_eq!(index.standing(START, &[key(1)], end), Standing::Stale);
        assert_eq!(index.standing(at(11), &[key(2)], end), Standing::Killed(KeyKind::Session));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn a_key_named_again_outlives_the_eviction_of_its_older_entry() {
        let mut index = index(2);
        for n in [1, 2, 1] {
            append(&mut index, &[kill(n)]);
        }
        assert_eq!(index.standing(at(12), &[key(1)], end), Standing::Killed(KeyKind::Session));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut index = index(10);
        append(&mut index, &[kill(1)]);
        index.forget_old(NOW + Duration::from_secs(59));
        assert_eq!(index.len(), 1);
        index.forget_old(NOW + Duration::from_secs(60));
        assert_eq!((index.len(), index.floor, index.applied()), (0, at(11), at(11)));
        assert_eq!(index.standing(START, &[key(1)], end), Standing::Stale);
    }
}
