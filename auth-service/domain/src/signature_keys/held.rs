//! The keys that a verdict carries.
//!
//! They come with the standing of the credential, so they cost no look-up of their own, and follow the rule of all else:
//! the verdict's revision was read before them, and its kill keys name each.

use std::time::Duration;

use portcullis_types::{CredentialId, Timestamp};

use super::{MAX_SIGNATURE_KEYS, PublicKey};
use crate::standing::Standing;

/// The most that a verdict carries: of a session and of an identity.
const MOST_CARRIED: usize = 2 * MAX_SIGNATURE_KEYS as usize;

/// A key in a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedKey {
    /// Its id.
    pub id: CredentialId,
    /// The key.
    pub key: PublicKey,
    /// Whether it is the session's own; else it is the identity's.
    pub is_of_session: bool,
    /// From the reading of our clock to its end; absent: it ends with what the verdict is about.
    pub expires_in: Option<Duration>,
}

impl Standing {
    /// The keys that are good now, newest first. Of more than may be there, the newest.
    pub(crate) fn carried_keys(&self, now: Timestamp) -> Vec<CarriedKey> {
        let mut keys: Vec<_> = self.held_keys.iter().filter(|held| self.is_held(held, now)).collect();
        keys.sort_unstable_by_key(|held| std::cmp::Reverse(held.id));
        keys.truncate(MOST_CARRIED);
        let carried = keys.into_iter().map(|held| CarriedKey {
            id: held.id,
            key: held.key.clone(),
            is_of_session: held.session.is_some(),
            expires_in: held.expires_at.map(|end| end.saturating_since(now)),
        });
        carried.collect()
    }
}
