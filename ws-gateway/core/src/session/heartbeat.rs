//! Pings to the client and its answers.

use std::time::Duration;

use portcullis_types::Boottime;

use super::HubLimits;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing.
    Quiet,
    /// A ping.
    Ping,
    /// The client did not answer in time.
    Dead,
}

/// When the next ping goes out, and by when the last one must be answered.
#[derive(Debug)]
pub(super) struct Heartbeat {
    ping_at: Boottime,
    /// [`Boottime::MAX`] while nothing is to be answered.
    pong_by: Boottime,
}

impl Heartbeat {
    /// From now on. The first ping comes after half to a whole interval, by the connection's name, so that connections
    /// that were made together are not pinged together.
    pub(super) fn starting(limits: &HubLimits, client: &str, now: Boottime) -> Self {
        let spread = client.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 256;
        let earlier = limits.ping_interval / 512 * spread;
        Self { ping_at: now + limits.ping_interval.saturating_sub(earlier), pong_by: Boottime::MAX }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Boottime {
        self.ping_at.min(self.pong_by)
    }

    /// What is due now.
    pub(super) fn beat(&mut self, limits: &HubLimits, now: Boottime) -> Beat {
        if now >= self.pong_by {
            return Beat::Dead;
        }
        if now < self.ping_at {
            return Beat::Quiet;
        }
        self.ping_at = now + limits.ping_interval;
        self.pong_by = self.pong_by.min(now + limits.pong_timeout);
        Beat::Ping
    }

    /// The client answered. One that was not asked changes nothing.
    pub(super) fn pong(&mut self) {
        self.pong_by = Boottime::MAX;
    }
}

/// What clients are told: whole seconds, never fewer than there are, because they give up a silent connection.
pub(super) fn told_seconds(interval: Duration) -> u64 {
    interval.as_secs() + u64::from(interval.subsec_nanos() > 0)
}
