//! `PasswordsService`.

use auth_domain::{Actor, ChangePassword, Committed, PasswordChange, Reset, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::passwords_service_server::PasswordsService;
use portcullis_types::Secret;
use tonic::{Request, Response, Status};

use super::authentication::client_address;
use super::caller::admitted;
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn exchange_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<v1::ChangePasswordResponse, Failure> {
        use v1::change_password_response::Outcome;
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
        let actor = self.named(actor, "ChangePassword", &asked.request_id, &asked)?;
        let (current, new) = (Secret::from(asked.current_password), Secret::from(asked.new_password));
        let from = client_address(&asked.client_address)?;
        let change = ChangePassword { tenant, identity, current, new, from, goes_on: None };
        let outcome = match self.authority.change_password(&actor, change).await? {
            PasswordChange::Changed { committed, .. } => Outcome::Changed(self.password_changed(committed)),
            PasswordChange::Refused(refusal) => Outcome::Refused(refused(refusal)),
        };
        Ok(v1::ChangePasswordResponse { outcome: Some(outcome) })
    }

    async fn reset(&self, request: Request<v1::ResetPasswordRequest>) -> Result<v1::ResetPasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "ResetPassword", &asked.request_id, &asked)?;
        let temporary = Secret::from(asked.temporary_password);
        let reset = if temporary.is_empty() { Reset::Token } else { Reset::Temporary(temporary) };
        let was_reset = self.authority.reset_password(&actor, &tenant, &identity, reset).await?;
        let (reset_token, expires_in_ms) = match &was_reset.token {
            Some((token, life)) => (wire::secret(token)?, wire::millis(*life)),
            None => (String::new(), 0),
        };
        Ok(v1::ResetPasswordResponse {
            revision: Some(was_reset.committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
            reset_token,
            expires_in_ms,
            shown_before: was_reset.shown_before,
        })
    }

    async fn redeem(
        &self,
        request: Request<v1::RedeemPasswordResetRequest>,
    ) -> Result<v1::RedeemPasswordResetResponse, Failure> {
        use v1::redeem_password_reset_response::Outcome;
        // Whoever holds the token may use it, at the HTTP edge without any key; so no tenant is asked for.
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Issue)?;
        let asked = request.into_inner();
        let actor = Actor::caller(admitted.caller());
        let actor = self.named(actor, "RedeemPasswordReset", &asked.request_id, &asked)?;
        let (token, password) = (Secret::from(asked.reset_token), Secret::from(asked.new_password));
        let outcome = match self.authority.redeem_reset(&actor, &token, password).await? {
            PasswordChange::Changed { committed, .. } => Outcome::Changed(self.password_changed(committed)),
            PasswordChange::Refused(refusal) => Outcome::Refused(refused(refusal)),
        };
        Ok(v1::RedeemPasswordResetResponse { outcome: Some(outcome) })
    }

    async fn import(&self, request: Request<v1::ImportPasswordRequest>) -> Result<v1::ImportPasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "ImportPassword", &asked.request_id, &asked)?;
        let committed = self.authority.import_password(&actor, &tenant, &identity, &asked.hash).await?;
        Ok(v1::ImportPasswordResponse {
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    fn password_changed(&self, committed: Committed) -> v1::PasswordChanged {
        v1::PasswordChanged { revision: Some(committed.revision.into()), enforced_within_ms: self.enforced_within_ms() }
    }
}

fn refused(refusal: auth_domain::Refusal) -> v1::PasswordRefused {
    v1::PasswordRefused { retry_after_ms: wire::millis_up(refusal.retry_after) }
}

#[tonic::async_trait]
impl PasswordsService for Api {
    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        Ok(Response::new(self.exchange_password(request).await?))
    }

    async fn reset_password(
        &self,
        request: Request<v1::ResetPasswordRequest>,
    ) -> Result<Response<v1::ResetPasswordResponse>, Status> {
        Ok(Response::new(self.reset(request).await?))
    }

    async fn redeem_password_reset(
        &self,
        request: Request<v1::RedeemPasswordResetRequest>,
    ) -> Result<Response<v1::RedeemPasswordResetResponse>, Status> {
        Ok(Response::new(self.redeem(request).await?))
    }

    async fn import_password(
        &self,
        request: Request<v1::ImportPasswordRequest>,
    ) -> Result<Response<v1::ImportPasswordResponse>, Status> {
        Ok(Response::new(self.import(request).await?))
    }
}
