//! Which gateways may hold a lease, and what each has said that it enforces.
//!
//! Owns one registration for each run of a gateway's process, with the time of its last probe, the last position that it
//! enforces as a whole, and its acknowledgements of single entries.
//! Guarantees (PROTOCOL 4): a probe is recorded when it arrives, before the head that answers it is read. So a run that is
//! not registered, or whose last recorded probe is older than a lease, can get a lease only from a head that includes
//! whatever was committed before; and no run that may hold a lease is ever forgotten.
//! Where several processes answer gateways, the runs of the others come here as the store has them
//! ([`Registrations::registered`]): a renewal that is read now belongs to a probe that arrived before, so the lease counts
//! from now.
//! Refuses: one registration more than [`Registrations::MOST`], when all of them may hold a lease.

mod slowest;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use portcullis_types::{BootId, Boottime, GatewayId, Revision};

use super::receipt::{Acknowledgement, GatewayReceipt, GatewayState, Receipt, Status};
use crate::Registered;
use crate::faults::{Fault, is_broken};

/// By how much a clock may run fast or slow: one part in this many.
const DRIFT: u32 = 1_000;
/// More than any rounding.
const MARGIN: Duration = Duration::from_millis(10);
/// For how long a run that cannot hold a lease is still shown.
const SHOWN: Duration = Duration::from_secs(300);

/// `span` of real time as this machine's clock may count it at most.
fn at_most(span: Duration) -> Duration {
    if is_broken(Fault::ElapsedWithoutDrift) { span } else { span + span / DRIFT + MARGIN }
}

/// Whether two positions are one; the same number on another branch is another entry.
fn is_same(one: Revision, other: Revision) -> bool {
    one == other || (one.seq == other.seq && is_broken(Fault::AcknowledgedByNumber))
}

/// One run of a gateway's process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The gateway.
    pub gateway: GatewayId,
    /// The run.
    pub boot: BootId,
}

/// What gateways are given.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// L: for how long a gateway may trust what it knows, from when it sent a probe.
    pub lease: Duration,
    /// B: after how long a revocation is enforced, whatever fails.
    pub bound: Duration,
    /// The longest lease that a process before this one may have given; none when there was no such process.
    pub lease_before: Option<Duration>,
}

/// A revocation that this process has read as committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Which.
    pub revision: Revision,
    /// When it was first read, or later.
    pub seen: Boottime,
}

/// A run that may hold a lease.
#[derive(Clone, Copy, Debug)]
pub struct Able<'a> {
    /// Whose.
    pub gateway: &'a GatewayId,
    /// Up to where it is known to enforce everything.
    pub applied: Option<Revision>,
    /// For how long, if it is not heard again.
    pub lease_left: Duration,
}

/// Every registration may hold a lease, and there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many gateways may hold a lease")]
pub struct TooManyGateways;

#[derive(Debug)]
struct Registration {
    since: Boottime,
    /// The last probe; it may have been answered.
    probed: Option<Boottime>,
    /// The end of the longest lease that its probes may have brought.
    over: Boottime,
    /// The longest lease that it may be given.
    lease: Duration,
    /// As the store has it, where others may renew it.
    renewals: Option<u64>,
    sockets: u64,
    /// It said that it is over, and so it is, whatever of it arrives late.
    released: Option<Boottime>,
    /// Everything up to here is enforced.
    applied: Option<Revision>,
    /// By position, newest last.
    acknowledged: VecDeque<(Revision, Acknowledgement)>,
}

impl Registration {
    fn new(now: Boottime) -> Self {
        Self {
            since: now,
            probed: None,
            over: now,
            lease: Duration::ZERO,
            renewals: None,
            sockets: 0,
            released: None,
            applied: None,
            acknowledged: VecDeque::new(),
        }
    }

    /// A probe that may bring a lease of this length arrived, at the latest now.
    fn probed(&mut self, lease: Duration, sockets: u64, now: Boottime) {
        self.probed = self.probed.max(Some(now));
        self.lease = self.lease.max(lease);
        self.over = self.over.max(now + at_most(lease));
        if self.released.is_none() {
            self.sockets = sockets;
        }
    }

    fn release(&mut self, now: Boottime) {
        if self.released.is_none() {
            (self.released, self.sockets) = (Some(now), 0);
        }
    }

    /// From when on it cannot hold a lease.
    fn lease_over(&self) -> Boottime {
        self.released.unwrap_or(self.over)
    }

    fn acknowledgement(&self, revision: Revision) -> Option<Acknowledgement> {
        let at = self.acknowledged.binary_search_by_key(&revision.seq, |(of, _)| of.seq).ok()?;
        self.acknowledged.get(at).filter(|(of, _)| is_same(*of, revision)).map(|(_, said)| *said)
    }

    /// Positions were on the log when they came here, and on a branch of it that may have lost its tail since.
    fn has_applied(&self, revision: Revision) -> bool {
        let beyond = |applied: Revision| applied.seq > revision.seq || is_same(applied, revision);
        self.applied.is_some_and(beyond) || self.acknowledgement(revision).is_some()
    }

    fn acknowledge(&mut self, revision: Revision, said: Acknowledgement) {
        match self.acknowledged.binary_search_by_key(&revision.seq, |(of, _)| of.seq) {
            Ok(_) => {}
            Err(at) => self.acknowledged.insert(at, (revision, said)),
        }
        if self.acknowledged.len() > Registrations::MOST_ACKNOWLEDGEMENTS {
            self.acknowledged.pop_front();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Registrations {
    terms: Terms,
    began: Boottime,
    most: usize,
    runs: BTreeMap<Run, Registration>,
}

impl Registrations {
    /// How many runs are remembered, unless it is said otherwise.
    pub const MOST: usize = 2_048;
    /// How many acknowledgements of one run are remembered; the oldest gives way, and `applied` stands for it.
    pub const MOST_ACKNOWLEDGEMENTS: usize = 1_024;

    /// Of a process that began to answer probes at `began` or later, and knows nothing of those before it.
    pub const fn new(terms: Terms, began: Boottime) -> Self {
        Self { terms, began, most: Self::MOST, runs: BTreeMap::new() }
    }

    /// With room for so many runs.
    #[must_use]
    pub const fn with_room(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// A run opens a watch. Before it is welcomed, so before it sends a probe.
    pub fn register(&mut self, run: &Run, now: Boottime) -> Result<(), TooManyGateways> {
        self.registration(run, now).map(drop)
    }

    /// A probe arrived. Before the head is read that answers it.
    pub fn probed(&mut self, run: &Run, sockets: u64, now: Boottime) -> Result<(), TooManyGateways> {
        let lease = self.terms.lease;
        let registration = self.registration(run, now)?;
        if registration.probed.is_none() || !is_broken(Fault::RegistrationNotRenewed) {
            registration.probed(lease, sockets, now);
        }
        Ok(())
    }

    /// What the store of several processes says of a run, as it was read at `now` or before. Where every registration may
    /// hold a lease there is room for one more: another process has given it one already.
    pub fn registered(&mut self, row: &Registered, now: Boottime) {
        let known = self.runs.entry(row.run.clone()).or_insert_with(|| Registration::new(now));
        if known.renewals != Some(row.renewals) {
            known.renewals = Some(row.renewals);
            known.probed(row.lease, row.sockets, now);
        }
        if row.released {
            known.release(now);
        }
    }

    /// Runs that are shown no longer, which the store may forget unless they were renewed since. They are forgotten here.
    pub fn gone(&mut self, now: Boottime) -> Vec<(Run, u64)> {
        let shown = |known: &Registration| now < known.lease_over() + SHOWN;
        let gone = self.runs.iter().filter(|(_, known)| !shown(known));
        let gone = gone.filter_map(|(run, known)| Some((run.clone(), known.renewals?))).collect();
        self.runs.retain(|_, known| shown(known));
        gone
    }

    /// It enforces everything up to `revision`, which is on this log. False if that was known.
    pub fn applied(&mut self, run: &Run, revision: Revision) -> bool {
        let Some(registration) = self.runs.get_mut(run) else { return false };
        let news = registration.applied.is_none_or(|known| known.seq < revision.seq);
        if news {
            registration.applied = Some(revision);
        }
        news
    }

    /// It passes no frame any more and will never admit anybody, though a probe that was under way on another stream may
    /// still arrive, and be answered.
    pub fn released(&mut self, run: &Run, now: Boottime) {
        if let Some(registration) = self.runs.get_mut(run) {
            registration.release(now);
        }
    }

    /// Up to where it is known to enforce everything.
    pub fn applied_by(&self, run: &Run) -> Option<Revision> {
        self.runs.get(run)?.applied
    }

    /// It enforces this entry, which is on this log. True if by this word the entry became enforced everywhere.
    pub fn acknowledge(&mut self, run: &Run, revision: Revision, said: Acknowledgement, now: Boottime) -> bool {
        let before = self.is_enforced(revision, now);
        if let Some(registration) = self.runs.get_mut(run) {
            registration.acknowledge(revision, said);
        }
        !before && self.is_enforced(revision, now)
    }

    /// What it said about this entry.
    pub fn said(&self, run: &Run, revision: Revision) -> Option<Acknowledgement> {
        self.runs.get(run)?.acknowledgement(revision)
    }

    /// So many of the sockets that it fenced for this entry, which is on this log, are closed. Where this process has not
    /// heard that it enforces the entry, because it said so to another one or in vain, this says that too. True if by this
    /// word all of them are closed.
    pub fn closed(&mut self, run: &Run, revision: Revision, said: Acknowledgement) -> bool {
        let Some(registration) = self.runs.get_mut(run) else { return false };
        if said.fenced > 0 {
            registration.acknowledge(revision, Acknowledgement { closed: 0, ..said });
        }
        let closed = said.closed;
        let at = registration.acknowledged.binary_search_by_key(&revision.seq, |(of, _)| of.seq);
        let found = at.ok().and_then(|at| registration.acknowledged.get_mut(at));
        let Some((_, said)) = found.filter(|(of, _)| *of == revision) else { return false };
        let was_open = said.closed < said.fenced;
        said.closed = said.closed.max(closed.min(said.fenced));
        was_open && said.closed == said.fenced
    }

    /// Those that may hold a lease.
    pub fn able(&self, now: Boottime) -> impl Iterator<Item = Able<'_>> {
        self.runs.iter().filter_map(move |(run, known)| {
            let lease_left = known.lease_over().saturating_since(now);
            (!lease_left.is_zero()).then_some(Able { gateway: &run.gateway, applied: known.applied, lease_left })
        })
    }

    /// How many runs may hold a lease, and how many are known that cannot.
    pub fn count(&self, now: Boottime) -> (usize, usize) {
        let able = self.runs.values().filter(|registration| now < registration.lease_over()).count();
        (able, self.runs.len() - able)
    }

    /// How a revocation stands. It was read as committed before this is asked.
    pub fn receipt(&self, of: Committed, now: Boottime) -> Receipt {
        let bound = self.longest();
        let by_time = of.seen + at_most(bound);
        let certain = by_time.max(self.blind_until());
        let status = match self.proof(of.revision, now) {
            _ if now < self.blind_until() => Status::Unknown,
            true => Status::EnforcedByAcknowledgement,
            false if now >= by_time => Status::EnforcedByTime,
            false => Status::Pending,
        };
        let gateways: Vec<_> = self.shown(of, now).map(|(run, known)| self.line(run, known, of, now)).collect();
        let leases = gateways.iter().filter(|line| line.state == GatewayState::Lagging).map(|line| line.lease_over);
        Receipt {
            revision: of.revision,
            status,
            elapsed: now.saturating_since(of.seen),
            bound,
            certain_in: if status.is_enforced() { Duration::ZERO } else { certain.saturating_since(now) },
            changes_at: leases.chain([by_time, self.blind_until()]).filter(|at| *at > now).min(),
            gateways,
        }
    }

    /// Whether no gateway passes a frame that this revocation forbids, as far as that can be told.
    fn is_enforced(&self, revision: Revision, now: Boottime) -> bool {
        now >= self.blind_until() && self.proof(revision, now)
    }

    fn proof(&self, revision: Revision, now: Boottime) -> bool {
        self.runs.values().all(|known| now >= known.lease_over() || known.has_applied(revision))
    }

    /// B for a revocation that is committed at `now`: longer than usual while a longer lease from before this process may
    /// be held.
    pub fn bound(&self, now: Boottime) -> Duration {
        let longer = self.terms.lease_before.filter(|before| *before > self.terms.bound);
        let until = longer.map_or(self.began, |before| self.began + at_most(before));
        self.longest().max(until.saturating_since(now))
    }

    /// B, or a longer lease that another process has given.
    fn longest(&self) -> Duration {
        self.runs.values().map(|known| known.lease).fold(self.terms.bound, Duration::max)
    }

    /// Until then there may be leases from before this process, of which it knows nothing.
    fn blind_until(&self) -> Boottime {
        let known = self.terms.lease_before.filter(|_| !is_broken(Fault::EmptyAfterRestart));
        let before = known.map(|before| at_most(before.max(self.terms.bound)));
        self.began + before.unwrap_or_default()
    }

    /// All but those whose lease was over before the revocation, and which ran again since.
    fn shown(&self, of: Committed, now: Boottime) -> impl Iterator<Item = (&Run, &Registration)> {
        self.runs.iter().filter(move |(run, known)| {
            let over = known.lease_over();
            let replaced =
                || self.runs.iter().any(|(other, later)| other.gateway == run.gateway && later.since > known.since);
            now < over || over > of.seen && known.probed.is_some() || (now < over + SHOWN && !replaced())
        })
    }

    fn line(&self, run: &Run, known: &Registration, of: Committed, now: Boottime) -> GatewayReceipt {
        let lease_over = known.lease_over();
        let state = match known.has_applied(of.revision) {
            true => GatewayState::Applied,
            false if now >= lease_over => GatewayState::CannotHoldLease,
            false => GatewayState::Lagging,
        };
        GatewayReceipt {
            run: run.clone(),
            state,
            acknowledgement: known.acknowledgement(of.revision),
            applied: known.applied,
            sockets: known.sockets,
            heard: known.probed.map(|probed| now.saturating_since(probed)),
            lease_over,
        }
    }

    fn registration(&mut self, run: &Run, now: Boottime) -> Result<&mut Registration, TooManyGateways> {
        if !self.runs.contains_key(run) {
            if is_broken(Fault::RegisteredByName) {
                self.runs.retain(|other, _| other.gateway != run.gateway);
            }
            self.forget(now);
            if self.runs.len() >= self.most {
                return Err(TooManyGateways);
            }
        }
        Ok(self.runs.entry(run.clone()).or_insert_with(|| Registration::new(now)))
    }

    /// Makes room: by those that were shown for long enough, and if that is not enough by the one that was without a
    /// lease for longest. What the store of several processes has too is forgotten with it, in [`Self::gone`]: alone, it
    /// would come back from there as news.
    fn forget(&mut self, now: Boottime) {
        self.runs.retain(|_, known| known.renewals.is_some() || now < known.lease_over() + SHOWN);
        if self.runs.len() < self.most {
            return;
        }
        let over = Registration::lease_over;
        let oldest = self.runs.iter().filter(|(_, known)| now >= over(known)).min_by_key(|(_, known)| over(known));
        if let Some(run) = oldest.map(|(run, _)| run.clone()) {
            self.runs.remove(&run);
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
