//! How what tenants lack is told.

use auth_domain::{ChangeTenantError, CreateTenantError, SetLeaseClassError};
use portcullis_types::ClassOverBound;

use super::{Failure, Reason, tenant_not_found};

impl From<CreateTenantError> for Failure {
    fn from(error: CreateTenantError) -> Self {
        match error {
            CreateTenantError::Exists => Self::new(Reason::TenantExists, error.to_string()),
            CreateTenantError::OverBound(over) => over.into(),
            CreateTenantError::Begin(error) => error.into(),
            CreateTenantError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeTenantError> for Failure {
    fn from(error: ChangeTenantError) -> Self {
        match error {
            ChangeTenantError::NotFound => tenant_not_found(),
            ChangeTenantError::System => Self::new(Reason::LastAdministrator, error.to_string()),
            ChangeTenantError::NotSuspended => Self::new(Reason::TenantNotSuspended, error.to_string()),
            ChangeTenantError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            ChangeTenantError::Begin(error) => error.into(),
            ChangeTenantError::Store(error) => error.into(),
        }
    }
}

impl From<SetLeaseClassError> for Failure {
    fn from(error: SetLeaseClassError) -> Self {
        match error {
            SetLeaseClassError::TenantNotFound => tenant_not_found(),
            SetLeaseClassError::OverBound(over) => over.into(),
            SetLeaseClassError::Begin(error) => error.into(),
            SetLeaseClassError::Store(error) => error.into(),
        }
    }
}

impl From<ClassOverBound> for Failure {
    fn from(over: ClassOverBound) -> Self {
        Self::new(Reason::LeaseClassOverBound, over.to_string()).about("lease_class", over.class.word())
    }
}
