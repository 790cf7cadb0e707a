//! What a verdict says. How it is reached is in `verification`.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{
    AddressRange, CredentialId, IdentityId, IdentityName, KeyDigest, LeaseClass, RedemptionId, Revision, Secret,
    SessionId, TenantId,
};

use crate::audit::Actor;
use crate::standing::Denial;
use crate::{Audience, CarriedKey, CredentialKind, Grant, IdentityKind, Origin, Scopes};

/// Why a credential was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// Not a credential of ours by its form.
    Malformed,
    /// Well formed and not known here.
    Unknown,
    /// Signature, algorithm, type, claims or secret are wrong.
    Invalid,
    /// Its time is over.
    Expired,
    /// It was revoked itself, or its client application or signing key was.
    CredentialRevoked,
    /// Its session was revoked or has ended.
    SessionRevoked,
    /// Its identity's sessions were revoked.
    IdentityRevoked,
    /// Its identity is disabled.
    IdentityDisabled,
    /// Its tenant was revoked.
    TenantRevoked,
    /// It is meant for another audience.
    WrongAudience,
    /// It is bound to another origin.
    WrongOrigin,
    /// It is bound to other addresses.
    WrongAddress,
    /// A credential of one use that was used.
    Spent,
    /// A kind of credential that cannot be used here.
    WrongKind,
}

/// What was presented.
#[derive(Clone, Copy, Debug)]
pub enum Presented<'a> {
    /// An access token, an API key or a session cookie's value.
    Bearer(&'a Secret),
    /// A ticket, about to be spent.
    Ticket {
        /// The ticket.
        ticket: &'a Secret,
        /// The handshake that spends it.
        redemption: RedemptionId,
    },
}

/// Where it was presented.
#[derive(Clone, Debug, Default)]
pub struct PresentationContext {
    /// Who asks to be satisfied; absent: the default audience.
    pub audience: Option<Audience>,
    /// The origin, when the handshake had one.
    pub origin: Option<Origin>,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The one tenant whose credentials whoever asks may know of; absent: all.
    pub within: Option<TenantId>,
    /// Who asks, when by a key: a ticket is spent only while that is good.
    pub asker: Option<Actor>,
}

/// Names an admitted credential without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialReference {
    /// The tenant.
    pub tenant: TenantId,
    /// The credential.
    pub credential: CredentialId,
}

/// Who stands behind a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant.
    pub tenant: TenantId,
    /// The identity.
    pub identity: IdentityId,
    /// Its kind.
    pub identity_kind: IdentityKind,
    /// Its name, for display only.
    pub identity_name: IdentityName,
    /// The session, when the credential belongs to one.
    pub session: Option<SessionId>,
    /// The credential; of a ticket the one it was issued from.
    pub credential: CredentialId,
    /// The kind of that credential.
    pub credential_kind: CredentialKind,
    /// What it may do in channels: what any of its roles grants.
    pub grants: Vec<Grant>,
    /// What it may do at the authority's API.
    pub scopes: Scopes,
}

impl Principal {
    /// The identity acting for itself by what it presented: a change that it asks for begins only while that is still good,
    /// however long the call waits.
    pub fn acting(&self) -> Actor {
        Actor::identity(&self.tenant, self.identity).presenting(self.credential)
    }
}

/// A verdict that allows.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Who it is.
    pub principal: Principal,
    /// What this rests on.
    pub keys: Vec<KeyDigest>,
    /// How to ask again.
    pub reference: CredentialReference,
    /// From the reading of our clock to the credential's end; absent: it does not end.
    pub expires_in: Option<Duration>,
    /// For how long the verdict may be reused; zero: not at all.
    pub cache_ttl: Duration,
    /// Origins it may be presented from; empty: any.
    pub origins: Vec<Origin>,
    /// Audiences it may be presented to; empty: any.
    pub audiences: Vec<Audience>,
    /// The class of leases that the tenant has.
    pub lease_class: Option<LeaseClass>,
    /// Addresses it may be presented from; empty: any.
    pub addresses: Vec<AddressRange>,
    /// Public keys of its session and of its identity with which a client signs what it sends, newest first.
    pub signature_keys: Vec<CarriedKey>,
}

/// Good or bad.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Good.
    Allowed(Box<Allowed>),
    /// Bad.
    Denied {
        /// Why.
        reason: DenyReason,
        /// Whether for ever: an unknown id may be known in a moment, a disabled identity enabled.
        permanent: bool,
    },
}

/// A judgement, and the head that was read before the state it rests on.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The head.
    pub revision: Revision,
    /// The judgement.
    pub judgement: Judgement,
}

impl Verdict {
    pub(crate) fn of(revision: Revision, judged: Result<Allowed, Denial>) -> Self {
        let judgement = match judged {
            Ok(allowed) => Judgement::Allowed(Box::new(allowed)),
            Err(Denial { reason, permanent }) => Judgement::Denied { reason, permanent },
        };
        Self { revision, judgement }
    }
}
