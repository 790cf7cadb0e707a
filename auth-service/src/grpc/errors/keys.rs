//! How what API keys, service tokens and signing keys lack is told.

use auth_domain::{
    CreateApiKeyError, ReencryptError, RevokeSigningKeyError, RotateApiKeyError, RotateError, ServiceTokenError,
};

use super::{Failure, Reason, identity_not_found};

impl From<CreateApiKeyError> for Failure {
    fn from(error: CreateApiKeyError) -> Self {
        match error {
            CreateApiKeyError::NotFound => identity_not_found(),
            CreateApiKeyError::Disabled => Self::new(Reason::IdentityDisabled, error.to_string()),
            CreateApiKeyError::TooLong => Self::field("expires_in_ms", "must be at most ten years"),
            CreateApiKeyError::ScopesBeyondCaller => Self::new(Reason::ScopesExceeded, error.to_string()),
            CreateApiKeyError::AddressesBeyondCaller => {
                Self::field("addresses", "must lie within the addresses of the caller's own key")
            }
            CreateApiKeyError::ScopesNeedService => Self::new(Reason::ScopesNeedService, error.to_string()),
            CreateApiKeyError::TooManyGrants | CreateApiKeyError::TooManyAddresses | CreateApiKeyError::TooMany => {
                Self::new(Reason::TooMany, error.to_string())
            }
            CreateApiKeyError::Begin(error) => error.into(),
            CreateApiKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RotateApiKeyError> for Failure {
    fn from(error: RotateApiKeyError) -> Self {
        match error {
            RotateApiKeyError::NotFound => Self::new(Reason::ApiKeyNotFound, error.to_string()),
            RotateApiKeyError::NotGood => Self::new(Reason::ApiKeyNotGood, error.to_string()),
            RotateApiKeyError::Replaced(id) => {
                Self::new(Reason::ApiKeyReplaced, error.to_string()).about("successor_id", id.to_string())
            }
            RotateApiKeyError::ScopesBeyondCaller => Self::new(Reason::ScopesExceeded, error.to_string()),
            RotateApiKeyError::AddressesBeyondCaller => {
                Self::field("id", "must be a key with addresses within those of the caller's own key")
            }
            RotateApiKeyError::LastAdministrator => Self::new(Reason::LastAdministrator, error.to_string()),
            RotateApiKeyError::OverlapTooLong => Self::field("old_ends_in_ms", "must be at most 90 days"),
            RotateApiKeyError::TooLong => Self::field("expires_in_ms", "must be at most ten years"),
            RotateApiKeyError::TooMany => Self::new(Reason::TooMany, error.to_string()),
            RotateApiKeyError::Begin(error) => error.into(),
            RotateApiKeyError::Store(error) => error.into(),
        }
    }
}

impl From<ServiceTokenError> for Failure {
    fn from(error: ServiceTokenError) -> Self {
        match error {
            ServiceTokenError::NotByKey => Self::new(Reason::ApiKeyNeeded, error.to_string()),
            ServiceTokenError::ScopesBeyondKey => Self::new(Reason::ScopesExceeded, error.to_string()),
            ServiceTokenError::TooLong => Self::field("expires_in_ms", "must be at most what access tokens live"),
            ServiceTokenError::Begin(error) => error.into(),
            ServiceTokenError::Store(error) => error.into(),
        }
    }
}

impl From<RotateError> for Failure {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::OtherSigns(id) => {
                Self::new(Reason::SigningKeyChanged, error.to_string()).about("signing_key_id", id.to_string())
            }
            RotateError::Begin(error) => error.into(),
            RotateError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeSigningKeyError> for Failure {
    fn from(error: RevokeSigningKeyError) -> Self {
        match error {
            RevokeSigningKeyError::NotFound => Self::new(Reason::TargetNotFound, error.to_string()),
            RevokeSigningKeyError::RequestIdReused => Self::new(Reason::RequestIdReused, error.to_string()),
            RevokeSigningKeyError::Begin(error) => error.into(),
            RevokeSigningKeyError::Store(error) => error.into(),
        }
    }
}

impl From<ReencryptError> for Failure {
    fn from(error: ReencryptError) -> Self {
        match error {
            ReencryptError::Kek(missing) => {
                Self::new(Reason::KekMissing, missing.to_string()).about("kek_id", missing.wanted)
            }
            ReencryptError::Damaged { what } => {
                tracing::error!(what, "a secret does not decrypt");
                Self::new(Reason::Internal, "internal error")
            }
            ReencryptError::Begin(error) => error.into(),
            ReencryptError::Store(error) => error.into(),
        }
    }
}
