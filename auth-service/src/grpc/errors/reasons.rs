//! Every reason that a call has no answer, with its text and its code.

use tonic::Code;

/// Why there is no answer; the `reason` of `google.rpc.ErrorInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The call carries no `authorization: Bearer …`, and its connection no certificate.
    CredentialMissing,
    /// The credential is not a good API key, service token or certificate of an active service.
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
    /// Only an API key or a certificate is exchanged for a token, not another token.
    ApiKeyNeeded,
    /// The API key does not exist in the tenant.
    ApiKeyNotFound,
    /// The API key was revoked, has ended, or its identity is disabled.
    ApiKeyNotGood,
    /// The API key was exchanged, and its successor lives; metadata `successor_id`.
    ApiKeyReplaced,
    /// There is no such registration of a certificate's name in the tenant.
    CertificateNotFound,
    /// The name in a certificate is registered already.
    CertificateNameTaken,
    /// Only services call with certificates.
    CertificateNeedsService,
    /// The signature key does not exist in the tenant.
    SignatureKeyNotFound,
    /// The key is registered in the tenant already, or was and is remembered.
    SignatureKeyKnown,
    /// Nothing shows that whoever registers the key has its private half.
    KeyProofRefused,
    /// The signature key was revoked, has ended, or its session or identity is not good.
    SignatureKeyNotGood,
    /// The signature key was exchanged, and its successor lives; metadata `successor_id`.
    SignatureKeyReplaced,
    /// The session was revoked or has ended.
    SessionOver,
    /// The target of a revocation does not exist.
    TargetNotFound,
    /// What was presented for revocation is not a credential of this authority.
    CredentialUnverifiable,
    /// The credential that a ticket was asked from is not good; metadata `deny_reason`.
    ParentRefused,
    /// A tenant of this name exists, or existed and was deleted.
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
    /// Only a suspended tenant can be deleted.
    TenantNotSuspended,
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
    /// The services of the caller's tenant have written as many events as they may in a minute; with `RetryInfo`.
    TenantQuota,
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
    /// No subject of the external issuer is linked to the identity.
    SubjectNotLinked,
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
            Self::CertificateNotFound => "CERTIFICATE_NOT_FOUND",
            Self::CertificateNameTaken => "CERTIFICATE_NAME_TAKEN",
            Self::CertificateNeedsService => "CERTIFICATE_NEEDS_SERVICE",
            Self::SignatureKeyNotFound => "SIGNATURE_KEY_NOT_FOUND",
            Self::SignatureKeyKnown => "SIGNATURE_KEY_KNOWN",
            Self::KeyProofRefused => "KEY_PROOF_REFUSED",
            Self::SignatureKeyNotGood => "SIGNATURE_KEY_NOT_GOOD",
            Self::SignatureKeyReplaced => "SIGNATURE_KEY_REPLACED",
            Self::SessionOver => "SESSION_OVER",
            Self::TargetNotFound => "TARGET_NOT_FOUND",
            Self::CredentialUnverifiable => "CREDENTIAL_UNVERIFIABLE",
            Self::ParentRefused => "PARENT_REFUSED",
            Self::TenantExists => "TENANT_EXISTS",
            Self::IdentityExists => "IDENTITY_EXISTS",
            Self::IdentityDeleted => "IDENTITY_DELETED",
            Self::LeaseClassOverBound => "LEASE_CLASS_OVER_BOUND",
            Self::IdentityDisabled => "IDENTITY_DISABLED",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::TenantNotSuspended => "TENANT_NOT_SUSPENDED",
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
            Self::TenantQuota => "TENANT_QUOTA",
            Self::ReceiptsExhausted => "RECEIPTS_EXHAUSTED",
            Self::GatewaysExhausted => "GATEWAYS_EXHAUSTED",
            Self::Leaving => "LEAVING",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::WriteConflict => "WRITE_CONFLICT",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::IssuerNotFound => "ISSUER_NOT_FOUND",
            Self::SubjectNotLinked => "SUBJECT_NOT_LINKED",
            Self::IssuerRefused => "ISSUER_REFUSED",
            Self::IssuerExists => "ISSUER_EXISTS",
            Self::IssuerUnavailable => "ISSUER_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// The code of the status that carries it.
    pub(super) const fn code(self) -> Code {
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
            | Self::CertificateNeedsService
            | Self::KeyProofRefused
            | Self::WatchStartExpected
            | Self::WatchStartedTwice => Code::InvalidArgument,
            Self::TenantNotFound
            | Self::IssuerNotFound
            | Self::SubjectNotLinked
            | Self::IdentityNotFound
            | Self::RoleNotFound
            | Self::ApiKeyNotFound
            | Self::CertificateNotFound
            | Self::SignatureKeyNotFound
            | Self::TargetNotFound
            | Self::SecondFactorNotFound
            | Self::RevisionNotFound => Code::NotFound,
            Self::TenantExists
            | Self::IssuerExists
            | Self::IdentityExists
            | Self::SecondFactorExists
            | Self::CertificateNameTaken
            | Self::SignatureKeyKnown => Code::AlreadyExists,
            Self::IdentityDeleted
            | Self::IdentityDisabled
            | Self::TenantSuspended
            | Self::TenantNotSuspended
            | Self::LastAdministrator
            | Self::RequestIdReused
            | Self::SigningKeyChanged
            | Self::ApiKeyNeeded
            | Self::ApiKeyNotGood
            | Self::ApiKeyReplaced
            | Self::SignatureKeyNotGood
            | Self::SignatureKeyReplaced
            | Self::SessionOver
            | Self::KekMissing
            | Self::ParentRefused
            | Self::LeaseClassOverBound
            | Self::RevisionForked => Code::FailedPrecondition,
            Self::TooMany
            | Self::HashingOverloaded
            | Self::WatchesExhausted
            | Self::TenantQuota
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
