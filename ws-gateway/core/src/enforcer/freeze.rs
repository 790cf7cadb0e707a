//! What becomes of connections when the lease has run out, and when the clocks say that time was lost.
//!
//! Owns since when each class is frozen, and the pace at which what stayed frozen for too long is closed.
//! Guarantees: freezing itself needs nothing from here, because every frame checks the deadline of its class; this calls the
//! tasks of a class, so that they say so, and calls them again when the lease is renewed. The lease is renewed only when
//! everything up to the head has been applied, so whoever was revoked meanwhile is fenced before anybody thaws.

use std::time::Duration;

use portcullis_types::{Boottime, LeaseClass, Timestamp};

use super::Enforcer;
use crate::close::CloseReason;
use crate::guard::Fence;

/// Wall clock and boot time may move apart by so much between two looks; more means that this machine was copied,
/// restored or set, and that its boot time may have stood still (assumption A4).
const CLOCKS_APART: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Freeze {
    /// Since when the tasks of each class have been told, in the order of [`LeaseClass::ALL`].
    since: [Option<Boottime>; LeaseClass::ALL.len()],
    /// Up to when connections that stayed frozen for too long have been closed.
    closed_up_to: Option<Boottime>,
    clocks: Option<(Timestamp, Boottime)>,
}

impl Freeze {
    /// Whether the clocks moved apart since the last look.
    pub(super) fn clocks_disagree(&mut self, wall: Timestamp, now: Boottime) -> bool {
        let Some((wall_before, before)) = self.clocks.replace((wall, now)) else { return false };
        let by_boot = now.saturating_since(before);
        // The wall clock may have been set back.
        let expected = wall_before + by_boot;
        wall.saturating_since(expected).max(expected.saturating_since(wall)) > CLOCKS_APART
    }
}

impl Enforcer {
    /// Tells the tasks of each class that the lease has run out for it, once, and closes those that stayed frozen for too
    /// long.
    pub(super) fn freeze(&mut self, now: Boottime) {
        if !self.lease.was_held() {
            return;
        }
        let served = self.lease.serves_each(now);
        let told = self.freeze.since.map(|since| since.is_some());
        self.call(|class| !served[class.index()] && !told[class.index()]);
        for class in LeaseClass::ALL.into_iter().filter(|class| !served[class.index()]) {
            self.freeze.since[class.index()].get_or_insert(now);
        }
        self.close_overdue(served, now);
    }

    /// The lease was renewed; a class was served before or not. A task may have found it run out before this knew, so what
    /// counts is how it was.
    pub(super) fn thaw(&mut self, was_served: [bool; LeaseClass::ALL.len()], now: Boottime) {
        let served = self.lease.serves_each(now);
        let told = self.freeze.since.map(|since| since.is_some());
        for class in LeaseClass::ALL.into_iter().filter(|class| served[class.index()]) {
            self.freeze.since[class.index()] = None;
        }
        self.call(|class| served[class.index()] && (told[class.index()] || !was_served[class.index()]));
    }

    fn call(&self, whom: impl Fn(LeaseClass) -> bool) {
        if LeaseClass::ALL.into_iter().any(&whom) {
            for (_, member) in self.registry.iter().filter(|(_, member)| member.class.is_some_and(&whom)) {
                member.guard.call();
            }
        }
    }

    /// Closes as many as the pace allows for the time since the last look.
    fn close_overdue(&mut self, served: [bool; LeaseClass::ALL.len()], now: Boottime) {
        let freeze_max = self.settings.freeze_max;
        let since = |class: LeaseClass| self.freeze.since[class.index()].filter(|_| !served[class.index()]);
        let begin = |class: LeaseClass| since(class).map(|since| since + freeze_max).filter(|begin| *begin <= now);
        let Some(first) = LeaseClass::ALL.into_iter().filter_map(begin).min() else {
            self.freeze.closed_up_to = None;
            return;
        };
        let passed = now.saturating_since(self.freeze.closed_up_to.unwrap_or(first)).max(Duration::from_millis(1));
        let most = u128::from(self.settings.closes_per_second) * passed.as_millis() / 1_000;
        let overdue = self.registry.iter().filter(|(_, member)| member.class.and_then(begin).is_some());
        let open = overdue.filter(|(_, member)| member.guard.fenced().is_none());
        for (_, member) in open.take(usize::try_from(most).unwrap_or(usize::MAX).max(1)) {
            member.guard.fence(Fence { reason: CloseReason::LeaseLost, by: None, at: now });
        }
        self.freeze.closed_up_to = Some(now);
    }
}
