//! The words that rows use for the domain's enums.

use auth_domain::{AuditOutcome, CredentialKind, IdentityKind, IdentityState, KeyState, TenantState};
use portcullis_types::LeaseClass;

/// An enum whose values have words in rows.
pub(crate) trait Word: Copy + Sized + 'static {
    const ALL: &'static [Self];
    const WHAT: &'static str;
    fn word(self) -> &'static str;

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }
}

impl Word for IdentityKind {
    const ALL: &'static [Self] = &[Self::User, Self::Service];
    const WHAT: &'static str = "identity kind";

    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
        }
    }
}

impl Word for IdentityState {
    const ALL: &'static [Self] = &[Self::Active, Self::Disabled, Self::Deleted];
    const WHAT: &'static str = "identity state";

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

impl Word for TenantState {
    const ALL: &'static [Self] = &[Self::Active, Self::Suspended, Self::Deleted];
    const WHAT: &'static str = "tenant state";

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl Word for AuditOutcome {
    const ALL: &'static [Self] = &[Self::Done, Self::Denied];
    const WHAT: &'static str = "outcome";

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
        }
    }
}

impl Word for CredentialKind {
    const ALL: &'static [Self] =
        &[Self::SessionCookie, Self::AccessToken, Self::RefreshToken, Self::Ticket, Self::ApiKey];
    const WHAT: &'static str = "credential kind";

    /// A client certificate's and a signature key's are an API key's: a release before them can read that, and nobody can
    /// present such a key.
    fn word(self) -> &'static str {
        match self {
            Self::SessionCookie => "session_cookie",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::Ticket => "ticket",
            Self::ApiKey | Self::ClientCertificate | Self::SignatureKey => "api_key",
        }
    }
}

impl Word for KeyState {
    const ALL: &'static [Self] = &[Self::Published, Self::Signing, Self::Retained, Self::Revoked];
    const WHAT: &'static str = "signing key state";

    fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::Retained => "retained",
            Self::Revoked => "revoked",
        }
    }
}

impl Word for LeaseClass {
    const ALL: &'static [Self] = &Self::ALL;
    const WHAT: &'static str = "lease class";

    fn word(self) -> &'static str {
        self.word()
    }
}
