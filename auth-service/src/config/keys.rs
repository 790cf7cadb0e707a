//! `[keys]`: signing keys, and what encrypts them at rest.

use std::path::PathBuf;
use std::time::Duration;

use auth_domain::{Algorithm, KeySettings};
use portcullis_types::InvalidName;
use serde::Deserialize;

/// `[keys]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// How keys that are made from now on sign: `ES256` or `EdDSA`.
    pub(crate) algorithm: String,
    /// How long a key signs; 0: until somebody asks for another.
    pub(crate) rotate_every_ms: u64,
    /// For how long the key set may be cached.
    pub(crate) jwks_max_age_ms: u64,
    /// The key-encryption keys, the current one first; absent: the environment's, or one of the data directory's own.
    pub(crate) kek_file: Option<PathBuf>,
}

impl Default for Keys {
    fn default() -> Self {
        const DAY: u64 = 86_400_000;
        Self { algorithm: "ES256".into(), rotate_every_ms: 30 * DAY, jwks_max_age_ms: 300_000, kek_file: None }
    }
}

impl Keys {
    /// What the rules need.
    pub(crate) fn settings(&self) -> Result<KeySettings, InvalidName> {
        Ok(KeySettings {
            algorithm: Algorithm::try_from(self.algorithm.as_str())?,
            rotate_every: (self.rotate_every_ms > 0).then(|| Duration::from_millis(self.rotate_every_ms)),
            jwks_max_age: Duration::from_millis(self.jwks_max_age_ms),
        })
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 3] {
        const HOUR: u64 = 3_600_000;
        const MINUTE: u64 = 60_000;
        let shortest = 2 * (self.jwks_max_age_ms.min(24 * HOUR) + MINUTE);
        [
            (Algorithm::try_from(self.algorithm.as_str()).is_ok(), "keys.algorithm", "must be ES256 or EdDSA"),
            (
                (1_000..=24 * HOUR).contains(&self.jwks_max_age_ms),
                "keys.jwks_max_age_ms",
                "must be 1000 to 86400000 (a day)",
            ),
            (
                self.rotate_every_ms == 0 || self.rotate_every_ms >= shortest,
                "keys.rotate_every_ms",
                "must be 0 (by command only) or at least twice `keys.jwks_max_age_ms` and two minutes",
            ),
        ]
    }
}
