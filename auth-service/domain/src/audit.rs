//! Who did what to whom: one row for every change, in the change's own transaction. How rows are read and sealed is in
//! `audit_trail`.
//!
//! Refuses: secrets. A row names ids and nothing that could be presented.

mod about;
mod detail;

use std::net::IpAddr;

use portcullis_types::{CredentialId, IdentityId, IssuerId, TenantId, Timestamp};

pub use self::about::About;
pub use self::detail::{Detail, MAX_DETAIL_BYTES};

use crate::asking::Asked;
use crate::{Caller, RequestId};

/// Who stands behind a change, the key that lets it, and what the caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    text: Box<str>,
    /// The same for every key of a service.
    who: Box<str>,
    home: TenantId,
    key: Option<CredentialId>,
    presented: Option<CredentialId>,
    address: Option<IpAddr>,
    asked: Option<Asked>,
}

impl Actor {
    /// The service that calls the API, by the key it calls with. What it asks for begins only while that key is good.
    pub fn caller(caller: &Caller) -> Self {
        let Caller { tenant, identity, credential, address, asked, .. } = caller;
        let who = format!("identity:{tenant}/{identity}");
        Self {
            text: format!("{who}/{credential}").into(),
            who: who.into(),
            home: tenant.clone(),
            key: Some(*credential),
            presented: None,
            address: *address,
            asked: asked.clone(),
        }
    }

    /// The same, asking for what has this name.
    #[must_use]
    pub fn asking(mut self, asked: Option<Asked>) -> Self {
        self.asked = asked;
        self
    }

    /// The same, by a credential of its own that was judged a moment ago. What it asks for begins only while that is good:
    /// nothing is done in a session that was ended while the call waited for a hash.
    #[must_use]
    pub(crate) const fn presenting(mut self, credential: CredentialId) -> Self {
        self.presented = Some(credential);
        self
    }

    /// The same, from here where that is known, and else from where it was.
    #[must_use]
    pub fn at(mut self, address: Option<IpAddr>) -> Self {
        self.address = address.or(self.address);
        self
    }

    /// An identity acting for itself.
    pub fn identity(tenant: &TenantId, identity: IdentityId) -> Self {
        Self::of(tenant.clone(), format!("identity:{tenant}/{identity}"))
    }

    /// Whoever presents a credential.
    pub fn holder(tenant: &TenantId, credential: CredentialId) -> Self {
        Self::of(tenant.clone(), format!("credential:{tenant}/{credential}"))
    }

    /// An external issuer, by a token that it signed.
    pub fn issuer(tenant: &TenantId, issuer: IssuerId) -> Self {
        Self::of(tenant.clone(), format!("issuer:{tenant}/{issuer}"))
    }

    /// Somebody at the HTTP edge who is not known yet.
    pub fn edge() -> Self {
        Self::of(TenantId::system(), "edge")
    }

    /// The authority itself.
    pub fn authority() -> Self {
        Self::of(TenantId::system(), "authority")
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Who asks, whichever of its keys it asks with: whoever asks again after its key was exchanged, or with the next
    /// service token, is the same.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The tenant that it is of, in which it names requests that are about no tenant; whoever is of none is at home in
    /// `system`.
    pub(crate) const fn home(&self) -> &TenantId {
        &self.home
    }

    /// Whether this is the text of the same one, asking with any of its keys.
    pub(crate) fn is(&self, text: &str) -> bool {
        text.strip_prefix(&*self.who).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The key that must be good when a change begins; none for whoever needs no key.
    pub(crate) const fn key(&self) -> Option<CredentialId> {
        self.key
    }

    /// The credential of its own that must be good when a change begins, where one was presented.
    pub(crate) const fn presented(&self) -> Option<CredentialId> {
        self.presented
    }

    /// From where it acts, or whomever it acts for, in one form; none where that is not known.
    pub fn address(&self) -> Option<IpAddr> {
        self.address.map(|address| address.to_canonical())
    }

    /// The same, from where nobody says.
    pub(crate) fn nowhere(self) -> Self {
        Self { address: None, ..self }
    }

    /// What the caller names what it asks for, when it does.
    pub(crate) const fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    fn of(home: TenantId, text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        Self { who: text.clone(), text, home, key: None, presented: None, address: None, asked: None }
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
    /// To what, and whose that is.
    pub about: About,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why, when that was given: a revocation's reason, or a denial's.
    pub reason: Option<String>,
    /// What was done, more closely.
    pub detail: Detail,
    /// The caller's name for the request, when it had one.
    pub request: Option<RequestId>,
}

impl AuditEntry {
    /// What the authority does by itself, or at the word of whoever may use its machine.
    pub(crate) fn of_the_authority(at: Timestamp, tenant: &TenantId, action: &'static str, about: About) -> Self {
        Self {
            at,
            tenant: tenant.clone(),
            actor: Actor::authority(),
            action,
            about,
            outcome: AuditOutcome::Done,
            reason: None,
            detail: Detail::default(),
            request: None,
        }
    }

    /// The same, saying more closely what was done.
    #[must_use]
    pub fn telling(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_asks_with_another_key_is_the_same_and_nobody_else_is() {
        let (tenant, identity) = (TenantId::system(), IdentityId::from_bytes([1; 16]));
        let by = |credential| {
            let who = Actor::identity(&tenant, identity);
            Actor { text: format!("{}/{}", who.text, CredentialId::from_bytes([credential; 16])).into(), ..who }
        };
        assert!(by(1).is(by(2).as_str()) && by(1).is(by(1).as_str()));
        assert!(Actor::edge().is("edge"));
        let other = Actor::identity(&tenant, IdentityId::from_bytes([2; 16]));
        for text in [other.as_str(), "edge", "", "identity:system"] {
            assert!(!by(1).is(text), "{text}");
        }
        assert!(!Actor::edge().is(&format!("edge{}", by(1).as_str())));
    }
}
