//! `[tenants]`: what one may cost the others.

use serde::Deserialize;

/// `[tenants]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tenants {
    /// How many events the services of a tenant other than `system` may write to the log in a minute, on each replica.
    pub(crate) events_per_minute: u32,
}

impl Default for Tenants {
    fn default() -> Self {
        Self { events_per_minute: 6_000 }
    }
}

impl Tenants {
    pub(super) fn rule(&self) -> (bool, &'static str, &'static str) {
        let holds = (1..=10_000_000).contains(&self.events_per_minute);
        (holds, "tenants.events_per_minute", "must be 1 to 10000000")
    }
}
