//! How what logging in, passwords and second factors lack is told.

use auth_domain::{ChangePasswordError, ContinueError, SecondFactorError, UnfitHash};

use super::{Failure, Reason, identity_not_found};

impl From<UnfitHash> for Failure {
    fn from(error: UnfitHash) -> Self {
        match error {
            UnfitHash::Unknown | UnfitHash::Broken | UnfitHash::TooCostly => {
                Self::new(Reason::HashUnfit, error.to_string())
            }
        }
    }
}

impl From<ContinueError> for Failure {
    fn from(error: ContinueError) -> Self {
        match error {
            ContinueError::OtherProofWanted => Self::new(Reason::ProofUnwanted, error.to_string()),
            ContinueError::Password(rule) => rule.into(),
            ContinueError::Login(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Failure {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::NotFound => identity_not_found(),
            ChangePasswordError::Password(rule) => rule.into(),
            ChangePasswordError::Unfit(error) => error.into(),
            ChangePasswordError::Login(error) => error.into(),
        }
    }
}

impl From<SecondFactorError> for Failure {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::IdentityNotFound => identity_not_found(),
            SecondFactorError::Exists => Self::new(Reason::SecondFactorExists, error.to_string()),
            SecondFactorError::NotFound => Self::new(Reason::SecondFactorNotFound, error.to_string()),
            SecondFactorError::Begin(error) => error.into(),
            SecondFactorError::Store(error) => error.into(),
        }
    }
}
