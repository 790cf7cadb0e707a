//! The audit trail, its seals, and where it begins.

use auth_domain::{AuditRecord, AuditStart, SealMark, StoreError};
use portcullis_types::{AuditAnchor, AuditSeal, SealedRow};

use super::{Cells, Columns, Read};

/// What a sealed row takes in its seal: its number and its digest.
const SEALED_BYTES: usize = 40;

/// A row of the audit trail, as it is.
pub(crate) fn record(row: &impl Cells) -> Read<AuditRecord> {
    let row = Columns(row);
    let text = |column| row.maybe_text(column).map(|text| text.unwrap_or_default().to_owned());
    Ok(AuditRecord {
        id: row.seq("id")?,
        at: row.at("at")?,
        tenant: text("tenant")?,
        actor: text("actor")?,
        action: text("action")?,
        target: text("target")?,
        outcome: text("outcome")?,
        reason: text("reason")?,
        request: text("request")?,
        identity: text("identity")?,
        detail: text("detail")?,
        address: text("address")?,
    })
}

pub(crate) fn seal(row: &impl Cells) -> Read<AuditSeal> {
    let row = Columns(row);
    let corrupt = || StoreError::Corrupt { what: "sealed" };
    let sealed = row.bytes("sealed")?.chunks(SEALED_BYTES).map(|bytes| {
        let (id, digest) = bytes.split_first_chunk::<8>().ok_or_else(corrupt)?;
        Ok(SealedRow { id: u64::from_be_bytes(*id), digest: digest.try_into().map_err(|_| corrupt())? })
    });
    Ok(AuditSeal {
        number: row.seq("number")?,
        previous: row.array("previous")?,
        hash: row.array("hash")?,
        sealed_at: row.at("sealed_at")?,
        rows: sealed.collect::<Read<_>>()?,
    })
}

/// How a seal is vouched for.
pub(crate) fn mark(row: &impl Cells) -> Read<SealMark> {
    let row = Columns(row);
    Ok(SealMark {
        seal: AuditAnchor { number: row.seq("number")?, hash: row.array("hash")? },
        sealed_at: row.at("sealed_at")?,
        mark: row.bytes("mark")?.to_vec(),
    })
}

/// Where the audit trail begins.
pub(crate) fn start(row: &impl Cells) -> Read<AuditStart> {
    let row = Columns(row);
    Ok(AuditStart {
        anchor: AuditAnchor { number: row.seq("number")?, hash: row.array("hash")? },
        kek_id: row.text("kek_id")?.to_owned(),
        mark: row.array("mark")?,
    })
}

/// What [`seal`] reads back.
pub(crate) fn sealed(rows: &[SealedRow]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.id.to_be_bytes().into_iter().chain(row.digest)).collect()
}
