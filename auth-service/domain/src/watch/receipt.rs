//! A receipt: whether a revocation is enforced, how that is known, and each gateway's part in it.

use std::time::Duration;

use portcullis_types::{Boottime, Revision};

use super::Run;

/// Whether a revocation is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Every gateway that may hold a lease said that it has applied it.
    EnforcedByAcknowledgement,
    /// The bound has passed.
    EnforcedByTime,
    /// Not known to be.
    Pending,
    /// There may be leases from before this process began.
    Unknown,
}

impl Status {
    /// Whether it is enforced.
    pub const fn is_enforced(self) -> bool {
        match self {
            Self::EnforcedByAcknowledgement | Self::EnforcedByTime => true,
            Self::Pending | Self::Unknown => false,
        }
    }
}

/// Where a gateway stands to a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayState {
    /// It said that it enforces it.
    Applied,
    /// It did not, and it cannot hold a lease.
    CannotHoldLease,
    /// It did not, and it may hold a lease.
    Lagging,
}

/// What a gateway said about one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Sockets fenced for it.
    pub fenced: u64,
    /// How many of these are closed.
    pub closed: u64,
    /// From the entry's arrival to the last fence.
    pub apply: Duration,
}

/// A gateway's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayReceipt {
    /// Which run of which gateway.
    pub run: Run,
    /// Where it stands.
    pub state: GatewayState,
    /// Its own word.
    pub acknowledgement: Option<Acknowledgement>,
    /// Up to where it is known to enforce everything.
    pub applied: Option<Revision>,
    /// Its authenticated sockets when it was last heard.
    pub sockets: u64,
    /// How long ago its last probe came.
    pub heard: Option<Duration>,
    /// From when on it cannot hold a lease.
    pub lease_over: Boottime,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Of what.
    pub revision: Revision,
    /// Whether it is enforced.
    pub status: Status,
    /// Since this process first read it as committed, or since it began.
    pub elapsed: Duration,
    /// B.
    pub bound: Duration,
    /// When it is enforced at the latest, from now.
    pub certain_in: Duration,
    /// When time alone changes something next.
    pub changes_at: Option<Boottime>,
    /// Each gateway's part, by name.
    pub gateways: Vec<GatewayReceipt>,
}

impl Receipt {
    /// Enforced, and every socket that is known to be fenced is closed.
    pub fn is_settled(&self) -> bool {
        let closed = |line: &GatewayReceipt| line.acknowledgement.is_none_or(|said| said.closed >= said.fenced);
        self.status.is_enforced() && self.gateways.iter().all(closed)
    }

    /// Whether it says something else than an earlier one, time aside.
    pub fn differs(&self, earlier: &Self) -> bool {
        let facts = |line: &GatewayReceipt| (line.run.clone(), line.state, line.acknowledgement);
        self.status != earlier.status || !self.gateways.iter().map(facts).eq(earlier.gateways.iter().map(facts))
    }
}
