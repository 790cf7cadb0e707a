//! Whether a watch can go on where a gateway says it stands.

use portcullis_types::Revision;

use super::Resync;
use crate::faults::{Fault, is_broken};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the gateway's cursor: nothing is missing.
    Resumed(Revision),
    /// At the head: the gateway knows nothing older.
    FromHead(Revision),
}

impl Position {
    /// The last entry before the watch.
    pub const fn revision(self) -> Revision {
        match self {
            Self::Resumed(revision) | Self::FromHead(revision) => revision,
        }
    }
}

/// Judges a cursor. `at_cursor` is what the store has at the cursor's `seq`, read after `head`; `horizon` is the last entry
/// that the log no longer keeps, read after both: of a cursor that is forgotten meanwhile it would seem otherwise that it was
/// never on the log.
pub fn judge(
    cursor: Option<Revision>,
    at_cursor: Option<Revision>,
    horizon: u64,
    head: Revision,
) -> Result<Position, Resync> {
    let Some(cursor) = cursor else {
        return Ok(Position::FromHead(head));
    };
    if cursor.seq > head.seq {
        return Err(Resync::Fork);
    }
    if cursor.seq < horizon {
        return Err(Resync::Horizon);
    }
    if at_cursor == Some(cursor) || is_broken(Fault::NoChain) {
        Ok(Position::Resumed(cursor))
    } else {
        Err(Resync::Fork)
    }
}
