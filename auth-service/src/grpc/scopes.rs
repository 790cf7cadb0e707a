//! Which scope each method needs: one table, checked before any handler runs.
//!
//! Refuses what it does not list: a method without an entry cannot be called. `docs/scopes.md` says the same for people, with
//! the tenants that a caller may name.

use auth_domain::Scope;

/// A method of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// Its path on the wire.
    pub(crate) path: &'static str,
    /// What the caller's key must hold; none where any key will do.
    pub(crate) scope: Option<Scope>,
    /// Whether its answer is a stream.
    pub(crate) streams: bool,
}

const fn method(path: &'static str, scope: Scope) -> Method {
    Method { path, scope: Some(scope), streams: false }
}

const fn stream(path: &'static str, scope: Scope) -> Method {
    Method { path, scope: Some(scope), streams: true }
}

const fn for_any_key(path: &'static str) -> Method {
    Method { path, scope: None, streams: false }
}

/// Every method of `portcullis.auth.v1`.
pub(crate) const METHODS: &[Method] = &[
    method("/portcullis.auth.v1.TenantsService/CreateTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/ListTenants", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/GetTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/UpdateTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/SuspendTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/ReinstateTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/DeleteTenant", Scope::Admin),
    method("/portcullis.auth.v1.TenantsService/SetLeaseClass", Scope::Admin),
    method("/portcullis.auth.v1.IdentitiesService/CreateIdentity", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/GetIdentity", Scope::IdentityRead),
    method("/portcullis.auth.v1.IdentitiesService/ListIdentities", Scope::IdentityRead),
    method("/portcullis.auth.v1.IdentitiesService/BatchGetIdentities", Scope::IdentityRead),
    method("/portcullis.auth.v1.IdentitiesService/UpdateIdentity", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/DeleteIdentity", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/DisableIdentity", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/EnableIdentity", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/SetPassword", Scope::IdentityWrite),
    method("/portcullis.auth.v1.IdentitiesService/SetIdentityRoles", Scope::IdentityWrite),
    method("/portcullis.auth.v1.RolesService/PutRole", Scope::IdentityWrite),
    method("/portcullis.auth.v1.RolesService/ListRoles", Scope::IdentityRead),
    method("/portcullis.auth.v1.RolesService/GetRole", Scope::IdentityRead),
    method("/portcullis.auth.v1.RolesService/DeleteRole", Scope::IdentityWrite),
    method("/portcullis.auth.v1.AuthenticationService/BeginAuthentication", Scope::Issue),
    method("/portcullis.auth.v1.AuthenticationService/ContinueAuthentication", Scope::Issue),
    method("/portcullis.auth.v1.PasswordsService/ChangePassword", Scope::Issue),
    method("/portcullis.auth.v1.PasswordsService/ResetPassword", Scope::IdentityWrite),
    method("/portcullis.auth.v1.PasswordsService/RedeemPasswordReset", Scope::Issue),
    method("/portcullis.auth.v1.PasswordsService/ImportPassword", Scope::IdentityWrite),
    method("/portcullis.auth.v1.PasswordsService/RemovePassword", Scope::IdentityWrite),
    method("/portcullis.auth.v1.PasswordsService/GetPassword", Scope::IdentityRead),
    method("/portcullis.auth.v1.PasswordsService/ListPasswords", Scope::IdentityRead),
    method("/portcullis.auth.v1.SecondFactorsService/EnrolTotp", Scope::IdentityWrite),
    method("/portcullis.auth.v1.SecondFactorsService/ConfirmTotp", Scope::IdentityWrite),
    method("/portcullis.auth.v1.SecondFactorsService/RemoveSecondFactor", Scope::IdentityWrite),
    method("/portcullis.auth.v1.SecondFactorsService/RenewRecoveryCodes", Scope::IdentityWrite),
    method("/portcullis.auth.v1.SecondFactorsService/GetSecondFactors", Scope::IdentityRead),
    method("/portcullis.auth.v1.CredentialsService/IssueTokens", Scope::Issue),
    method("/portcullis.auth.v1.CredentialsService/RefreshTokens", Scope::Issue),
    method("/portcullis.auth.v1.CredentialsService/ListSessions", Scope::IdentityRead),
    method("/portcullis.auth.v1.CredentialsService/GetSession", Scope::IdentityRead),
    method("/portcullis.auth.v1.CredentialsService/GetCredential", Scope::IdentityRead),
    method("/portcullis.auth.v1.CredentialsService/ListCredentials", Scope::IdentityRead),
    method("/portcullis.auth.v1.CredentialsService/Revoke", Scope::Revoke),
    method("/portcullis.auth.v1.CredentialsService/AwaitEnforced", Scope::Revoke),
    stream("/portcullis.auth.v1.CredentialsService/WatchEnforced", Scope::Revoke),
    method("/portcullis.auth.v1.ApiKeysService/CreateApiKey", Scope::Issue),
    method("/portcullis.auth.v1.ApiKeysService/ListApiKeys", Scope::IdentityRead),
    method("/portcullis.auth.v1.ApiKeysService/GetApiKey", Scope::IdentityRead),
    method("/portcullis.auth.v1.ApiKeysService/RotateApiKey", Scope::Issue),
    method("/portcullis.auth.v1.CertificatesService/RegisterCertificate", Scope::Issue),
    method("/portcullis.auth.v1.CertificatesService/ListCertificates", Scope::IdentityRead),
    method("/portcullis.auth.v1.CertificatesService/GetCertificate", Scope::IdentityRead),
    method("/portcullis.auth.v1.SignatureKeysService/BeginSignatureKey", Scope::Issue),
    method("/portcullis.auth.v1.SignatureKeysService/RegisterSignatureKey", Scope::Issue),
    method("/portcullis.auth.v1.SignatureKeysService/GetSignatureKey", Scope::IdentityRead),
    method("/portcullis.auth.v1.SignatureKeysService/ListSignatureKeys", Scope::IdentityRead),
    method("/portcullis.auth.v1.SignatureKeysService/RotateSignatureKey", Scope::Issue),
    method("/portcullis.auth.v1.SignatureKeysService/RevokeSignatureKey", Scope::Revoke),
    method("/portcullis.auth.v1.IssuersService/PutIssuer", Scope::Keys),
    method("/portcullis.auth.v1.IssuersService/ListIssuers", Scope::IdentityRead),
    method("/portcullis.auth.v1.IssuersService/RevokeIssuer", Scope::Keys),
    method("/portcullis.auth.v1.IssuersService/RemoveIssuer", Scope::Keys),
    method("/portcullis.auth.v1.IssuersService/ListIssuerSubjects", Scope::IdentityRead),
    method("/portcullis.auth.v1.IssuersService/UnlinkSubject", Scope::IdentityWrite),
    method("/portcullis.auth.v1.KeysService/ListSigningKeys", Scope::Keys),
    method("/portcullis.auth.v1.KeysService/RotateSigningKey", Scope::Keys),
    method("/portcullis.auth.v1.KeysService/RevokeSigningKey", Scope::Keys),
    method("/portcullis.auth.v1.KeysService/Reencrypt", Scope::Keys),
    method("/portcullis.auth.v1.TicketsService/CreateTicket", Scope::Issue),
    method("/portcullis.auth.v1.VerificationService/Verify", Scope::Verify),
    method("/portcullis.auth.v1.VerificationService/BatchVerify", Scope::Verify),
    stream("/portcullis.auth.v1.RevocationsService/Watch", Scope::Watch),
    stream("/portcullis.auth.v1.RevocationsService/FetchRange", Scope::Watch),
    method("/portcullis.auth.v1.AuditService/ListAuditEntries", Scope::Audit),
    stream("/portcullis.auth.v1.AuditService/ExportAudit", Scope::Audit),
    for_any_key("/portcullis.auth.v1.RevocationsService/GetGuarantee"),
    for_any_key("/portcullis.auth.v1.ServiceTokensService/IssueServiceToken"),
];

/// What stands before a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A credential, with this method's scope if it has one.
    Scoped(Method),
    /// Nothing: health, and the contract where reflection is configured.
    Open(&'static str),
    /// It does not exist.
    Unknown,
}

/// What stands before this path.
pub(crate) fn access(path: &str) -> Access {
    if let Some(method) = METHODS.iter().copied().find(|method| method.path == path) {
        return Access::Scoped(method);
    }
    let open = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];
    match open.into_iter().find(|service| path.starts_with(service)) {
        Some(service) => Access::Open(service),
        None => Access::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn contract() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(portcullis_proto::DESCRIPTORS).expect("it was encoded by us");
        let files = set.file.iter().filter(|file| file.package().starts_with("portcullis."));
        files
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
            .flat_map(|(package, service)| {
                service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
            })
            .collect()
    }

    #[test]
    fn every_method_of_the_contract_has_exactly_one_entry_and_nothing_else_has() {
        let table: BTreeSet<_> = METHODS.iter().map(|method| method.path.to_owned()).collect();
        assert_eq!(table, contract());
        assert_eq!(table.len(), METHODS.len());
    }

    #[test]
    fn a_path_that_is_not_listed_is_unknown() {
        for path in ["", "/", "/portcullis.auth.v1.TenantsService/", "/portcullis.auth.v1.TenantsService/DropTenant"] {
            assert_eq!(access(path), Access::Unknown, "{path}");
        }
        assert!(matches!(access("/grpc.health.v1.Health/Check"), Access::Open(_)));
    }
}
