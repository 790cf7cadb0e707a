//! The texts of denial reasons, the same in problem documents, metrics and logs.

use auth_domain::DenyReason;

/// The reason as a short fixed text.
pub(crate) const fn text(reason: DenyReason) -> &'static str {
    match reason {
        DenyReason::Malformed => "malformed",
        DenyReason::Unknown => "unknown",
        DenyReason::Invalid => "invalid",
        DenyReason::Expired => "expired",
        DenyReason::CredentialRevoked => "credential_revoked",
        DenyReason::SessionRevoked => "session_revoked",
        DenyReason::IdentityRevoked => "identity_revoked",
        DenyReason::IdentityDisabled => "identity_disabled",
        DenyReason::TenantRevoked => "tenant_revoked",
        DenyReason::WrongAudience => "wrong_audience",
        DenyReason::WrongOrigin => "wrong_origin",
        DenyReason::WrongAddress => "wrong_address",
        DenyReason::Spent => "spent",
        DenyReason::WrongKind => "wrong_kind",
    }
}
