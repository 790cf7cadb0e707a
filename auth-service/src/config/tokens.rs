//! `[tokens]`: what is issued, and for how long.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::Rule;

/// `[tokens]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    /// `iss` of access tokens.
    pub(crate) issuer: String,
    /// The default audience.
    pub(crate) audience: String,
    /// How long an access token is good.
    pub(crate) access_ttl_ms: u64,
    /// How long a refresh token is good.
    pub(crate) refresh_ttl_ms: u64,
    /// How long a session lasts at most.
    pub(crate) session_ttl_ms: u64,
    /// How long a ticket is good.
    pub(crate) ticket_ttl_ms: u64,
    /// How many tickets of one session may be good or used at once, within that time.
    pub(crate) tickets_per_session: u32,
    /// The same of one API key, which may be that of many devices.
    pub(crate) tickets_per_key: u32,
}

impl Default for Tokens {
    fn default() -> Self {
        const DAY: u64 = 86_400_000;
        Self {
            issuer: "https://portcullis.local".into(),
            audience: "portcullis".into(),
            access_ttl_ms: 600_000,
            refresh_ttl_ms: 30 * DAY,
            session_ttl_ms: 30 * DAY,
            ticket_ttl_ms: 30_000,
            tickets_per_session: 64,
            tickets_per_key: 1_000,
        }
    }
}

impl Tokens {
    /// Which of its keys may not be used.
    pub(super) fn rules(&self) -> [Rule; 8] {
        const TICKETS: RangeInclusive<u32> = 1..=1_000_000;
        const HOUR: u64 = 3_600_000;
        const YEAR: u64 = 366 * 24 * HOUR;
        [
            (is_named(&self.issuer), "tokens.issuer", "must be 1 to 255 visible ASCII characters"),
            (is_named(&self.audience), "tokens.audience", "must be 1 to 255 visible ASCII characters"),
            ((1_000..=HOUR).contains(&self.access_ttl_ms), "tokens.access_ttl_ms", "must be 1000 to 3600000 (an hour)"),
            ((1_000..=YEAR).contains(&self.refresh_ttl_ms), "tokens.refresh_ttl_ms", "must be a second to a year"),
            ((1_000..=YEAR).contains(&self.session_ttl_ms), "tokens.session_ttl_ms", "must be a second to a year"),
            ((1_000..=30_000).contains(&self.ticket_ttl_ms), "tokens.ticket_ttl_ms", "must be 1000 to 30000"),
            (TICKETS.contains(&self.tickets_per_session), "tokens.tickets_per_session", "must be 1 to 1000000"),
            (TICKETS.contains(&self.tickets_per_key), "tokens.tickets_per_key", "must be 1 to 1000000"),
        ]
    }
}

fn is_named(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
