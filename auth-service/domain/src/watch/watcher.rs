//! The state of one watch: where its gateway stands, what it asked, and what it is told next.
//!
//! A watcher is asked for its [`Next`] step only when there is room to send, so it holds no queue of messages. What it
//! does hold is bounded: at most [`Watcher::MOST_PROBES`] unanswered probes (the shell stops reading requests while it
//! [refuses them](Watcher::accepts_probe)), and of a page of entries from the store those that come first, of
//! [`Watcher::MOST_LOADED`] bytes together and at least one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Boottime, KeyDigest, Revision};

use super::{Entry, Found, Position, Ring};
use crate::faults::{Fault, is_broken};

/// The word that `head` was the head of the log at `proven_at`.
///
/// Where one process holds the log's lock, reading the head is the proof; where there are many, it is a replicated
/// write that also read the head, and the time is that of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// What was the head.
    pub head: Revision,
    /// When it certainly was.
    pub proven_at: Boottime,
}

/// Why a gateway must start again without a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// Its cursor is on another branch of history.
    Fork,
    /// Its cursor is older than the log keeps.
    Horizon,
    /// It reads more slowly than the log grows.
    Lagged,
}

/// What a gateway is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The watch stands here.
    Welcome(Position),
    /// The next entry.
    Entry(Arc<Entry>),
    /// The answer to a probe: every entry up to `head` was emitted before.
    Checkpoint {
        /// Which probe.
        probe: u64,
        /// The head.
        head: Revision,
        /// How much older than the probe's arrival the proof of the head is.
        age: Duration,
    },
    /// This replica is leaving.
    Drain,
}

/// Why a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The gateway must start again without a cursor.
    Resync(Resync),
    /// Its own credential was revoked, and it was told so.
    CallerRevoked,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Message),
    /// Read the entries after this `seq` from the store and hand them to [`Watcher::loaded`].
    Load {
        /// The last entry that was emitted.
        after: u64,
    },
    /// Nothing until the ring grows, a probe comes, or the replica drains.
    Wait,
    /// It is over; every later step says so again.
    End(End),
}

/// There were too many unanswered probes, and this one was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many unanswered probes")]
pub struct TooManyProbes;

/// What a watcher is made of.
#[derive(Clone, Debug)]
pub struct WatcherParts {
    /// Where it begins.
    pub position: Position,
    /// What the caller's own right to watch rests on.
    pub caller_keys: Vec<KeyDigest>,
    /// As of when the caller was judged; not older than the watch's position.
    pub caller_revision: Revision,
    /// For how long an entry may wait to be sent.
    pub patience: Duration,
}

/// One watch.
#[derive(Debug)]
pub struct Watcher {
    cursor: Revision,
    welcome: Option<Position>,
    drain: Drain,
    probes: VecDeque<Probe>,
    loaded: VecDeque<Arc<Entry>>,
    // The head when the watch began: entries up to it are history, and waiting did not begin with their commit.
    history: u64,
    caller_keys: Vec<KeyDigest>,
    caller_revision: Revision,
    patience: Duration,
    ended: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    Not,
    Wanted,
    Told,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    id: u64,
    head: Revision,
    age: Duration,
}

impl Watcher {
    /// How many probes may wait for their checkpoint.
    pub const MOST_PROBES: usize = 8;

    /// How many bytes of entries from the store may wait to be sent, unless it is one entry.
    pub const MOST_LOADED: usize = 1 << 20;

    /// A watch whose start was accepted. `head` is the head that its position was judged against.
    pub fn new(parts: WatcherParts, head: Revision) -> Self {
        Self {
            cursor: parts.position.revision(),
            welcome: Some(parts.position),
            drain: Drain::Not,
            probes: VecDeque::new(),
            loaded: VecDeque::new(),
            history: head.seq,
            caller_keys: parts.caller_keys,
            caller_revision: parts.caller_revision,
            patience: parts.patience,
            ended: None,
        }
    }

    /// The last entry that was emitted.
    pub const fn cursor(&self) -> Revision {
        self.cursor
    }

    /// Whether there is room for a probe; while there is not, the shell reads no request.
    pub fn accepts_probe(&self) -> bool {
        self.probes.len() < Self::MOST_PROBES
    }

    /// A probe that arrived at `arrived_at`, with a proof of the head that was asked for afterwards or is older.
    pub fn probe(&mut self, id: u64, arrived_at: Boottime, fresh: Freshness) -> Result<(), TooManyProbes> {
        if !self.accepts_probe() {
            return Err(TooManyProbes);
        }
        let proven_at = if is_broken(Fault::StaleTail) { arrived_at } else { fresh.proven_at };
        let age = arrived_at.saturating_since(proven_at);
        self.probes.push_back(Probe { id, head: fresh.head, age });
        Ok(())
    }

    /// Entries from the store, as [`Next::Load`] asked for them. What is too much is asked for again.
    pub fn loaded(&mut self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let mut bytes = 0;
        let entries = entries.into_iter().take_while(|entry| {
            let is_first = bytes == 0;
            bytes += entry.weight();
            is_first || bytes <= Self::MOST_LOADED
        });
        self.loaded.extend(entries);
        // The ring knew of an entry: a store that does not have it any more has compacted it.
        if self.loaded.is_empty() {
            self.ended = Some(End::Resync(Resync::Horizon));
        }
    }

    /// This replica is leaving: say so once.
    pub fn drain(&mut self) {
        if self.drain == Drain::Not {
            self.drain = Drain::Wanted;
        }
    }

    /// Whether it was told that this replica is leaving.
    pub fn is_leaving(&self) -> bool {
        self.drain != Drain::Not
    }

    /// The next step, to be taken before asking again.
    pub fn next(&mut self, ring: &Ring, now: Boottime) -> Next {
        if let Some(end) = self.ended {
            return Next::End(end);
        }
        if let Some(position) = self.welcome.take() {
            return Next::Send(Message::Welcome(position));
        }
        if self.drain == Drain::Wanted {
            self.drain = Drain::Told;
            return Next::Send(Message::Drain);
        }
        if let Some(step) = self.answer() {
            return step;
        }
        let (kept, since) = match ring.after(self.cursor.seq) {
            Found::Entry(entry, since) => (Some(entry), since),
            Found::Gone(since) => (None, since),
            Found::NotYet => (None, now),
        };
        // History is exempt: a gateway that catches up renews no lease meanwhile, and starting over is not faster.
        if self.cursor.seq >= self.history && now.saturating_since(since) > self.patience {
            return self.end(End::Resync(Resync::Lagged));
        }
        match self.loaded.pop_front().or(kept) {
            Some(entry) => self.emit(entry),
            None if ring.head().seq > self.cursor.seq => Next::Load { after: self.cursor.seq },
            None => Next::Wait,
        }
    }

    /// A probe whose head was reached. It comes before further entries, or a growing log would starve it.
    fn answer(&mut self) -> Option<Next> {
        let probe = *self.probes.front()?;
        if probe.head.seq > self.cursor.seq && !is_broken(Fault::CheckpointOvertakes) {
            return None;
        }
        if probe.head.seq == self.cursor.seq && probe.head != self.cursor && !is_broken(Fault::NoChain) {
            return Some(self.end(End::Resync(Resync::Fork)));
        }
        self.probes.pop_front();
        Some(Next::Send(Message::Checkpoint { probe: probe.id, head: probe.head, age: probe.age }))
    }

    fn emit(&mut self, entry: Arc<Entry>) -> Next {
        if entry.revision().seq != self.cursor.seq + 1 {
            return self.end(End::Resync(Resync::Horizon));
        }
        if !entry.follows(self.cursor) {
            return self.end(End::Resync(Resync::Fork));
        }
        self.cursor = entry.revision();
        if entry.revision().seq > self.caller_revision.seq && entry.kills_any(&self.caller_keys) {
            self.ended = Some(End::CallerRevoked);
        }
        Next::Send(Message::Entry(entry))
    }

    fn end(&mut self, end: End) -> Next {
        self.ended = Some(end);
        Next::End(end)
    }
}
