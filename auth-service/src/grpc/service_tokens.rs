//! `ServiceTokensService`.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::service_tokens_service_server::ServiceTokensService;
use tonic::{Request, Response, Status};

use super::api_keys::{scopes, span};
use super::caller::admitted;
use super::credentials::once;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn exchange_key_for_token(
        &self,
        request: Request<v1::IssueServiceTokenRequest>,
    ) -> Result<v1::IssueServiceTokenResponse, Failure> {
        // Whoever is known may have less for itself: no scope is asked for.
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let caller = self.named_caller(admitted.caller(), "IssueServiceToken", &asked.request_id, &asked)?;
        let wanted = if asked.scopes.is_empty() { None } else { Some(scopes(&asked.scopes)?) };
        let expires_in = span("expires_in_ms", asked.expires_in_ms)?;
        let issued = self.authority.issue_service_token(&caller, wanted, expires_in).await?;
        let (token, shown_before) = once(issued.token.as_ref())?;
        Ok(v1::IssueServiceTokenResponse {
            token,
            shown_before,
            id: issued.id.to_string(),
            scopes: issued.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            expires_in_ms: wire::millis(issued.expires_in),
        })
    }
}

#[tonic::async_trait]
impl ServiceTokensService for Api {
    async fn issue_service_token(
        &self,
        request: Request<v1::IssueServiceTokenRequest>,
    ) -> Result<Response<v1::IssueServiceTokenResponse>, Status> {
        Ok(Response::new(self.exchange_key_for_token(request).await?))
    }
}
