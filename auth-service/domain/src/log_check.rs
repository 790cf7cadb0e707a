//! Reading the whole log, to know that it is what it was.
//!
//! Guarantees: what is said to be whole was read entry by entry, each hashed anew and chained to the one before, up to
//! the head that its row names. A log that grows meanwhile is read to the head it had at the beginning.

use portcullis_types::Chain;

use crate::watch::Entry;
use crate::{Head, LogEntry, Store, StoreError};

const PAGE: u32 = 1_000;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// An entry is not there.
    #[error("entry {0} of the log is missing")]
    Missing(u64),
    /// An entry does not follow from the one before it, or its bytes were changed.
    #[error("entry {0} of the log was changed, or is of another branch of history")]
    Changed(u64),
    /// An entry means nothing to this program.
    #[error("entry {0} of the log cannot be decoded")]
    Undecodable(u64),
    /// The head row names another end.
    #[error("the head of the log does not follow from its last entry, {0}")]
    Head(u64),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A log that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeLog {
    /// Where it ends.
    pub head: Head,
    /// Up to here it is no longer kept, and was not read.
    pub horizon: u64,
    /// The wall clock of the last entry's writer; none for a log without entries.
    pub newest: Option<portcullis_types::Timestamp>,
}

/// Reads all of it.
pub async fn check_log(store: &dyn Store) -> Result<WholeLog, LogFault> {
    let head = store.head().await?;
    loop {
        let horizon = store.horizon().await?;
        match check_after(store, horizon, head).await {
            // Forgotten while it was looked for: what is kept is read from where it begins now.
            Err(LogFault::Missing(seq)) if store.horizon().await? >= seq => {}
            outcome => return outcome,
        }
    }
}

async fn check_after(store: &dyn Store, horizon: u64, head: Head) -> Result<WholeLog, LogFault> {
    let mut whole = WholeLog { head, horizon, newest: None };
    let (mut seq, mut chain) = (horizon, None);
    while seq < head.seq {
        let page = store.log_after(seq, PAGE).await?;
        if page.is_empty() {
            return Err(LogFault::Missing(seq + 1));
        }
        // What was appended meanwhile follows the head, and is not asked about.
        for entry in page.into_iter().take_while(|entry| entry.seq <= head.seq) {
            follows(&entry, seq, chain)?;
            (seq, chain, whole.newest) = (entry.seq, Some(entry.chain), Some(entry.committed_at));
            Entry::from_log(entry).map_err(|_| LogFault::Undecodable(seq))?;
        }
    }
    if chain.is_some_and(|chain| chain != head.chain) {
        return Err(LogFault::Head(seq));
    }
    Ok(whole)
}

/// Whether an entry is the one after `seq`, and follows from the running hash there, where that is known.
pub(crate) fn follows(entry: &LogEntry, seq: u64, chain: Option<Chain>) -> Result<(), LogFault> {
    if entry.seq != seq + 1 {
        return Err(LogFault::Missing(seq + 1));
    }
    let fits = chain.is_none_or(|chain| chain == entry.previous);
    if !fits || entry.previous.extended_by(&entry.payload) != entry.chain {
        return Err(LogFault::Changed(entry.seq));
    }
    Ok(())
}
