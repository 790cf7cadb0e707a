//! What a row of the trail is about.
//!
//! Guarantees: what belongs to somebody cannot be named without whom it belongs to. So each row about a session or a key
//! still says whose it was when nothing else knows it any more.

use std::fmt;

use portcullis_types::{
    AuditAnchor, ClientId, CredentialId, IdentityId, IssuerId, RoleName, SessionId, SigningKeyId, TenantId,
};

/// What a change was made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A person or a service.
    Identity(IdentityId),
    /// A session.
    Session {
        /// Which.
        id: SessionId,
        /// Whose.
        of: IdentityId,
    },
    /// A credential.
    Credential {
        /// Which.
        id: CredentialId,
        /// Whose.
        of: IdentityId,
    },
    /// A tenant.
    Tenant(TenantId),
    /// A role.
    Role(RoleName),
    /// A client application.
    Client(ClientId),
    /// An external issuer.
    Issuer(IssuerId),
    /// A key that signs.
    SigningKey(SigningKeyId),
    /// A call, by its method's path.
    Method(&'static str),
    /// The audit trail up to a seal.
    Trail(AuditAnchor),
}

impl About {
    /// Whom it concerns, where it is somebody.
    pub const fn identity(&self) -> Option<IdentityId> {
        match self {
            Self::Identity(of) | Self::Session { of, .. } | Self::Credential { of, .. } => Some(*of),
            Self::Tenant(_)
            | Self::Role(_)
            | Self::Client(_)
            | Self::Issuer(_)
            | Self::SigningKey(_)
            | Self::Method(_)
            | Self::Trail(_) => None,
        }
    }
}

/// By kind and id, as rows have it.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(id) => write!(f, "identity:{id}"),
            Self::Session { id, .. } => write!(f, "session:{id}"),
            Self::Credential { id, .. } => write!(f, "credential:{id}"),
            Self::Tenant(name) => write!(f, "tenant:{name}"),
            Self::Role(name) => write!(f, "role:{name}"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Issuer(id) => write!(f, "issuer:{id}"),
            Self::SigningKey(id) => write!(f, "signing_key:{id}"),
            Self::Method(path) => write!(f, "method:{path}"),
            Self::Trail(anchor) => write!(f, "seal:{anchor}"),
        }
    }
}
