//! `ApiKeysService`.

use std::time::Duration;

use auth_domain::{ApiKey, NewApiKey, RotateApiKey, Scope, Scopes};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_server::ApiKeysService;
use portcullis_types::{AddressRange, CredentialId};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::once;
use super::errors::{Failure, Reason};
use super::{Api, wire};

impl Api {
    async fn make_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<v1::CreateApiKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        self.act(&admitted, Scope::Issue, &tenant).await?;
        let caller = self.named_caller(admitted.caller(), "CreateApiKey", &asked.request_id, &asked)?;
        let new = NewApiKey {
            tenant,
            identity,
            label: wire::label("label", &asked.label)?,
            scopes: scopes(&asked.scopes)?,
            expires_in: span("expires_in_ms", asked.expires_in_ms)?,
            grants: (!asked.grants.is_empty()).then(|| wire::grants(&asked.grants)).transpose()?,
            addresses: addresses(&asked.addresses)?,
        };
        let issued = self.authority.create_api_key(&caller, new).await?;
        let (secret, shown_before) = once(issued.secret.as_ref())?;
        Ok(v1::CreateApiKeyResponse { api_key: Some(to_wire(issued.key)), secret, shown_before })
    }

    async fn read_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<v1::ListApiKeysResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let page = wire::page_up_to(asked.page_size, 1_000, &asked.page_token)?;
        let page = self.authority.api_keys(&tenant, &which, asked.only_active, page).await?;
        let (api_keys, next_page_token) = wire::paged(page, to_wire);
        Ok(v1::ListApiKeysResponse { api_keys, next_page_token })
    }

    async fn read_api_key(&self, request: Request<v1::GetApiKeyRequest>) -> Result<v1::GetApiKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let key = self.authority.api_key(&tenant, key_id(&asked.id)?).await?;
        let key = key.ok_or_else(|| Failure::new(Reason::ApiKeyNotFound, "no such API key"))?;
        Ok(v1::GetApiKeyResponse { api_key: Some(to_wire(key)) })
    }

    async fn exchange_api_key(
        &self,
        request: Request<v1::RotateApiKeyRequest>,
    ) -> Result<v1::RotateApiKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::Issue, &tenant).await?;
        let caller = self.named_caller(admitted.caller(), "RotateApiKey", &asked.request_id, &asked)?;
        let rotation = RotateApiKey {
            tenant,
            id: key_id(&asked.id)?,
            old_ends_in: span("old_ends_in_ms", asked.old_ends_in_ms)?.unwrap_or_default(),
            expires_in: span("expires_in_ms", asked.expires_in_ms)?,
        };
        let rotated = self.authority.rotate_api_key(&caller, rotation).await?;
        let (secret, shown_before) = once(rotated.issued.secret.as_ref())?;
        Ok(v1::RotateApiKeyResponse {
            secret,
            shown_before,
            api_key: Some(to_wire(rotated.issued.key)),
            old: Some(to_wire(rotated.old)),
            revision: Some(rotated.committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }
}

fn key_id(text: &str) -> Result<CredentialId, Failure> {
    CredentialId::try_from(text).map_err(Failure::name("id"))
}

pub(super) fn scopes(names: &[String]) -> Result<Scopes, Failure> {
    names.iter().map(|name| Scope::try_from(name.as_str()).map_err(Failure::name("scopes"))).collect()
}

pub(super) fn addresses(texts: &[String]) -> Result<Vec<AddressRange>, Failure> {
    texts.iter().map(|text| AddressRange::try_from(text.as_str()).map_err(Failure::name("addresses"))).collect()
}

/// Milliseconds; 0 means none.
pub(super) fn span(field: &'static str, millis: i64) -> Result<Option<Duration>, Failure> {
    match u64::try_from(millis) {
        Ok(0) => Ok(None),
        Ok(millis) => Ok(Some(Duration::from_millis(millis))),
        Err(_) => Err(Failure::field(field, "must not be negative")),
    }
}

fn to_wire(key: ApiKey) -> v1::ApiKey {
    v1::ApiKey {
        id: key.id.to_string(),
        identity_id: key.identity.to_string(),
        label: key.label.map_or_else(String::new, |label| label.as_str().to_owned()),
        scopes: key.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        created_at: Some(wire::timestamp(key.created_at)),
        expires_at: key.expires_at.map(wire::timestamp),
        revoked: key.revoked,
        grants: key.terms.grants.iter().flatten().map(wire::grant_to_wire).collect(),
        addresses: key.terms.addresses.iter().map(ToString::to_string).collect(),
        last_used_at: key.terms.last_used_at.map(wire::timestamp),
        replaces: key.terms.replaces.map_or_else(String::new, |id| id.to_string()),
        replaced_by: key.terms.replaced_by.map_or_else(String::new, |id| id.to_string()),
    }
}

#[tonic::async_trait]
impl ApiKeysService for Api {
    async fn create_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<Response<v1::CreateApiKeyResponse>, Status> {
        Ok(Response::new(self.make_api_key(request).await?))
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<Response<v1::ListApiKeysResponse>, Status> {
        Ok(Response::new(self.read_api_keys(request).await?))
    }

    async fn get_api_key(
        &self,
        request: Request<v1::GetApiKeyRequest>,
    ) -> Result<Response<v1::GetApiKeyResponse>, Status> {
        Ok(Response::new(self.read_api_key(request).await?))
    }

    async fn rotate_api_key(
        &self,
        request: Request<v1::RotateApiKeyRequest>,
    ) -> Result<Response<v1::RotateApiKeyResponse>, Status> {
        Ok(Response::new(self.exchange_api_key(request).await?))
    }
}
