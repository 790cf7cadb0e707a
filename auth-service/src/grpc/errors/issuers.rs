//! How what external issuers lack is told.

use auth_domain::{ChangeIssuerError, IssuerSilent, ListSubjectsError, PutIssuerError, UnlinkError};

use super::{Failure, Reason, identity_not_found, role_not_found, tenant_not_found};

impl From<IssuerSilent> for Failure {
    fn from(error: IssuerSilent) -> Self {
        Self::new(Reason::IssuerUnavailable, error.to_string())
    }
}

impl From<PutIssuerError> for Failure {
    fn from(error: PutIssuerError) -> Self {
        match error {
            PutIssuerError::TenantNotFound => tenant_not_found(),
            PutIssuerError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            PutIssuerError::RoleNotFound(role) => role_not_found(role.as_str()),
            PutIssuerError::SystemTenant
            | PutIssuerError::Plaintext
            | PutIssuerError::OutOfReach
            | PutIssuerError::Ourselves
            | PutIssuerError::NobodyKnown
            | PutIssuerError::NoAlgorithm => Self::new(Reason::IssuerRefused, error.to_string()),
            PutIssuerError::Taken | PutIssuerError::NameTaken => Self::new(Reason::IssuerExists, error.to_string()),
            PutIssuerError::TooManyRules | PutIssuerError::TooManyGrants | PutIssuerError::TooMany => {
                Self::new(Reason::TooMany, error.to_string())
            }
            PutIssuerError::Begin(error) => error.into(),
            PutIssuerError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeIssuerError> for Failure {
    fn from(error: ChangeIssuerError) -> Self {
        match error {
            ChangeIssuerError::NotFound => Self::new(Reason::IssuerNotFound, error.to_string()),
            ChangeIssuerError::Begin(error) => error.into(),
            ChangeIssuerError::Store(error) => error.into(),
        }
    }
}

impl From<ListSubjectsError> for Failure {
    fn from(error: ListSubjectsError) -> Self {
        match error {
            ListSubjectsError::OfNobody => Self::field("issuer", "or an identity must be named"),
            ListSubjectsError::IssuerNotFound => Self::new(Reason::IssuerNotFound, error.to_string()),
            ListSubjectsError::IdentityNotFound => identity_not_found(),
            ListSubjectsError::Page(error) => error.into(),
            ListSubjectsError::Store(error) => error.into(),
        }
    }
}

impl From<UnlinkError> for Failure {
    fn from(error: UnlinkError) -> Self {
        match error {
            UnlinkError::IssuerNotFound => Self::new(Reason::IssuerNotFound, error.to_string()),
            UnlinkError::IdentityNotFound => identity_not_found(),
            UnlinkError::NotLinked => Self::new(Reason::SubjectNotLinked, error.to_string()),
            UnlinkError::Begin(error) => error.into(),
            UnlinkError::Store(error) => error.into(),
        }
    }
}
