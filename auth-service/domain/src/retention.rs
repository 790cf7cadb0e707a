//! What is kept, for how long, and how the rest goes.
//!
//! Guarantees: a deletion never turns a denial into an admission. Everything goes in small transactions, one process at a
//! time, each of which is whole: a process that is killed between two has removed a little less.
//! Age is told by the wall clock, but only up to what has passed since the process began, and [`CLOCKS`]: a clock that is
//! set ahead while it runs makes nothing old.
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
//!   inserted only where its position is *known* to be on this log. What came otherwise (a merge of two databases, a repair
//!   by hand) is denied by its position, so before a position is forgotten, the sessions and credentials that claim it and are
//!   not of this log are marked as dead: of a position which is no longer known the row can be believed.
//! - **Tokens of external issuers** carry no revision: the time of a revocation is read from its entry. One that is gone is
//!   taken for a day old, which is never earlier than it was, and a token lives for a day at most ([`MAX_AGE`]). A clock
//!   that was ahead when it was forgotten, and was set back, would make that untrue, so how young the youngest was that is
//!   gone is kept with the horizon, and counts where it is later.
//! - **Answers to named requests** name an entry, and are kept for a day ([`ANSWERS_KEPT`]).
//! - **Receipts** of an entry that is gone are refused as gone; B is over since long.
//!
//! `revoked_seq` and `ended_before` stand on the rows themselves, so nothing that the log killed comes back with its entry gone (I18).
//!
//! # Rows (I18)
//! A row may go when every verdict that could be asked for is a denial with it, for ever, and is a denial without it: what
//! has no row is unknown, and what is unknown is refused. That is judged by the row's own end alone, never by its being
//! revoked: something revoked is kept until it would have ended anyway.
//! - **Tenants** are kept for ever, deleted ones as tombstones whose names never come back. So everything beneath a deleted
//!   tenant goes at once: with its row it is refused by the tombstone, and without one as unknown. See `tenant_deletion`.
//! - **Identities, client applications, issuers** and the binding of their subjects are kept for as long as their tenant:
//!   names, subjects and client ids come back, and `revoked_seq` is what tells their new lives from the old ones.
//! - **Access tokens, cookies, refresh tokens** go [`RetentionRules::tokens`] after their end. Every one of a session ends with
//!   it at the latest, and a socket ends with what it rests on. A successor stays while its predecessor has not ended: whoever
//!   presents a spent token must find it, because that is how a theft is noticed.
//! - **Tickets** go after their end, unless they were redeemed: then a socket rests on them for as long as their parent is
//!   good, and no longer than a session would live that began with it; who asks for the socket later is told that it has
//!   ended. So they go with their parent, or [`RetentionRules::tokens`] after that end, because a parent may have none.
//!   Whoever redeemed it and asks again is refused either way: the ticket's own end was over in seconds.
//! - **Tokens of external issuers** that were seen go after their end: then `exp` refuses them before any row is looked for.
//!   The end is their own, a day after `iat` at most, and the slack is more than clocks differ by.
//! - **Sessions** go [`RetentionRules::sessions`] after their end, when nothing of them is left.
//! - **Sessions of an external `sid`** do not end by themselves: a later token of the `sid` goes on with them. One that was
//!   revoked by itself is kept for ever, because without it the `sid` would come back. Another one that nobody used for
//!   [`RetentionRules::external_sessions`] goes; its `sid` would begin anew, as at a first login. Which also means: "end what
//!   began before T" and "end what is on this device" reach a `sid` that slept no longer than this.
//! - **API keys** go [`RetentionRules::api_keys`] after they ended or were seen to be revoked, when no ticket and no service
//!   token of theirs is left, and never before the answers that name them. An unknown key is refused.
//! - **Signature keys** of an identity go as API keys do; those of a session go [`RetentionRules::sessions`] after their end
//!   and their session's, whichever is later, and before the session. A key that is gone is in no verdict. What would come
//!   back without its row is the right to register the same key anew: a proof that was made before is good for five minutes
//!   ([`CHALLENGE_LIFE`](crate::CHALLENGE_LIFE)), far less than any of this, and a new one is made by whoever still has the
//!   private half, under a session that is still good; so a revoked key of a session is remembered for as long as that is.
//! - **Signing keys** go [`RetentionRules::signing_keys`] after they signed last, when they were not revoked within what the
//!   log keeps and nothing that they signed has a row. What an unknown key signed is refused.
//! - **The audit trail** decides nothing. It is kept for ever unless an operator says otherwise; how it is shortened is in
//!   `trail`.
//! - **Logins under way, one-time tokens for passwords** are refused when unknown. **Counts of guesses** go when they count
//!   no more and delay nobody; **places** when they are no longer known: a place that is unknown is slower, never faster.

mod compaction;
mod ending;
mod marks;
mod trail;
mod vouching;

use std::time::Duration;

use portcullis_types::{Boottime, Timestamp};

pub use self::compaction::CompactError;
pub use self::ending::{Ended, Lives};
pub use self::marks::SealMark;
pub use self::trail::{AuditStart, TrailFault};
pub use self::vouching::VouchError;
use crate::issuers::MAX_AGE;
use crate::{ANSWERS_KEPT, Authority, StoreError, WriteTx};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest that a credential could be verified without asking: entries are kept at least as long.
const LONGEST_OFFLINE: Duration = Duration::from_secs(3_600);
/// By how much the clocks of two replicas may differ, with room to spare.
const CLOCKS: Duration = Duration::from_secs(3_600);

/// For how long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// How long a gateway may be away and still resume where it stood.
    pub resume_window: Duration,
    /// Tokens, cookies, tickets and logins under way, after their end.
    pub tokens: Duration,
    /// Sessions, after their end; none: for ever.
    pub sessions: Option<Duration>,
    /// Sessions that a `sid` of an external issuer may come back to, after the end of their last token; none: for ever.
    pub external_sessions: Option<Duration>,
    /// API keys, after they ended or were revoked; none: for ever.
    pub api_keys: Option<Duration>,
    /// Signing keys, after they signed last; none: for ever.
    pub signing_keys: Option<Duration>,
    /// Rows of the audit trail, after they were sealed; none: for ever.
    pub audit: Option<Duration>,
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self {
            resume_window: DAY,
            tokens: DAY,
            sessions: Some(30 * DAY),
            external_sessions: Some(400 * DAY),
            api_keys: Some(90 * DAY),
            signing_keys: Some(90 * DAY),
            audit: None,
        }
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
pub(crate) struct Turn {
    pub(crate) tx: Box<dyn WriteTx>,
    since: Boottime,
}

impl Authority {
    /// Begins a transaction that tidies, unless another one does.
    pub(crate) async fn turn(&self) -> Result<Option<Turn>, StoreError> {
        let mut tx = self.store().write().await?;
        let since = self.clock().boottime();
        Ok(tx.take_turn().await?.then_some(Turn { tx, since }))
    }

    /// What was over at this instant has been over for so long, whatever happened to the wall clock since the start.
    fn over_for(&self, kept: Duration) -> Timestamp {
        let (wall, boot) = self.opened_at();
        let passed = self.clock().boottime().saturating_since(boot);
        self.now().min(wall + passed + CLOCKS).saturating_sub(kept)
    }

    pub(crate) async fn end_turn(&self, turn: Turn, rows: u64) -> Result<Tidied, StoreError> {
        turn.tx.commit().await?;
        Ok(Tidied::Removed { rows, held: self.clock().boottime().saturating_since(turn.since) })
    }
}
