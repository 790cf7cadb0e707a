//! The audit trail as it is read, sealed and handed out for checking.
//!
//! Guarantees: a seal is made over rows that are committed, by one sealer at a time, in transactions of its own: chaining
//! each row in the transaction that writes it would have every login wait for every other. A page goes on where the one
//! before it ended.

use portcullis_types::{AuditAnchor, AuditRow, AuditSeal, MAX_SEALED_ROWS, SealedRow, TenantId, Timestamp};

use crate::audit::{About, Actor, AuditEntry};
use crate::{AuditFilter, AuditOutcome, Authority, InvalidPage, ListError, Page, Paged, SealMark, StoreError};

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
    pub async fn sealed_audit_after(&self, seal: u64) -> Result<Option<AuditPart>, StoreError> {
        let mut view = self.store().read().await?;
        if let Some(start) = view.audit_start().await?.filter(|start| start.anchor.number > seal) {
            let rows = view.audit_up_to(start.anchor.number, MOST_EXPORTED).await?;
            let is_vouched_for = start.is_vouched_for(self.keks());
            let beginning = Some(AuditBeginning { after: start.anchor, is_vouched_for });
            return Ok(Some(AuditPart { beginning, seal: None, rows }));
        }
        let Some(seal) = view.audit_seals(seal, 1).await?.pop() else { return Ok(None) };
        let rows = view.sealed_audit(seal.number, MOST_EXPORTED).await?;
        Ok(Some(AuditPart { beginning: None, seal: Some(seal), rows }))
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

fn position(text: &str) -> Result<(Timestamp, u64), InvalidPage> {
    let (at, id) = text.split_once(':').ok_or(InvalidPage::Token)?;
    let at = at.parse().map_err(|_| InvalidPage::Token)?;
    Ok((Timestamp::from_micros(at), id.parse().map_err(|_| InvalidPage::Token)?))
}
