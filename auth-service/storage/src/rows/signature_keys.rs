//! Public signature keys.

use auth_domain::{HeldKey, SignatureKeyCount, SignatureKeyRow, StoreError};
use portcullis_types::{CredentialId, SessionId, Timestamp};

use super::{Cells, Columns, Read, credential};

pub(crate) fn signature_key(row: &impl Cells) -> Read<SignatureKeyRow> {
    Ok(SignatureKeyRow { credential: credential(row)?, key: Columns(row).name("signature_key")? })
}

pub(crate) fn signature_key_count(row: &impl Cells) -> Read<SignatureKeyCount> {
    let row = Columns(row);
    Ok(SignatureKeyCount { held: row.seq("held")?, remembered: row.seq("remembered")? })
}

/// The keys that stand beside a credential: one a line, its parts separated by spaces, which none of them has; `-` is none.
pub(crate) fn held_keys(lines: &str) -> Read<Vec<HeldKey>> {
    lines.lines().map(|line| held_key(line).ok_or(StoreError::Corrupt { what: "held_keys" })).collect()
}

fn held_key(line: &str) -> Option<HeldKey> {
    let mut parts = line.splitn(6, ' ');
    let (id, session, issue_seq) = (parts.next()?, parts.next()?, parts.next()?);
    let (created_at, expires_at, key) = (parts.next()?, parts.next()?, parts.next()?);
    Some(HeldKey {
        id: CredentialId::from_bytes(bytes(id)?),
        session: if session == "-" { None } else { Some(SessionId::from_bytes(bytes(session)?)) },
        issue_seq: issue_seq.parse().ok()?,
        created_at: Timestamp::from_micros(created_at.parse().ok()?),
        expires_at: if expires_at == "-" { None } else { Some(Timestamp::from_micros(expires_at.parse().ok()?)) },
        key: key.try_into().ok()?,
    })
}

/// 32 hexadecimal digits.
fn bytes(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}
