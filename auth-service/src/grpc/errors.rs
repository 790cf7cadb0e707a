//! How an operation that gave no answer is told: a status, with `google.rpc.ErrorInfo` in the domain `portcullis`.
//!
//! Owns every [`Reason`] and its code. Refuses to tell causes inside: they are logged.

mod login;

use std::borrow::Cow;
use std::collections::HashMap;

use auth_domain::watch::TooManyGateways;
use auth_domain::{
    BeginError, CallerError, ChangeIdentityError, ChangeIssuerError, ChangeTenantError, CreateApiKeyError,
    CreateIdentityError, CreateTenantError, CreateTicketError, DeleteRoleError, Forbidden, HashError, InvalidPage,
    InvalidPassword, IssueError, IssuerSilent, ListError, ListSessionsError, LoginError, PutIssuerError, PutRoleError,
    ReencryptError, RevokeError, RevokeSessionsError, RevokeSigningKeyError, RotateApiKeyError, RotateError,
    ServiceTokenError, SetLeaseClassError, SetPasswordError, StoreError, UpdateIdentityError, VerifyError,
};
use portcullis_proto::InvalidWire;
use portcullis_types::{ClassOverBound, InvalidName};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::tailer::SourceText as _;

/// The domain of every reason.
pub(crate) const DOMAIN: &str = "portcullis";

/// Why there is no answer; the `reason` of `google.rpc.ErrorInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The call carries no `authorization: Bearer …`.
    CredentialMissing,
    /// The credential is not a good API key of an active service.
    CredentialRefused,
    /// The credential was revoked, or refused otherwise, while the call lasted.
    CallerRevoked,
    /// The caller's key lacks the method's scope; metadata `scope`.
    ScopeMissing,
    /// The caller may not act on this tenant.
    TenantForbidden,
    /// There is no such method.
    MethodUnknown,
    /// A field breaks its rule; metadata `field`.
    FieldInvalid,
    /// A page token is not of this list, or a page is too large.
    PageInvalid,
    /// A password cannot be one: its length, or everybody tries it first.
    PasswordInvalid,
    /// A hash cannot be imported: not a known form, or too costly.
    HashUnfit,
    /// A login asks for another kind of proof.
    ProofUnwanted,
    /// An authenticator app counts already.
    SecondFactorExists,
    /// There is no authenticator app that this could be about.
    SecondFactorNotFound,
    /// The tenant does not exist.
    TenantNotFound,
    /// The identity does not exist.
    IdentityNotFound,
    /// The role does not exist; metadata `role`.
    RoleNotFound,
    /// Only an API key is exchanged for a token, not another token.
    ApiKeyNeeded,
    /// The API key does not exist in the tenant.
    ApiKeyNotFound,
    /// The API key was revoked, has ended, or its identity is disabled.
    ApiKeyNotGood,
    /// The API key was exchanged, and its successor lives; metadata `successor_id`.
    ApiKeyReplaced,
    /// The target of a revocation does not exist.
    TargetNotFound,
    /// What was presented for revocation is not a credential of this authority.
    CredentialUnverifiable,
    /// The credential that a ticket was asked from is not good; metadata `deny_reason`.
    ParentRefused,
    /// A tenant of this name exists.
    TenantExists,
    /// An identity of this name exists.
    IdentityExists,
    /// The identity is deleted.
    IdentityDeleted,
    /// The class of leases lasts longer than the bound; metadata `lease_class`.
    LeaseClassOverBound,
    /// The identity is disabled.
    IdentityDisabled,
    /// The tenant is suspended.
    TenantSuspended,
    /// It is the last that could administer.
    LastAdministrator,
    /// It was changed since it was read: read it again and decide again.
    EtagStale,
    /// Only a service's key may hold scopes.
    ScopesNeedService,
    /// A key cannot hold more than its maker's.
    ScopesExceeded,
    /// A bound on how many there may be is reached.
    TooMany,
    /// Another signing key signs now than the one that should stop.
    SigningKeyChanged,
    /// A secret is encrypted under a key-encryption key that this replica was not given; metadata `kek_id`.
    KekMissing,
    /// A request id was used with other content.
    RequestIdReused,
    /// Too many passwords wait to be hashed.
    HashingOverloaded,
    /// Too many watches are open.
    WatchesExhausted,
    /// The first message of a watch is not its start.
    WatchStartExpected,
    /// The first message of a watch did not come in time.
    WatchStartLate,
    /// A watch was started twice.
    WatchStartedTwice,
    /// The log no longer keeps what was asked for.
    RangeGone,
    /// The revision is on another branch of the log.
    RangeForked,
    /// The log has no entry at this revision.
    RevisionNotFound,
    /// The entry at this revision is another one: it is of another branch of the log, or forged.
    RevisionForked,
    /// Too many callers wait for receipts.
    ReceiptsExhausted,
    /// Too many gateways may hold a lease.
    GatewaysExhausted,
    /// This replica shuts down; the same call may be tried again.
    Leaving,
    /// The call took longer than its deadline.
    DeadlineExceeded,
    /// Another writer was faster; the same call may be tried again.
    WriteConflict,
    /// It is not known whether the change was made; ask before trying again.
    OutcomeUnknown,
    /// The tenant does not trust such an issuer.
    IssuerNotFound,
    /// The issuer cannot be trusted so.
    IssuerRefused,
    /// An issuer with this URL and audience, or of this name, is trusted already.
    IssuerExists,
    /// The keys of the token's issuer cannot be fetched: there is no verdict.
    IssuerUnavailable,
    /// The store did not answer.
    StoreUnavailable,
    /// A bug or damage; the operator's log says which.
    Internal,
}

impl Reason {
    /// Its text in `ErrorInfo`.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::CredentialMissing => "CREDENTIAL_MISSING",
            Self::CredentialRefused => "CREDENTIAL_REFUSED",
            Self::CallerRevoked => "CALLER_REVOKED",
            Self::ScopeMissing => "SCOPE_MISSING",
            Self::TenantForbidden => "TENANT_FORBIDDEN",
            Self::MethodUnknown => "METHOD_UNKNOWN",
            Self::FieldInvalid => "FIELD_INVALID",
            Self::PageInvalid => "PAGE_INVALID",
            Self::PasswordInvalid => "PASSWORD_INVALID",
            Self::HashUnfit => "HASH_UNFIT",
            Self::ProofUnwanted => "PROOF_UNWANTED",
            Self::SecondFactorExists => "SECOND_FACTOR_EXISTS",
            Self::SecondFactorNotFound => "SECOND_FACTOR_NOT_FOUND",
            Self::TenantNotFound => "TENANT_NOT_FOUND",
            Self::IdentityNotFound => "IDENTITY_NOT_FOUND",
            Self::RoleNotFound => "ROLE_NOT_FOUND",
            Self::ApiKeyNeeded => "API_KEY_NEEDED",
            Self::ApiKeyNotFound => "API_KEY_NOT_FOUND",
            Self::ApiKeyNotGood => "API_KEY_NOT_GOOD",
            Self::ApiKeyReplaced => "API_KEY_REPLACED",
            Self::TargetNotFound => "TARGET_NOT_FOUND",
            Self::CredentialUnverifiable => "CREDENTIAL_UNVERIFIABLE",
            Self::ParentRefused => "PARENT_REFUSED",
            Self::TenantExists => "TENANT_EXISTS",
            Self::IdentityExists => "IDENTITY_EXISTS",
            Self::IdentityDeleted => "IDENTITY_DELETED",
            Self::LeaseClassOverBound => "LEASE_CLASS_OVER_BOUND",
            Self::IdentityDisabled => "IDENTITY_DISABLED",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::LastAdministrator => "LAST_ADMINISTRATOR",
            Self::EtagStale => "ETAG_STALE",
            Self::ScopesNeedService => "SCOPES_NEED_SERVICE",
            Self::ScopesExceeded => "SCOPES_EXCEEDED",
            Self::TooMany => "TOO_MANY",
            Self::SigningKeyChanged => "SIGNING_KEY_CHANGED",
            Self::KekMissing => "KEK_MISSING",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::HashingOverloaded => "HASHING_OVERLOADED",
            Self::WatchesExhausted => "WATCHES_EXHAUSTED",
            Self::WatchStartExpected => "WATCH_START_EXPECTED",
            Self::WatchStartLate => "WATCH_START_LATE",
            Self::WatchStartedTwice => "WATCH_STARTED_TWICE",
            Self::RangeGone => "RANGE_GONE",
            Self::RangeForked => "RANGE_FORKED",
            Self::RevisionNotFound => "REVISION_NOT_FOUND",
            Self::RevisionForked => "REVISION_FORKED",
            Self::ReceiptsExhausted => "RECEIPTS_EXHAUSTED",
            Self::GatewaysExhausted => "GATEWAYS_EXHAUSTED",
            Self::Leaving => "LEAVING",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::WriteConflict => "WRITE_CONFLICT",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::IssuerNotFound => "ISSUER_NOT_FOUND",
            Self::IssuerRefused => "ISSUER_REFUSED",
            Self::IssuerExists => "ISSUER_EXISTS",
            Self::IssuerUnavailable => "ISSUER_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::CredentialMissing | Self::CredentialRefused | Self::CallerRevoked => Code::Unauthenticated,
            Self::ScopeMissing | Self::TenantForbidden | Self::ScopesExceeded => Code::PermissionDenied,
            Self::MethodUnknown => Code::Unimplemented,
            Self::FieldInvalid
            | Self::IssuerRefused
            | Self::PageInvalid
            | Self::PasswordInvalid
            | Self::HashUnfit
            | Self::ProofUnwanted
            | Self::CredentialUnverifiable
            | Self::ScopesNeedService
            | Self::WatchStartExpected
            | Self::WatchStartedTwice => Code::InvalidArgument,
            Self::TenantNotFound
            | Self::IssuerNotFound
            | Self::IdentityNotFound
            | Self::RoleNotFound
            | Self::ApiKeyNotFound
            | Self::TargetNotFound
            | Self::SecondFactorNotFound
            | Self::RevisionNotFound => Code::NotFound,
            Self::TenantExists | Self::IssuerExists | Self::IdentityExists | Self::SecondFactorExists => {
                Code::AlreadyExists
            }
            Self::IdentityDeleted
            | Self::IdentityDisabled
            | Self::TenantSuspended
            | Self::LastAdministrator
            | Self::RequestIdReused
            | Self::SigningKeyChanged
            | Self::ApiKeyNeeded
            | Self::ApiKeyNotGood
            | Self::ApiKeyReplaced
            | Self::KekMissing
            | Self::ParentRefused
            | Self::LeaseClassOverBound
            | Self::RevisionForked => Code::FailedPrecondition,
            Self::TooMany
            | Self::HashingOverloaded
            | Self::WatchesExhausted
            | Self::ReceiptsExhausted
            | Self::GatewaysExhausted => Code::ResourceExhausted,
            Self::RangeGone | Self::RangeForked => Code::OutOfRange,
            Self::WatchStartLate | Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::WriteConflict | Self::EtagStale => Code::Aborted,
            Self::OutcomeUnknown => Code::Unknown,
            Self::StoreUnavailable | Self::IssuerUnavailable | Self::Leaving => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    reason: Reason,
    message: Cow<'static, str>,
    about: Option<(&'static str, String)>,
}

impl Failure {
    /// For this reason, in words for people.
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), about: None }
    }

    /// With one fact for programs.
    pub(crate) fn about(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.about = Some((key, value.into()));
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
        let details = ErrorDetails::with_error_info(failure.reason.text(), DOMAIN, about);
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
            BeginError::CallerRefused => Self::new(Reason::CallerRevoked, error.to_string()),
            BeginError::RequestIdReused => Self::new(Reason::RequestIdReused, error.to_string()),
            BeginError::Store(error) => error.into(),
        }
    }
}

impl From<IssuerSilent> for Failure {
    fn from(error: IssuerSilent) -> Self {
        Self::new(Reason::IssuerUnavailable, error.to_string())
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Begin(error) => error.into(),
            VerifyError::Issuer(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<PutIssuerError> for Failure {
    fn from(error: PutIssuerError) -> Self {
        match error {
            PutIssuerError::TenantNotFound => tenant_not_found(),
            PutIssuerError::RoleNotFound(role) => role_not_found(role.as_str()),
            PutIssuerError::SystemTenant
            | PutIssuerError::Plaintext
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

impl From<CreateTicketError> for Failure {
    fn from(error: CreateTicketError) -> Self {
        match error {
            CreateTicketError::Store(error) => error.into(),
            CreateTicketError::Issuer(error) => error.into(),
            CreateTicketError::Begin(error) => error.into(),
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

impl From<ClassOverBound> for Failure {
    fn from(over: ClassOverBound) -> Self {
        Self::new(Reason::LeaseClassOverBound, over.to_string()).about("lease_class", over.class.word())
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
            CreateIdentityError::Hash(error) => error.into(),
            CreateIdentityError::Begin(error) => error.into(),
            CreateIdentityError::Store(error) => error.into(),
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

impl From<UpdateIdentityError> for Failure {
    fn from(error: UpdateIdentityError) -> Self {
        match error {
            UpdateIdentityError::NotFound => identity_not_found(),
            UpdateIdentityError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            UpdateIdentityError::RoleNotFound(role) => role_not_found(role.as_str()),
            UpdateIdentityError::TooManyRoles | UpdateIdentityError::TooManyGrants => {
                Self::new(Reason::TooMany, error.to_string())
            }
            UpdateIdentityError::Begin(error) => error.into(),
            UpdateIdentityError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeTenantError> for Failure {
    fn from(error: ChangeTenantError) -> Self {
        match error {
            ChangeTenantError::NotFound => tenant_not_found(),
            ChangeTenantError::System => Self::new(Reason::LastAdministrator, error.to_string()),
            ChangeTenantError::Stale => Self::new(Reason::EtagStale, error.to_string()),
            ChangeTenantError::Begin(error) => error.into(),
            ChangeTenantError::Store(error) => error.into(),
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

impl From<PutRoleError> for Failure {
    fn from(error: PutRoleError) -> Self {
        match error {
            PutRoleError::TenantNotFound => tenant_not_found(),
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

impl From<ListSessionsError> for Failure {
    fn from(error: ListSessionsError) -> Self {
        match error {
            ListSessionsError::NotFound => identity_not_found(),
            ListSessionsError::Page(error) => error.into(),
            ListSessionsError::Store(error) => error.into(),
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
            RotateApiKeyError::OverlapTooLong => Self::field("old_ends_in_ms", "must be at most 90 days"),
            RotateApiKeyError::TooLong => Self::field("expires_in_ms", "must be at most ten years"),
            RotateApiKeyError::TooMany => Self::new(Reason::TooMany, error.to_string()),
            RotateApiKeyError::Begin(error) => error.into(),
            RotateApiKeyError::Store(error) => error.into(),
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
