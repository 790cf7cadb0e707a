//! The lease: for how long this gateway may trust what it knows without hearing from the authority.
//!
//! Owns the anchor and the deadline computed from it, on this machine's own clock that counts suspended time.
//! Guarantees (I13): the lease counts from when a probe was *sent*, less the age of the authority's knowledge; it never
//! moves back and is never extended by anything but an accepted checkpoint.
//! The deadline is shared as one atomic, so that every frame can check it without a lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_types::Boottime;

/// By how much a clock may run fast or slow: one part in this many (assumption A1).
const DRIFT: u32 = 1_000;

/// Probes that may be unanswered at once; the oldest is given up for a new one.
const UNANSWERED: usize = 64;

/// The lease's deadline, readable by every connection without a lock.
#[derive(Debug, Default)]
pub struct Deadline(AtomicU64);

impl Deadline {
    /// Whether `now` is before it.
    pub fn is_before(&self, now: Boottime) -> bool {
        now.as_nanos() < self.0.load(Ordering::Acquire)
    }

    /// When it is.
    pub fn get(&self) -> Boottime {
        Boottime::from_nanos(self.0.load(Ordering::Acquire))
    }

    fn set(&self, at: Boottime) {
        self.0.store(at.as_nanos(), Ordering::Release);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    anchor: Boottime,
    was_held: bool,
    deadline: Arc<Deadline>,
    /// Probes sent and not answered, oldest first: id and when it was sent.
    probes: VecDeque<(u64, Boottime)>,
    next_probe: u64,
}

impl Lease {
    /// Not held.
    pub(crate) fn new() -> Self {
        Self {
            length: Duration::ZERO,
            anchor: Boottime::ZERO,
            was_held: false,
            deadline: Arc::default(),
            probes: VecDeque::new(),
            next_probe: 1,
        }
    }

    /// The deadline, to share with connections.
    pub(crate) fn deadline(&self) -> Arc<Deadline> {
        Arc::clone(&self.deadline)
    }

    /// Sets L as the authority says. Shortening takes effect at once; lengthening from the next checkpoint.
    pub(crate) fn set_length(&mut self, length: Duration) {
        let shorter = length < self.length;
        self.length = length;
        if shorter {
            self.publish();
        }
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
            self.publish();
        }
        Some(anchor)
    }

    /// Gives the lease up: nothing passes until the next accepted checkpoint of a probe sent from now on.
    pub(crate) fn drop_now(&mut self) {
        self.anchor = Boottime::ZERO;
        self.probes.clear();
        self.deadline.set(Boottime::ZERO);
    }

    fn publish(&self) {
        self.deadline.set(if self.anchor == Boottime::ZERO { Boottime::ZERO } else { self.anchor + self.usable() });
    }

    /// L, shortened by what this clock may run slow.
    fn usable(&self) -> Duration {
        self.length - self.length / DRIFT
    }

    /// Whether frames may pass at `now`.
    pub(crate) fn is_valid(&self, now: Boottime) -> bool {
        self.deadline.is_before(now)
    }

    /// Whether half of it is used up.
    pub(crate) fn is_ageing(&self, now: Boottime) -> bool {
        now >= self.anchor + self.length / 2
    }

    /// L.
    pub(crate) const fn length(&self) -> Duration {
        self.length
    }

    /// Whether it was ever held.
    pub(crate) const fn was_held(&self) -> bool {
        self.was_held
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Boottime {
        Boottime::from_nanos(seconds * 1_000_000_000)
    }

    fn lease() -> Lease {
        let mut lease = Lease::new();
        lease.set_length(Duration::from_secs(10));
        lease
    }

    #[test]
    fn it_counts_from_when_the_probe_was_sent_and_not_from_the_answer() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        // The answer may come whenever it wants: only the sending counts.
        assert!(lease.renew(probe, Duration::ZERO).is_some());
        assert!(lease.is_valid(at(109)));
        assert!(!lease.is_valid(at(110)));
    }

    #[test]
    fn it_is_shorter_by_the_drift_of_the_clock() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        assert_eq!(lease.deadline().get(), at(110).saturating_sub(Duration::from_millis(10)));
    }

    #[test]
    fn the_age_of_the_authoritys_knowledge_shortens_it() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::from_secs(4));
        assert!(lease.is_valid(at(105)));
        assert!(!lease.is_valid(at(106)));
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
        let before = lease.deadline().get();
        let probe = lease.probe_sent(at(101));
        lease.renew(probe, Duration::from_secs(50));
        assert_eq!(lease.deadline().get(), before);
    }

    #[test]
    fn answers_of_an_ended_stream_do_not_count() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.forget_probes();
        assert_eq!(lease.renew(probe, Duration::ZERO), None);
        assert!(!lease.is_valid(at(100)));
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
        assert!(!lease.is_valid(at(101)));
        assert_eq!(lease.renew(open, Duration::ZERO), None);
        let probe = lease.probe_sent(at(102));
        assert!(lease.renew(probe, Duration::ZERO).is_some());
        assert!(lease.is_valid(at(102)));
    }

    #[test]
    fn a_shorter_length_counts_at_once() {
        let mut lease = lease();
        let probe = lease.probe_sent(at(100));
        lease.renew(probe, Duration::ZERO);
        lease.set_length(Duration::from_secs(5));
        assert!(!lease.is_valid(at(105)));
    }
}
