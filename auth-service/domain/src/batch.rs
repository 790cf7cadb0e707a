//! What one transaction appends to the log.
//!
//! A batch is made of targets, not of keys, so that the store can mark the killed rows from the batch itself and nobody
//! has to remember to.

use std::num::NonZeroU32;

use portcullis_proto::auth::v1;
use portcullis_types::{
    ClientId, CredentialId, IdentityId, InvalidName, IssuerId, KeyDigest, KeyKind, RoleName, SessionId, SigningKeyId,
    TenantId,
};
use prost::Message as _;

use crate::Request;

/// A request that is answered by the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub request: Request,
    /// The digest of what was asked.
    pub content: [u8; 32],
    /// The id or name that the answer is about.
    pub subject: Option<String>,
}

/// What a fact names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tenant and everything in it.
    Tenant(TenantId),
    /// An identity's sessions and what was issued under them.
    Identity(TenantId, IdentityId),
    /// A session and what was issued under it.
    Session(TenantId, SessionId),
    /// One credential.
    Credential(TenantId, CredentialId),
    /// Everything issued to a client application.
    Client(TenantId, ClientId),
    /// Everything signed by a key.
    SigningKey(SigningKeyId),
    /// A role's holders.
    Role(TenantId, RoleName),
    /// Everything that rests on the word of an external issuer.
    Issuer(TenantId, IssuerId),
}

impl Target {
    /// Its name in the log.
    pub fn key(&self) -> KeyDigest {
        match self {
            Self::Tenant(tenant) => KeyDigest::of(tenant, KeyKind::Tenant, tenant.as_str()),
            Self::Identity(tenant, id) => KeyDigest::of(tenant, KeyKind::Identity, &id.to_string()),
            Self::Session(tenant, id) => KeyDigest::of(tenant, KeyKind::Session, &id.to_string()),
            Self::Credential(tenant, id) => KeyDigest::of(tenant, KeyKind::Credential, &id.to_string()),
            Self::Client(tenant, id) => KeyDigest::of(tenant, KeyKind::Client, id.as_str()),
            Self::SigningKey(id) => KeyDigest::of(&TenantId::system(), KeyKind::SigningKey, &id.to_string()),
            Self::Role(tenant, name) => KeyDigest::of(tenant, KeyKind::Role, name.as_str()),
            Self::Issuer(tenant, id) => KeyDigest::of(tenant, KeyKind::Issuer, &id.to_string()),
        }
    }

    /// The close code of sockets that die with it.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Credential(..) | Self::Client(..) | Self::SigningKey(..) | Self::Issuer(..) => CloseCode(4510),
            Self::Session(..) => CloseCode(4511),
            Self::Identity(..) => CloseCode(4512),
            Self::Tenant(..) => CloseCode(4513),
            // Reauthorized, never killed: what is closed for it is closed because authority changed.
            Self::Role(..) => CloseCode(4002),
        }
    }
}

/// A WebSocket close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

/// What a fact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Older verdicts, sockets and session-bound credentials are dead.
    Kill,
    /// Older verdicts must be asked for again.
    Reauthorize,
}

/// Why; information for people, never input to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An administrator or a back end asked for it.
    Administrative,
    /// The person logged out.
    Logout,
    /// The identity was disabled.
    Disabled,
    /// The password or another credential changed.
    CredentialChanged,
    /// A spent refresh token was presented again.
    RefreshReuse,
    /// It is known or feared to be in the wrong hands.
    Compromised,
    /// Roles or grants changed.
    GrantsChanged,
}

impl Reason {
    /// Its name where it is kept; never another one.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Administrative => "administrative",
            Self::Logout => "logout",
            Self::Disabled => "disabled",
            Self::CredentialChanged => "credential_changed",
            Self::RefreshReuse => "refresh_reuse",
            Self::Compromised => "compromised",
            Self::GrantsChanged => "grants_changed",
        }
    }

    const fn wire(self) -> v1::RevocationReason {
        match self {
            Self::Administrative => v1::RevocationReason::Administrative,
            Self::Logout => v1::RevocationReason::Logout,
            Self::Disabled => v1::RevocationReason::Disabled,
            Self::CredentialChanged => v1::RevocationReason::CredentialChanged,
            Self::RefreshReuse => v1::RevocationReason::RefreshReuse,
            Self::Compromised => v1::RevocationReason::Compromised,
            Self::GrantsChanged => v1::RevocationReason::GrantsChanged,
        }
    }
}

/// How many of the sockets that a fact kills each gateway closes in a second. They are fenced at once, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// The fastest that can be asked for.
    pub const FASTEST: u32 = 100_000;

    /// As a number.
    pub const fn per_second(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Pace {
    type Error = InvalidName;

    fn try_from(per_second: u32) -> Result<Self, InvalidName> {
        let within = NonZeroU32::new(per_second).filter(|pace| pace.get() <= Self::FASTEST);
        within.map(Self).ok_or(InvalidName { what: "pace", rule: "1 to 100000 closes a second" })
    }
}

/// One fact: an effect on what rests on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// On what.
    pub target: Target,
    /// What it does.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// How fast what it kills is closed; absent: as each gateway is configured.
    pub pace: Option<Pace>,
}

impl Fact {
    fn wire(&self) -> v1::Revocation {
        let effect = match self.effect {
            Effect::Kill => v1::Effect::Kill,
            Effect::Reauthorize => v1::Effect::Reauthorize,
        };
        let close_code = match self.effect {
            Effect::Kill => u32::from(self.target.close_code().0),
            Effect::Reauthorize => 0,
        };
        v1::Revocation {
            keys: vec![self.target.key().into()],
            effect: effect.into(),
            reason: self.reason.wire().into(),
            close_code,
            closes_per_second: self.pace.map_or(0, Pace::per_second),
        }
    }
}

/// The facts of one transaction, and the requests they answer.
#[derive(Clone, Debug)]
pub struct Batch {
    facts: Vec<Fact>,
    answers: Vec<Answer>,
    shared: bool,
    reset: Option<CredentialId>,
}

impl Batch {
    /// Kills what rests on a target and is older.
    pub fn kill(target: Target, reason: Reason) -> Self {
        Self::of(Fact { target, effect: Effect::Kill, reason, pace: None })
    }

    /// Has what rests on a target judged again.
    pub fn reauthorize(target: Target) -> Self {
        Self::reauthorize_for(target, Reason::GrantsChanged)
    }

    /// As [`Batch::reauthorize`], for another reason than changed grants.
    pub fn reauthorize_for(target: Target, reason: Reason) -> Self {
        Self::of(Fact { target, effect: Effect::Reauthorize, reason, pace: None })
    }

    /// The same, with what it kills closed at this pace.
    #[must_use]
    pub fn paced(mut self, pace: Option<Pace>) -> Self {
        for fact in self.facts.iter_mut().filter(|fact| fact.effect == Effect::Kill) {
            fact.pace = pace;
        }
        self
    }

    /// One fact.
    pub fn of(fact: Fact) -> Self {
        Self { facts: vec![fact], answers: Vec::new(), shared: false, reset: None }
    }

    /// The same, with another fact after it.
    #[must_use]
    pub fn and(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// The same, remembered as the answer to a request with this content, about this id or name.
    #[must_use]
    pub fn answering(mut self, request: Request, content: [u8; 32], subject: Option<String>) -> Self {
        self.answers.push(Answer { request, content, subject });
        self
    }

    /// The same, for several callers that know nothing of each other: one whose row is held by somebody else does not keep
    /// the others waiting, but has the batch refused soon.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether it is.
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// The same, as what this one-time token for a password began with: nothing before it ends the token.
    #[must_use]
    pub const fn beginning(mut self, reset: CredentialId) -> Self {
        self.reset = Some(reset);
        self
    }

    /// The one-time token that began with it.
    pub const fn reset(&self) -> Option<CredentialId> {
        self.reset
    }

    /// The facts; there is at least one.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What is killed: the rows that the store marks.
    pub fn killed(&self) -> impl Iterator<Item = &Target> {
        self.facts.iter().filter(|fact| fact.effect == Effect::Kill).map(|fact| &fact.target)
    }

    /// The requests it answers.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// The bytes that the log stores, hashes and forwards.
    pub fn payload(&self) -> Vec<u8> {
        v1::RevocationBatch { revocations: self.facts.iter().map(Fact::wire).collect() }.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_marked_and_a_reauthorization_is_not() {
        let tenant = TenantId::system();
        let (identity, session) = (IdentityId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let batch = Batch::reauthorize(Target::Identity(tenant.clone(), identity)).and(Fact {
            target: Target::Session(tenant.clone(), session),
            effect: Effect::Kill,
            reason: Reason::Logout,
            pace: None,
        });
        assert_eq!(batch.killed().collect::<Vec<_>>(), [&Target::Session(tenant, session)]);

        let wire = v1::RevocationBatch::decode(&*batch.payload()).expect("what was encoded decodes");
        let codes: Vec<_> = wire.revocations.iter().map(|fact| fact.close_code).collect();
        assert_eq!(codes, [0, 4511]);
    }

    #[test]
    fn a_pace_is_of_what_is_killed_and_within_bounds() {
        assert!(Pace::try_from(0).is_err() && Pace::try_from(Pace::FASTEST + 1).is_err());
        let pace = Pace::try_from(Pace::FASTEST).expect("the fastest");
        let (tenant, identity) = (TenantId::system(), IdentityId::from_bytes([1; 16]));
        let paces = |batch: Batch| {
            let wire = v1::RevocationBatch::decode(&*batch.payload()).expect("what was encoded decodes");
            wire.revocations.iter().map(|fact| fact.closes_per_second).collect::<Vec<_>>()
        };
        let kill = Batch::kill(Target::Identity(tenant.clone(), identity), Reason::Logout);
        assert_eq!(paces(kill.clone()), [0]);
        assert_eq!(paces(kill.paced(Some(pace))), [100_000]);
        assert_eq!(paces(Batch::reauthorize(Target::Tenant(tenant)).paced(Some(pace))), [0]);
    }
}
