//! `[signature_keys]`: how many public keys clients may have.

use auth_domain::{MAX_SIGNATURE_KEYS, SignatureKeyRules};
use serde::Deserialize;

/// `[signature_keys]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SignatureKeys {
    /// The most live keys of one session.
    pub(crate) per_session: u64,
    /// The most live keys that an identity has for itself.
    pub(crate) per_identity: u64,
}

impl Default for SignatureKeys {
    fn default() -> Self {
        let SignatureKeyRules { per_session, per_identity } = SignatureKeyRules::default();
        Self { per_session, per_identity }
    }
}

impl SignatureKeys {
    /// What the rules need.
    pub(crate) const fn settings(&self) -> SignatureKeyRules {
        SignatureKeyRules { per_session: self.per_session, per_identity: self.per_identity }
    }

    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 2] {
        let fits = |most| most <= MAX_SIGNATURE_KEYS;
        [
            (fits(self.per_session), "signature_keys.per_session", "must be 0 (none) to 4"),
            (fits(self.per_identity), "signature_keys.per_identity", "must be 0 (none) to 4"),
        ]
    }
}
