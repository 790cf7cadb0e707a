//! How what sessions, their credentials and their end lack is told.

use auth_domain::{
    CreateTicketError, EndBeforeError, IssueError, ListSessionsError, RevokeError, RevokeKeysError,
    RevokeSessionsError, VerifyError,
};

use super::{Failure, Reason, identity_not_found};

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Begin(error) => error.into(),
            VerifyError::Issuer(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NotFound => identity_not_found(),
            IssueError::Disabled => Self::new(Reason::IdentityDisabled, error.to_string()),
            IssueError::Suspended => Self::new(Reason::TenantSuspended, error.to_string()),
            IssueError::Begin(error) => error.into(),
            IssueError::Store(error) => error.into(),
        }
    }
}

impl From<ListSessionsError> for Failure {
    fn from(error: ListSessionsError) -> Self {
        match error {
            ListSessionsError::NotFound => identity_not_found(),
            ListSessionsError::Page(error) => error.into(),
            ListSessionsError::Store(error) => error.into(),
        }
    }
}

impl From<CreateTicketError> for Failure {
    fn from(error: CreateTicketError) -> Self {
        match error {
            CreateTicketError::TooMany { retry_after } => {
                Self::new(Reason::TooMany, error.to_string()).retrying_in(retry_after)
            }
            CreateTicketError::Store(error) => error.into(),
            CreateTicketError::Issuer(error) => error.into(),
            CreateTicketError::Begin(error) => error.into(),
        }
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NotFound => Self::new(Reason::TargetNotFound, error.to_string()),
            RevokeError::Unverifiable => Self::new(Reason::CredentialUnverifiable, error.to_string()),
            RevokeError::LastAdministrator => Self::new(Reason::LastAdministrator, error.to_string()),
            RevokeError::RequestIdReused => Self::new(Reason::RequestIdReused, error.to_string()),
            RevokeError::Begin(error) => error.into(),
            RevokeError::Issuer(error) => error.into(),
            RevokeError::Store(error) => error.into(),
        }
    }
}

impl From<EndBeforeError> for Failure {
    fn from(error: EndBeforeError) -> Self {
        match error {
            EndBeforeError::NotFound => Self::new(Reason::TargetNotFound, error.to_string()),
            EndBeforeError::Begin(error) => error.into(),
            EndBeforeError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeKeysError> for Failure {
    fn from(error: RevokeKeysError) -> Self {
        match error {
            RevokeKeysError::NotFound => identity_not_found(),
            RevokeKeysError::LastAdministrator => Self::new(Reason::LastAdministrator, error.to_string()),
            RevokeKeysError::Begin(error) => error.into(),
            RevokeKeysError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeSessionsError> for Failure {
    fn from(error: RevokeSessionsError) -> Self {
        match error {
            RevokeSessionsError::NotFound => identity_not_found(),
            RevokeSessionsError::TooMany => Self::new(Reason::TooMany, error.to_string()),
            RevokeSessionsError::Begin(error) => error.into(),
            RevokeSessionsError::Store(error) => error.into(),
        }
    }
}
