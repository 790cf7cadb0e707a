//! The audit trail as it is read, sealed and handed out for checking.
//!
//! Guarantees: a seal is made over rows that are committed, by one sealer at a time, in transactions of its own: chaining
//! each row in the transaction that writes it would have every login wait for every other. A page goes on where the one
//! before it ended.

use portcullis_types::{AuditAnchor, AuditRow, AuditSeal, MAX_SEALED_ROWS, SealedRow, TenantId, Timestamp};

use crate::audit::{About, Actor, AuditEntry};
use crate::{
    AuditFilter, AuditOutcome, Authority, InvalidPage, ListError, Page, Paged, ReadView, SealMark, StoreError,
};

/// The most rows that one part of an export has. More than a seal holds, so that added rows are seen.
pub(crate) const MOST_EXPORTED: u32 = 2 * MAX_SEALED_ROWS as u32;

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// In which tenant.
    pub tenant: String,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// How it ended.
    pub outcome: String,
    /// Why; empty: it was not given.
    pub reason: String,
    /// The caller's name for the request; empty: it had none.
    pub request: String,
    /// The id of whom it concerns; empty: nobody.
    pub identity: String,
    /// What was done more closely, as a JSON object; empty: that says it all.
    pub detail: String,
    /// From where; empty: it is not known.
    pub address: String,
}

impl AuditRecord {
    /// As a seal holds it.
    pub fn sealed(&self) -> SealedRow {
        let Self { id, at, tenant, actor, action, target, outcome, reason, request, .. } = self;
        let Self { identity, detail, address, .. } = self;
        let (id, at) = (*id, *at);
        AuditRow { id, at, tenant, actor, action, target, outcome, reason, request, identity, detail, address }.sealed()
    }
}

/// Where the trail begins, since what was before was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditBeginning {
    /// The last seal that was removed.
    pub after: AuditAnchor,
    /// Whether a key-encryption key vouches for that.
    pub is_vouched_for: bool,
}

/// A part of the trail: where it begins, a seal with its rows, or rows without one.
#[derive(Clone, Debug)]
pub struct AuditPart {
    /// Where it begins, when that is what this part says; its rows carry the number of a seal that is gone.
    pub beginning: Option<AuditBeginning>,
    /// The seal; none for the newest rows, which have none yet.
    pub seal: Option<AuditSeal>,
    /// The rows that carry its number.
    pub rows: Vec<AuditRecord>,
}

/// A call that was not allowed.
#[derive(Clone, Debug)]
pub struct DeniedCall {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The method.
    pub method: &'static str,
    /// Why.
    pub reason: String,
    /// How many of this caller's were not written since the last one that was.
    pub unwritten: u64,
}

impl Authority {
    /// Reads rows of a tenant, newest first.
    pub async fn audit_entries(
        &self,
        tenant: &TenantId,
        filter: &AuditFilter,
        page: Page,
    ) -> Result<Paged<AuditRecord>, ListError> {
        let query = format!("audit:{tenant}:{filter:?}");
        let before = page.position(&query)?.map(|text| position(&text)).transpose()?;
        let rows = self.store().read().await?.find_audit(tenant, filter, before, page.fetch()).await?;
        Ok(page.cut(&query, rows, |row| format!("{}:{}", row.at.as_micros(), row.id)))
    }

    /// Seals rows that have no seal yet, at most as many as a seal holds. None when there are none, or when another sealer
    /// was faster.
    pub async fn seal_audit(&self) -> Result<Option<AuditSeal>, StoreError> {
        const MOST: u32 = MAX_SEALED_ROWS as u32;
        if self.store().read().await?.unsealed_audit(0, 1).await?.is_empty() {
            return Ok(None);
        }
        let mut tx = self.store().write().await?;
        let rows: Vec<_> = tx.unsealed_audit(0, MOST).await?.iter().map(AuditRecord::sealed).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let last = match tx.last_audit_seal().await? {
            Some(last) => Some(last.anchor()),
            None => tx.audit_start().await?.map(|start| start.anchor),
        };
        let seal = AuditSeal::over(last, self.now(), rows);
        let mark = SealMark::new(seal.anchor(), seal.sealed_at, self.kek());
        if !tx.insert_audit_seal(&seal, &mark).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(seal))
    }

    /// The part of the trail that the next seal holds, or that it begins later; none when there is no seal after this one.
    /// Rows that carry the number of no seal at all are in the last of these parts, where they belong as little as anywhere.
    pub async fn sealed_audit_after(&self, seal: u64) -> Result<Option<AuditPart>, StoreError> {
        let mut view = self.store().read().await?;
        let start = view.audit_start().await?;
        let begins = start.as_ref().map_or(0, |start| start.anchor.number);
        if let Some(start) = start.filter(|_| begins > seal) {
            let mut rows = view.audit_up_to(begins, MOST_EXPORTED).await?;
            if view.audit_seals(begins, 1).await?.is_empty() {
                rows.extend(view.audit_above(begins, MOST_EXPORTED).await?);
            }
            let is_vouched_for = start.is_vouched_for(self.keks());
            let beginning = Some(AuditBeginning { after: start.anchor, is_vouched_for });
            return Ok(Some(AuditPart { beginning, seal: None, rows }));
        }
        let mut next = view.audit_seals(seal, 2).await?.into_iter();
        let (seal, is_last) = match (next.next(), next.next()) {
            (Some(seal), after) => (seal, after.is_none()),
            (None, _) if seal == 0 => return without_seals(view.as_mut()).await,
            (None, _) => return Ok(None),
        };
        let mut rows = view.sealed_audit(seal.number, MOST_EXPORTED).await?;
        if is_last {
            rows.extend(of_no_seal(view.as_mut(), begins, seal.number).await?);
        }
        Ok(Some(AuditPart { beginning: None, seal: Some(seal), rows }))
    }

    /// Whether the trail has come as far as this seal. Where it has not, the seal is another trail's, or this one was cut off
    /// or put back.
    pub async fn has_come_to_seal(&self, seal: u64) -> Result<bool, StoreError> {
        let mut view = self.store().read().await?;
        let last = match view.last_audit_seal().await? {
            Some(last) => last.number,
            None => view.audit_start().await?.map_or(0, |start| start.anchor.number),
        };
        Ok(seal <= last)
    }

    /// Rows that have no seal yet, after a number.
    pub async fn unsealed_audit_after(&self, row: u64) -> Result<AuditPart, StoreError> {
        let rows = self.store().read().await?.unsealed_audit(row, MAX_SEALED_ROWS as u32).await?;
        Ok(AuditPart { beginning: None, seal: None, rows })
    }

    /// Writes that a call was not allowed. Whoever calls this bounds how often.
    pub async fn note_denied_call(&self, actor: &Actor, call: DeniedCall) -> Result<(), StoreError> {
        let DeniedCall { tenant, method, reason, unwritten } = call;
        let reason = if unwritten == 0 { reason } else { format!("{reason}, {unwritten} more unwritten before") };
        let entry = self.audit(actor, &tenant, "rpc.deny", About::Method(method));
        let entry = AuditEntry { outcome: AuditOutcome::Denied, reason: Some(reason), ..entry };
        let mut tx = self.store().write().await?;
        tx.insert_audit(&entry).await?;
        tx.commit().await
    }
}

/// There is no seal and there never was one, or so it looks: rows that carry the number of one say something else. Nothing
/// vouches for a trail that begins after the first.
async fn without_seals(view: &mut dyn ReadView) -> Result<Option<AuditPart>, StoreError> {
    let rows = of_no_seal(view, 0, 0).await?;
    let beginning = AuditBeginning { after: AuditAnchor { number: 1, hash: [0; 32] }, is_vouched_for: false };
    Ok((!rows.is_empty()).then_some(AuditPart { beginning: Some(beginning), seal: None, rows }))
}

/// Rows that carry a number that no seal has had: beyond the last one, or before the first. A number between them is of a
/// seal, or of one that is missed.
async fn of_no_seal(view: &mut dyn ReadView, begins: u64, last: u64) -> Result<Vec<AuditRecord>, StoreError> {
    let mut rows = view.audit_above(last, MOST_EXPORTED).await?;
    // Where the trail begins later, they are with its beginning.
    if begins == 0 {
        rows.extend(view.audit_up_to(0, MOST_EXPORTED).await?);
    }
    Ok(rows)
}

fn position(text: &str) -> Result<(Timestamp, u64), InvalidPage> {
    let (at, id) = text.split_once(':').ok_or(InvalidPage::Token)?;
    let at = at.parse().map_err(|_| InvalidPage::Token)?;
    Ok((Timestamp::from_micros(at), id.parse().map_err(|_| InvalidPage::Token)?))
}
