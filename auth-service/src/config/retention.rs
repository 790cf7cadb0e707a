//! `[retention]`: what is kept, and for how long.

use std::time::Duration;

use auth_domain::RetentionRules;
use serde::Deserialize;

/// `[retention]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// How long a gateway may be away and still resume where it stood. The log is kept for an hour more, because clocks
    /// differ and tokens of external issuers may be a day old.
    pub(crate) resume_window_hours: u64,
    /// How often is looked for what may go; by up to a quarter less, so that replicas do not all look at once.
    pub(crate) every_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { resume_window_hours: 24, every_ms: 600_000 }
    }
}

impl Retention {
    /// What the rules need.
    pub(crate) const fn kept(&self) -> RetentionRules {
        RetentionRules { resume_window: hours(self.resume_window_hours) }
    }

    /// From one look to the next, at most.
    pub(crate) const fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 2] {
        const YEAR: u64 = 366 * 24;
        [
            (
                (24..=YEAR).contains(&self.resume_window_hours),
                "retention.resume_window_hours",
                "must be 24 to 8784 (a year): revocations are told to tokens of external issuers by it for a day",
            ),
            ((100..=86_400_000).contains(&self.every_ms), "retention.every_ms", "must be 100 to 86400000 (a day)"),
        ]
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}
