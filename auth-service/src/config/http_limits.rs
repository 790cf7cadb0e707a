//! `[http.limits]`: what a peer may ask of the HTTP edge.

use std::time::Duration;

use serde::Deserialize;

use super::Rule;

/// `[http.limits]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpLimits {
    /// The longest that a request may take, its body included.
    pub(crate) request_time_ms: u64,
    /// How many requests an address may make in a minute.
    pub(crate) requests_per_minute: u32,
    /// How many connections there may be; one more waits.
    pub(crate) connections: usize,
    /// How many of them one address may have that is no trusted proxy; one more is refused.
    pub(crate) connections_per_address: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { request_time_ms: 10_000, requests_per_minute: 6_000, connections: 2_048, connections_per_address: 256 }
    }
}

impl HttpLimits {
    /// The longest that a request may take.
    pub(crate) const fn request_time(&self) -> Duration {
        Duration::from_millis(self.request_time_ms)
    }

    /// What this section must hold.
    pub(super) fn rules(&self) -> [Rule; 4] {
        [
            ((100..=300_000).contains(&self.request_time_ms), "http.limits.request_time_ms", "must be 100 to 300000"),
            (
                (1..=10_000_000).contains(&self.requests_per_minute),
                "http.limits.requests_per_minute",
                "must be 1 to 10000000",
            ),
            ((1..=65_536).contains(&self.connections), "http.limits.connections", "must be 1 to 65536"),
            (
                (1..=65_536).contains(&self.connections_per_address),
                "http.limits.connections_per_address",
                "must be 1 to 65536",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn values_out_of_range_name_their_key() {
        assert!(refused("[http.limits]\nrequest_time_ms = 1").contains("http.limits.request_time_ms"));
        for key in ["requests_per_minute", "connections", "connections_per_address"] {
            assert!(refused(&format!("[http.limits]\n{key} = 0")).contains(&format!("http.limits.{key}`")), "{key}");
        }
        assert!(read("[http.limits]\nrequests_per_minute = 60").is_ok());
    }
}
