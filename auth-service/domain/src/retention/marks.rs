//! The marks of seals: which key-encryption key vouches for it that a seal was made, and when.
//!
//! Guarantees: whoever can write the database alone can make seals again, in a chain that is whole by itself, but cannot say
//! that they were made long ago. So the removal of old rows takes nothing by their word.

use portcullis_types::{AuditAnchor, AuditSeal, TenantId, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::audit::{About, Actor, Detail};
use crate::{Authority, KeyEncryptionKey, KeyEncryptionKeys, ReencryptError};

/// How many marks one transaction makes anew, so that other writers need not wait for long.
const AT_ONCE: u32 = 250;
/// What the tag takes at the end of a mark; before it is the name of its key.
const TAG_BYTES: usize = 32;

/// What of a seal is vouched for, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealMark {
    /// The seal.
    pub seal: AuditAnchor,
    /// When it was made.
    pub sealed_at: Timestamp,
    /// The name of the key-encryption key that vouches for it, and the tag. Empty: it is from before there were marks.
    pub mark: Vec<u8>,
}

impl SealMark {
    /// As this key vouches for it.
    pub fn new(seal: AuditAnchor, sealed_at: Timestamp, kek: &KeyEncryptionKey) -> Self {
        let mark = [kek.id().as_bytes(), &kek.seal_mark(&seal, sealed_at)].concat();
        Self { seal, sealed_at, mark }
    }

    /// Whether whoever made it had one of these keys.
    fn is_vouched_for(&self, keks: &KeyEncryptionKeys) -> bool {
        let Some((kek_id, tag)) = self.mark.split_last_chunk::<TAG_BYTES>() else { return false };
        let kek = str::from_utf8(kek_id).ok().and_then(|id| keks.named(id).ok());
        kek.is_some_and(|kek| kek.seal_mark(&self.seal, self.sealed_at).ct_eq(tag).into())
    }

    /// Whether it is of this seal, and whoever made it had one of these keys.
    pub(super) fn vouches_for(&self, seal: &AuditSeal, keks: &KeyEncryptionKeys) -> bool {
        self.seal == seal.anchor() && self.sealed_at == seal.sealed_at && self.is_vouched_for(keks)
    }
}

impl Authority {
    /// Has the current key-encryption key vouch for every seal that another one vouches for. A mark that is wrong stays
    /// wrong, one of a key that was not given stays as it is, and a seal that has none gets none. How many were left.
    pub(crate) async fn mark_seals_anew(&self, actor: &Actor) -> Result<u64, ReencryptError> {
        let (mut after, mut left) = (0, 0);
        loop {
            let marks = self.store().read().await?.seal_marks_not_under(self.kek().id(), after, AT_ONCE).await?;
            let Some(last) = marks.last().map(|mark| mark.seal) else { return Ok(left) };
            after = last.number;
            let mut tx = self.begin(actor).await?;
            let mut count = 0;
            for mark in &marks {
                if !mark.is_vouched_for(self.keks()) {
                    left += 1;
                    continue;
                }
                // It may have been removed or marked anew meanwhile.
                let anew = SealMark::new(mark.seal, mark.sealed_at, self.kek());
                count += usize::from(tx.mark_seal(mark, &anew).await?);
            }
            if count > 0 {
                let entry = self.audit(actor, &TenantId::system(), "audit.reencrypt", About::Trail(last));
                tx.insert_audit(&entry.telling(Detail::default().and_count("seals", count))).await?;
                tx.commit().await?;
            }
        }
    }
}
