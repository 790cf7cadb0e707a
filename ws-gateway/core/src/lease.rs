//! The lease: for how long this gateway may trust what it knows without hearing from the authority.
//!
//! Owns the anchor and the deadlines computed from it, one for each class of leases, on this machine's own clock that counts
//! suspended time.
//! Guarantees (I13): the lease counts from when a probe was *sent*, less the age of the authority's knowledge; it never
//! moves back and is never extended by anything but an accepted checkpoint. No class outlasts the bound: one that would is
//! served as `standard`.
//! Each deadline is shared as one atomic, so that every frame can check its own without a lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_types::{Boottime, LeaseClass, LeaseTerms};

/// By how much a clock may run fast or slow: one part in this many (assumption A1).
const DRIFT: u32 = 1_000;

/// Probes that may be unanswered at once; the oldest is given up for a new one.
const UNANSWERED: usize = 64;

/// For each class, until when frames pass; readable by every connection without a lock.
#[derive(Debug, Default)]
pub struct Deadlines([AtomicU64; LeaseClass::ALL.len()]);

impl Deadlines {
    /// Whether frames of this class pass at `now`.
    pub fn is_before(&self, class: LeaseClass, now: Boottime) -> bool {
        now.as_nanos() < self.0[class.index()].load(Ordering::Acquire)
    }

    /// Until when they do.
    pub fn get(&self, class: LeaseClass) -> Boottime {
        Boottime::from_nanos(self.0[class.index()].load(Ordering::Acquire))
    }

    fn set(&self, class: LeaseClass, at: Boottime) {
        self.0[class.index()].store(at.as_nanos(), Ordering::Release);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Absent until the authority has said them.
    terms: Option<LeaseTerms>,
    anchor: Boottime,
    was_held: bool,
    deadlines: Arc<Deadlines>,
    /// Probes sent and not answered, oldest first: id and when it was sent.
    probes: VecDeque<(u64, Boottime)>,
    next_probe: u64,
}

impl Lease {
    /// Not held.
    pub(crate) fn new() -> Self {
        Self {
            terms: None,
            anchor: Boottime::ZERO,
            was_held: false,
            deadlines: Arc::default(),
            probes: VecDeque::new(),
            next_probe: 1,
        }
    }

    /// The deadlines, to share with connections.
    pub(crate) fn deadlines(&self) -> Arc<Deadlines> {
        Arc::clone(&self.deadlines)
    }

    /// Sets the lengths as the authority says. Shortening takes effect at once; lengthening from the next checkpoint.
    pub(crate) fn set_terms(&mut self, terms: LeaseTerms) {
        let before = self.terms.replace(terms);
        for class in LeaseClass::ALL {
            if before.is_some_and(|before| served(&terms, class) < served(&before, class)) {
                self.publish(class);
            }
        }
    }

    /// What the authority said last.
    pub(crate) const fn terms(&self) -> Option<&LeaseTerms> {
        self.terms.as_ref()
    }

    /// A probe is being sent at `now`.
    pub(crate) fn probe_sent(&mut self, now: Boottime) -> u64 {
        let id = self.next_probe;
        self.next_probe += 1;
        if self.probes.len() == UNANSWERED {
            self.probes.pop_front();
        }
        self.probes.push_back((id, now));
        id
    }

    /// Probes of a stream that ended will not be answered.
    pub(crate) fn forget_probes(&mut self) {
        self.probes.clear();
    }

    /// An acceptable checkpoint answered probe `id` with knowledge of age `age`. From when that counts; none if no such
    /// probe is open.
    pub(crate) fn renew(&mut self, id: u64, age: Duration) -> Option<Boottime> {
        let position = self.probes.iter().position(|(sent, _)| *sent == id)?;
        let sent_at = self.probes[position].1;
        self.probes.drain(..=position);
        let anchor = sent_at.saturating_sub(age + age / DRIFT);
        if anchor > self.anchor {
            self.anchor = anchor;
            self.was_held = true;
            for class in LeaseClass::ALL {
                self.publish(class);
            }
        }
        Some(anchor)
    }

    /// Gives the lease up: nothing passes until the next accepted checkpoint of a probe sent from now on.
    pub(crate) fn drop_now(&mut self) {
        self.anchor = Boottime::ZERO;
        self.probes.clear();
        for class in LeaseClass::ALL {
            self.deadlines.set(class, Boottime::ZERO);
        }
    }

    fn publish(&self, class: LeaseClass) {
        let is_held = self.anchor != Boottime::ZERO;
        self.deadlines.set(class, if is_held { self.anchor + usable(self.length(class)) } else { Boottime::ZERO });
    }

    /// Whether frames of this class pass at `now`.
    pub(crate) fn serves(&self, class: LeaseClass, now: Boottime) -> bool {
        self.deadlines.is_before(class, now)
    }

    /// The same of every class, in the order of [`LeaseClass::ALL`].
    pub(crate) fn serves_each(&self, now: Boottime) -> [bool; LeaseClass::ALL.len()] {
        LeaseClass::ALL.map(|class| self.serves(class, now))
    }

    /// Whether somebody new of this class is let in at `now`.
    pub(crate) fn admits(&self, class: LeaseClass, now: Boottime) -> bool {
        let admitted = self.terms.map_or(Duration::ZERO, |terms| terms.admitted(terms.within_bound(class)));
        self.serves(class, now) && now < self.anchor + usable(admitted)
    }

    /// Whether half of what this class is served for is used up.
    pub(crate) fn is_ageing(&self, class: LeaseClass, now: Boottime) -> bool {
        now >= self.anchor + self.length(class) / 2
    }

    /// For how long this class is served.
    pub(crate) fn length(&self, class: LeaseClass) -> Duration {
        self.terms.map_or(Duration::ZERO, |terms| served(&terms, class))
    }

    /// Whether it was ever held.
    pub(crate) const fn was_held(&self) -> bool {
        self.was_held
    }
}

/// For how long a class is served: what would outlast the bound is served as `standard`.
fn served(terms: &LeaseTerms, class: LeaseClass) -> Duration {
    terms.served(terms.within_bound(class))
}

/// L, shortened by what this clock may run slow.
fn usable(length: Duration) -> Duration {
    length - length / DRIFT
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::LeaseLengths;

    use super::*;

    const STANDARD: LeaseClass = LeaseClass::Standard;

    fn at(seconds: u64) -> Boottime {
        Boottime::from_nanos(seconds * 1_000_000_000)
    }

    fn terms(standard: u64, bound: u64) -> LeaseTerms {
        LeaseTerms::new(LeaseLengths {
            strict: Duration::from_secs(4),
            standard: Duration::from_secs(standard),
            tolerant: Duration::from_secs(40),
            hold_max: Duration::from_secs(50),
            bound: Duration::from_secs(bound),
        })
        .expect("they are in order")
    }

    fn lease() -> Lease {
        let mut lease = Lease::new();
        lease.set_terms(terms(10, 60));
        lease
    }

    fn renewed() -> Lease {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        lease
    }

    #[test]
    fn it_counts_from_when_the_probe_was_sent_and_not_from_the_answer() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        // The answer may come whenever it wants: only the sending counts.
        assert!(lease.renew(probe, Duration::ZERO).is_some());
        assert!(lease.serves(STANDARD, at(109)));
        assert!(!lease.serves(STANDARD, at(110)));
    }

    #[test]
    fn it_is_shorter_by_the_drift_of_the_clock() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        assert_eq!(lease.deadlines().get(STANDARD), at(110).saturating_sub(Duration::from_millis(10)));
    }

    #[test]
    fn the_age_of_the_authoritys_knowledge_shortens_it() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::from_secs(4));
        assert!(lease.serves(STANDARD, at(105)));
        assert!(!lease.serves(STANDARD, at(106)));
    }

    #[test]
    fn an_answer_counts_once_and_only_for_a_probe_of_ours() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        assert_eq!(lease.renew(probe + 1, Duration::ZERO), None);
        assert!(lease.renew(probe, Duration::ZERO).is_some());
        assert_eq!(lease.renew(probe, Duration::ZERO), None);
    }

    #[test]
    fn a_late_answer_to_an_old_probe_never_moves_it_back() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        let before = lease.deadlines().get(STANDARD);
        let probe = lease.probe_sent(at(101));
        lease.renew(probe, Duration::from_secs(50));
        assert_eq!(lease.deadlines().get(STANDARD), before);
    }

    #[test]
    fn answers_of_an_ended_stream_do_not_count() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.forget_probes();
        assert_eq!(lease.renew(probe, Duration::ZERO), None);
        assert!(!lease.serves(STANDARD, at(100)));
    }

    #[test]
    fn unanswered_probes_are_bounded() {
        let mut lease = lease();
        let first = lease.probe_sent(at(100));
        for _ in 0..UNANSWERED {
            lease.probe_sent(at(101));
        }
        assert_eq!(lease.renew(first, Duration::ZERO), None);
        assert_eq!(lease.probes.len(), UNANSWERED);
    }

    #[test]
    fn given_up_it_is_void_until_a_new_probe_is_answered() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        let open = lease.probe_sent(at(101));
        lease.drop_now();
        assert!(!lease.serves(STANDARD, at(101)));
        assert_eq!(lease.renew(open, Duration::ZERO), None);
        let probe = lease.probe_sent(at(102));
        assert!(lease.renew(probe, Duration::ZERO).is_some());
        assert!(lease.serves(STANDARD, at(102)));
    }

    #[test]
    fn each_class_ends_at_its_own_time() {
        let lease = renewed();
        for (class, served, admitted) in [
            (LeaseClass::Strict, 4, 4),
            (LeaseClass::Standard, 10, 10),
            (LeaseClass::Tolerant, 40, 40),
            (LeaseClass::Hold, 60, 10),
        ] {
            assert!(lease.serves(class, at(100 + served - 1)) && !lease.serves(class, at(100 + served)), "{class}");
            assert!(lease.admits(class, at(100 + admitted - 1)) && !lease.admits(class, at(100 + admitted)), "{class}");
        }
    }

    #[test]
    fn each_class_ages_from_half_of_its_own_time_on() {
        let lease = renewed();
        for (class, half) in
            [(LeaseClass::Strict, 2), (LeaseClass::Standard, 5), (LeaseClass::Tolerant, 20), (LeaseClass::Hold, 30)]
        {
            assert!(!lease.is_ageing(class, at(100 + half - 1)) && lease.is_ageing(class, at(100 + half)), "{class}");
        }
    }

    #[test]
    fn a_shorter_length_counts_at_once_and_a_longer_one_from_the_next_checkpoint() {
        let mut lease = renewed();
        lease.set_terms(terms(5, 60));
        assert!(!lease.serves(STANDARD, at(105)));
        lease.set_terms(terms(20, 70));
        assert!(!lease.serves(STANDARD, at(105)));
        let probe = lease.probe_sent(at(101));
        lease.renew(probe, Duration::ZERO);
        assert!(lease.serves(STANDARD, at(120)));
    }

    #[test]
    fn a_class_that_outlasts_the_bound_is_served_as_standard() {
        let mut lease = renewed();
        assert!(lease.serves(LeaseClass::Tolerant, at(139)));
        // The authority was started again with a lower bound.
        lease.set_terms(terms(10, 39));
        for class in [LeaseClass::Tolerant, LeaseClass::Hold] {
            assert!(lease.serves(class, at(109)) && !lease.serves(class, at(110)), "{class}");
            assert!(lease.admits(class, at(109)) && !lease.admits(class, at(110)), "{class}");
        }
    }
}
