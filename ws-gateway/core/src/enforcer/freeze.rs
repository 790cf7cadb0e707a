//! What becomes of connections when the lease has run out, and when the clocks say that time was lost.
//!
//! Owns since when the gateway is frozen, and the pace at which what stayed frozen for too long is closed.
//! Guarantees: freezing itself needs nothing from here, because every frame checks the deadline; this calls the tasks, so
//! that they say so, and calls them again when the lease is renewed. The lease is renewed only when everything up to the
//! head has been applied, so whoever was revoked meanwhile is fenced before anybody thaws.

use std::time::Duration;

use portcullis_types::{Boottime, Timestamp};

use super::Enforcer;
use crate::close::CloseReason;
use crate::guard::Fence;

/// Wall clock and boot time may move apart by so much between two looks; more means that this machine was copied,
/// restored or set, and that its boot time may have stood still (assumption A4).
const CLOCKS_APART: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Freeze {
    /// Since when the tasks have been told.
    since: Option<Boottime>,
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
    /// Tells the tasks that the lease has run out, once, and closes those that stayed frozen for too long.
    pub(super) fn freeze(&mut self, now: Boottime) {
        if !self.lease.was_held() || self.lease.is_valid(now) {
            return;
        }
        let Some(since) = self.freeze.since else {
            self.freeze.since = Some(now);
            self.call_everybody();
            return self.close_overdue(now, now);
        };
        self.close_overdue(since, now);
    }

    /// The lease was renewed. A task may have found it run out before this knew, so what counts is how it was.
    pub(super) fn thaw(&mut self, was_valid: bool, now: Boottime) {
        if !self.lease.is_valid(now) {
            return;
        }
        let told = self.freeze.since.take().is_some();
        if told || !was_valid {
            self.freeze.closed_up_to = None;
            self.call_everybody();
        }
    }

    fn call_everybody(&self) {
        for (_, member) in self.registry.iter().filter(|(_, member)| member.reference.is_some()) {
            member.guard.call();
        }
    }

    /// Closes as many as the pace allows for the time since the last look.
    fn close_overdue(&mut self, since: Boottime, now: Boottime) {
        let begin = since + self.settings.freeze_max;
        if now < begin {
            return;
        }
        let passed = now.saturating_since(self.freeze.closed_up_to.unwrap_or(begin)).max(Duration::from_millis(1));
        self.freeze.closed_up_to = Some(now);
        let most = u128::from(self.settings.closes_per_second) * passed.as_millis() / 1_000;
        let frozen = self.registry.iter().filter(|(_, member)| member.reference.is_some());
        let open = frozen.filter(|(_, member)| member.guard.fenced().is_none());
        for (_, member) in open.take(usize::try_from(most).unwrap_or(usize::MAX).max(1)) {
            member.guard.fence(Fence { reason: CloseReason::LeaseLost, by: None, at: now });
        }
    }
}
