//! Removing the oldest rows of the audit trail, where an operator says how long they are kept.
//!
//! Guarantees: whole sealed batches go, the oldest first, and only when what is there is what was sealed, and a key vouches
//! for when ([`SealMark`](super::SealMark)): a removal never makes a damaged trail look whole, and takes nothing that was made
//! to look old. The newest seal stays, because the next one is chained to it. That rows were removed,
//! and up to which seal, is a row of the trail itself, in the same transaction.
//! From then on the trail begins after that seal ([`AuditStart`]): its number and hash are kept, marked under a
//! key-encryption key. So whoever can write rows and has no such key cannot have it begin later without being found out.
//! Refuses: to go on from a beginning that no key vouches for.

use std::time::Duration;

use portcullis_types::{AuditAnchor, AuditCheck, AuditSeal, SealedRow, TenantId, Timestamp};
use subtle::ConstantTimeEq as _;

use super::{CompactError, RetentionRules, Tidied};
use crate::audit::{About, Actor, Detail};
use crate::audit_trail::MOST_EXPORTED;
use crate::{AuditRecord, Authority, KeyEncryptionKey, KeyEncryptionKeys, ReencryptError};

/// How many seals one transaction removes at most, and after how many rows it removes no further one.
const SEALS_AT_ONCE: u32 = 64;
const ROWS_AT_ONCE: usize = 1_000;
/// Each removal is a row of its own: a quiet trail is shortened by some days at a time, and not by a row for a row.
const WORTH_A_ROW: Duration = Duration::from_secs(86_400);

/// After which seal the trail begins, since what was before was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStart {
    /// The last seal that was removed.
    pub anchor: AuditAnchor,
    /// The key-encryption key that vouches for it.
    pub kek_id: String,
    /// How it does.
    pub mark: [u8; 32],
}

impl AuditStart {
    fn new(anchor: AuditAnchor, kek: &KeyEncryptionKey) -> Self {
        Self { anchor, kek_id: kek.id().to_owned(), mark: kek.audit_mark(&anchor) }
    }

    /// Whether whoever wrote it had one of these keys.
    pub fn is_vouched_for(&self, keks: &KeyEncryptionKeys) -> bool {
        keks.named(&self.kek_id).is_ok_and(|kek| kek.audit_mark(&self.anchor).ct_eq(&self.mark).into())
    }
}

/// Why no row is removed from the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrailFault {
    /// No key-encryption key vouches for where it begins.
    #[error("it is said to begin after seal {0}, and no key-encryption key vouches for that")]
    Unvouched(u64),
    /// A seal or its rows are not what they were.
    #[error("seal {0}, or what it holds, was changed")]
    Changed(u64),
    /// Nobody knows when a seal was made.
    #[error("no key-encryption key vouches for it that seal {0} was made when it says")]
    Unmarked(u64),
}

impl Authority {
    /// Removes some of the rows of the trail that are old enough.
    pub async fn remove_audit(&self, rules: &RetentionRules) -> Result<Tidied, CompactError> {
        let Some(kept) = rules.audit else { return Ok(Tidied::Nothing) };
        let mut view = self.store().read().await?;
        let start = view.audit_start().await?;
        let from = start.as_ref().map(|start| start.anchor);
        let seals = view.audit_seals(from.map_or(0, |from| from.number), SEALS_AT_ONCE + 1).await?;
        let going = going(&seals, self.over_for(kept));
        let Some(last) = going.last().map(AuditSeal::anchor) else { return Ok(Tidied::Nothing) };
        if let Some(start) = start.filter(|start| !start.is_vouched_for(self.keks())) {
            return Err(TrailFault::Unvouched(start.anchor.number).into());
        }
        let begins_after = from.map_or(0, |from| from.number);
        if !view.audit_up_to(begins_after, 1).await?.is_empty() {
            return Err(TrailFault::Changed(begins_after).into());
        }
        // Beside the writers: what is sealed does not change.
        let marks = view.seal_marks(begins_after, SEALS_AT_ONCE).await?;
        let (mut check, mut count) = (AuditCheck::after(from), 0);
        for seal in going {
            let rows = view.sealed_audit(seal.number, MOST_EXPORTED).await?;
            let rows: Vec<SealedRow> = rows.iter().map(AuditRecord::sealed).collect();
            if !check.next(seal, &rows).is_empty() {
                return Err(TrailFault::Changed(seal.number).into());
            }
            if !marks.iter().any(|mark| mark.vouches_for(seal, self.keks())) {
                return Err(TrailFault::Unmarked(seal.number).into());
            }
            count += rows.len() as u64;
        }
        drop(view);
        let Some(mut turn) = self.turn().await? else { return Ok(Tidied::Elsewhere) };
        let next = AuditStart::new(last, self.kek());
        let Some(rows) = turn.tx.remove_sealed_audit(from, &next).await? else { return Ok(Tidied::Elsewhere) };
        // What was put there since is not taken away unseen.
        if rows != count {
            return Err(TrailFault::Changed(last.number).into());
        }
        let (actor, system) = (Actor::authority(), TenantId::system());
        let entry = self.audit(&actor, &system, "audit.remove", About::Trail(last));
        let counts = Detail::default().and_count("seals", going.len()).and("rows", rows);
        turn.tx.insert_audit(&entry.telling(counts)).await?;
        Ok(self.end_turn(turn, rows).await?)
    }

    /// Has the current key-encryption key vouch for where the trail begins; how many marks were made anew.
    pub(crate) async fn mark_audit_start_anew(&self, actor: &Actor) -> Result<u32, ReencryptError> {
        let Some(start) = self.store().read().await?.audit_start().await? else { return Ok(0) };
        if start.kek_id == self.kek().id() {
            return Ok(0);
        }
        self.keks().named(&start.kek_id)?;
        if !start.is_vouched_for(self.keks()) {
            return Err(ReencryptError::Damaged { what: "where the audit trail begins".to_owned() });
        }
        let mut tx = self.begin(actor).await?;
        // More may have been removed meanwhile; then the current key vouches already.
        if !tx.mark_audit_start(&start, &AuditStart::new(start.anchor, self.kek())).await? {
            return Ok(0);
        }
        let entry = self.audit(actor, &TenantId::system(), "audit.reencrypt", About::Trail(start.anchor));
        tx.insert_audit(&entry).await?;
        tx.commit().await?;
        Ok(1)
    }
}

impl From<TrailFault> for CompactError {
    fn from(fault: TrailFault) -> Self {
        Self::Trail(fault)
    }
}

/// The oldest of these seals that go: made before an instant, and followed by another one.
fn going(seals: &[AuditSeal], before: Timestamp) -> &[AuditSeal] {
    let is_worth_it = seals.first().is_some_and(|first| first.sealed_at < before.saturating_sub(WORTH_A_ROW));
    let Some((_, followed)) = seals.split_last().filter(|_| is_worth_it) else { return &[] };
    let mut rows = 0;
    let fits = followed.iter().take_while(|seal| {
        let fits = seal.sealed_at < before && rows < ROWS_AT_ONCE;
        rows += seal.rows.len();
        fits
    });
    &followed[..fits.count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    /// Seals of so many rows each, made at these seconds.
    fn seals(of: &[(i64, u64)]) -> Vec<AuditSeal> {
        let mut seals: Vec<AuditSeal> = Vec::new();
        for (at, rows) in of {
            let rows = (0..*rows).map(|id| SealedRow { id, digest: [7; 32] }).collect();
            let after = seals.last().map(AuditSeal::anchor);
            seals.push(AuditSeal::over(after, Timestamp::from_unix_seconds(*at), rows));
        }
        seals
    }

    fn count(of: &[(i64, u64)], before: i64) -> usize {
        going(&seals(of), Timestamp::from_unix_seconds(before)).len()
    }

    #[test]
    fn the_newest_seal_and_what_is_too_young_stay() {
        assert_eq!(count(&[], 9 * DAY), 0);
        assert_eq!(count(&[(1, 1)], 9 * DAY), 0, "nothing follows it");
        assert_eq!(count(&[(1, 1), (2, 1), (3, 1)], 9 * DAY), 2);
        assert_eq!(count(&[(1, 1), (9 * DAY, 1), (9 * DAY, 1)], 9 * DAY), 1, "what was made at that instant stays");
        assert_eq!(count(&[(9 * DAY, 1), (1, 1), (2, 1)], 9 * DAY), 0, "they go in their order");
    }

    #[test]
    fn nothing_goes_before_a_days_worth_would() {
        assert_eq!(count(&[(0, 1), (1, 1)], DAY), 0);
        assert_eq!(count(&[(0, 1), (DAY / 2, 1), (DAY, 1), (2 * DAY, 1)], DAY + 1), 3);
    }

    #[test]
    fn one_transaction_removes_a_bounded_number_of_rows() {
        let full = [(1, 600); 5];
        assert_eq!(count(&full, 9 * DAY), 2, "the next one would come after 1,200");
        assert_eq!(count(&[(1, 1_000), (1, 1), (1, 1)], 9 * DAY), 1);
    }
}
