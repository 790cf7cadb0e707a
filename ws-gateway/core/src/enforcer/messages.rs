//! What comes in to the enforcer, and what it wants done.

use std::time::Duration;

use bytes::Bytes;
use portcullis_types::{LeaseTerms, Revision, Timestamp};

use crate::connection_id::ConnectionId;
use crate::verdict::{CredentialReference, Judgement};

/// What the authority says when a watch opens.
#[derive(Clone, Copy, Debug)]
pub struct Welcome {
    /// Entries follow from our cursor; otherwise from `position`, and we know nothing older.
    pub resumed: bool,
    /// Where the stream begins.
    pub position: Revision,
    /// How long the lease of each class is.
    pub terms: LeaseTerms,
    /// How often to probe.
    pub probe_interval: Duration,
    /// B, for metrics.
    pub bound: Duration,
}

/// Why the authority will not resume a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResyncReason {
    /// It stands on another branch.
    Fork,
    /// It is older than the log keeps.
    Horizon,
    /// We read too slowly.
    Lagged,
}

/// What happens to the enforcer.
#[derive(Debug)]
pub enum Input {
    /// A stream to the authority stands; nothing was said on it yet.
    StreamOpened,
    /// The authority welcomes us.
    Welcome(Welcome),
    /// Another stream, which was opened while this one stood, welcomes us, and takes its place. It goes on from a cursor of
    /// ours that may have been passed since.
    Moved(Welcome),
    /// An entry of the log.
    Entry {
        /// Its position.
        revision: Revision,
        /// The chain before it.
        previous_chain: u64,
        /// The encoded `RevocationBatch`.
        payload: Bytes,
    },
    /// The answer to a probe.
    Checkpoint {
        /// Which.
        probe_id: u64,
        /// The head, all of which was sent before.
        head: Revision,
        /// How old that knowledge is.
        age: Duration,
    },
    /// The cursor cannot be resumed.
    ResyncRequired(ResyncReason),
    /// The stream ended, for whatever reason; nothing more comes from it.
    StreamLost,
    /// Time passed. At least every probe interval.
    Tick {
        /// The wall clock.
        wall: Timestamp,
    },
    /// The process ends: nobody is to be admitted any more.
    Leaving,
    /// The authority judged a connection again.
    Reverified {
        /// Which.
        connection: ConnectionId,
        /// What was asked with.
        reference: CredentialReference,
        /// How.
        judgement: Judgement,
    },
    /// The authority could not be asked.
    ReverifyFailed {
        /// About which.
        connection: ConnectionId,
    },
}

/// What the network code does for the enforcer, in order.
#[derive(Debug)]
pub enum Output {
    /// Open the watch on the standing stream.
    SendStart {
        /// Where to resume; none: from the head.
        cursor: Option<Revision>,
    },
    /// Send a probe, now: it counts from this moment.
    SendProbe {
        /// Its id.
        probe_id: u64,
        /// Up to where everything is enforced; none while somebody from before a resync is not judged again.
        applied: Option<Revision>,
        /// How many connections rest on a credential.
        sockets: u64,
    },
    /// Say that an entry is enforced; best effort, the next probe says so again.
    Acknowledge {
        /// Which.
        revision: Revision,
        /// How many connections it fenced.
        fenced: u64,
    },
    /// Say that this run is over: nobody passes a frame, and nobody will be admitted.
    Release,
    /// Drop the stream and open another.
    Reconnect,
    /// Ask the authority about a connection.
    Reverify {
        /// Which.
        connection: ConnectionId,
        /// What to ask with.
        reference: CredentialReference,
    },
}
