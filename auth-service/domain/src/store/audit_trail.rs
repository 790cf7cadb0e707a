//! The audit trail as it is read, and the seals that hold it in place.

use async_trait::async_trait;
use portcullis_types::{AuditSeal, IdentityId, TenantId, Timestamp};

use crate::{AuditOutcome, AuditRecord, SealMark, StoreError};

/// Which rows of a tenant; what is absent allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// By whom.
    pub actor: Option<TextMatch>,
    /// What was done.
    pub action: Option<TextMatch>,
    /// To exactly this.
    pub target: Option<String>,
    /// Concerning this one.
    pub identity: Option<IdentityId>,
    /// How it ended.
    pub outcome: Option<AuditOutcome>,
}

/// A text, or how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// This one.
    Whole(String),
    /// Any that begins so.
    Beginning(String),
}

impl TextMatch {
    /// The text that must be equal, when it is whole.
    pub fn whole(&self) -> Option<&str> {
        match self {
            Self::Whole(text) => Some(text),
            Self::Beginning(_) => None,
        }
    }

    /// How the text must begin, when it is not whole.
    pub fn beginning(&self) -> Option<&str> {
        match self {
            Self::Whole(_) => None,
            Self::Beginning(text) => Some(text),
        }
    }
}

/// Reads of this area, in one snapshot. Rows are read as they are: what somebody put there must be seen.
#[async_trait]
pub trait AuditReads: Send {
    /// Rows of a tenant, newest first, before a time and a number.
    async fn find_audit(
        &mut self,
        tenant: &TenantId,
        filter: &AuditFilter,
        before: Option<(Timestamp, u64)>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError>;

    /// Rows without a seal, after a number, by their numbers.
    async fn unsealed_audit(&mut self, after: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;

    /// Rows that carry a seal's number, by their own numbers.
    async fn sealed_audit(&mut self, seal: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;

    /// Seals after a number, by their numbers.
    async fn audit_seals(&mut self, after: u64, limit: u32) -> Result<Vec<AuditSeal>, StoreError>;

    /// The newest seal.
    async fn last_audit_seal(&mut self) -> Result<Option<AuditSeal>, StoreError>;
}

/// Writes of this area.
#[async_trait]
pub trait AuditWrites: Send {
    /// A new seal with its mark, whose number its rows carry from now on. False when another one has the number;
    /// [`StoreError::Conflict`] when one of its rows is sealed already.
    async fn insert_audit_seal(&mut self, seal: &AuditSeal, mark: &SealMark) -> Result<bool, StoreError>;
}
