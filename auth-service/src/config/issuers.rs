//! `[issuers]`: how the keys of external issuers are fetched. Whom a tenant trusts is no configuration: it is kept in the
//! store (`portcullis issuer`).

use std::path::PathBuf;
use std::time::Duration;

use auth_domain::KeyRules;
use serde::Deserialize;

use crate::issuer_keys::AllowedNetworks;

/// For how long keys are believed while nobody answers.
const KEEP: Duration = Duration::from_secs(3_600);

/// `[issuers]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issuers {
    /// The least time from one fetch of an issuer's keys to the next, whatever its tokens say.
    pub(crate) cooldown_ms: u64,
    /// After this keys are fetched again, and used meanwhile; an hour after the last fetch that succeeded they are not.
    pub(crate) refresh_ms: u64,
    /// How long a fetch may take.
    pub(crate) fetch_timeout_ms: u64,
    /// Certificate authorities in PEM beside the public ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// Networks inside that issuers may be in, such as `["10.0.0.0/8"]`; empty: none. Others are at public addresses.
    pub(crate) allowed_networks: AllowedNetworks,
    /// That issuers at `http://127.0.0.1` may be trusted: for tests.
    pub(crate) allow_loopback_http: bool,
}

impl Default for Issuers {
    fn default() -> Self {
        Self {
            cooldown_ms: 30_000,
            refresh_ms: 600_000,
            fetch_timeout_ms: 5_000,
            ca_file: None,
            allowed_networks: AllowedNetworks::default(),
            allow_loopback_http: false,
        }
    }
}

impl Issuers {
    /// What the rules need.
    pub(crate) const fn key_rules(&self) -> KeyRules {
        KeyRules {
            refresh: Duration::from_millis(self.refresh_ms),
            keep: KEEP,
            cooldown: Duration::from_millis(self.cooldown_ms),
        }
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 5] {
        [
            (
                !self.allowed_networks.has_everybody(),
                "issuers.allowed_networks",
                "must hold no range wider than a /8 (IPv6: /16): name the networks that your issuers are in",
            ),
            (
                !self.allowed_networks.has_what_is_too_near(),
                "issuers.allowed_networks",
                "must hold no range of loopback or link-local addresses: they are this machine's own, or hand out its \
                 credentials; name the one address that is meant",
            ),
            (
                (1_000..=600_000).contains(&self.cooldown_ms),
                "issuers.cooldown_ms",
                "must be 1000 to 600000 (ten minutes)",
            ),
            (
                (60_000..=1_800_000).contains(&self.refresh_ms),
                "issuers.refresh_ms",
                "must be 60000 to 1800000 (half an hour)",
            ),
            ((100..=30_000).contains(&self.fetch_timeout_ms), "issuers.fetch_timeout_ms", "must be 100 to 30000"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn the_networks_of_issuers_are_ranges_inside_and_not_the_world_or_this_machine() {
        for (ranges, says) in [
            ("'0.0.0.0/0'", "wider than a /8"),
            ("'169.254.0.0/16'", "loopback or link-local"),
            ("'id.example'", "allowed_networks"),
        ] {
            let said = refused(&format!("[issuers]\nallowed_networks = [{ranges}]"));
            assert!(said.contains(says), "{said}");
        }
        assert!(read("[issuers]\nallowed_networks = ['10.0.0.0/8', 'fd00::/16', '127.0.0.1']").is_ok());
    }
}
