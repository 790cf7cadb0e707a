//! Forgetting the oldest entries of the log.
//!
//! Guarantees: the horizon is published in the transaction that deletes (I17), and never comes to the newest entry, so
//! that the head can be checked against an entry for ever. What goes was read, hashed anew and chained up to the entry that
//! stays: a compaction never makes a damaged log look whole. What was begun at a position that goes, on another branch, is
//! dead by that position alone: it is marked in the same transaction, because from then on nobody can tell.

use portcullis_types::Timestamp;

use super::{RetentionRules, Tidied};
use crate::log_check::{LogFault, follows};
use crate::{Authority, LogEntry, StoreError, TrailFault};

/// How many entries one transaction deletes at most.
const AT_ONCE: u32 = 250;

/// Why nothing was removed from the log or the audit trail.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The log is damaged, and stays as it is.
    #[error("the log is not compacted, because it is not whole: {0}")]
    Damaged(LogFault),
    /// The audit trail is damaged, and stays as it is.
    #[error("no audit row is removed, because the trail is not whole: {0}")]
    Trail(TrailFault),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LogFault> for CompactError {
    fn from(fault: LogFault) -> Self {
        match fault {
            LogFault::Store(error) => Self::Store(error),
            fault => Self::Damaged(fault),
        }
    }
}

impl Authority {
    /// Deletes some of the entries that are old enough.
    pub async fn compact_log(&self, rules: &RetentionRules) -> Result<Tidied, CompactError> {
        let horizon = self.store().horizon().await?;
        // Beside the writers: entries that are there do not change. One more, because the last one of a page stays.
        let page = self.store().log_after(horizon, AT_ONCE + 1).await?;
        let before = self.over_for(rules.log());
        let next = match next_horizon(horizon, &page, before) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Tidied::Nothing),
            // Another process compacted between the two reads.
            Err(LogFault::Missing(seq)) if self.store().horizon().await? >= seq => return Ok(Tidied::Elsewhere),
            Err(fault) => return Err(fault.into()),
        };
        // Beside the writers too: what is issued from now on has a position that is on this log.
        let lost = self.store().read().await?.count_lost(horizon, next, 1).await? > 0;
        let Some(mut turn) = self.turn().await? else { return Ok(Tidied::Elsewhere) };
        if lost {
            turn.tx.mark_lost(horizon, next).await?;
        }
        if !turn.tx.move_horizon(horizon, next).await? {
            return Ok(Tidied::Elsewhere);
        }
        Ok(self.end_turn(turn, next - horizon).await?)
    }
}

/// The last entry that may go, of a page that begins after the horizon: all up to it were committed before `before`, and
/// each is followed by one that is there.
fn next_horizon(horizon: u64, page: &[LogEntry], before: Timestamp) -> Result<Option<u64>, LogFault> {
    let (mut next, mut seq, mut chain) = (None, horizon, None);
    for entry in page {
        follows(entry, seq, chain)?;
        // The one before it is followed by this one: now it may go.
        next = (seq > horizon).then_some(seq);
        if entry.committed_at >= before {
            return Ok(next);
        }
        (seq, chain) = (entry.seq, Some(entry.chain));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use portcullis_types::Chain;

    use super::*;

    /// Entries from 6 on, committed at these seconds.
    fn page(seconds: &[i64]) -> Vec<LogEntry> {
        let mut chain = Chain::from_bytes([7; 16]);
        let entries = seconds.iter().zip(6..).map(|(at, seq)| {
            let previous = chain;
            chain = previous.extended_by(b"entry");
            let committed_at = Timestamp::from_unix_seconds(*at);
            LogEntry { seq, previous, chain, payload: b"entry".to_vec(), committed_at }
        });
        entries.collect()
    }

    fn next(page: &[LogEntry]) -> Option<u64> {
        next_horizon(5, page, Timestamp::from_unix_seconds(100)).expect("it is whole")
    }

    #[test]
    fn the_newest_entry_and_what_comes_after_a_young_one_stay() {
        for (seconds, expected) in [
            (&[][..], None),
            (&[1], None),
            (&[1, 2], Some(6)),
            (&[1, 2, 3], Some(7)),
            (&[1, 2, 100], Some(7)),
            (&[1, 100, 2, 3], Some(6)),
            (&[100, 2, 3], None),
            (&[99, 100], Some(6)),
        ] {
            assert_eq!(next(&page(seconds)), expected, "{seconds:?}");
        }
    }

    #[test]
    fn a_damaged_log_is_not_compacted() {
        let whole = page(&[1, 2, 3, 4]);
        let damaged = |damage: fn(&mut Vec<LogEntry>)| {
            let mut page = whole.clone();
            damage(&mut page);
            next_horizon(5, &page, Timestamp::from_unix_seconds(100)).expect_err("it is damaged")
        };
        assert!(matches!(damaged(|page| drop(page.remove(0))), LogFault::Missing(6)));
        assert!(matches!(damaged(|page| drop(page.remove(2))), LogFault::Missing(8)));
        assert!(matches!(damaged(|page| page[1].payload.push(0)), LogFault::Changed(7)));
        assert!(matches!(damaged(|page| page[3].previous = Chain::from_bytes([0; 16])), LogFault::Changed(9)));
    }
}
