//! Why somebody is not let in, and how that is said in each place where it can be said.
//!
//! Owns: the reasons and their one exhaustive mapping to text, error of the client protocol, close code and HTTP status.
//! Guarantees: the error and the close code advise the same, so that it does not matter which of the two reaches a client
//! first. Where the published Centrifuge SDKs end (`centrifuge` 5, state and what it does next):
//!
//! | error of `connect` | close | SDK |
//! |---|---|---|
//! | 109, temporary | 4001 | `connecting`: asks `getToken` for a new credential, comes back; without `getToken`: `disconnected`, code 1 |
//! | 108, temporary | 1013 | `connecting`: comes back with backoff and the same credential |
//! | 101, 103, 106 | 45xx | `disconnected` with the error's code and the reason as text; it does not come back |
//!
//! The answer to `refresh` is the same error. 108 and 109 are marked temporary there too, upon which the SDK asks
//! `getToken` and tries again after 5 to 10 s; the others end the connection.

use crate::protocol::ErrorCode;

/// Why a credential, or its absence, does not open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// None was presented and the route is not for everybody.
    NoCredential,
    /// Not a credential by its form.
    Malformed,
    /// Well formed and not known.
    Unknown,
    /// Signature, algorithm, type or claims are wrong.
    Invalid,
    /// Its time is over.
    Expired,
    /// It was revoked itself.
    CredentialRevoked,
    /// Its session was revoked or has ended.
    SessionRevoked,
    /// Its identity's sessions were revoked.
    IdentityRevoked,
    /// Its identity is disabled.
    IdentityDisabled,
    /// Its tenant was revoked or is suspended.
    TenantRevoked,
    /// It is meant for another audience.
    WrongAudience,
    /// It is bound to another origin.
    WrongOrigin,
    /// It is bound to other addresses.
    WrongAddress,
    /// A one-time ticket that was spent before.
    Spent,
    /// A kind of credential that cannot be used here.
    WrongKind,
    /// It stood in a query parameter that is not for credentials.
    CredentialInUrl,
    /// Two were presented.
    TwoCredentials,
    /// A `refresh` with the credential of somebody else.
    AnotherIdentity,
    /// The authority did not answer.
    AuthorityUnavailable,
    /// The gateway has not caught up with the authority.
    NotReady,
    /// The route's class of leases outlasts the authority's bound: it is not served.
    RouteOverBound,
    /// The page that opens the connection is not of an allowed origin.
    OriginNotAllowed,
    /// The tenant, the identity or the address has as many connections as it may.
    ConnectionLimit,
    /// The process has as many connections as it can hold.
    Overloaded,
}

impl Denial {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::NoCredential,
        Self::Malformed,
        Self::Unknown,
        Self::Invalid,
        Self::Expired,
        Self::CredentialRevoked,
        Self::SessionRevoked,
        Self::IdentityRevoked,
        Self::IdentityDisabled,
        Self::TenantRevoked,
        Self::WrongAudience,
        Self::WrongOrigin,
        Self::WrongAddress,
        Self::Spent,
        Self::WrongKind,
        Self::CredentialInUrl,
        Self::TwoCredentials,
        Self::AnotherIdentity,
        Self::AuthorityUnavailable,
        Self::NotReady,
        Self::RouteOverBound,
        Self::OriginNotAllowed,
        Self::ConnectionLimit,
        Self::Overloaded,
    ];

    /// The one word that clients, problem documents, logs and metrics know it by.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::CredentialRevoked => "credential_revoked",
            Self::SessionRevoked => "session_revoked",
            Self::IdentityRevoked => "identity_revoked",
            Self::IdentityDisabled => "identity_disabled",
            Self::TenantRevoked => "tenant_revoked",
            Self::WrongAudience => "wrong_audience",
            Self::WrongOrigin => "wrong_origin",
            Self::WrongAddress => "wrong_address",
            Self::Spent => "spent",
            Self::WrongKind => "wrong_kind",
            Self::CredentialInUrl => "credential_in_url",
            Self::TwoCredentials => "two_credentials",
            Self::AnotherIdentity => "another_identity",
            Self::AuthorityUnavailable => "authority_unavailable",
            Self::NotReady => "not_ready",
            Self::RouteOverBound => "route_over_bound",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::ConnectionLimit => "connection_limit",
            Self::Overloaded => "overloaded",
        }
    }

    /// The status of a handshake refused over HTTP.
    pub const fn http_status(self) -> u16 {
        match self {
            // The request is wrong whatever the credential is worth (RFC 6750, `invalid_request`).
            Self::CredentialInUrl | Self::TwoCredentials => 400,
            Self::NoCredential
            | Self::Malformed
            | Self::Unknown
            | Self::Invalid
            | Self::Expired
            | Self::CredentialRevoked
            | Self::SessionRevoked
            | Self::IdentityRevoked
            | Self::IdentityDisabled
            | Self::TenantRevoked
            | Self::WrongAudience
            | Self::Spent
            | Self::AnotherIdentity => 401,
            Self::WrongOrigin | Self::WrongAddress | Self::WrongKind | Self::OriginNotAllowed => 403,
            Self::ConnectionLimit => 429,
            Self::AuthorityUnavailable | Self::NotReady | Self::RouteOverBound | Self::Overloaded => 503,
        }
    }

    const fn advice(self, form: CredentialForm) -> Advice {
        match self {
            Self::Expired | Self::Spent => Advice::NewCredential,
            // Tickets live for seconds and are forgotten: one that is not known was most likely good once, and an SDK
            // presents the same one again whenever it reconnects.
            Self::Malformed | Self::Unknown => match form {
                CredentialForm::Ticket => Advice::NewCredential,
                CredentialForm::Other => Advice::Stop(ErrorCode::Unauthorized, 4501),
            },
            Self::NoCredential
            | Self::Invalid
            | Self::WrongAudience
            | Self::CredentialInUrl
            | Self::TwoCredentials
            | Self::AnotherIdentity => Advice::Stop(ErrorCode::Unauthorized, 4501),
            Self::CredentialRevoked => Advice::Stop(ErrorCode::Unauthorized, 4510),
            Self::SessionRevoked => Advice::Stop(ErrorCode::Unauthorized, 4511),
            Self::IdentityRevoked | Self::IdentityDisabled => Advice::Stop(ErrorCode::Unauthorized, 4512),
            Self::TenantRevoked => Advice::Stop(ErrorCode::Unauthorized, 4513),
            Self::WrongKind | Self::WrongAddress => Advice::Stop(ErrorCode::PermissionDenied, 4503),
            Self::WrongOrigin | Self::OriginNotAllowed => Advice::Stop(ErrorCode::PermissionDenied, 4540),
            Self::ConnectionLimit => Advice::Stop(ErrorCode::LimitExceeded, 4520),
            Self::AuthorityUnavailable | Self::NotReady | Self::RouteOverBound | Self::Overloaded => Advice::Later,
        }
    }
}

/// What a refused client should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    /// Come back with another credential.
    NewCredential,
    /// Come back later.
    Later,
    /// Stay away.
    Stop(ErrorCode, u16),
}

/// What was presented, as far as it changes the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialForm {
    /// A one-time connection ticket, or what looks like one.
    Ticket,
    /// Anything else, or nothing.
    Other,
}

impl CredentialForm {
    /// Told by the first characters of what was presented.
    pub fn of(credential: &str) -> Self {
        if credential.starts_with("tk_") { Self::Ticket } else { Self::Other }
    }
}

/// A denial of something that was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    denial: Denial,
    form: CredentialForm,
}

impl Refusal {
    /// Of a credential of this form.
    pub const fn new(denial: Denial, form: CredentialForm) -> Self {
        Self { denial, form }
    }

    /// Why.
    pub const fn denial(self) -> Denial {
        self.denial
    }

    /// The code of the client protocol's error. Its message is [`Denial::text`].
    pub const fn error_code(self) -> ErrorCode {
        match self.denial.advice(self.form) {
            Advice::NewCredential => ErrorCode::TokenExpired,
            Advice::Later => ErrorCode::NotAvailable,
            Advice::Stop(code, _) => code,
        }
    }

    /// Whether the client may come back, with the same credential or another.
    pub const fn is_temporary(self) -> bool {
        match self.denial.advice(self.form) {
            Advice::NewCredential | Advice::Later => true,
            Advice::Stop(..) => false,
        }
    }

    /// The code of the WebSocket close frame.
    pub const fn close_code(self) -> u16 {
        match self.denial.advice(self.form) {
            Advice::NewCredential => 4001,
            Advice::Later => 1013,
            Advice::Stop(_, code) => code,
        }
    }
}

/// Of anything but a ticket.
impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::new(denial, CredentialForm::Other)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all() -> impl Iterator<Item = Refusal> {
        Denial::ALL
            .into_iter()
            .flat_map(|denial| [CredentialForm::Ticket, CredentialForm::Other].map(|form| Refusal::new(denial, form)))
    }

    #[test]
    fn every_denial_has_a_word_of_its_own() {
        let words: HashSet<_> = Denial::ALL.map(Denial::text).into_iter().collect();
        assert_eq!(words.len(), Denial::ALL.len());
    }

    #[test]
    fn error_and_close_code_advise_the_same() {
        for refusal in all() {
            let by_error = refusal.is_temporary() || refusal.error_code() == ErrorCode::TokenExpired;
            let by_close = !matches!(refusal.close_code(), 3500..=3999 | 4500..=4999);
            assert_eq!(by_error, by_close, "{refusal:?}");
        }
    }

    #[test]
    fn only_time_and_use_ask_for_a_new_credential_and_any_flaw_of_a_ticket() {
        let asks = |denial, form| Refusal::new(denial, form).error_code() == ErrorCode::TokenExpired;
        for denial in Denial::ALL {
            let always = matches!(denial, Denial::Expired | Denial::Spent);
            let of_tickets = always || matches!(denial, Denial::Unknown | Denial::Malformed);
            assert_eq!(asks(denial, CredentialForm::Other), always, "{denial:?}");
            assert_eq!(asks(denial, CredentialForm::Ticket), of_tickets, "{denial:?}");
        }
    }

    #[test]
    fn what_was_revoked_stops_the_client_whatever_carried_it() {
        for form in [CredentialForm::Ticket, CredentialForm::Other] {
            for (denial, code) in [
                (Denial::CredentialRevoked, 4510),
                (Denial::SessionRevoked, 4511),
                (Denial::IdentityRevoked, 4512),
                (Denial::IdentityDisabled, 4512),
                (Denial::TenantRevoked, 4513),
                (Denial::Invalid, 4501),
            ] {
                let refusal = Refusal::new(denial, form);
                assert_eq!((refusal.error_code(), refusal.close_code()), (ErrorCode::Unauthorized, code), "{denial:?}");
            }
        }
    }

    #[test]
    fn http_statuses_are_those_of_refusals() {
        for denial in Denial::ALL {
            assert!(matches!(denial.http_status(), 400 | 401 | 403 | 429 | 503), "{denial:?}");
            assert_eq!(denial.http_status() == 503, Refusal::from(denial).close_code() == 1013, "{denial:?}");
        }
    }
}
