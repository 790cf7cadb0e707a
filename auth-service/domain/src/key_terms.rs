//! What an API key is limited to, beside its scopes and its end.
//!
//! Guarantees: a key never allows what its identity's roles do not: its own grants only take away.

use std::net::IpAddr;

use portcullis_types::{AddressRange, CredentialId, Timestamp};

use crate::{Grant, Pattern};

/// The most grants that a key has of its own.
pub const MAX_KEY_GRANTS: usize = 64;

/// The most bytes of grants that a key has of its own, each counted as its pattern and 8 bytes: 256 verdicts fit in one
/// answer.
pub const MAX_KEY_GRANT_BYTES: usize = 2 * 1024;

/// The most address ranges that a key may be presented from.
pub const MAX_KEY_ADDRESSES: usize = 32;

/// What an API key is limited to, and where it stands among its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// Of what the roles of its identity grant, only this; absent: all of it.
    pub grants: Option<Vec<Grant>>,
    /// From where it may be presented; empty: from anywhere.
    pub addresses: Vec<AddressRange>,
    /// The key it was made to replace.
    pub replaces: Option<CredentialId>,
    /// The key that was made to replace it.
    pub replaced_by: Option<CredentialId>,
    /// When it was last seen in use, late by some minutes.
    pub last_used_at: Option<Timestamp>,
}

impl KeyTerms {
    /// Whether it may be presented from this address, or from one that is not known.
    pub fn is_from(&self, address: Option<IpAddr>) -> bool {
        self.addresses.is_empty()
            || address.is_some_and(|address| self.addresses.iter().any(|range| range.contains(address)))
    }

    /// Whether it may be presented only from where the other may, too.
    pub(crate) fn is_from_within(&self, other: &Self) -> bool {
        let within = |range: &AddressRange| other.addresses.iter().any(|wider| range.is_within(wider));
        other.addresses.is_empty() || (!self.addresses.is_empty() && self.addresses.iter().all(within))
    }

    /// How many bytes a key with these takes in an answer, at most and roughly.
    pub(crate) fn bytes(&self) -> usize {
        let grants: usize = self.grants.iter().flatten().map(|grant| grant.pattern.as_str().len() + 8).sum();
        1_024 + grants + self.addresses.len() * 48
    }

    /// Of these grants, what the key leaves.
    pub fn limit(&self, granted: Vec<Grant>) -> Vec<Grant> {
        let Some(own) = &self.grants else { return granted };
        let mut left: Vec<_> = own
            .iter()
            .flat_map(|own| granted.iter().filter(|grant| grant.action == own.action).map(move |grant| (own, grant)))
            .filter_map(|(own, grant)| {
                Some(Grant { action: own.action, pattern: meet(&own.pattern, &grant.pattern)?.clone() })
            })
            .collect();
        left.sort_unstable();
        left.dedup();
        left
    }
}

/// What both patterns match: the narrower one, or nothing.
fn meet<'p>(one: &'p Pattern, other: &'p Pattern) -> Option<&'p Pattern> {
    if one.covers(other) {
        Some(other)
    } else if other.covers(one) {
        Some(one)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;

    fn grant(action: Action, pattern: &str) -> Grant {
        Grant { action, pattern: Pattern::try_from(pattern).expect("a pattern") }
    }

    #[test]
    fn own_grants_only_take_away() {
        let granted = vec![
            grant(Action::Subscribe, "room:*"),
            grant(Action::Subscribe, "news"),
            grant(Action::Publish, "room:1"),
        ];
        let limited = |own: &[(Action, &str)]| {
            let grants = Some(own.iter().map(|(action, pattern)| grant(*action, pattern)).collect());
            KeyTerms { grants, ..KeyTerms::default() }.limit(granted.clone())
        };
        assert_eq!(KeyTerms::default().limit(granted.clone()), granted);
        assert_eq!(limited(&[(Action::Subscribe, "room:2")]), [grant(Action::Subscribe, "room:2")]);
        assert_eq!(limited(&[(Action::Subscribe, "room:2*")]), [grant(Action::Subscribe, "room:2*")]);
        let all = limited(&[(Action::Subscribe, "*"), (Action::Publish, "room:*")]);
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(limited(&[(Action::Publish, "room:2"), (Action::Call, "*"), (Action::Subscribe, "n")]), []);
        assert_eq!(limited(&[]), []);
    }
}
