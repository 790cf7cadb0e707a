//! One entry of the log as watchers need it: the bytes to forward, and what it kills.

use portcullis_proto::auth::v1;
use portcullis_types::{KeyDigest, Revision, Timestamp};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::LogEntry;
use crate::faults::{Fault, is_broken};

/// One entry of the log, decoded once for all watchers. Shared as `Arc<Entry>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    revision: Revision,
    previous_chain: u64,
    payload: Bytes,
    committed_at: Timestamp,
    kills: Box<[KeyDigest]>,
}

/// A payload that is no `RevocationBatch`: the log is damaged or was written by a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of the log cannot be decoded")]
pub struct InvalidEntry {
    /// Which entry.
    pub seq: u64,
}

impl Entry {
    /// Decodes what the watch must know of the payload: the keys that it kills.
    pub fn decode(
        revision: Revision,
        previous_chain: u64,
        payload: Bytes,
        committed_at: Timestamp,
    ) -> Result<Self, InvalidEntry> {
        let invalid = InvalidEntry { seq: revision.seq };
        let batch = v1::RevocationBatch::decode(payload.clone()).map_err(|_| invalid)?;
        let kills = batch
            .revocations
            .into_iter()
            // An effect that this version does not know is taken for the stronger one.
            .filter(|fact| fact.effect() != v1::Effect::Reauthorize)
            .flat_map(|fact| fact.keys)
            .map(|key| KeyDigest::try_from(key).map_err(|_| invalid))
            .collect::<Result<_, _>>()?;
        Ok(Self { revision, previous_chain, payload, committed_at, kills })
    }

    /// From what the store keeps.
    pub fn from_log(entry: LogEntry) -> Result<Self, InvalidEntry> {
        let (revision, previous) = (entry.revision(), entry.previous.short());
        Self::decode(revision, previous, entry.payload.into(), entry.committed_at)
    }

    /// The bytes of its `RevocationBatch`.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its position, with the chain after it.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The chain before it.
    pub const fn previous_chain(&self) -> u64 {
        self.previous_chain
    }

    /// Whether it can stand right after `position`.
    pub fn follows(&self, position: Revision) -> bool {
        let on_chain = self.previous_chain == position.chain || is_broken(Fault::NoChain);
        position.seq.checked_add(1) == Some(self.revision.seq) && on_chain
    }

    /// Whether it kills something that rests on one of these keys.
    pub fn kills_any(&self, keys: &[KeyDigest]) -> bool {
        self.kills.iter().any(|killed| keys.contains(killed))
    }

    /// What it takes of the ring's budget of bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.payload.len() + size_of_val(&*self.kills)
    }

    /// As it travels; the payload is shared, not copied.
    pub fn to_wire(&self) -> v1::LogEntry {
        v1::LogEntry {
            revision: Some(self.revision.into()),
            previous_chain: self.previous_chain,
            payload: self.payload.clone(),
            committed_at_us: self.committed_at.as_micros(),
        }
    }
}
