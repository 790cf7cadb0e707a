//! How many commands a client may send.
//!
//! Owns: a bucket that a pause fills, as one point in time (the generic cell rate algorithm), and how often the client
//! went on although it was refused.

use std::time::Duration;

use portcullis_types::Boottime;

use super::HubLimits;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// Within the rate.
    Within,
    /// Over it: refuse the command.
    Over,
    /// Over it again and again without a pause: close the connection.
    Abuse,
}

/// When the bucket will be full again.
#[derive(Debug, Default)]
pub(super) struct Rate {
    full_at: Boottime,
    refused: u16,
}

impl Rate {
    /// Counts one command.
    pub(super) fn charge(&mut self, limits: &HubLimits, now: Boottime) -> Charge {
        let cost = Duration::from_secs(1) / limits.commands_per_second.max(1);
        if self.full_at <= now {
            self.refused = 0;
        }
        let full_at = self.full_at.max(now) + cost;
        if full_at.saturating_since(now) <= cost * u32::from(limits.command_burst.max(1)) {
            self.full_at = full_at;
            return Charge::Within;
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused > limits.command_burst { Charge::Abuse } else { Charge::Over }
    }
}
