//! Vouching for seals that were made before there were marks.
//!
//! Guarantees: only what an operator has noted elsewhere is vouched for. Its hash is over every seal before it, their rows
//! and when each was made; all of that is hashed anew before anything is marked. A mark that is there stays, also a wrong one:
//! only seals that never had one get one.

use portcullis_types::{AuditAnchor, AuditCheck, AuditSeal, SealedRow, TenantId, Timestamp};

use super::{SealMark, TrailFault};
use crate::audit::{About, Actor, Detail};
use crate::audit_trail::MOST_EXPORTED;
use crate::{AuditRecord, Authority, BeginError, StoreError};

/// How many seals are read at once, and marked in one transaction, so that other writers need not wait for long.
const AT_ONCE: u32 = 250;

/// Why seals were not vouched for.
#[derive(Debug, thiserror::Error)]
pub enum VouchError {
    /// What is there is not what was noted.
    #[error("seal {0} is not the one that was noted: run `portcullis audit verify`")]
    OtherSeal(u64),
    /// There is no such seal.
    #[error("there is no seal {0}: the trail was cut off before it, or begins after it")]
    NotThere(u64),
    /// The trail is not whole up to it.
    #[error(transparent)]
    Trail(#[from] TrailFault),
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Has the current key-encryption key vouch for every seal without a mark up to one that was noted elsewhere; how many.
    pub async fn vouch_for_seals(&self, actor: &Actor, noted: AuditAnchor) -> Result<u64, VouchError> {
        let unmarked = self.unmarked_up_to(noted).await?;
        let mut count = 0;
        for some in unmarked.chunks(AT_ONCE as usize) {
            let mut tx = self.begin(actor).await?;
            let mut marked = 0;
            for (seal, sealed_at) in some {
                let bare = SealMark { seal: *seal, sealed_at: *sealed_at, mark: Vec::new() };
                let anew = SealMark::new(*seal, *sealed_at, self.kek());
                marked += usize::from(tx.mark_seal(&bare, &anew).await?);
            }
            let entry = self.audit(actor, &TenantId::system(), "audit.vouch", About::Trail(noted));
            tx.insert_audit(&entry.telling(Detail::default().and_count("seals", marked))).await?;
            tx.commit().await?;
            count += marked as u64;
        }
        Ok(count)
    }

    /// The seals that nobody has vouched for, when everything up to the noted one is as it was sealed.
    async fn unmarked_up_to(&self, noted: AuditAnchor) -> Result<Vec<(AuditAnchor, Timestamp)>, VouchError> {
        let start = self.store().read().await?.audit_start().await?;
        let from = start.as_ref().map(|start| start.anchor);
        if let Some(start) = start.filter(|start| !start.is_vouched_for(self.keks())) {
            return Err(TrailFault::Unvouched(start.anchor.number).into());
        }
        let (mut check, mut unmarked) = (AuditCheck::after(from), Vec::new());
        loop {
            let after = check.last().map_or(0, |last| last.number);
            let mut view = self.store().read().await?;
            let seals = view.audit_seals(after, AT_ONCE).await?;
            let marks = view.seal_marks(after, AT_ONCE).await?;
            if seals.is_empty() || after >= noted.number {
                return Err(VouchError::NotThere(noted.number));
            }
            for seal in &seals {
                let rows = view.sealed_audit(seal.number, MOST_EXPORTED).await?;
                let rows: Vec<SealedRow> = rows.iter().map(AuditRecord::sealed).collect();
                if !check.next(seal, &rows).is_empty() {
                    return Err(TrailFault::Changed(seal.number).into());
                }
                if marks.iter().any(|mark| mark.seal == seal.anchor() && mark.mark.is_empty()) {
                    unmarked.push((seal.anchor(), seal.sealed_at));
                }
                if seal.number == noted.number {
                    return if is(seal, noted) { Ok(unmarked) } else { Err(VouchError::OtherSeal(noted.number)) };
                }
            }
        }
    }
}

fn is(seal: &AuditSeal, noted: AuditAnchor) -> bool {
    seal.anchor() == noted
}
