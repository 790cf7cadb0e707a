//! Who did what: one row for every change, in the change's own transaction. How rows are read and sealed is in
//! `audit_trail`.
//!
//! Refuses: secrets. A row names ids and nothing that could be presented.

use portcullis_types::{CredentialId, IdentityId, IssuerId, TenantId, Timestamp};

use crate::asking::Asked;
use crate::{Caller, RequestId};

/// Who stands behind a change, the key that lets it, and what the caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    text: Box<str>,
    key: Option<CredentialId>,
    asked: Option<Asked>,
}

impl Actor {
    /// The service that calls the API, by the key it calls with. What it asks for begins only while that key is good.
    pub fn caller(caller: &Caller) -> Self {
        let Caller { tenant, identity, credential, .. } = caller;
        Self { text: format!("identity:{tenant}/{identity}/{credential}").into(), key: Some(*credential), asked: None }
    }

    /// The same, asking for what has this name.
    #[must_use]
    pub fn asking(mut self, asked: Option<Asked>) -> Self {
        self.asked = asked;
        self
    }

    /// An identity acting for itself.
    pub fn identity(tenant: &TenantId, identity: IdentityId) -> Self {
        Self::of(format!("identity:{tenant}/{identity}"))
    }

    /// Whoever presents a credential.
    pub fn holder(tenant: &TenantId, credential: CredentialId) -> Self {
        Self::of(format!("credential:{tenant}/{credential}"))
    }

    /// An external issuer, by a token that it signed.
    pub fn issuer(tenant: &TenantId, issuer: IssuerId) -> Self {
        Self::of(format!("issuer:{tenant}/{issuer}"))
    }

    /// Somebody at the HTTP edge who is not known yet.
    pub fn edge() -> Self {
        Self::of("edge")
    }

    /// The authority itself.
    pub fn authority() -> Self {
        Self::of("authority")
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key that must be good when a change begins; none for whoever needs no key.
    pub(crate) const fn key(&self) -> Option<CredentialId> {
        self.key
    }

    /// What the caller names what it asks for, when it does.
    pub(crate) const fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    fn of(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), key: None, asked: None }
    }
}

/// How what was asked ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// The caller was not allowed to.
    Denied,
}

/// One change, or one that was not allowed.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// In which tenant.
    pub tenant: TenantId,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `session.revoke`.
    pub action: &'static str,
    /// To what, by kind and id.
    pub target: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why, when that was given: a revocation's reason, or a denial's.
    pub reason: Option<String>,
    /// The caller's name for the request, when it had one.
    pub request: Option<RequestId>,
}
