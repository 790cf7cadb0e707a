//! `VerificationService`.

use std::net::IpAddr;

use auth_domain::{
    Actor, Allowed, Caller, CredentialKind, CredentialReference, DenyReason, Judgement, PresentationContext, Presented,
    Principal, Scope, Verdict,
};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::verification_service_server::VerificationService;
use portcullis_types::{CredentialId, RedemptionId, Secret};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::errors::Failure;
use super::signature_keys::carried_to_wire;
use super::tickets::{audience, origin};
use super::{Api, wire};
use crate::denial;

/// The most references that one batch may have.
const MOST_REFERENCES: usize = 256;

impl Api {
    async fn judge(&self, request: Request<v1::VerifyRequest>) -> Result<v1::VerifyResponse, Failure> {
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Verify)?;
        let asked = request.into_inner();
        let context = context_of(asked.context.unwrap_or_default(), admitted.caller())?;
        let verdict = match asked.credential {
            Some(v1::verify_request::Credential::Bearer(bearer)) => {
                self.authority.verify(Presented::Bearer(&Secret::from(bearer)), &context).await?
            }
            Some(v1::verify_request::Credential::Ticket(presented)) => {
                let redemption = redemption_of(&presented.redemption_id)?;
                let ticket = Secret::from(presented.ticket);
                self.authority.verify(Presented::Ticket { ticket: &ticket, redemption }, &context).await?
            }
            None => return Err(Failure::field("credential", "is needed")),
        };
        Ok(self.tell(verdict))
    }

    async fn judge_again(&self, request: Request<v1::BatchVerifyRequest>) -> Result<v1::BatchVerifyResponse, Failure> {
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Verify)?;
        let asked = request.into_inner();
        if asked.references.len() > MOST_REFERENCES {
            return Err(Failure::field("references", "has at most 256"));
        }
        let references = asked.references.iter().map(reference_of).collect::<Result<Vec<_>, _>>()?;
        let verdicts = self.authority.batch_verify(&references).await?;
        let judged = references.into_iter().zip(verdicts).map(|(reference, verdict)| {
            let foreign = admitted.caller().require(Scope::Verify, &reference.tenant).is_err();
            self.tell(if foreign { unknown(verdict) } else { verdict })
        });
        Ok(v1::BatchVerifyResponse { verdicts: judged.collect() })
    }

    fn tell(&self, verdict: Verdict) -> v1::VerifyResponse {
        let revision = Some(verdict.revision.into());
        match verdict.judgement {
            Judgement::Allowed(allowed) => {
                self.metrics.verdict("allowed", "none");
                v1::VerifyResponse {
                    outcome: v1::Outcome::Allowed.into(),
                    deny_reason: v1::DenyReason::Unspecified.into(),
                    allowed: Some(allowed_to_wire(*allowed)),
                    revision,
                }
            }
            Judgement::Denied { reason, permanent } => {
                let (outcome, label) = if permanent {
                    (v1::Outcome::DeniedPermanent, "denied_permanent")
                } else {
                    (v1::Outcome::DeniedTransient, "denied_transient")
                };
                self.metrics.verdict(label, denial::text(reason));
                let deny_reason = deny_reason_to_wire(reason).into();
                v1::VerifyResponse { outcome: outcome.into(), deny_reason, allowed: None, revision }
            }
        }
    }
}

fn unknown(verdict: Verdict) -> Verdict {
    Verdict { judgement: Judgement::Denied { reason: DenyReason::Unknown, permanent: false }, ..verdict }
}

/// A caller learns nothing about another tenant's credentials and spends none of them, unless it is of the system tenant.
fn context_of(context: v1::PresentationContext, caller: &Caller) -> Result<PresentationContext, Failure> {
    Ok(PresentationContext {
        within: (!caller.tenant.is_system()).then(|| caller.tenant.clone()),
        asker: Some(Actor::caller(caller)),
        audience: audience("context.audience", &context.audience)?,
        origin: origin("context.origin", &context.origin)?,
        address: address("context.remote_address", &context.remote_address)?,
    })
}

/// An address; empty means that it is not known.
fn address(field: &'static str, text: &str) -> Result<Option<IpAddr>, Failure> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some).map_err(|_| Failure::field(field, "is no IP address"))
    }
}

fn redemption_of(id: &[u8]) -> Result<RedemptionId, Failure> {
    let bytes = id.try_into().map_err(|_| Failure::field("ticket.redemption_id", "must be 16 bytes"))?;
    Ok(RedemptionId::from_bytes(bytes))
}

fn reference_of(reference: &v1::CredentialReference) -> Result<CredentialReference, Failure> {
    Ok(CredentialReference {
        tenant: wire::tenant("references.tenant", &reference.tenant)?,
        credential: CredentialId::try_from(reference.credential_id.as_str())
            .map_err(Failure::name("references.credential_id"))?,
    })
}

fn allowed_to_wire(allowed: Allowed) -> v1::Allowed {
    v1::Allowed {
        principal: Some(principal_to_wire(allowed.principal)),
        keys: allowed.keys.into_iter().map(Into::into).collect(),
        reference: Some(v1::CredentialReference {
            tenant: allowed.reference.tenant.to_string(),
            credential_id: allowed.reference.credential.to_string(),
        }),
        // 0 means that it does not expire, so that a credential on its last millisecond is still told to expire.
        expires_in_ms: allowed.expires_in.map_or(0, |left| wire::millis(left).max(1)),
        cache_ttl_ms: wire::millis(allowed.cache_ttl),
        constraints: Some(v1::Constraints {
            origins: allowed.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
            audiences: allowed.audiences.iter().map(|audience| audience.as_str().to_owned()).collect(),
            addresses: allowed.addresses.iter().map(ToString::to_string).collect(),
        }),
        lease_class: v1::LeaseClass::from(allowed.lease_class).into(),
        signature_keys: allowed.signature_keys.into_iter().map(carried_to_wire).collect(),
    }
}

fn principal_to_wire(principal: Principal) -> v1::Principal {
    v1::Principal {
        tenant: principal.tenant.to_string(),
        identity_id: principal.identity.to_string(),
        identity_kind: wire::identity_kind_to_wire(principal.identity_kind).into(),
        identity_name: principal.identity_name.to_string(),
        session_id: principal.session.map_or_else(String::new, |session| session.to_string()),
        credential_id: principal.credential.to_string(),
        credential_kind: kind_to_wire(principal.credential_kind).into(),
        grants: principal.grants.iter().map(wire::grant_to_wire).collect(),
        scopes: principal.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
    }
}

/// As it travels.
pub(super) const fn kind_to_wire(kind: CredentialKind) -> v1::CredentialKind {
    match kind {
        CredentialKind::SessionCookie => v1::CredentialKind::SessionCookie,
        CredentialKind::AccessToken => v1::CredentialKind::AccessToken,
        CredentialKind::RefreshToken => v1::CredentialKind::RefreshToken,
        CredentialKind::Ticket => v1::CredentialKind::Ticket,
        CredentialKind::ApiKey => v1::CredentialKind::ApiKey,
        CredentialKind::ClientCertificate => v1::CredentialKind::ClientCertificate,
        CredentialKind::SignatureKey => v1::CredentialKind::SignatureKey,
    }
}

/// As it travels.
pub(super) const fn deny_reason_to_wire(reason: DenyReason) -> v1::DenyReason {
    match reason {
        DenyReason::Malformed => v1::DenyReason::Malformed,
        DenyReason::Unknown => v1::DenyReason::Unknown,
        DenyReason::Invalid => v1::DenyReason::Invalid,
        DenyReason::Expired => v1::DenyReason::Expired,
        DenyReason::CredentialRevoked => v1::DenyReason::CredentialRevoked,
        DenyReason::SessionRevoked => v1::DenyReason::SessionRevoked,
        DenyReason::IdentityRevoked => v1::DenyReason::IdentityRevoked,
        DenyReason::IdentityDisabled => v1::DenyReason::IdentityDisabled,
        DenyReason::TenantRevoked => v1::DenyReason::TenantRevoked,
        DenyReason::WrongAudience => v1::DenyReason::WrongAudience,
        DenyReason::WrongOrigin => v1::DenyReason::WrongOrigin,
        DenyReason::WrongAddress => v1::DenyReason::WrongAddress,
        DenyReason::Spent => v1::DenyReason::Spent,
        DenyReason::WrongKind => v1::DenyReason::WrongKind,
    }
}

#[tonic::async_trait]
impl VerificationService for Api {
    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        Ok(Response::new(self.judge(request).await?))
    }

    async fn batch_verify(
        &self,
        request: Request<v1::BatchVerifyRequest>,
    ) -> Result<Response<v1::BatchVerifyResponse>, Status> {
        Ok(Response::new(self.judge_again(request).await?))
    }
}
