//! Where callers stand, for as long as nothing is committed.
//!
//! One process has the file, and one connection of it writes. So what was read while no commit was under way is what a look
//! would find until the next commit begins, whatever that is about: an entry of the log, a state, a use that is noted.
//! There is no rule here about which change is about which row, and no time.
//! Guarantees: whoever is told from here has asked before any later commit began. A commit that does not say how it ended
//! leaves nothing to be told ever after. Where another process writes, nothing is.
//! Kept is what calls are made with, API keys: the same few come with every call. What calls are about comes back seldom,
//! because gateways keep verdicts. Bounded: [`MOST`]; then all are forgotten.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use auth_domain::{CredentialKind, Head, StandingRows};
use portcullis_types::CredentialId;

/// How many are kept.
const MOST: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whether nothing is to be known ever after, and it was said.
    is_over: AtomicBool,
    kept: RwLock<Kept>,
}

/// What was read after the commit of this number ended, and before the next one began.
#[derive(Debug, Default)]
struct Kept {
    since: Quiet,
    rows: HashMap<CredentialId, (Head, Arc<StandingRows>)>,
}

/// No commit is under way, after so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quiet(u64);

/// A commit, which ends when it has said how it went. Dropped, it never does.
#[must_use]
#[derive(Debug)]
pub(super) struct Commit<'a> {
    known: &'a Known,
    has_ended: bool,
}

impl Known {
    /// Where another process commits.
    pub(super) fn nothing() -> Self {
        Self { begun: AtomicU64::new(1), is_over: AtomicBool::new(true), ..Self::default() }
    }

    /// Before a commit is sent to the database.
    pub(super) fn commit(&self) -> Commit<'_> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Commit { known: self, has_ended: false }
    }

    /// Whether no commit is under way.
    pub(super) fn quiet(&self) -> Option<Quiet> {
        // In this order: no more have ended than had begun, so what is equal was so when the second was read.
        let ended = self.ended.load(Ordering::SeqCst);
        (ended == self.begun.load(Ordering::SeqCst)).then_some(Quiet(ended))
    }

    /// What a look would find, when that is known.
    pub(super) fn find(&self, quiet: Quiet, credential: CredentialId) -> Option<(Head, Arc<StandingRows>)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.since == quiet { kept.rows.get(&credential).cloned() } else { None }
    }

    /// What a look found that began when it was quiet.
    pub(super) fn keep(&self, quiet: Quiet, head: Head, rows: &Arc<StandingRows>) {
        if rows.credential.kind != CredentialKind::ApiKey {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if quiet < kept.since {
            return;
        }
        if quiet > kept.since || kept.rows.len() >= MOST {
            kept.rows.clear();
        }
        kept.since = quiet;
        kept.rows.insert(rows.credential.id, (head, Arc::clone(rows)));
    }
}

impl Commit<'_> {
    /// It took place, or it did not: the connection answered.
    pub(super) fn end(mut self) {
        self.has_ended = true;
        self.known.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        if !self.has_ended && !self.known.is_over.swap(true, Ordering::Relaxed) {
            tracing::warn!("the outcome of a commit is unknown: callers are read from the database from now on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_when_as_many_commits_have_ended_as_began() {
        let known = Known::default();
        let before = known.quiet().expect("nothing was committed");
        let commit = known.commit();
        assert_eq!(known.quiet(), None);
        commit.end();
        assert!(known.quiet().expect("it has ended") > before);
        assert!(!known.is_over.load(Ordering::Relaxed));
    }

    #[test]
    fn a_commit_that_does_not_say_how_it_ended_leaves_nothing_known() {
        let known = Known::default();
        drop(known.commit());
        known.commit().end();
        assert_eq!(known.quiet(), None);
        assert!(known.is_over.load(Ordering::Relaxed), "the log says so once");
        assert_eq!(Known::nothing().quiet(), None);
    }
}
