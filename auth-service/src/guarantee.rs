//! `[guarantee]`: what is promised about revocation, as an operator sets it.
//!
//! Owns the keys, their defaults and their rules. What is not set fits what is: a site that shortens `standard_ms` alone
//! has a `strict` that is no longer than it.

use std::time::Duration;

use portcullis_types::{InvalidTerms, LeaseLengths, LeaseTerms};
use serde::Deserialize;

const STRICT_MS: u64 = 5_000;
const STANDARD_MS: u64 = 15_000;
const TOLERANT_MS: u64 = 60_000;
const HOLD_MAX_MS: u64 = 60_000;

/// `[guarantee]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guarantee {
    /// For how long a gateway may serve sockets of class `strict` without hearing from the authority. Absent: 5 s, or
    /// `standard_ms` where that is shorter.
    pub(crate) strict_ms: Option<u64>,
    /// The same for `standard`, which counts where neither tenant nor route says otherwise.
    pub(crate) standard_ms: u64,
    /// The same for `tolerant`. Absent: 60 s, or `standard_ms` where that is longer.
    pub(crate) tolerant_ms: Option<u64>,
    /// For how long after `standard_ms` sockets of class `hold` are served, with nobody new let in. Absent: 60 s, or so
    /// long that they do not end before those of `tolerant`.
    pub(crate) hold_max_ms: Option<u64>,
    /// B: after how long a revocation is enforced, whatever fails. A class that takes longer is refused to tenants, and a
    /// route that names one is not served. Absent: `standard_ms`.
    pub(crate) bound_ms: Option<u64>,
    /// How often gateways should probe.
    pub(crate) probe_interval_ms: u64,
}

impl Default for Guarantee {
    fn default() -> Self {
        Self {
            strict_ms: None,
            standard_ms: STANDARD_MS,
            tolerant_ms: None,
            hold_max_ms: None,
            bound_ms: None,
            probe_interval_ms: 500,
        }
    }
}

impl Guarantee {
    /// The lengths of the leases, and B.
    pub(crate) fn terms(&self) -> Result<LeaseTerms, InvalidTerms> {
        let standard = self.standard_ms;
        let tolerant = self.tolerant_ms.unwrap_or(TOLERANT_MS.max(standard));
        let hold_max = self.hold_max_ms.unwrap_or(HOLD_MAX_MS.max(tolerant.saturating_sub(standard)));
        LeaseTerms::new(LeaseLengths {
            strict: Duration::from_millis(self.strict_ms.unwrap_or(STRICT_MS.min(standard))),
            standard: Duration::from_millis(standard),
            tolerant: Duration::from_millis(tolerant),
            hold_max: Duration::from_millis(hold_max),
            bound: Duration::from_millis(self.bound_ms.unwrap_or(standard)),
        })
    }

    /// What the terms do not say about themselves: whether it holds, which key, and what it must be.
    pub(crate) fn rules(&self) -> [(bool, &'static str, &'static str); 3] {
        let shortest = self.strict_ms.unwrap_or(STRICT_MS.min(self.standard_ms));
        let probes = self.probe_interval_ms;
        [
            ((1_000..=300_000).contains(&self.standard_ms), "guarantee.standard_ms", "must be 1000 to 300000"),
            (shortest >= 1_000, "guarantee.strict_ms", "must be at least 1000"),
            (
                probes >= 10 && probes.saturating_mul(3) <= shortest,
                "guarantee.probe_interval_ms",
                "must be 10 to a third of `guarantee.strict_ms`",
            ),
        ]
    }
}
