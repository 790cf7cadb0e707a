//! Positions in the revocation log, and the names its entries carry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TenantId;

/// The running hash of the log after an entry: 16 bytes, of which 8 travel with a [`Revision`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 16]);

impl Chain {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The hash after one more entry with this payload: `SHA-256(chain ‖ SHA-256(payload))`, cut to 16 bytes.
    #[must_use]
    pub fn extended_by(&self, payload: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(self.0).chain_update(Sha256::digest(payload)).finalize();
        let mut next = [0; 16];
        next.copy_from_slice(&digest[..16]);
        Self(next)
    }

    /// The 8 bytes that travel, as a big-endian number.
    pub fn short(&self) -> u64 {
        let mut head = [0; 8];
        head.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(head)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A position in the revocation log: how many entries it had, and on which branch of history.
///
/// Deliberately not `Ord`: `seq` is reused with other content after a restored backup or a lossy failover, so two
/// revisions can be put in order only by someone who knows that they are on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// How many entries, gapless from 1; 0 is the empty log.
    pub seq: u64,
    /// [`Chain::short`] after entry `seq`.
    pub chain: u64,
}

/// One opaque string in JSON and on screens, because 64-bit numbers break in JavaScript.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.seq, self.chain)
    }
}

/// Not a revision's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a revision: expected <seq>-<16 hex digits>")]
pub struct InvalidRevision;

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, chain) = text.split_once('-').ok_or(InvalidRevision)?;
        let canonical = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !canonical(seq) || !canonical(chain) || chain.len() != 16 {
            return Err(InvalidRevision);
        }
        let revision = Self {
            seq: seq.parse().map_err(|_| InvalidRevision)?,
            chain: u64::from_str_radix(chain, 16).map_err(|_| InvalidRevision)?,
        };
        // One text for one revision: no leading zeros, no capitals.
        if revision.to_string() == text { Ok(revision) } else { Err(InvalidRevision) }
    }
}

impl Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a revocation can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// A tenant and everything in it.
    Tenant = 1,
    /// An identity: its sessions and what was issued under them.
    Identity = 2,
    /// One session, and what was issued under it.
    Session = 3,
    /// One credential.
    Credential = 4,
    /// Everything issued to one client application.
    Client = 5,
    /// Everything signed by one key.
    SigningKey = 6,
    /// A role's holders.
    Role = 7,
    /// Everything that an external issuer vouched for.
    Issuer = 8,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Tenant,
        Self::Identity,
        Self::Session,
        Self::Credential,
        Self::Client,
        Self::SigningKey,
        Self::Role,
        Self::Issuer,
    ];

    /// The number that stands for it in the contract.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The kind that a number of the contract stands for.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A name in the revocation log: a kind, and 16 bytes that only the authority can make from an id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest {
    /// What is named.
    pub kind: KeyKind,
    /// The head of SHA-256 over tenant, kind and id.
    pub id: [u8; 16],
}

impl KeyDigest {
    /// The name of `id` in `tenant`. Each part is hashed with its length before it, so that no two triples meet.
    pub fn of(tenant: &TenantId, kind: KeyKind, id: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [tenant.as_str().as_bytes(), &[kind as u8], id.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut head = [0; 16];
        head.copy_from_slice(&hash.finalize()[..16]);
        Self { kind, id: head }
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{:032x}", self.kind, u128::from_be_bytes(self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_has_exactly_one_text() {
        let revision = Revision { seq: 42, chain: 0xab };
        assert_eq!(revision.to_string(), "42-00000000000000ab");
        assert_eq!("42-00000000000000ab".parse(), Ok(revision));
        for other in ["42-ab", "042-00000000000000ab", "42-00000000000000AB", "+42-00000000000000ab", "-1", "", "42"] {
            assert_eq!(other.parse::<Revision>(), Err(InvalidRevision), "{other}");
        }
    }

    #[test]
    fn the_chain_depends_on_order_and_content() {
        let genesis = Chain::from_bytes([0; 16]);
        assert_ne!(genesis.extended_by(b"a").extended_by(b"b"), genesis.extended_by(b"b").extended_by(b"a"));
        assert_ne!(genesis.extended_by(b"ab"), genesis.extended_by(b"a").extended_by(b"b"));
    }

    #[test]
    fn a_key_digest_separates_its_parts() {
        let tenant = |name: &str| TenantId::try_from(name).expect("a valid name");
        let key = |t: &str, k, id: &str| KeyDigest::of(&tenant(t), k, id);
        assert_ne!(key("ab", KeyKind::Session, "c"), key("a", KeyKind::Session, "bc"));
        assert_ne!(key("a", KeyKind::Session, "x").id, key("a", KeyKind::Identity, "x").id);
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for kind in KeyKind::ALL {
            assert_eq!(KeyKind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(KeyKind::from_number(0), None);
        assert_eq!(KeyKind::from_number(9), None);
    }
}
