//! The gRPC API, as a team's program calls it.

use std::net::SocketAddr;

use portcullis_proto::auth::v1;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::remember;

/// Puts a caller's key on every call.
#[derive(Clone, Debug)]
pub struct Caller(Option<MetadataValue<Ascii>>);

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Caller>;

/// The API with one caller's key.
#[derive(Clone, Debug)]
pub struct Api {
    channel: Channel,
    caller: Caller,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $module:ident::$client:ident;)*) => {
        impl Api {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> v1::$module::$client<Service> {
                    v1::$module::$client::with_interceptor(self.channel.clone(), self.caller.clone())
                }
            )*
        }
    };
}

clients! {
    /// Tenants.
    tenants: tenants_service_client::TenantsServiceClient;
    /// Identities.
    identities: identities_service_client::IdentitiesServiceClient;
    /// Roles.
    roles: roles_service_client::RolesServiceClient;
    /// Logging in.
    authentication: authentication_service_client::AuthenticationServiceClient;
    /// Credentials.
    credentials: credentials_service_client::CredentialsServiceClient;
    /// Passwords that change.
    passwords: passwords_service_client::PasswordsServiceClient;
    /// Authenticator apps.
    second_factors: second_factors_service_client::SecondFactorsServiceClient;
    /// API keys.
    api_keys: api_keys_service_client::ApiKeysServiceClient;
    /// External issuers.
    issuers: issuers_service_client::IssuersServiceClient;
    /// Signing keys.
    keys: keys_service_client::KeysServiceClient;
    /// Public signature keys.
    signature_keys: signature_keys_service_client::SignatureKeysServiceClient;
    /// Tickets.
    tickets: tickets_service_client::TicketsServiceClient;
    /// Verdicts.
    verification: verification_service_client::VerificationServiceClient;
    /// The log.
    revocations: revocations_service_client::RevocationsServiceClient;
}

/// Names an identity by its name.
fn named(tenant: &str, name: &str) -> Option<v1::IdentityReference> {
    let identity = Some(v1::identity_reference::Identity::Name(name.to_owned()));
    Some(v1::IdentityReference { tenant: tenant.to_owned(), identity })
}

impl Api {
    /// With this key; an empty one sends none.
    pub async fn connect(address: SocketAddr, key: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a valid address").tcp_nodelay(true);
        remember("an API key", key);
        let value = format!("Bearer {key}").parse().expect("a key is ASCII");
        let caller = Caller((!key.is_empty()).then_some(value));
        Self { channel: endpoint.connect_lazy(), caller }
    }

    /// The caller's key.
    pub(crate) fn key(&self) -> String {
        let value = self.caller.0.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.trim_start_matches("Bearer ").to_owned()
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, name: &str) {
        let request = v1::CreateTenantRequest { name: name.to_owned(), ..Default::default() };
        self.tenants().create_tenant(request).await.expect("the tenant is made");
    }

    /// Makes a role.
    pub async fn put_role(&self, tenant: &str, name: &str, grants: &[(v1::Action, &str)]) {
        let grant =
            |&(action, pattern): &(v1::Action, &str)| v1::Grant { action: action as i32, pattern: pattern.to_owned() };
        let grants = grants.iter().map(grant).collect();
        let role = v1::Role { tenant: tenant.to_owned(), name: name.to_owned(), grants, ..Default::default() };
        self.roles()
            .put_role(v1::PutRoleRequest { role: Some(role), ..Default::default() })
            .await
            .expect("the role is put");
    }

    /// Makes an identity and returns its id.
    pub async fn create_identity(
        &self,
        tenant: &str,
        name: &str,
        kind: v1::IdentityKind,
        password: &str,
        roles: &[&str],
    ) -> String {
        remember("a password", password);
        let request = v1::CreateIdentityRequest {
            tenant: tenant.to_owned(),
            kind: kind as i32,
            name: name.to_owned(),
            password: password.to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ..Default::default()
        };
        let response = self.identities().create_identity(request).await.expect("the identity is made");
        response.into_inner().identity.expect("a made identity").id
    }

    /// Makes an API key and returns its id and its secret.
    pub async fn create_api_key(&self, tenant: &str, name: &str, scopes: &[&str]) -> (String, String) {
        let request = v1::CreateApiKeyRequest {
            identity: named(tenant, name),
            label: "test".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            ..Default::default()
        };
        let response = self.api_keys().create_api_key(request).await.expect("the key is made").into_inner();
        remember("an API key", &response.secret);
        (response.api_key.expect("a made key").id, response.secret)
    }

    /// Revokes a target.
    pub async fn revoke(&self, tenant: &str, target: v1::revoke_request::Target) -> v1::RevokeResponse {
        self.try_revoke(tenant, target).await.expect("the revocation is acknowledged")
    }

    /// Revokes a target, if it can be.
    pub async fn try_revoke(
        &self,
        tenant: &str,
        target: v1::revoke_request::Target,
    ) -> Result<v1::RevokeResponse, Status> {
        let request = v1::RevokeRequest { tenant: tenant.to_owned(), target: Some(target), ..Default::default() };
        self.credentials().revoke(request).await.map(tonic::Response::into_inner)
    }

    /// Revokes every session of an identity.
    pub async fn revoke_identity(&self, tenant: &str, name: &str) -> v1::RevokeResponse {
        let target = v1::revoke_request::Target::Identity(named(tenant, name).expect("always some"));
        self.revoke(tenant, target).await
    }

    /// Revokes a session.
    pub async fn revoke_session(&self, tenant: &str, session: &str) -> v1::RevokeResponse {
        self.revoke(tenant, v1::revoke_request::Target::SessionId(session.to_owned())).await
    }

    /// Revokes a session under a name; asked again, the answer is the same.
    pub async fn revoke_session_as(&self, tenant: &str, session: &str, name: &str) -> v1::RevokeResponse {
        self.try_revoke_session_as(tenant, session, name).await.expect("the revocation is acknowledged")
    }

    /// The same, if it is acknowledged.
    pub async fn try_revoke_session_as(
        &self,
        tenant: &str,
        session: &str,
        name: &str,
    ) -> Result<v1::RevokeResponse, Status> {
        self.try_revoke_as(tenant, v1::revoke_request::Target::SessionId(session.to_owned()), name).await
    }

    /// Revokes every session of an identity under a name, if it is acknowledged. Under another name it is done again.
    pub async fn try_revoke_identity_as(
        &self,
        tenant: &str,
        identity: &str,
        name: &str,
    ) -> Result<v1::RevokeResponse, Status> {
        let identity = named(tenant, identity).expect("always some");
        self.try_revoke_as(tenant, v1::revoke_request::Target::Identity(identity), name).await
    }

    async fn try_revoke_as(
        &self,
        tenant: &str,
        target: v1::revoke_request::Target,
        name: &str,
    ) -> Result<v1::RevokeResponse, Status> {
        let request = v1::RevokeRequest {
            tenant: tenant.to_owned(),
            target: Some(target),
            request_id: name.to_owned(),
            ..Default::default()
        };
        self.credentials().revoke(request).await.map(tonic::Response::into_inner)
    }

    /// Opens a session of an identity on the back end's word; its id.
    pub async fn open_session(&self, tenant: &str, name: &str) -> String {
        self.try_open_session(tenant, name).await.expect("tokens are issued")
    }

    /// The same, if it can be opened.
    pub async fn try_open_session(&self, tenant: &str, name: &str) -> Result<String, Status> {
        let request = v1::IssueTokensRequest { identity: named(tenant, name), ..Default::default() };
        self.credentials().issue_tokens(request).await.map(|answer| answer.into_inner().session_id)
    }

    /// Disables an identity.
    pub async fn disable(&self, tenant: &str, name: &str) -> v1::DisableIdentityResponse {
        let request = v1::DisableIdentityRequest { identity: named(tenant, name), ..Default::default() };
        self.identities().disable_identity(request).await.expect("the identity is disabled").into_inner()
    }

    /// Enables an identity.
    pub async fn enable(&self, tenant: &str, name: &str) {
        let request = v1::EnableIdentityRequest { identity: named(tenant, name), ..Default::default() };
        self.identities().enable_identity(request).await.expect("the identity is enabled");
    }

    /// Judges a bearer credential.
    pub async fn verify(&self, bearer: &str) -> v1::VerifyResponse {
        remember("a bearer credential", bearer);
        let request = v1::VerifyRequest {
            credential: Some(v1::verify_request::Credential::Bearer(bearer.to_owned())),
            context: None,
        };
        self.verification().verify(request).await.expect("there is a verdict").into_inner()
    }

    /// Where the log begins: before its first entry, which there is.
    pub async fn log_begin(&self) -> Option<v1::Revision> {
        let first = self.log().await.into_iter().next()?;
        Some(v1::Revision { seq: 0, chain: first.previous_chain, shard: 0 })
    }

    /// The whole log.
    pub async fn log(&self) -> Vec<v1::LogEntry> {
        self.try_log().await.expect("the log is read to its end")
    }

    /// The same, if it can be read.
    pub async fn try_log(&self) -> Result<Vec<v1::LogEntry>, Status> {
        let request = v1::FetchRangeRequest { after: None, limit: 10_000 };
        let mut stream = self.revocations().fetch_range(request).await?.into_inner();
        let mut entries = Vec::new();
        while let Some(response) = stream.message().await? {
            entries.extend(response.entry);
        }
        Ok(entries)
    }
}
