//! What a service may do at the authority's own API.

use std::fmt;

use portcullis_types::InvalidName;

/// One thing a service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Judge credentials.
    Verify,
    /// Follow the revocation log.
    Watch,
    /// Issue tokens, tickets and keys.
    Issue,
    /// Revoke.
    Revoke,
    /// Read identities, sessions, keys and roles.
    IdentityRead,
    /// Change identities and roles.
    IdentityWrite,
    /// Manage signing keys.
    Keys,
    /// Read the audit trail.
    Audit,
    /// Manage tenants.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 9] = [
        Self::Verify,
        Self::Watch,
        Self::Issue,
        Self::Revoke,
        Self::IdentityRead,
        Self::IdentityWrite,
        Self::Keys,
        Self::Audit,
        Self::Admin,
    ];

    /// Its name in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Watch => "watch",
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::IdentityRead => "identity.read",
            Self::IdentityWrite => "identity.write",
            Self::Keys => "keys",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl TryFrom<&str> for Scope {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(InvalidName {
            what: "scope",
            rule: "verify, watch, issue, revoke, identity.read, identity.write, keys, audit or admin",
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u16);

impl Scopes {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every scope.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether it holds this one.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every one of these is in `other`.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those it holds, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_one_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::try_from(scope.name()), Ok(scope));
        }
        assert!(Scope::try_from("root").is_err());
    }

    #[test]
    fn a_set_is_within_another_only_when_all_of_it_is() {
        let gateway: Scopes = [Scope::Verify, Scope::Watch].into_iter().collect();
        assert!(gateway.is_within(Scopes::all()) && !Scopes::all().is_within(gateway));
        assert_eq!(gateway.iter().collect::<Vec<_>>(), [Scope::Verify, Scope::Watch]);
        assert!(Scopes::NONE.is_within(gateway) && Scopes::NONE.is_empty());
    }
}
