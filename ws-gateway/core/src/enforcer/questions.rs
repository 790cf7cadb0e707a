//! Questions open at the authority about connections that were admitted before.
//!
//! Owns who is being asked about, why, and by when an answer is needed. One question a connection at most, so it is
//! bounded by the registry.

use std::collections::BTreeMap;

use portcullis_types::Boottime;

use crate::connection_id::ConnectionId;

#[derive(Clone, Copy, Debug)]
struct Question {
    in_flight: bool,
    /// The last answer was ahead of the log: ask again when this entry has been applied.
    after: u64,
    /// The connection is suspended, and over if there is no answer by then.
    answer_by: Option<Boottime>,
    /// Asked because the log cannot be resumed: the lease is not renewed before the answer.
    reconciling: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<ConnectionId, Question>,
    reconciling: usize,
}

impl Questions {
    /// Opens a question, or adds to the one that is open. It goes out with the next [`Questions::take_unsent`].
    pub(super) fn ask(&mut self, connection: ConnectionId, answer_by: Option<Boottime>, reconciling: bool) {
        let question = self.open.entry(connection).or_insert(Question {
            in_flight: false,
            after: 0,
            answer_by: None,
            reconciling: false,
        });
        question.answer_by = match (question.answer_by, answer_by) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
        if reconciling && !question.reconciling {
            question.reconciling = true;
            self.reconciling += 1;
        }
    }

    /// Those not in flight that need not wait for a later entry; they are in flight now.
    pub(super) fn take_unsent(&mut self, applied: u64) -> Vec<ConnectionId> {
        let mut out = Vec::new();
        for (connection, question) in self.open.iter_mut().filter(|(_, question)| question.after <= applied) {
            if !std::mem::replace(&mut question.in_flight, true) {
                out.push(*connection);
            }
        }
        out
    }

    /// There was no answer, or one that decides nothing: ask again.
    pub(super) fn repeat(&mut self, connection: ConnectionId) {
        self.repeat_after(connection, 0);
    }

    /// The answer was ahead of the log: ask again when entry `seq` has been applied.
    pub(super) fn repeat_after(&mut self, connection: ConnectionId, seq: u64) {
        if let Some(question) = self.open.get_mut(&connection) {
            question.in_flight = false;
            question.after = seq;
        }
    }

    /// Answered, or no longer of interest.
    pub(super) fn withdraw(&mut self, connection: ConnectionId) {
        if self.open.remove(&connection).is_some_and(|question| question.reconciling) {
            self.reconciling -= 1;
        }
    }

    /// Those whose time is over.
    pub(super) fn overdue(&self, now: Boottime) -> Vec<ConnectionId> {
        let late = |question: &Question| question.answer_by.is_some_and(|by| now >= by);
        self.open.iter().filter(|(_, question)| late(question)).map(|(connection, _)| *connection).collect()
    }

    /// Whether somebody from before a resync is not judged yet.
    pub(super) const fn is_reconciling(&self) -> bool {
        self.reconciling > 0
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}
