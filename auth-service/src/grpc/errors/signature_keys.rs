//! How what registering or exchanging a signature key lacks is told. Nothing of the key or the proof is repeated.

use auth_domain::{HolderError, RegisterSignatureKeyError, RotateSignatureKeyError};

use super::{Failure, Reason, identity_not_found, target_not_found};

impl From<HolderError> for Failure {
    fn from(error: HolderError) -> Self {
        match error {
            HolderError::NotFound => identity_not_found(),
            HolderError::Disabled => Self::new(Reason::IdentityDisabled, error.to_string()),
            HolderError::SessionNotFound => target_not_found(),
            HolderError::SessionOver => Self::new(Reason::SessionOver, error.to_string()),
            HolderError::Store(error) => error.into(),
        }
    }
}

impl From<RegisterSignatureKeyError> for Failure {
    fn from(error: RegisterSignatureKeyError) -> Self {
        use RegisterSignatureKeyError as Error;
        match error {
            Error::Holder(error) => error.into(),
            Error::Jwk(error) => Self::field("jwk", error),
            Error::Proof(error) => Self::new(Reason::KeyProofRefused, error.to_string()),
            Error::Known => Self::new(Reason::SignatureKeyKnown, error.to_string()),
            Error::TooMany | Error::TooManyRemembered => Self::new(Reason::TooMany, error.to_string()),
            Error::TooLong => Self::field("expires_in_ms", "must be at most ten years"),
            Error::Begin(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<RotateSignatureKeyError> for Failure {
    fn from(error: RotateSignatureKeyError) -> Self {
        use RotateSignatureKeyError as Error;
        match error {
            Error::NotFound => Self::new(Reason::SignatureKeyNotFound, error.to_string()),
            Error::NotGood => Self::new(Reason::SignatureKeyNotGood, error.to_string()),
            Error::Replaced(id) => {
                Self::new(Reason::SignatureKeyReplaced, error.to_string()).about("successor_id", id.to_string())
            }
            Error::OverlapTooLong => Self::field("old_ends_in_ms", "must be at most 90 days"),
            Error::Register(error) => error.into(),
        }
    }
}
