//! A verdict of the authority, as the gateway keeps it.
//!
//! Owns the translation from the contract, once, and the constraints that must hold at every use, cached or not.
//! A verdict is never safe by itself: it carries the revision it was made at, and only the enforcer lets it admit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_proto::InvalidWire;
use portcullis_proto::auth::v1;
use portcullis_types::{
    AddressRange, Boottime, CredentialId, IdentityId, KeyDigest, KeyKind, LeaseClass, Revision, SessionId, TenantId,
};

use crate::denial::Denial;
use crate::grants::{Action, Grants};

/// Who stands behind a credential.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The tenant.
    pub tenant: TenantId,
    /// The identity.
    pub identity: IdentityId,
    /// For display only.
    pub name: Box<str>,
    /// The session, for credentials that belong to one.
    pub session: Option<SessionId>,
    /// The credential; of a ticket, the one it was issued from.
    pub credential: CredentialId,
    /// What it may do in channels.
    pub grants: Arc<Grants>,
}

/// Names an admitted credential without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialReference {
    /// The tenant.
    pub tenant: TenantId,
    /// The credential.
    pub credential: CredentialId,
}

/// Where a credential is presented.
#[derive(Clone, Copy, Debug)]
pub struct Presentation<'a> {
    /// The audience of the route.
    pub audience: &'a str,
    /// The Origin of the handshake, if it had one.
    pub origin: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// The authority's word that a credential is good, as of a revision.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Everything it rests on.
    pub keys: Box<[KeyDigest]>,
    /// The head, read before the state it rests on.
    pub revision: Revision,
    /// What to ask again with.
    pub reference: CredentialReference,
    /// When the credential expires, on this machine's clock; counted from when the question was *sent*, so never late.
    pub expires_at: Option<Boottime>,
    /// Until when it may be reused.
    pub reusable_until: Boottime,
    /// The class of leases that its tenant has, if it has one of its own.
    pub lease_class: Option<LeaseClass>,
    origins: Box<[Box<str>]>,
    audiences: Box<[Box<str>]>,
    addresses: Box<[AddressRange]>,
}

/// The authority's answer.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Good.
    Allowed(Verdict),
    /// Bad.
    Denied(Refused),
}

/// A refusal, and for how long it can be repeated without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub denial: Denial,
    /// Bad for ever, and not only as far as is known now.
    pub permanent: bool,
}

impl Verdict {
    /// What must hold at every use besides the fence: expiry, audience, origin, address.
    pub fn permits(&self, at: Presentation<'_>, now: Boottime) -> Result<(), Denial> {
        if self.expires_at.is_some_and(|expiry| now >= expiry) {
            return Err(Denial::Expired);
        }
        if !self.audiences.is_empty() && !self.audiences.iter().any(|audience| **audience == *at.audience) {
            return Err(Denial::WrongAudience);
        }
        if !self.origins.is_empty() && !self.origins.iter().any(|origin| Some(&**origin) == at.origin) {
            return Err(Denial::WrongOrigin);
        }
        if !self.addresses.is_empty() && !self.addresses.iter().any(|range| range.contains(at.address)) {
            return Err(Denial::WrongAddress);
        }
        Ok(())
    }
}

impl Verdict {
    /// Whether its credential is dead for ever once this key, which it rests on, was killed after the verdict was made.
    ///
    /// With its own key every credential is. What belongs to a session was issued before what it was judged by, so it is
    /// dead with all that stands above it. What belongs to none, an API key or a ticket that was issued from one, is refused
    /// for a while at most (PROTOCOL 0.1.1); and what a verdict only carries, a public key of a client, or grants by, a role,
    /// is no end of the credential at all. Then only the authority can say.
    pub(crate) fn is_over_with(&self, killed: &KeyDigest) -> bool {
        match killed.kind {
            KeyKind::Credential => {
                let presented = (&self.reference.tenant, self.reference.credential);
                let issued_from = (&self.principal.tenant, self.principal.credential);
                let key = |(tenant, id): (&TenantId, CredentialId)| {
                    KeyDigest::of(tenant, KeyKind::Credential, &id.to_string())
                };
                [presented, issued_from].into_iter().any(|own| key(own) == *killed)
            }
            KeyKind::Tenant
            | KeyKind::Identity
            | KeyKind::Session
            | KeyKind::Client
            | KeyKind::SigningKey
            | KeyKind::Issuer => self.principal.session.is_some(),
            KeyKind::Role => false,
        }
    }

    /// About how many bytes of memory it takes, for whoever keeps many.
    pub fn size(&self) -> usize {
        size_of::<Self>() + size_of::<Principal>() + size_of_val(&*self.keys) + self.principal.grants.size()
    }
}

impl Judgement {
    /// Reads the answer to a question that was sent at `asked_at`.
    pub fn from_wire(wire: v1::VerifyResponse, asked_at: Boottime) -> Result<Self, InvalidWire> {
        let permanent = match wire.outcome() {
            v1::Outcome::Unspecified => return Err(InvalidWire { what: "verdict without an outcome" }),
            v1::Outcome::Allowed => return allowed(wire, asked_at).map(Self::Allowed),
            v1::Outcome::DeniedPermanent => true,
            v1::Outcome::DeniedTransient => false,
        };
        Ok(Self::Denied(Refused { denial: denial(wire.deny_reason()), permanent }))
    }
}

fn allowed(wire: v1::VerifyResponse, asked_at: Boottime) -> Result<Verdict, InvalidWire> {
    let missing = |what| InvalidWire { what };
    let revision = wire.revision.ok_or(missing("verdict without a revision"))?.try_into()?;
    let allowed = wire.allowed.ok_or(missing("verdict without a principal"))?;
    let reference = allowed.reference.ok_or(missing("verdict without a reference"))?;
    let keys: Box<[KeyDigest]> = allowed.keys.into_iter().map(KeyDigest::try_from).collect::<Result<_, _>>()?;
    // A verdict that names nothing could never be revoked.
    for kind in [KeyKind::Tenant, KeyKind::Identity, KeyKind::Credential] {
        if !keys.iter().any(|key| key.kind == kind) {
            return Err(missing("verdict that does not rest on tenant, identity and credential"));
        }
    }
    let millis = |ms: i64| match u64::try_from(ms) {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => Err(missing("verdict with a negative duration")),
    };
    let lease_class = lease_class(allowed.lease_class);
    let constraints = allowed.constraints.unwrap_or_default();
    let boxed = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str).collect();
    Ok(Verdict {
        principal: Arc::new(principal(allowed.principal.ok_or(missing("verdict without a principal"))?)?),
        keys,
        revision,
        reference: CredentialReference {
            tenant: name(TenantId::try_from(reference.tenant.as_str()))?,
            credential: name(CredentialId::try_from(reference.credential_id.as_str()))?,
        },
        expires_at: match allowed.expires_in_ms {
            0 => None,
            ms => Some(asked_at + millis(ms)?),
        },
        reusable_until: asked_at + millis(allowed.cache_ttl_ms)?,
        lease_class,
        origins: boxed(constraints.origins),
        audiences: boxed(constraints.audiences),
        // A range that this gateway cannot read would be a limit that it does not hold.
        addresses: constraints
            .addresses
            .iter()
            .map(|text| name(AddressRange::try_from(text.as_str())))
            .collect::<Result<_, _>>()?,
    })
}

fn principal(wire: v1::Principal) -> Result<Principal, InvalidWire> {
    let session = match wire.session_id.as_str() {
        "" => None,
        id => Some(name(SessionId::try_from(id))?),
    };
    let grants = wire.grants.iter().filter_map(|grant| Some((action(grant.action())?, grant.pattern.as_str())));
    Ok(Principal {
        tenant: name(TenantId::try_from(wire.tenant.as_str()))?,
        identity: name(IdentityId::try_from(wire.identity_id.as_str()))?,
        grants: Arc::new(Grants::compile(grants).map_err(|_| InvalidWire { what: "grant with an invalid pattern" })?),
        name: wire.identity_name.into_boxed_str(),
        session,
        credential: name(CredentialId::try_from(wire.credential_id.as_str()))?,
    })
}

/// A class this gateway does not know is taken for the strictest.
fn lease_class(wire: i32) -> Option<LeaseClass> {
    v1::LeaseClass::try_from(wire).map_or(Some(LeaseClass::Strict), Into::into)
}

fn name<T>(parsed: Result<T, portcullis_types::InvalidName>) -> Result<T, InvalidWire> {
    parsed.map_err(|invalid| InvalidWire { what: invalid.what })
}

/// An action this gateway does not know grants nothing.
const fn action(wire: v1::Action) -> Option<Action> {
    match wire {
        v1::Action::Unspecified => None,
        v1::Action::Subscribe => Some(Action::Subscribe),
        v1::Action::Publish => Some(Action::Publish),
        v1::Action::Presence => Some(Action::Presence),
        v1::Action::History => Some(Action::History),
        v1::Action::Call => Some(Action::Call),
    }
}

const fn denial(wire: v1::DenyReason) -> Denial {
    match wire {
        // A reason this gateway does not know is still a refusal.
        v1::DenyReason::Unspecified | v1::DenyReason::Invalid => Denial::Invalid,
        v1::DenyReason::Malformed => Denial::Malformed,
        v1::DenyReason::Unknown => Denial::Unknown,
        v1::DenyReason::Expired => Denial::Expired,
        v1::DenyReason::CredentialRevoked => Denial::CredentialRevoked,
        v1::DenyReason::SessionRevoked => Denial::SessionRevoked,
        v1::DenyReason::IdentityRevoked => Denial::IdentityRevoked,
        v1::DenyReason::IdentityDisabled => Denial::IdentityDisabled,
        v1::DenyReason::TenantRevoked => Denial::TenantRevoked,
        v1::DenyReason::WrongAudience => Denial::WrongAudience,
        v1::DenyReason::WrongOrigin => Denial::WrongOrigin,
        v1::DenyReason::WrongAddress => Denial::WrongAddress,
        v1::DenyReason::Spent => Denial::Spent,
        v1::DenyReason::WrongKind => Denial::WrongKind,
    }
}
