//! What callers present, as the store keeps it: a row for each, and never the secret.

use std::net::IpAddr;

use portcullis_types::{
    CredentialId, IdentityId, RedemptionId, Revision, SessionId, SigningKeyId, TenantId, Timestamp,
};

use crate::{Audience, CertificateName, KeyTerms, Label, Origin, Scopes};

/// What kind of credential it is. Passwords have rows of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// The value of a session cookie.
    SessionCookie,
    /// A signed access token (RFC 9068).
    AccessToken,
    /// A rotating refresh token.
    RefreshToken,
    /// A one-time connection ticket.
    Ticket,
    /// An API key.
    ApiKey,
    /// The name in a client certificate, which is shown at a connection and not sent.
    ClientCertificate,
    /// A public key for signatures, which is registered and never presented.
    SignatureKey,
}

/// How a credential of one use was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// A refresh token, for this successor.
    Rotated {
        /// The next refresh token.
        successor: CredentialId,
        /// When.
        at: Timestamp,
    },
    /// A ticket, by this handshake.
    Redeemed {
        /// The handshake.
        by: RedemptionId,
        /// When.
        at: Timestamp,
    },
}

/// A credential's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id; of an access token its `jti`.
    pub id: CredentialId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityId,
    /// Under which session; what has none dies only by its own key.
    pub session: Option<SessionId>,
    /// What kind it is.
    pub kind: CredentialKind,
    /// The digest of an opaque credential; signed ones have none.
    pub digest: Option<[u8; 32]>,
    /// The credential it was issued from: of a ticket its parent, of a refresh token the one before it.
    pub parent: Option<CredentialId>,
    /// What it is for, as its maker said.
    pub label: Option<Label>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
    /// Audiences it may be presented to; empty: any.
    pub audiences: Vec<Audience>,
    /// Origins it may be presented from; empty: any.
    pub origins: Vec<Origin>,
    /// The head, read before the checks that allowed it to be issued.
    pub issued: Revision,
    /// What signed it.
    pub signing_key: Option<SigningKeyId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; absent: never.
    pub expires_at: Option<Timestamp>,
    /// How it was used, when it is of one use and was.
    pub spent: Option<Spent>,
    /// Of an API key, a client certificate or a signature key, what it is limited to; other kinds have none.
    pub key_terms: Option<KeyTerms>,
    /// Of a client certificate, the name in it; other kinds have none.
    pub certificate: Option<CertificateName>,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
}

impl Credential {
    /// Whether it may be presented to this audience.
    pub fn is_for(&self, audience: &Audience) -> bool {
        self.audiences.is_empty() || self.audiences.contains(audience)
    }

    /// Whether it may be presented from this origin, or from none.
    pub fn is_from(&self, origin: Option<&Origin>) -> bool {
        self.origins.is_empty() || origin.is_some_and(|origin| self.origins.contains(origin))
    }

    /// Whether it is a token for a service: for the authority's own API, under no session.
    pub fn is_service_token(&self) -> bool {
        self.kind == CredentialKind::AccessToken && self.session.is_none()
    }

    /// Whether it is what a service is known by at the authority's API, and not a token that stands for that.
    pub fn is_of_service(&self) -> bool {
        matches!(self.kind, CredentialKind::ApiKey | CredentialKind::ClientCertificate)
    }

    /// Whether it may be presented from this address, or from one that is not known.
    pub fn is_from_address(&self, address: Option<IpAddr>) -> bool {
        self.key_terms.as_ref().is_none_or(|terms| terms.is_from(address))
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}
