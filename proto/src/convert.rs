//! Between the contract's messages and the types both sides agree on.

use portcullis_types::{KeyDigest, KeyKind, Revision};

use crate::auth::v1;

/// A message that is well formed as protobuf and means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidWire {
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for InvalidWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for InvalidWire {}

impl From<Revision> for v1::Revision {
    fn from(revision: Revision) -> Self {
        Self { shard: 0, seq: revision.seq, chain: revision.chain }
    }
}

impl TryFrom<v1::Revision> for Revision {
    type Error = InvalidWire;

    fn try_from(wire: v1::Revision) -> Result<Self, InvalidWire> {
        if wire.shard != 0 {
            return Err(InvalidWire { what: "revision of a shard that does not exist" });
        }
        Ok(Self { seq: wire.seq, chain: wire.chain })
    }
}

impl From<KeyDigest> for v1::Key {
    fn from(key: KeyDigest) -> Self {
        Self { kind: key.kind.number(), id: key.id.to_vec() }
    }
}

impl TryFrom<v1::Key> for KeyDigest {
    type Error = InvalidWire;

    fn try_from(wire: v1::Key) -> Result<Self, InvalidWire> {
        Ok(Self {
            kind: KeyKind::from_number(wire.kind).ok_or(InvalidWire { what: "key of an unknown kind" })?,
            id: wire.id.try_into().map_err(|_| InvalidWire { what: "key id is not 16 bytes" })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_same_number_on_both_sides() {
        for kind in KeyKind::ALL {
            let wire = v1::KeyKind::try_from(kind.number()).expect("the contract has every kind");
            assert_eq!(wire.as_str_name(), format!("KEY_KIND_{}", screaming(kind)));
        }
    }

    fn screaming(kind: KeyKind) -> &'static str {
        match kind {
            KeyKind::Tenant => "TENANT",
            KeyKind::Identity => "IDENTITY",
            KeyKind::Session => "SESSION",
            KeyKind::Credential => "CREDENTIAL",
            KeyKind::Client => "CLIENT",
            KeyKind::SigningKey => "SIGNING_KEY",
            KeyKind::Role => "ROLE",
            KeyKind::Issuer => "ISSUER",
        }
    }

    #[test]
    fn a_shard_that_does_not_exist_is_refused() {
        assert!(Revision::try_from(v1::Revision { shard: 1, seq: 1, chain: 1 }).is_err());
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert!(KeyDigest::try_from(v1::Key { kind: 1, id: vec![0; 15] }).is_err());
        assert!(KeyDigest::try_from(v1::Key { kind: 0, id: vec![0; 16] }).is_err());
    }
}
