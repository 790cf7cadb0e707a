//! Who did what: one row for every change, in the change's own transaction.
//!
//! Refuses: secrets. A row names ids and nothing that could be presented.

use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use crate::{Caller, RequestId};

/// Who stands behind a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(Box<str>);

impl Actor {
    /// The service that calls the API.
    pub fn caller(caller: &Caller) -> Self {
        Self::identity(&caller.tenant, caller.identity)
    }

    /// An identity acting for itself.
    pub fn identity(tenant: &TenantId, identity: IdentityId) -> Self {
        Self(format!("identity:{tenant}/{identity}").into())
    }

    /// Whoever presents a credential.
    pub fn holder(tenant: &TenantId, credential: CredentialId) -> Self {
        Self(format!("credential:{tenant}/{credential}").into())
    }

    /// Somebody at the HTTP edge who is not known yet.
    pub fn edge() -> Self {
        Self("edge".into())
    }

    /// The authority itself.
    pub fn authority() -> Self {
        Self("authority".into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One change.
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
    /// The caller's name for the request, when it had one.
    pub request: Option<RequestId>,
}
