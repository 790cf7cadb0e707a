//! What holds the audit trail in place: digests of rows, seals over them, and the check that anybody can repeat.
//!
//! A seal holds the digest of each row of its batch and the hash of the seal before it, so that whoever recomputes them
//! finds a row that was removed, altered, added or put elsewhere. What lies beyond the last seal that is there cannot be
//! missed by looking at what is there: that takes an [`AuditAnchor`], the number and hash of a seal noted elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::Timestamp;

/// The most rows under one seal.
pub const MAX_SEALED_ROWS: usize = 1_000;

/// A row of the trail as it is hashed. What is empty was not given.
#[derive(Clone, Copy, Debug)]
pub struct AuditRow<'a> {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// In which tenant.
    pub tenant: &'a str,
    /// Who.
    pub actor: &'a str,
    /// What was done.
    pub action: &'a str,
    /// To what.
    pub target: &'a str,
    /// How it ended.
    pub outcome: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The caller's name for the request.
    pub request: &'a str,
    /// The id of the identity that it is about.
    pub identity: &'a str,
    /// What was done more closely, as a JSON object.
    pub detail: &'a str,
    /// From where.
    pub address: &'a str,
}

impl AuditRow<'_> {
    /// As a seal holds it. A row without the fields that came later is hashed as it was before there were any, so that
    /// old seals hold; with any of them it begins otherwise, so that none of them can be added to an old row, nor all of
    /// them be taken from a new one.
    pub fn sealed(&self) -> SealedRow {
        let later = [self.identity, self.detail, self.address];
        let is_of_old = later.iter().all(|field| field.is_empty());
        let mut hash = Sha256::new();
        hash.update(if is_of_old { b"portcullis audit row".as_slice() } else { b"portcullis audit row, second form" });
        hash.update(self.id.to_be_bytes());
        hash.update(self.at.as_micros().to_be_bytes());
        let first = [self.tenant, self.actor, self.action, self.target, self.outcome, self.reason, self.request];
        for field in first.into_iter().chain(later.into_iter().filter(|_| !is_of_old)) {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        SealedRow { id: self.id, digest: hash.finalize().into() }
    }
}

/// A row as it was when it was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// Its number.
    pub id: u64,
    /// SHA-256 over its fields, each with its length before it.
    pub digest: [u8; 32],
}

/// What holds a batch of rows in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSeal {
    /// Its number, gapless from 1.
    pub number: u64,
    /// The hash of the seal before it; of the first one zeros.
    pub previous: [u8; 32],
    /// When it was made.
    pub sealed_at: Timestamp,
    /// The rows it was made over, by their numbers.
    pub rows: Vec<SealedRow>,
    /// Over all of the above.
    pub hash: [u8; 32],
}

impl AuditSeal {
    /// The seal after this anchor, or the first one.
    pub fn over(after: Option<AuditAnchor>, sealed_at: Timestamp, rows: Vec<SealedRow>) -> Self {
        let (number, previous) = after.map_or((1, [0; 32]), |anchor| (anchor.number + 1, anchor.hash));
        let mut seal = Self { number, previous, sealed_at, rows, hash: [0; 32] };
        seal.hash = seal.computed();
        seal
    }

    /// What to note elsewhere.
    pub const fn anchor(&self) -> AuditAnchor {
        AuditAnchor { number: self.number, hash: self.hash }
    }

    fn computed(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"portcullis audit seal");
        hash.update(self.number.to_be_bytes());
        hash.update(self.previous);
        hash.update(self.sealed_at.as_micros().to_be_bytes());
        hash.update((self.rows.len() as u64).to_be_bytes());
        for row in &self.rows {
            hash.update(row.id.to_be_bytes());
            hash.update(row.digest);
        }
        hash.finalize().into()
    }
}

/// The number and hash of a seal, for noting elsewhere: `<number>-<64 hex digits>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditAnchor {
    /// The seal's number.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Not an anchor's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an anchor: expected <number>-<64 hex digits>")]
pub struct InvalidAnchor;

impl fmt::Display for AuditAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.number)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for AuditAnchor {
    type Err = InvalidAnchor;

    fn from_str(text: &str) -> Result<Self, InvalidAnchor> {
        let (number, digits) = text.split_once('-').ok_or(InvalidAnchor)?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidAnchor);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| InvalidAnchor)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidAnchor)?;
        }
        let anchor = Self { number: number.parse().map_err(|_| InvalidAnchor)?, hash };
        if anchor.to_string() == text { Ok(anchor) } else { Err(InvalidAnchor) }
    }
}

/// What is wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFinding {
    /// Seals before this one are missing.
    SealsMissing {
        /// The first one that is.
        from: u64,
        /// The one that came instead.
        before: u64,
    },
    /// The seal is not what it was made as: its hash, its time or its list of rows.
    SealAltered {
        /// Which.
        seal: u64,
    },
    /// The seal was not made after the one before it: one of them is another one.
    SealForked {
        /// Which.
        seal: u64,
    },
    /// The seal is not the one that was noted elsewhere.
    AnchorMissed {
        /// Which.
        seal: u64,
    },
    /// The trail ends before the seal that was noted elsewhere.
    Truncated {
        /// The one that was noted.
        noted: u64,
        /// The last one that is there.
        last: u64,
    },
    /// The seal that was noted elsewhere is not there to be compared: the trail begins later.
    AnchorGone {
        /// The one that was noted.
        noted: u64,
        /// The last one that was removed.
        begins_after: u64,
    },
    /// The trail is said to begin after a seal, and whoever holds the key-encryption keys does not vouch for that.
    BeginningForged {
        /// Which.
        seal: u64,
    },
    /// A row is gone that was sealed.
    RowRemoved {
        /// Under which seal.
        seal: u64,
        /// Which.
        row: u64,
    },
    /// A row is not what was sealed.
    RowAltered {
        /// Under which seal.
        seal: u64,
        /// Which.
        row: u64,
    },
    /// A row claims to be sealed and was not.
    RowAdded {
        /// Under which seal.
        seal: u64,
        /// Which.
        row: u64,
    },
}

/// Checks a trail, seal by seal, from its beginning or after a seal that was noted.
#[derive(Clone, Debug, Default)]
pub struct AuditCheck {
    last: Option<AuditAnchor>,
    noted: Option<AuditAnchor>,
    was_noted_met: bool,
    begins_after: Option<AuditAnchor>,
}

impl AuditCheck {
    /// From the beginning, against a seal that was noted elsewhere, when there is one.
    pub fn from_the_beginning(noted: Option<AuditAnchor>) -> Self {
        Self { noted, ..Self::default() }
    }

    /// From after a seal that is known to be good.
    pub fn after(seal: Option<AuditAnchor>) -> Self {
        Self { last: seal, ..Self::default() }
    }

    /// The last seal that was checked.
    pub const fn last(&self) -> Option<AuditAnchor> {
        self.last
    }

    /// Everything up to a seal was removed: the trail begins after it, or goes on there where that was done meanwhile.
    /// `rows` still carry the number of a seal that is gone. What is wrong with that.
    pub fn begin_after(&mut self, seal: AuditAnchor, is_vouched_for: bool, rows: &[SealedRow]) -> Vec<AuditFinding> {
        let mut findings = Vec::new();
        if !is_vouched_for {
            findings.push(AuditFinding::BeginningForged { seal: seal.number });
        }
        findings.extend(self.meet(seal));
        findings.extend(rows.iter().map(|row| AuditFinding::RowAdded { seal: seal.number, row: row.id }));
        (self.last, self.begins_after) = (Some(seal), Some(seal));
        findings
    }

    /// The last seal of what was removed.
    pub const fn begins_after(&self) -> Option<AuditAnchor> {
        self.begins_after
    }

    /// Whether this is another seal than the noted one of its number.
    fn meet(&mut self, seal: AuditAnchor) -> Option<AuditFinding> {
        let noted = self.noted.filter(|noted| noted.number == seal.number)?;
        self.was_noted_met = true;
        (noted.hash != seal.hash).then_some(AuditFinding::AnchorMissed { seal: seal.number })
    }

    /// The next seal with the rows that carry its number. What is wrong with them.
    pub fn next(&mut self, seal: &AuditSeal, rows: &[SealedRow]) -> Vec<AuditFinding> {
        let number = seal.number;
        let mut findings = Vec::new();
        let (expected, previous) = self.last.map_or((1, [0; 32]), |last| (last.number + 1, last.hash));
        if number != expected {
            findings.push(AuditFinding::SealsMissing { from: expected, before: number });
        } else if seal.previous != previous {
            findings.push(AuditFinding::SealForked { seal: number });
        }
        if seal.computed() != seal.hash {
            findings.push(AuditFinding::SealAltered { seal: number });
        }
        findings.extend(self.meet(seal.anchor()));
        findings.extend(compare(number, &seal.rows, rows));
        self.last = Some(seal.anchor());
        findings
    }

    /// After the last seal. A noted seal that was removed is a finding: nobody can tell a trail that was made again, and then
    /// removed up to a later seal than the noted one, from one that became old.
    pub fn end(&self) -> Option<AuditFinding> {
        let last = self.last.map_or(0, |last| last.number);
        let noted = self.noted?.number;
        if noted > last {
            return Some(AuditFinding::Truncated { noted, last });
        }
        let begins_after = self.begins_after.map_or(0, |begins| begins.number);
        (noted < begins_after && !self.was_noted_met).then_some(AuditFinding::AnchorGone { noted, begins_after })
    }
}

fn compare(seal: u64, sealed: &[SealedRow], found: &[SealedRow]) -> Vec<AuditFinding> {
    let by_id = |rows: &[SealedRow]| rows.iter().map(|row| (row.id, row.digest)).collect::<BTreeMap<_, _>>();
    let (sealed, found) = (by_id(sealed), by_id(found));
    let lost = sealed.iter().filter_map(|(&row, digest)| match found.get(&row) {
        None => Some(AuditFinding::RowRemoved { seal, row }),
        Some(other) if other != digest => Some(AuditFinding::RowAltered { seal, row }),
        Some(_) => None,
    });
    let added = found.keys().filter(|row| !sealed.contains_key(row)).map(|&row| AuditFinding::RowAdded { seal, row });
    lost.chain(added).collect()
}

#[cfg(test)]
mod tests;
