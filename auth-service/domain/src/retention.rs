//! What is kept, for how long, and how the rest goes.
//!
//! Guarantees: a deletion never turns a denial into an admission. Everything goes in small transactions, one process at a
//! time, each of which is whole: a process that is killed between two has removed a little less.
//! Refuses to remove what it does not understand: a log that is not whole stays as it is, for whoever looks into it.
//!
//! # The log (PROTOCOL 1.6, I17)
//! An entry is kept for [`RetentionRules::log`] after its commit. What rests on that:
//! - **Gateways** resume at a cursor for as long. A cursor `p` needs the entries from `p + 1` on, so it is good until
//!   `p + 1` has been there for that long, however old `p` is; below the horizon a watch begins anew and every socket is
//!   judged. No checkpoint needs to go out before a compaction: a watch has no filter, so every entry moves every cursor,
//!   and the newest entry is never removed, so the cursor of whoever has caught up is never below the horizon, in the
//!   quietest log. (A watch that could leave entries out would have to be moved past them first: etcd #20262.)
//! - **Whatever began at a position** (a login, a continuation) is over long before its position is forgotten. A session is
//!   inserted only where its position is *known* to be on this log, so that of a position which is no longer known the row
//!   can be believed.
//! - **Tokens of external issuers** carry no revision: the time of a revocation is read from its entry. One that is gone is
//!   taken for a day old, which is never earlier than it was, and a token lives for a day at most ([`MAX_AGE`]).
//! - **Answers to named requests** name an entry, and are kept for a day ([`ANSWERS_KEPT`]).
//! - **Receipts** of an entry that is gone are refused as gone; B is over since long.
//!
//! `revoked_seq` stands on the rows themselves, so nothing that the log killed comes back with its entry gone (I18).

mod compaction;

use std::time::Duration;

use portcullis_types::Boottime;

pub use self::compaction::CompactError;
use crate::issuers::MAX_AGE;
use crate::{ANSWERS_KEPT, Authority, StoreError, WriteTx};

/// The longest that a credential could be verified without asking: entries are kept at least as long.
const LONGEST_OFFLINE: Duration = Duration::from_secs(3_600);
/// By how much the clocks of two replicas may differ, with room to spare.
const CLOCKS: Duration = Duration::from_secs(3_600);

/// For how long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// How long a gateway may be away and still resume where it stood.
    pub resume_window: Duration,
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self { resume_window: Duration::from_secs(24 * 3_600) }
    }
}

impl RetentionRules {
    /// How long an entry of the log is kept: the longest that anything needs it.
    pub fn log(&self) -> Duration {
        let needed = [LONGEST_OFFLINE, MAX_AGE + CLOCKS, ANSWERS_KEPT + CLOCKS];
        needed.into_iter().fold(self.resume_window, Duration::max)
    }
}

/// What a piece of tidying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// There is nothing to remove now.
    Nothing,
    /// Another process tidies now, or was faster.
    Elsewhere,
    /// Something was removed, and there may be more.
    Removed {
        /// How many rows.
        rows: u64,
        /// How long other writers may have waited for it.
        held: Duration,
    },
}

/// The one transaction that tidies.
struct Turn {
    tx: Box<dyn WriteTx>,
    since: Boottime,
}

impl Authority {
    /// Begins a transaction that tidies, unless another one does.
    async fn turn(&self) -> Result<Option<Turn>, StoreError> {
        let mut tx = self.store().write().await?;
        let since = self.clock().boottime();
        Ok(tx.take_turn().await?.then_some(Turn { tx, since }))
    }

    async fn end_turn(&self, turn: Turn, rows: u64) -> Result<Tidied, StoreError> {
        turn.tx.commit().await?;
        Ok(Tidied::Removed { rows, held: self.clock().boottime().saturating_since(turn.since) })
    }
}
