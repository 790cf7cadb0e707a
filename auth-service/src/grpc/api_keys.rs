//! `ApiKeysService`.

use std::time::Duration;

use auth_domain::{ApiKey, NewApiKey, Scope, Scopes};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_server::ApiKeysService;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::text_of;
use super::errors::{Failure, identity_not_found};
use super::{Api, wire};

impl Api {
    async fn make_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<v1::CreateApiKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity)?;
        admitted.act(Scope::Issue, &tenant)?;
        let new = NewApiKey {
            tenant,
            identity,
            label: wire::label("label", &asked.label)?,
            scopes: scopes(&asked.scopes)?,
            expires_in: lifetime(asked.expires_in_ms)?,
        };
        let issued = self.authority.create_api_key(admitted.caller(), new).await?;
        let secret = text_of(&issued.secret)?;
        Ok(v1::CreateApiKeyResponse { api_key: Some(to_wire(issued.key)), secret })
    }

    async fn read_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<v1::ListApiKeysResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, which) = wire::identity_ref(request.into_inner().identity)?;
        admitted.act(Scope::IdentityRead, &tenant)?;
        let keys = self.authority.api_keys(&tenant, &which).await?.ok_or_else(identity_not_found)?;
        Ok(v1::ListApiKeysResponse { api_keys: keys.into_iter().map(to_wire).collect() })
    }
}

fn scopes(names: &[String]) -> Result<Scopes, Failure> {
    names.iter().map(|name| Scope::try_from(name.as_str()).map_err(Failure::name("scopes"))).collect()
}

fn lifetime(millis: i64) -> Result<Option<Duration>, Failure> {
    match u64::try_from(millis) {
        Ok(0) => Ok(None),
        Ok(millis) => Ok(Some(Duration::from_millis(millis))),
        Err(_) => Err(Failure::field("expires_in_ms", "must not be negative")),
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
}
