//! Where a credential stands: its row, everything above it, and the one rule about what is dead.
//!
//! The rule: an entry kills what is older. A session-bound credential is dead when its issue revision is below the
//! `revoked_seq` of its tenant, identity, session, client application or signing key, or when its issue revision is
//! not on this chain; or when its session, without one itself, began before what its tenant or client application ended
//! by a time. So is a service token, which also dies with its key. What else has no session dies only by its own
//! key, and is refused while its identity is disabled or its tenant suspended, and for ever once one of them is deleted;
//! but a signature key of an identity dies also with what ends the identity's sessions: one of them registered it.

#[cfg(test)]
mod properties;

use std::ops::Deref;
use std::sync::Arc;

use portcullis_types::{CredentialId, KeyDigest, OpaqueToken, Revision, RoleName, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::batch::Target;
use crate::faults::{Fault, is_broken};
use crate::store::{HeldKey, StandingRows, WithParent};
use crate::{
    CertificateName, Credential, CredentialKind, DenyReason, ExternalMark, Grant, Head, IdentityState, KeyState,
    MAX_GRANT_BYTES, ReadView, Store, StoreError, TenantState,
};

/// A refusal: why, and whether it is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) reason: DenyReason,
    pub(crate) permanent: bool,
}

impl Denial {
    pub(crate) const fn permanent(reason: DenyReason) -> Self {
        Self { reason, permanent: true }
    }

    pub(crate) const fn transient(reason: DenyReason) -> Self {
        Self { reason, permanent: false }
    }
}

/// A credential with everything above it, from one snapshot, which many may look at.
#[derive(Debug)]
pub(crate) struct Standing {
    rows: Arc<StandingRows>,
    /// What the roles of a token of an external issuer grant, beside those of its identity.
    vouched: Option<Vec<Grant>>,
    on_this_chain: bool,
}

impl Deref for Standing {
    type Target = StandingRows;

    fn deref(&self) -> &StandingRows {
        &self.rows
    }
}

impl Standing {
    /// Reads it in a snapshot; none when there is no such credential.
    pub(crate) async fn of(view: &mut dyn ReadView, id: CredentialId) -> Result<Option<Self>, StoreError> {
        let head = view.head();
        Ok(view.standing(id).await?.map(|rows| Self::from_rows(head, Arc::new(rows))))
    }

    /// Reads it in a snapshot of its own, with the head of that snapshot.
    pub(crate) async fn now(store: &dyn Store, id: CredentialId) -> Result<(Head, Option<Self>), StoreError> {
        let (head, rows) = store.standing(id).await?;
        Ok((head, rows.map(|rows| Self::from_rows(head, rows))))
    }

    /// A ticket in a snapshot, and what it was issued from.
    pub(crate) async fn of_ticket(view: &mut dyn ReadView, id: CredentialId) -> Result<Option<Ticket>, StoreError> {
        let head = view.head();
        Ok(view.standing_with_parent(id).await?.map(|rows| Ticket::from_rows(head, rows)))
    }

    /// The same, in a snapshot of its own.
    pub(crate) async fn of_ticket_now(
        store: &dyn Store,
        id: CredentialId,
    ) -> Result<(Head, Option<Ticket>), StoreError> {
        let (head, rows) = store.standing_with_parent(id).await?;
        Ok((head, rows.map(|rows| Ticket::from_rows(head, rows))))
    }

    /// As [`Standing::now`], of the registration that a name in a certificate stands for.
    pub(crate) async fn certified(
        store: &dyn Store,
        name: &CertificateName,
    ) -> Result<(Head, Option<Self>), StoreError> {
        let (head, rows) = store.certified(name).await?;
        Ok((head, rows.map(|rows| Self::from_rows(head, rows))))
    }

    /// Below the horizon nothing is known any more: a row of this store is then believed, because it was inserted while its
    /// position was known ([`may_begin`]), or came with the store.
    fn from_rows(head: Head, rows: Arc<StandingRows>) -> Self {
        let vouched = rows.external.as_ref().map(|external| vouched(&rows.grants, external));
        let on_this_chain = is_of_this_log(rows.credential.issued, head.seq, rows.issued_on);
        Self { rows, vouched, on_this_chain }
    }

    /// The rows themselves.
    pub(crate) fn into_rows(self) -> StandingRows {
        Arc::unwrap_or_clone(self.rows)
    }

    /// What it may do, unless it is limited itself: in order, each once.
    pub(crate) fn grants(&self) -> &[Grant] {
        self.vouched.as_deref().unwrap_or(&self.rows.grants)
    }

    /// Whether it is good: neither revoked, nor over, nor refused by state. Use and constraints are judged elsewhere.
    pub(crate) fn judge(&self, now: Timestamp) -> Result<(), Denial> {
        self.judge_revocation()?;
        if self.credential.is_expired(now) {
            return Err(Denial::permanent(DenyReason::Expired));
        }
        self.judge_owner(now)
    }

    /// As [`Standing::judge`], for a ticket that has opened its socket: its own end no longer matters.
    pub(crate) fn judge_admitted(&self, now: Timestamp) -> Result<(), Denial> {
        self.judge_revocation()?;
        self.judge_owner(now)
    }

    fn judge_owner(&self, now: Timestamp) -> Result<(), Denial> {
        if self.session.as_ref().is_some_and(|session| now >= session.expires_at) {
            return Err(Denial::permanent(DenyReason::SessionRevoked));
        }
        match (self.identity.state, self.tenant.state) {
            (_, TenantState::Deleted) => Err(Denial::permanent(DenyReason::TenantRevoked)),
            (IdentityState::Deleted, _) => Err(Denial::permanent(DenyReason::IdentityDisabled)),
            (_, TenantState::Suspended) => Err(Denial::transient(DenyReason::TenantRevoked)),
            (IdentityState::Disabled, TenantState::Active) => Err(Denial::transient(DenyReason::IdentityDisabled)),
            (IdentityState::Active, TenantState::Active) => Ok(()),
        }
    }

    fn judge_revocation(&self) -> Result<(), Denial> {
        if self.credential.revoked_seq.is_some() {
            return Err(Denial::permanent(DenyReason::CredentialRevoked));
        }
        let session = self.session.as_ref();
        let dies_alone = !self.credential.is_service_token() && self.credential.kind != CredentialKind::SignatureKey;
        if session.is_none() && dies_alone {
            return Ok(());
        }
        // A session that was inserted with a revision older than its own ancestors' end is dead from its birth.
        let oldest = session.map_or(u64::MAX, |session| session.issued.seq).min(self.credential.issued.seq);
        let killed_by = |seq: Option<u64>| is_ended(oldest, seq);
        let began = session.map_or(self.credential.created_at, |session| session.created_at);
        let is_before = |ended: Option<Timestamp>| ended.is_some_and(|ended| began < ended);
        let key = self.signing_key;
        let issuer = self.external.as_ref();
        let denied = [
            (session.is_some_and(|session| session.revoked_seq.is_some()), DenyReason::SessionRevoked),
            (killed_by(self.identity.revoked_seq), DenyReason::IdentityRevoked),
            (killed_by(self.tenant.revoked_seq), DenyReason::TenantRevoked),
            (is_before(self.tenant.ended_before), DenyReason::TenantRevoked),
            (killed_by(self.client_revoked_seq), DenyReason::CredentialRevoked),
            (is_before(self.client_ended_before), DenyReason::CredentialRevoked),
            (key.is_some_and(|key| key.state == KeyState::Revoked), DenyReason::CredentialRevoked),
            (key.is_some_and(|key| killed_by(key.revoked_seq)), DenyReason::CredentialRevoked),
            (issuer.is_some_and(|issuer| issuer.is_removed), DenyReason::CredentialRevoked),
            (issuer.is_some_and(|issuer| killed_by(issuer.revoked_seq)), DenyReason::CredentialRevoked),
            (!self.on_this_chain, DenyReason::Invalid),
        ];
        match denied.into_iter().find(|(applies, _)| *applies) {
            Some((_, reason)) => Err(Denial::permanent(reason)),
            None => Ok(()),
        }
    }

    /// Whether a key that is held for its session or its identity is good: what ends the identity's sessions ends it too.
    pub(crate) fn is_held(&self, held: &HeldKey, now: Timestamp) -> bool {
        let is_over = held.expires_at.is_some_and(|end| now >= end);
        let above = [self.identity.revoked_seq, self.tenant.revoked_seq];
        let is_before = self.tenant.ended_before.is_some_and(|ended| held.created_at < ended);
        !is_over && !is_before && !above.into_iter().any(|seq| is_ended(held.issue_seq, seq))
    }

    /// Whether its session is another client application's than this one, where both are named.
    pub(crate) fn is_of_another_client(&self, client: Option<&str>) -> bool {
        let own = self.session.as_ref().and_then(|session| session.client.as_ref());
        own.zip(client).is_some_and(|(own, named)| own.as_str() != named)
    }

    /// Everything a verdict on it rests on.
    pub(crate) fn keys(&self) -> Vec<KeyDigest> {
        let tenant = &self.credential.tenant;
        let mut targets = vec![
            Target::Tenant(tenant.clone()),
            Target::Identity(tenant.clone(), self.identity.id),
            Target::Credential(tenant.clone(), self.credential.id),
        ];
        if let Some(session) = &self.session {
            targets.push(Target::Session(tenant.clone(), session.id));
            targets.extend(session.client.clone().map(|client| Target::Client(tenant.clone(), client)));
        }
        targets.extend(self.credential.signing_key.map(Target::SigningKey));
        let issuer = self.external.as_ref().map(|external| external.issuer);
        targets.extend(issuer.map(|issuer| Target::Issuer(tenant.clone(), issuer)));
        targets.extend(self.roles().map(|role| Target::Role(tenant.clone(), role.clone())));
        targets.iter().map(Target::key).collect()
    }

    /// The roles that it rests on: those of its identity, and those that its issuer vouches for.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &RoleName> {
        let vouched = self.external.iter().flat_map(|external| &external.roles);
        self.identity.roles.iter().chain(vouched)
    }

    /// When it ends at the latest.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        let session = self.session.as_ref().map(|session| session.expires_at);
        [self.credential.expires_at, session].into_iter().flatten().min()
    }
}

/// Where a ticket stands, and the credential that it was issued from.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) own: Standing,
    pub(crate) parent: Option<Standing>,
}

impl Ticket {
    fn from_rows(head: Head, (own, parent): WithParent) -> Self {
        let standing = |rows| Standing::from_rows(head, Arc::new(rows));
        Self { own: standing(own), parent: parent.map(standing) }
    }
}

/// What an issuer vouches for, beside the identity's own grants. Those fit in an answer by the rule under which it got
/// them; what would not fit beside them is left out: fewer grants, never more.
fn vouched(own: &[Grant], external: &ExternalMark) -> Vec<Grant> {
    let mut grants = own.to_vec();
    let mut bytes: u64 = grants.iter().map(Grant::bytes).sum();
    for grant in &external.grants {
        bytes += grant.bytes();
        if bytes <= MAX_GRANT_BYTES && !grants.contains(grant) {
            grants.push(grant.clone());
        }
    }
    grants.sort_unstable();
    grants
}

/// Whether what was presented is what was issued.
pub(crate) fn digest_matches(row: &Credential, token: &OpaqueToken) -> bool {
    row.digest.is_some_and(|digest| digest.ct_eq(&token.digest()).into())
}

/// Whether what was begun at `issued` is older than the end of something that it rests on.
fn is_ended(issued: u64, ended: Option<u64>) -> bool {
    ended.is_some_and(|ended| issued < ended) && !is_broken(Fault::IssueRevisionIgnored)
}

/// Whether something that was begun at a position may be inserted. What is not *known* to be on this log is refused, so
/// that the row can be believed when the log forgets the position.
pub(crate) fn may_begin(issued: Revision, known: Option<Revision>) -> bool {
    known == Some(issued) || is_broken(Fault::LoginSpansFailover)
}

/// Whether a position is on this log, which ends at `head` and has `known` there.
fn is_of_this_log(issued: Revision, head: u64, known: Option<Revision>) -> bool {
    let is_known = issued.seq <= head && known.is_none_or(|known| known == issued);
    is_known || is_broken(Fault::LoginSpansFailover)
}
