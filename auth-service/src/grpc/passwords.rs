//! `PasswordsService`.

use auth_domain::{Actor, ChangePassword, Committed, PasswordChange, PasswordState, Reset, Scope};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::passwords_service_server::PasswordsService;
use portcullis_types::Secret;
use tonic::{Request, Response, Status};

use super::authentication::client_address;
use super::caller::admitted;
use super::errors::{Failure, identity_not_found};
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
        let device = (!asked.device_token.is_empty()).then(|| Secret::from(asked.device_token));
        let change = ChangePassword { tenant, identity, current, new, from, device, goes_on: None };
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

    async fn take_password(
        &self,
        request: Request<v1::RemovePasswordRequest>,
    ) -> Result<v1::RemovePasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "RemovePassword", &asked.request_id, &asked)?;
        let committed = self.authority.remove_password(&actor, &tenant, &identity).await?;
        Ok(v1::RemovePasswordResponse {
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn read_password(
        &self,
        request: Request<v1::GetPasswordRequest>,
    ) -> Result<v1::GetPasswordResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, which) = wire::identity_ref(request.into_inner().identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let state = self.authority.password_state(&tenant, &which).await?.ok_or_else(identity_not_found)?;
        Ok(v1::GetPasswordResponse { password: Some(to_wire(state)) })
    }

    async fn read_passwords(
        &self,
        request: Request<v1::ListPasswordsRequest>,
    ) -> Result<v1::ListPasswordsResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let (passwords, next_page_token) = wire::paged(self.authority.password_states(&tenant, page).await?, to_wire);
        Ok(v1::ListPasswordsResponse { passwords, next_page_token })
    }

    fn password_changed(&self, committed: Committed) -> v1::PasswordChanged {
        v1::PasswordChanged { revision: Some(committed.revision.into()), enforced_within_ms: self.enforced_within_ms() }
    }
}

fn to_wire(state: PasswordState) -> v1::Password {
    v1::Password {
        identity_id: state.identity.to_string(),
        identity_name: state.name.to_string(),
        set_at: state.set.as_ref().map(|set| wire::timestamp(set.at)),
        scheme: state.set.as_ref().map_or_else(String::new, |set| set.scheme.to_owned()),
        outdated: state.set.as_ref().is_some_and(|set| set.is_outdated),
        must_change: state.set.is_some_and(|set| set.must_change),
        reset_until: state.reset_until.map(wire::timestamp),
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

    async fn remove_password(
        &self,
        request: Request<v1::RemovePasswordRequest>,
    ) -> Result<Response<v1::RemovePasswordResponse>, Status> {
        Ok(Response::new(self.take_password(request).await?))
    }

    async fn get_password(
        &self,
        request: Request<v1::GetPasswordRequest>,
    ) -> Result<Response<v1::GetPasswordResponse>, Status> {
        Ok(Response::new(self.read_password(request).await?))
    }

    async fn list_passwords(
        &self,
        request: Request<v1::ListPasswordsRequest>,
    ) -> Result<Response<v1::ListPasswordsResponse>, Status> {
        Ok(Response::new(self.read_passwords(request).await?))
    }
}
