//! `SecondFactorsService`.

use auth_domain::{Scope, TotpConfirmation};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::second_factors_service_server::SecondFactorsService;
use portcullis_types::Secret;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::once;
use super::errors::{Failure, identity_not_found};
use super::{Api, wire};

impl Api {
    async fn enrol(&self, request: Request<v1::EnrolTotpRequest>) -> Result<v1::EnrolTotpResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "EnrolTotp", &asked.request_id, &asked)?;
        let enrolment = self.authority.enrol_totp(&actor, &tenant, &identity).await?;
        let (secret, shown_before) = once(enrolment.as_ref().map(|enrolment| &enrolment.secret))?;
        let (uri, _) = once(enrolment.as_ref().map(|enrolment| &enrolment.uri))?;
        Ok(v1::EnrolTotpResponse { secret, uri, shown_before })
    }

    async fn confirm(&self, request: Request<v1::ConfirmTotpRequest>) -> Result<v1::ConfirmTotpResponse, Failure> {
        use v1::confirm_totp_response::Outcome;
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "ConfirmTotp", &asked.request_id, &asked)?;
        let code = Secret::from(asked.code);
        let outcome = match self.authority.confirm_totp(&actor, &tenant, &identity, &code).await? {
            TotpConfirmation::Confirmed(codes) => {
                Outcome::Confirmed(v1::TotpConfirmed { recovery_codes: texts(&codes)?, shown_before: false })
            }
            TotpConfirmation::ConfirmedBefore => {
                Outcome::Confirmed(v1::TotpConfirmed { recovery_codes: Vec::new(), shown_before: true })
            }
            TotpConfirmation::Refused(refusal) => {
                Outcome::Refused(v1::TotpRefused { retry_after_ms: wire::millis_up(refusal.retry_after) })
            }
        };
        Ok(v1::ConfirmTotpResponse { outcome: Some(outcome) })
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveSecondFactorRequest>,
    ) -> Result<v1::RemoveSecondFactorResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "RemoveSecondFactor", &asked.request_id, &asked)?;
        self.authority.remove_second_factor(&actor, &tenant, &identity).await?;
        Ok(v1::RemoveSecondFactorResponse {})
    }

    async fn renew_codes(
        &self,
        request: Request<v1::RenewRecoveryCodesRequest>,
    ) -> Result<v1::RenewRecoveryCodesResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::IdentityWrite, &tenant).await?;
        let actor = self.named(actor, "RenewRecoveryCodes", &asked.request_id, &asked)?;
        let codes = self.authority.renew_recovery_codes(&actor, &tenant, &identity).await?;
        let shown_before = codes.is_none();
        Ok(v1::RenewRecoveryCodesResponse { recovery_codes: texts(&codes.unwrap_or_default())?, shown_before })
    }

    async fn read_factors(
        &self,
        request: Request<v1::GetSecondFactorsRequest>,
    ) -> Result<v1::GetSecondFactorsResponse, Failure> {
        let admitted = admitted(&request)?;
        let (tenant, identity) = wire::identity_ref(request.into_inner().identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let has = self.authority.second_factors(&tenant, &identity).await?.ok_or_else(identity_not_found)?;
        Ok(v1::GetSecondFactorsResponse {
            totp_since: has.totp_since.map(wire::timestamp),
            totp_unconfirmed: has.totp_unconfirmed,
            recovery_codes_left: has.recovery_codes_left,
        })
    }
}

fn texts(codes: &[Secret]) -> Result<Vec<String>, Failure> {
    codes.iter().map(wire::secret).collect()
}

#[tonic::async_trait]
impl SecondFactorsService for Api {
    async fn enrol_totp(
        &self,
        request: Request<v1::EnrolTotpRequest>,
    ) -> Result<Response<v1::EnrolTotpResponse>, Status> {
        Ok(Response::new(self.enrol(request).await?))
    }

    async fn confirm_totp(
        &self,
        request: Request<v1::ConfirmTotpRequest>,
    ) -> Result<Response<v1::ConfirmTotpResponse>, Status> {
        Ok(Response::new(self.confirm(request).await?))
    }

    async fn remove_second_factor(
        &self,
        request: Request<v1::RemoveSecondFactorRequest>,
    ) -> Result<Response<v1::RemoveSecondFactorResponse>, Status> {
        Ok(Response::new(self.remove(request).await?))
    }

    async fn renew_recovery_codes(
        &self,
        request: Request<v1::RenewRecoveryCodesRequest>,
    ) -> Result<Response<v1::RenewRecoveryCodesResponse>, Status> {
        Ok(Response::new(self.renew_codes(request).await?))
    }

    async fn get_second_factors(
        &self,
        request: Request<v1::GetSecondFactorsRequest>,
    ) -> Result<Response<v1::GetSecondFactorsResponse>, Status> {
        Ok(Response::new(self.read_factors(request).await?))
    }
}
