//! The enforcer: everything a gateway knows about who may still be connected.
//!
//! Owns the revocation index, the registry, the lease and the questions open at the authority, as one state machine
//! without I/O: [`Enforcer::step`] takes what the watch says and the time, and returns what to send.
//! Guarantees the fence: applying an entry writes the index and then looks through the registry (I9); registering a
//! connection writes the registry and then looks into the index (I10). Whichever comes second sees the first, however
//! late a verdict arrives, so no verdict made before a revocation admits a connection after it.
//! Refuses to admit anybody who presents a credential while it is not synced or its lease is not valid for the classes of
//! tenant and route, and to serve a route whose class outlasts the authority's bound.

mod classes;
mod closing;
mod entries;
mod freeze;
mod messages;
#[cfg(test)]
mod properties;
mod questions;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Boottime, KeyDigest, KeyKind, LeaseClass, Revision, TenantId};

pub use messages::{Input, Output, ResyncReason, Welcome};

use crate::close::CloseReason;
use crate::connection_id::ConnectionId;
use crate::denial::Denial;
use crate::faults::{Fault, is_broken};
use crate::guard::{Fence, Guard, Wake};
use crate::index::{RevocationIndex, Standing};
use crate::lease::{Deadlines, Lease};
use crate::registry::{Member, Registry};
use crate::verdict::Verdict;
use closing::Closing;
use freeze::Freeze;
use questions::Questions;
use stream::Stream;

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many revoked keys are remembered at most; the oldest are forgotten, and verdicts from before them asked for
    /// again.
    pub index_keys: usize,
    /// For how long they are remembered. Longer than a verdict may be reused, or caching is in vain.
    pub index_window: Duration,
    /// How often each connection is judged again, as defence in depth.
    pub revalidate_every: Duration,
    /// How long a connection whose grants changed may wait for the new ones.
    pub reauthorize_within: Duration,
    /// For how long connections stay frozen after the lease has run out, before they are closed; zero: not at all.
    pub freeze_max: Duration,
    /// How many of them are closed in a second at most, so that they do not all come back together.
    pub closes_per_second: u32,
    /// How many of the connections that an entry kills are closed in a second, where the entry does not say; 0: all of
    /// them at once.
    pub revoked_closes_per_second: u32,
    /// The class of leases that the route names, if it names one.
    pub route_class: Option<LeaseClass>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            index_keys: 1_000_000,
            index_window: Duration::from_secs(15 * 60),
            revalidate_every: Duration::from_secs(5 * 60),
            reauthorize_within: Duration::from_secs(5),
            freeze_max: Duration::from_secs(60),
            closes_per_second: 5_000,
            revoked_closes_per_second: 0,
            route_class: None,
        }
    }
}

/// How the gateway stands to the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not know enough yet: nobody with a credential is admitted.
    Syncing,
    /// The lease is fresh.
    Live,
    /// The lease is valid and half used up for the strictest class in use, or the stream is lost.
    Suspect,
    /// The lease has run out for whoever's tenant names no class: they are not admitted. Those who were are frozen, each
    /// class at its own time.
    Isolated,
}

/// Why a connection was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The gateway is [`State::Syncing`] or [`State::Isolated`].
    NotLive,
    /// The verdict is newer than what has been applied: try again when this entry has been.
    Ahead {
        /// The entry to wait for.
        seq: u64,
    },
    /// The verdict is too old to be judged here, or something that it rests on changed or was revoked after it was made,
    /// without which its credential may be good: ask the authority again.
    Stale,
    /// What the credential cannot be good without was revoked after the verdict was made: the authority would say so too,
    /// and need not be asked.
    Revoked(Denial),
    /// A refresh that names another identity.
    OtherIdentity,
    /// A refresh of a connection that is over.
    Gone,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that rest on a credential.
    pub authenticated: usize,
    /// Connections without one.
    pub anonymous: usize,
    /// Revoked keys remembered.
    pub index_keys: usize,
    /// Questions open at the authority.
    pub questions: usize,
    /// Connections of each class, in the order of [`LeaseClass::ALL`].
    pub of_class: [usize; LeaseClass::ALL.len()],
    /// Connections that are fenced, and closed when their turn comes.
    pub waiting: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Enforcer {
    settings: Settings,
    /// Absent until the first welcome.
    index: Option<RevocationIndex>,
    registry: Registry,
    anonymous: usize,
    lease: Lease,
    stream: Stream,
    questions: Questions,
    /// When each connection is judged again.
    revalidations: BTreeSet<(Boottime, ConnectionId)>,
    freeze: Freeze,
    closing: Closing,
    /// When a cursor was given up: until a checkpoint was accepted that counts from later, the head that was begun from
    /// may lie before what the lease was renewed on.
    unproven_since: Option<Boottime>,
    /// The process ends.
    is_leaving: bool,
}

impl Enforcer {
    /// Knows nothing, admits nobody.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            index: None,
            registry: Registry::default(),
            anonymous: 0,
            lease: Lease::new(),
            stream: Stream::default(),
            questions: Questions::default(),
            revalidations: BTreeSet::new(),
            freeze: Freeze::default(),
            closing: Closing::default(),
            unproven_since: None,
            is_leaving: false,
        }
    }

    /// Registers a connection that rests on `verdict`, or says why not. The caller has checked what the verdict permits.
    pub fn register(
        &mut self,
        connection: ConnectionId,
        verdict: &Verdict,
        waker: Arc<dyn Wake>,
        now: Boottime,
    ) -> Result<Arc<Guard>, NotAdmitted> {
        if !self.admits_tenant(verdict.lease_class, now) {
            return Err(NotAdmitted::NotLive);
        }
        let lease = (self.lease.deadlines(), self.class_of(verdict));
        let guard = Arc::new(Guard::new(verdict.expires_at, Some(lease), waker));
        // Insert, then check (I10): an entry applied before this step is in the index, one applied after it finds the
        // connection in the registry.
        self.insert(connection, verdict, Arc::clone(&guard), now);
        match self.refusal_of(verdict).filter(|_| !is_broken(Fault::HandshakeUnchecked)) {
            None => Ok(guard),
            Some(refusal) => {
                self.remove(connection);
                Err(refusal)
            }
        }
    }

    /// Lets a connection rest on a newer verdict of the same identity, or says why not and leaves it as it was.
    pub fn replace(&mut self, connection: ConnectionId, verdict: &Verdict, now: Boottime) -> Result<(), NotAdmitted> {
        if !self.admits_tenant(verdict.lease_class, now) {
            return Err(NotAdmitted::NotLive);
        }
        let identity = |keys: &[KeyDigest]| keys.iter().find(|key| key.kind == KeyKind::Identity).copied();
        let member = self.registry.get(connection).ok_or(NotAdmitted::Gone)?;
        let is_over = member.guard.fenced().is_some();
        if identity(&member.keys) != identity(&verdict.keys) {
            return Err(NotAdmitted::OtherIdentity);
        }
        if let Some(refusal) = self.refusal_of(verdict) {
            return Err(refusal);
        }
        if is_over {
            return Err(NotAdmitted::Gone);
        }
        self.adopt(connection, verdict, now);
        Ok(())
    }

    /// Registers a connection without a credential: it has no lease, and ends only with its tenant.
    pub fn register_anonymous(
        &mut self,
        connection: ConnectionId,
        tenant: &TenantId,
        waker: Arc<dyn Wake>,
    ) -> Arc<Guard> {
        let guard = Arc::new(Guard::new(None, None, waker));
        let keys = Box::new([KeyDigest::of(tenant, KeyKind::Tenant, tenant.as_str())]);
        let seq = self.applied().map_or(0, |applied| applied.seq);
        let member = Member { guard: Arc::clone(&guard), keys, seq, class: None, reference: None, revalidate_at: None };
        self.remove(connection);
        self.registry.insert(connection, member);
        self.anonymous += 1;
        guard
    }

    /// The connection is over. What had fenced it, if it was fenced; said once.
    pub fn remove(&mut self, connection: ConnectionId) -> Option<Fence> {
        let member = self.registry.remove(connection)?;
        self.questions.withdraw(connection);
        match member.revalidate_at {
            Some(at) => {
                self.revalidations.remove(&(at, connection));
            }
            None => self.anonymous -= 1,
        }
        self.closing.left(&member.guard);
        member.guard.fence_set()
    }

    /// How the gateway stands at `now`.
    pub fn state(&self, now: Boottime) -> State {
        let is_fresh = || self.stream.is_up() && !self.lease.is_ageing(self.strictest_in_use(), now);
        match (self.is_synced() && self.unproven_since.is_none(), self.lease.admits(self.usual_class(), now)) {
            (true, true) if is_fresh() => State::Live,
            (true, true) => State::Suspect,
            (_, false) if self.lease.was_held() => State::Isolated,
            (true | false, _) => State::Syncing,
        }
    }

    /// The last entry applied; none before the first welcome.
    pub fn applied(&self) -> Option<Revision> {
        self.index.as_ref().map(RevocationIndex::applied)
    }

    /// The lease's deadlines, for connections and metrics.
    pub fn deadlines(&self) -> Arc<Deadlines> {
        self.lease.deadlines()
    }

    /// Figures for metrics.
    pub fn counts(&self) -> Counts {
        Counts {
            authenticated: self.registry.len() - self.anonymous,
            anonymous: self.anonymous,
            index_keys: self.index.as_ref().map_or(0, RevocationIndex::len),
            questions: self.questions.len(),
            of_class: self.registry.of_class(),
            waiting: self.closing.len(),
        }
    }

    /// Welcomed once, no resync open, and nobody left from before the last one who was not judged again.
    fn is_synced(&self) -> bool {
        self.index.is_some() && !self.stream.must_resync() && !self.questions.is_reconciling()
    }

    fn insert(&mut self, connection: ConnectionId, verdict: &Verdict, guard: Arc<Guard>, now: Boottime) {
        self.remove(connection);
        let at = now + spread(self.settings.revalidate_every, connection);
        self.revalidations.insert((at, connection));
        let member = Member {
            guard,
            keys: verdict.keys.clone(),
            seq: verdict.revision.seq,
            class: Some(self.class_of(verdict)),
            reference: Some(verdict.reference.clone()),
            revalidate_at: Some(at),
        };
        self.registry.insert(connection, member);
    }

    /// Puts a verdict that stands in the place of the one a connection rested on.
    fn adopt(&mut self, connection: ConnectionId, verdict: &Verdict, now: Boottime) {
        let Some(guard) = self.registry.get(connection).map(|member| Arc::clone(&member.guard)) else { return };
        // What is over stays so, and waits for its turn.
        if guard.fenced().is_some() {
            return self.questions.withdraw(connection);
        }
        self.insert(connection, verdict, Arc::clone(&guard), now);
        guard.resume(verdict.expires_at, self.class_of(verdict), &verdict.principal);
    }

    fn refusal_of(&self, verdict: &Verdict) -> Option<NotAdmitted> {
        match self.standing_of(verdict) {
            None => Some(NotAdmitted::NotLive),
            Some(Standing::Current) => None,
            Some(Standing::Ahead) => Some(NotAdmitted::Ahead { seq: verdict.revision.seq }),
            Some(Standing::Stale) => Some(NotAdmitted::Stale),
            Some(Standing::Killed(kind)) => Some(NotAdmitted::Revoked(denial_of(kind))),
        }
    }

    /// None before the first welcome.
    fn standing_of(&self, verdict: &Verdict) -> Option<Standing> {
        let index = self.index.as_ref()?;
        Some(index.standing(verdict.revision, &verdict.keys, |killed| verdict.is_over_with(killed)))
    }
}

/// Between three quarters and five quarters of `every`, the same for the same connection, so that connections that came
/// together do not ask together.
fn spread(every: Duration, connection: ConnectionId) -> Duration {
    let part = u32::try_from(scattered(connection.get()) >> 54).unwrap_or(0);
    every * 3 / 4 + every / 2 * part / 1_024
}

/// Scatters consecutive numbers in the high bits: multiplying by an odd constant (Knuth's method).
const fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const fn denial_of(kind: KeyKind) -> Denial {
    match kind {
        KeyKind::Tenant => Denial::TenantRevoked,
        KeyKind::Identity => Denial::IdentityRevoked,
        KeyKind::Session => Denial::SessionRevoked,
        KeyKind::Credential | KeyKind::Client | KeyKind::SigningKey | KeyKind::Role | KeyKind::Issuer => {
            Denial::CredentialRevoked
        }
    }
}

const fn close_of(kind: KeyKind) -> CloseReason {
    match kind {
        KeyKind::Tenant => CloseReason::TenantRevoked,
        KeyKind::Identity => CloseReason::IdentityRevoked,
        KeyKind::Session => CloseReason::SessionRevoked,
        KeyKind::Credential | KeyKind::Role => CloseReason::CredentialRevoked,
        KeyKind::Client | KeyKind::SigningKey | KeyKind::Issuer => CloseReason::IssuerRevoked,
    }
}
