//! `[retention]`: what is kept, and for how long.

use std::time::Duration;

use auth_domain::RetentionRules;
use serde::Deserialize;

/// `[retention]`. Days of 0 are for ever.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// How long a gateway may be away and still resume where it stood. The log is kept for an hour more, because clocks
    /// differ and tokens of external issuers may be a day old.
    pub(crate) resume_window_hours: u64,
    /// How long tokens, cookies, tickets and logins under way are kept after their end.
    pub(crate) tokens_hours: u64,
    /// How long sessions are kept after their end.
    pub(crate) sessions_days: u64,
    /// How long sessions that a `sid` of an external issuer may come back to are kept after the end of their last token.
    pub(crate) external_sessions_days: u64,
    /// How long API keys are kept after they ended or were revoked.
    pub(crate) api_keys_days: u64,
    /// How long signing keys are kept after they signed last.
    pub(crate) signing_keys_days: u64,
    /// How long rows of the audit trail are kept after they were sealed. Export them before.
    pub(crate) audit_days: u64,
    /// How often is looked for what may go; by up to a quarter less, so that replicas do not all look at once.
    pub(crate) every_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            resume_window_hours: 24,
            tokens_hours: 24,
            sessions_days: 30,
            external_sessions_days: 400,
            api_keys_days: 90,
            signing_keys_days: 90,
            audit_days: 0,
            every_ms: 600_000,
        }
    }
}

impl Retention {
    /// What the rules need.
    pub(crate) fn kept(&self) -> RetentionRules {
        RetentionRules {
            resume_window: hours(self.resume_window_hours),
            tokens: hours(self.tokens_hours),
            sessions: days(self.sessions_days),
            external_sessions: days(self.external_sessions_days),
            api_keys: days(self.api_keys_days),
            signing_keys: days(self.signing_keys_days),
            audit: days(self.audit_days),
        }
    }

    /// From one look to the next, at most.
    pub(crate) const fn every(&self) -> Duration {
        Duration::from_millis(self.every_ms)
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 9] {
        const YEAR: u64 = 366 * 24;
        const LONGEST: u64 = 36_600;
        let sessions_fit = self.sessions_days == 0 || self.tokens_hours <= 24 * self.sessions_days;
        let external_fit = self.external_sessions_days == 0
            || (self.sessions_days.max(1)..=LONGEST).contains(&self.external_sessions_days);
        [
            (
                (24..=YEAR).contains(&self.resume_window_hours),
                "retention.resume_window_hours",
                "must be 24 to 8784 (a year): revocations are told to tokens of external issuers by it for a day",
            ),
            (
                (2..=YEAR).contains(&self.tokens_hours),
                "retention.tokens_hours",
                "must be 2 to 8784 (a year): the clocks of replicas differ",
            ),
            (self.sessions_days <= LONGEST, "retention.sessions_days", "must be 0 (for ever) to 36600"),
            (
                sessions_fit,
                "retention.sessions_days",
                "must be 0 (for ever) or no shorter than `retention.tokens_hours`: a session goes after its tokens",
            ),
            (
                external_fit,
                "retention.external_sessions_days",
                "must be 0 (for ever) or 1 to 36600, and no shorter than `retention.sessions_days`: a `sid` may come back",
            ),
            (self.api_keys_days <= LONGEST, "retention.api_keys_days", "must be 0 (for ever) to 36600"),
            (self.signing_keys_days <= LONGEST, "retention.signing_keys_days", "must be 0 (for ever) to 36600"),
            (
                self.audit_days == 0 || (30..=LONGEST).contains(&self.audit_days),
                "retention.audit_days",
                "must be 0 (for ever) or 30 to 36600: what is removed is gone, unless it was exported",
            ),
            ((100..=86_400_000).contains(&self.every_ms), "retention.every_ms", "must be 100 to 86400000 (a day)"),
        ]
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// 0 is for ever.
fn days(days: u64) -> Option<Duration> {
    (days > 0).then(|| hours(24 * days))
}
