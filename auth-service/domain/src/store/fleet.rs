//! What a store does for several processes of the authority that use it together.
//!
//! Each answers gateways of its own. A receipt counts the gateways of all, so which runs may hold a lease, and what they
//! enforce, is kept where all read it; and the head that renews a lease is proven by a write that is as durable as a
//! revocation, because a server that was deposed still answers reads.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_types::Revision;

use crate::watch::{Acknowledgement, Run};
use crate::{Head, StoreError};

/// One process of the authority; drawn when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub [u8; 16]);

/// A probe of a run that may be given a lease for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Which run.
    pub run: Run,
    /// The longest lease that it may be given.
    pub lease: Duration,
    /// Its authenticated sockets.
    pub sockets: u64,
    /// Up to where it is known to enforce everything.
    pub applied: Option<Revision>,
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Which run.
    pub run: Run,
    /// Another one with each renewal, and never one that the run had before, even if it was forgotten meanwhile.
    pub renewals: u64,
    /// The longest lease that it was ever given.
    pub lease: Duration,
    /// Its authenticated sockets when it was renewed.
    pub sockets: u64,
    /// Up to where it is known to enforce everything.
    pub applied: Option<Revision>,
    /// It said that it is over. No renewal takes that back.
    pub released: bool,
}

/// What a run said about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Which run.
    pub run: Run,
    /// Which entry.
    pub revision: Revision,
    /// What it said.
    pub said: Acknowledgement,
}

/// See the module.
#[async_trait]
pub trait Fleet: fmt::Debug + Send + Sync {
    /// Reads the head and then commits these renewals, each at most once. When it returns, they are durable, and nothing
    /// that was acknowledged before the call began is missing from the head.
    async fn beat(&self, replica: ReplicaId, renewals: &[Renewal]) -> Result<Head, StoreError>;

    /// Every run, in one snapshot that holds this entry; none where the snapshot that was given does not.
    ///
    /// Such a snapshot holds every renewal that was committed before the entry, even if it is of a server that was
    /// deposed since.
    async fn registered(&self, holding: Option<Revision>) -> Result<Option<Vec<Registered>>, StoreError>;

    /// A run said that it is over, and stays so, whether or not it has been renewed yet. Whoever waits for notes hears it.
    async fn release(&self, run: &Run) -> Result<(), StoreError>;

    /// Forgets a run that is still at this renewal.
    async fn forget(&self, run: &Run, renewals: u64) -> Result<(), StoreError>;

    /// Keeps what runs said. It may be lost with a failover, and nothing is wrong then but late.
    async fn note(&self, notes: &[Noted]) -> Result<(), StoreError>;

    /// What runs said about entries, for those of these numbers.
    async fn noted(&self, entries: &[u64]) -> Result<Vec<Noted>, StoreError>;

    /// Forgets what was said about entries up to this one.
    async fn forget_notes(&self, up_to: u64) -> Result<(), StoreError>;

    /// Resolves when something may have been noted since it last did.
    async fn heard(&self);
}
