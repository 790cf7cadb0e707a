//! How what logging in, passwords and second factors lack is told.

use auth_domain::{
    ChangePasswordError, ContinueError, HashError, InvalidPassword, LoginError, RemovePasswordError, SecondFactorError,
    SetPasswordError, UnfitHash,
};

use super::{Failure, Reason, identity_not_found};

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::new(Reason::HashingOverloaded, "too many passwords are being checked"),
            HashError::Leaving => Self::new(Reason::Leaving, "this authority is shutting down"),
            HashError::Failed => {
                tracing::error!("a password could not be hashed");
                Self::new(Reason::Internal, "internal error")
            }
        }
    }
}

impl From<InvalidPassword> for Failure {
    fn from(rule: InvalidPassword) -> Self {
        Self::new(Reason::PasswordInvalid, rule.to_string())
    }
}

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

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Hash(error) => error.into(),
            LoginError::Begin(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<SetPasswordError> for Failure {
    fn from(error: SetPasswordError) -> Self {
        match error {
            SetPasswordError::NotFound => identity_not_found(),
            SetPasswordError::Password(rule) => rule.into(),
            SetPasswordError::Hash(error) => error.into(),
            SetPasswordError::Begin(error) => error.into(),
            SetPasswordError::Store(error) => error.into(),
        }
    }
}

impl From<RemovePasswordError> for Failure {
    fn from(error: RemovePasswordError) -> Self {
        match error {
            RemovePasswordError::NotFound => identity_not_found(),
            RemovePasswordError::NoPassword => Self::new(Reason::TargetNotFound, error.to_string()),
            RemovePasswordError::Begin(error) => error.into(),
            RemovePasswordError::Store(error) => error.into(),
        }
    }
}
