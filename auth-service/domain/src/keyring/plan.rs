//! When a signing key moves on: arithmetic over rows, settings and the time.
//!
//! Guarantees: a key is published for longer than any answer with the key set may be cached before it signs, and stays in
//! the set for longer than anything that it signed is good.

use std::time::Duration;

use portcullis_types::Timestamp;

use super::{Algorithm, KeyState, SigningKey};

/// What clocks of verifiers and the last transactions of other replicas may be late by.
const MARGIN: Duration = Duration::from_secs(60);

/// What an operator decides about signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// How keys that are made from now on sign.
    pub algorithm: Algorithm,
    /// How long a key signs; absent: until somebody asks for another.
    pub rotate_every: Option<Duration>,
    /// For how long the key set may be cached.
    pub jwks_max_age: Duration,
}

impl KeySettings {
    /// How long a key is published before it signs.
    pub fn published_for(&self) -> Duration {
        self.jwks_max_age + MARGIN
    }
}

/// What the settings mean for rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) keys: KeySettings,
    /// The longest that anything signed is good.
    pub(crate) longest_token: Duration,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due<'k> {
    /// The next key is to be made.
    Publish,
    /// The published key is to sign instead of the other.
    Promote { next: &'k SigningKey, instead_of: &'k SigningKey },
    /// Nothing.
    Nothing,
}

impl Plan {
    /// What is due.
    pub(super) fn due<'k>(&self, keys: &'k [SigningKey], now: Timestamp) -> Due<'k> {
        let Some(signing) = in_state(keys, KeyState::Signing) else { return Due::Nothing };
        match in_state(keys, KeyState::Published) {
            Some(next) if now >= self.signs_at(next) => Due::Promote { next, instead_of: signing },
            Some(_) => Due::Nothing,
            None => match self.keys.rotate_every {
                Some(every) if now >= since(signing) + every.saturating_sub(self.keys.published_for()) => Due::Publish,
                Some(_) | None => Due::Nothing,
            },
        }
    }

    /// From when a published key signs.
    pub(super) fn signs_at(&self, published: &SigningKey) -> Timestamp {
        published.created_at + self.keys.published_for()
    }

    /// Until when a retained key is needed.
    pub(super) fn needed_until(&self, key: &SigningKey) -> Option<Timestamp> {
        key.retained_at.map(|at| at + self.longest_token + MARGIN)
    }

    /// Whether the key set shows it.
    pub(super) fn is_shown(&self, key: &SigningKey, now: Timestamp) -> bool {
        match key.state {
            KeyState::Published | KeyState::Signing => key.revoked_seq.is_none(),
            KeyState::Retained => key.revoked_seq.is_none() && self.needed_until(key).is_none_or(|end| now < end),
            KeyState::Revoked => false,
        }
    }
}

/// The one key in a state of which there is at most one.
pub(super) fn in_state(keys: &[SigningKey], state: KeyState) -> Option<&SigningKey> {
    keys.iter().find(|key| key.state == state)
}

fn since(signing: &SigningKey) -> Timestamp {
    signing.signing_at.unwrap_or(signing.created_at)
}
