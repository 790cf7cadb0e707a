//! How an operation that gave no answer is told: a status, with `google.rpc.ErrorInfo` in the domain `portcullis`.
//!
//! Owns the [`Failure`] that every error becomes, in a file for each area. Refuses to tell causes inside: they are logged.

mod certificates;
mod identities;
mod issuers;
mod keys;
mod login;
mod reasons;
mod sessions;
mod signature_keys;
mod tenants;

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use auth_domain::watch::TooManyGateways;
use auth_domain::{BeginError, CallerError, Forbidden, InvalidPage, ListError, StoreError};
use portcullis_proto::InvalidWire;
use portcullis_types::InvalidName;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) use self::reasons::Reason;

use crate::tailer::SourceText as _;

/// The domain of every reason.
pub(crate) const DOMAIN: &str = "portcullis";

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    reason: Reason,
    message: Cow<'static, str>,
    about: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// For this reason, in words for people.
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), about: None, retry_after: None }
    }

    /// With one fact for programs.
    pub(crate) fn about(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.about = Some((key, value.into()));
        self
    }

    /// Before this time has passed, the same call is refused again.
    pub(crate) const fn retrying_in(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// A field breaks its rule.
    pub(crate) fn field(field: &'static str, rule: impl std::fmt::Display) -> Self {
        Self::new(Reason::FieldInvalid, format!("`{field}`: {rule}")).about("field", field)
    }

    /// A name in a field breaks its rule.
    pub(crate) fn name(field: &'static str) -> impl FnOnce(InvalidName) -> Self {
        move |invalid| Self::field(field, invalid)
    }

    /// A part of the contract's own messages means nothing.
    pub(crate) fn wire(field: &'static str) -> impl FnOnce(InvalidWire) -> Self {
        move |invalid| Self::field(field, invalid)
    }

    #[cfg(test)]
    pub(crate) const fn reason(&self) -> Reason {
        self.reason
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let about: HashMap<_, _> = failure.about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(failure.reason.text(), DOMAIN, about);
        if let Some(time) = failure.retry_after {
            details.set_retry_info(Some(time));
        }
        Self::with_error_details(failure.reason.code(), failure.message, details)
    }
}

impl From<TooManyGateways> for Failure {
    fn from(error: TooManyGateways) -> Self {
        Self::new(Reason::GatewaysExhausted, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let cause = error.source_text();
        match &error {
            StoreError::Unavailable(_) => {
                tracing::error!(%error, cause, "the store failed");
                Self::new(Reason::StoreUnavailable, "the store did not answer")
            }
            StoreError::UnknownOutcome(_) => {
                tracing::error!(%error, cause, "the store failed");
                Self::new(Reason::OutcomeUnknown, "it is not known whether the change was made")
            }
            StoreError::Conflict => Self::new(Reason::WriteConflict, "another writer was faster; try again"),
            StoreError::Corrupt { what } => {
                tracing::error!(what, "the store holds a row that means nothing");
                Self::new(Reason::Internal, "internal error")
            }
            StoreError::Sealed(_) => {
                tracing::error!(%error, cause, "a key-encryption key is missing");
                Self::new(Reason::Internal, "internal error")
            }
        }
    }
}

impl From<InvalidPage> for Failure {
    fn from(error: InvalidPage) -> Self {
        match error {
            InvalidPage::Size | InvalidPage::Token => Self::new(Reason::PageInvalid, error.to_string()),
        }
    }
}

impl From<Forbidden> for Failure {
    fn from(error: Forbidden) -> Self {
        match error {
            Forbidden::Scope(scope) => Self::new(Reason::ScopeMissing, error.to_string()).about("scope", scope.name()),
            Forbidden::Tenant => Self::new(Reason::TenantForbidden, error.to_string()),
        }
    }
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Self {
        match error {
            // Whoever calls here presents a key, and nothing else of its own.
            BeginError::CallerRefused | BeginError::HolderRefused(_) => {
                Self::new(Reason::CallerRevoked, error.to_string())
            }
            BeginError::RequestIdReused => Self::new(Reason::RequestIdReused, error.to_string()),
            BeginError::TenantQuota { retry_after } => {
                Self::new(Reason::TenantQuota, error.to_string()).retrying_in(retry_after)
            }
            BeginError::Store(error) => error.into(),
        }
    }
}

impl From<CallerError> for Failure {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Unauthenticated => Self::new(Reason::CredentialRefused, error.to_string()),
            CallerError::Store(error) => error.into(),
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Page(error) => error.into(),
            ListError::Store(error) => error.into(),
        }
    }
}

/// There is no such session or credential in the tenant.
pub(crate) fn target_not_found() -> Failure {
    Failure::new(Reason::TargetNotFound, "no such target")
}

/// There is no such identity.
pub(crate) fn identity_not_found() -> Failure {
    Failure::new(Reason::IdentityNotFound, "no such identity")
}

/// There is no such tenant.
pub(crate) fn tenant_not_found() -> Failure {
    Failure::new(Reason::TenantNotFound, "no such tenant")
}

/// There is no such role.
pub(crate) fn role_not_found(role: &str) -> Failure {
    Failure::new(Reason::RoleNotFound, "no such role").about("role", role)
}

#[cfg(test)]
mod tests {
    use auth_domain::RevokeError;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_status_names_its_reason_for_programs() {
        let status = Status::from(Failure::from(Forbidden::Scope(auth_domain::Scope::Revoke)));
        assert_eq!(status.code(), Code::PermissionDenied);
        let info = status.get_details_error_info().expect("it is always there");
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("portcullis", "SCOPE_MISSING"));
        assert_eq!(info.metadata["scope"], "revoke");
    }

    #[test]
    fn a_caller_whose_key_died_while_it_waited_is_told_so() {
        let status = Status::from(Failure::from(RevokeError::Begin(BeginError::CallerRefused)));
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.get_details_error_info().expect("it is always there").reason, "CALLER_REVOKED");
    }

    #[test]
    fn a_cause_inside_is_not_told() {
        let cause = std::io::Error::other("/var/lib/secret.db is locked");
        let status = Status::from(Failure::from(StoreError::Unavailable(Box::new(cause))));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!format!("{status:?}").contains("secret.db"));
    }
}
