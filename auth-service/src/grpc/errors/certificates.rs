//! How what registering the name in a certificate lacks is told.

use auth_domain::RegisterCertificateError;

use super::{Failure, Reason, identity_not_found};

impl From<RegisterCertificateError> for Failure {
    fn from(error: RegisterCertificateError) -> Self {
        use RegisterCertificateError as Error;
        match error {
            Error::NotFound => identity_not_found(),
            Error::Disabled => Self::new(Reason::IdentityDisabled, error.to_string()),
            Error::NeedsService => Self::new(Reason::CertificateNeedsService, error.to_string()),
            Error::TooLong => Self::field("expires_in_ms", "must be at most ten years"),
            Error::ScopesBeyondCaller => Self::new(Reason::ScopesExceeded, error.to_string()),
            Error::AddressesBeyondCaller => {
                Self::field("addresses", "must lie within the addresses of the caller's own key")
            }
            Error::TooManyAddresses | Error::TooMany => Self::new(Reason::TooMany, error.to_string()),
            Error::NameTaken => Self::new(Reason::CertificateNameTaken, error.to_string()),
            Error::Begin(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}
