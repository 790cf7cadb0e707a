//! How what identities and their roles lack is told.

use auth_domain::{ChangeIdentityError, CreateIdentityError, DeleteRoleError, PutRoleError, UpdateIdentityError};

use super::{Failure, Reason, identity_not_found, role_not_found, tenant_not_found};

impl From<CreateIdentityError> for Failure {
    fn from(error: CreateIdentityError) -> Self {
        match error {
            CreateIdentityError::TenantNotFound => tenant_not_found(),
            CreateIdentityError::NameReserved => Self::field("name", error),
            CreateIdentityError::NameTaken => Self::new(Reason::IdentityExists, error.to_string()),
            CreateIdentityError::RoleNotFound(role) => role_not_found(role.as_str()),
            CreateIdentityError::TooManyRoles | CreateIdentityError::TooManyGrants => {
                Self::new(Reason::TooMany, error.to_string())
            }
            CreateIdentityError::Password(rule) => rule.into(),
            CreateIdentityError::Unfit(error) => error.into(),
            CreateIdentityError::Hash(error) => error.into(),
            CreateIdentityError::Begin(error) => error.into(),
            CreateIdentityError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateIdentityError> for Failure {
    fn from(error: UpdateIdentityError) -> Self {
        match error {
            UpdateIdentityError::NotFound => identity_not_found(),
            UpdateIdentityError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            UpdateIdentityError::NameReserved => Self::field("name", error),
            UpdateIdentityError::NameTaken => Self::new(Reason::IdentityExists, error.to_string()),
            UpdateIdentityError::RoleNotFound(role) => role_not_found(role.as_str()),
            UpdateIdentityError::TooManyRoles | UpdateIdentityError::TooManyGrants => {
                Self::new(Reason::TooMany, error.to_string())
            }
            UpdateIdentityError::Begin(error) => error.into(),
            UpdateIdentityError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeIdentityError> for Failure {
    fn from(error: ChangeIdentityError) -> Self {
        match error {
            ChangeIdentityError::NotFound => identity_not_found(),
            ChangeIdentityError::Deleted => Self::new(Reason::IdentityDeleted, error.to_string()),
            ChangeIdentityError::LastAdministrator => Self::new(Reason::LastAdministrator, error.to_string()),
            ChangeIdentityError::Begin(error) => error.into(),
            ChangeIdentityError::Store(error) => error.into(),
        }
    }
}

impl From<PutRoleError> for Failure {
    fn from(error: PutRoleError) -> Self {
        match error {
            PutRoleError::TenantNotFound => tenant_not_found(),
            PutRoleError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            PutRoleError::TooManyGrants
            | PutRoleError::TooManyRoles
            | PutRoleError::TooLarge
            | PutRoleError::HolderTooLarge
            | PutRoleError::TenantTooLarge => Self::new(Reason::TooMany, error.to_string()),
            PutRoleError::Begin(error) => error.into(),
            PutRoleError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteRoleError> for Failure {
    fn from(error: DeleteRoleError) -> Self {
        match error {
            DeleteRoleError::NotFound(role) => role_not_found(role.as_str()),
            DeleteRoleError::Begin(error) => error.into(),
            DeleteRoleError::Store(error) => error.into(),
        }
    }
}
