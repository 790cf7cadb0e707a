//! What a row was when it was read, for whoever changes it only if it is still that.

use std::fmt;

use portcullis_types::InvalidName;
use sha2::{Digest, Sha256};

const BYTES: usize = 8;

/// The head of the SHA-256 over what a row says: what was changed back is what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etag([u8; BYTES]);

impl Etag {
    /// Of these parts, each with its length before it.
    pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut head = [0; BYTES];
        head.copy_from_slice(&hash.finalize()[..BYTES]);
        Self(head)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl TryFrom<&str> for Etag {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        let number = u64::from_str_radix(text, 16).ok().filter(|number| format!("{number:016x}") == text);
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or(InvalidName { what: "etag", rule: "one that was answered" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_reads_back_and_depends_on_where_parts_end() {
        let etag = Etag::of([&b"ab"[..], b"c"]);
        assert_eq!(Etag::try_from(&*etag.to_string()), Ok(etag));
        assert_ne!(Etag::of([&b"a"[..], b"bc"]), etag);
        for bad in ["", "1", "+000000000000001", "00000000000000AB", "00000000000000000"] {
            assert!(Etag::try_from(bad).is_err(), "{bad}");
        }
    }
}
