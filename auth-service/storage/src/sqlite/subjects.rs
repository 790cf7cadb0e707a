//! Subjects of external issuers that are bound to identities.

use async_trait::async_trait;
use auth_domain::{IssuerSubject, StoreError, SubjectReads, SubjectWrites, SubjectsOf};
use portcullis_types::{IdentityId, IssuerId, TenantId};

use super::tx::SqliteTx;
use crate::rows::issuers as rows;

/// Subjects of tenant `?1`, with what they must be besides.
macro_rules! subjects {
    ($rest:literal) => {
        concat!(
            "SELECT s.issuer, s.subject, s.identity, i.name AS issuer_name, i.removed_at, n.name AS identity_name
             FROM issuer_subjects s
             JOIN issuers i ON i.id = s.issuer
             JOIN identities n ON n.tenant = s.tenant AND n.id = s.identity
             WHERE s.tenant = ?1 AND ",
            $rest
        )
    };
}

#[async_trait]
impl SubjectReads for SqliteTx {
    async fn find_subjects(
        &mut self,
        tenant: &TenantId,
        of: SubjectsOf,
        after: Option<(IssuerId, IdentityId)>,
        limit: u32,
    ) -> Result<Vec<IssuerSubject>, StoreError> {
        // No id is before this one, and none is it.
        let first = (IssuerId::from_bytes([0; 16]), IdentityId::from_bytes([0; 16]));
        let (issuer, identity) = after.unwrap_or(first);
        let sql = match of {
            SubjectsOf::Issuer(_) => subjects!("s.issuer = ?2 AND s.identity > ?3 ORDER BY s.identity LIMIT ?4"),
            SubjectsOf::Identity(_) => subjects!("s.identity = ?2 AND s.issuer > ?3 ORDER BY s.issuer LIMIT ?4"),
            SubjectsOf::Both(..) => subjects!("s.issuer = ?2 AND s.identity = ?3 LIMIT ?4"),
        };
        let (one, other) = match &of {
            SubjectsOf::Issuer(of) => (&of.as_bytes()[..], &identity.as_bytes()[..]),
            SubjectsOf::Identity(of) => (&of.as_bytes()[..], &issuer.as_bytes()[..]),
            SubjectsOf::Both(issuer, identity) => (&issuer.as_bytes()[..], &identity.as_bytes()[..]),
        };
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(one).bind(other).bind(i64::from(limit));
        self.all(query).await?.iter().map(rows::subject).collect()
    }
}

#[async_trait]
impl SubjectWrites for SqliteTx {
    async fn unbind_subject(&mut self, issuer: IssuerId, identity: IdentityId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM issuer_subjects WHERE issuer = ?1 AND identity = ?2";
        let query = sqlx::query(sql).bind(&issuer.as_bytes()[..]).bind(&identity.as_bytes()[..]);
        Ok(self.write(query).await?.rows_affected() == 1)
    }
}
