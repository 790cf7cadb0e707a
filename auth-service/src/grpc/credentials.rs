//! `CredentialsService`.

use auth_domain::{
    Actor, Committed, EndBefore, IdentityRef, IssueOutcome, IssueTokens, Pace, Reason, RefreshOutcome, RequestId,
    RevokeKeys, RevokeRequest, RevokeSessions, RevokeTarget, Scope, SessionCredentials, SessionsBy, TokenPair,
};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_server::CredentialsService;
use portcullis_types::{ClientId, CredentialId, Secret, SessionId, TenantId, Timestamp};
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::enforced::Receipts;
use super::errors::{self, Failure};
use super::verification::deny_reason_to_wire;
use super::{Api, wire};

impl Api {
    async fn issue(&self, request: Request<v1::IssueTokensRequest>) -> Result<v1::IssueTokensResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
        let actor = self.named(actor, "IssueTokens", &asked.request_id, &asked)?;
        let wanted = IssueTokens {
            tenant,
            identity,
            device: wire::label("device", &asked.device)?,
            client: wire::client("client_id", &asked.client_id)?,
        };
        Ok(match self.authority.issue_tokens(&actor, wanted).await? {
            IssueOutcome::Opened(opened) => v1::IssueTokensResponse {
                session_id: opened.session.id.to_string(),
                tokens: Some(tokens_of(opened.credentials)?),
            },
            IssueOutcome::Before(session) => v1::IssueTokensResponse { session_id: session.to_string(), tokens: None },
        })
    }

    async fn refresh(&self, request: Request<v1::RefreshTokensRequest>) -> Result<v1::RefreshTokensResponse, Failure> {
        // Whoever holds a refresh token may spend it, at the HTTP edge without any key; so no tenant is asked for.
        let admitted = admitted(&request)?;
        admitted.holds(Scope::Issue)?;
        let (actor, token) = (Actor::caller(admitted.caller()), Secret::from(request.into_inner().refresh_token));
        let outcome = match self.authority.refresh_tokens(&actor, &token).await? {
            RefreshOutcome::Granted(pair) => v1::refresh_tokens_response::Outcome::Tokens(pair_to_wire(&pair)?),
            RefreshOutcome::Denied(reason) => {
                v1::refresh_tokens_response::Outcome::Denied(deny_reason_to_wire(reason).into())
            }
        };
        Ok(v1::RefreshTokensResponse { outcome: Some(outcome) })
    }

    async fn kill(&self, request: Request<v1::RevokeRequest>) -> Result<v1::RevokeResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let reason = reason_of(asked.reason());
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::Revoke, &tenant).await?;
        let pace = match asked.closes_per_second {
            0 => None,
            asked => Some(Pace::try_from(asked).map_err(Failure::name("closes_per_second"))?),
        };
        match targets_of(&tenant, asked.target.clone())? {
            Targets::One(target) => {
                let request_id = request_id_of(&asked.request_id)?;
                let revocation = RevokeRequest { tenant, target, reason, pace, request_id };
                let committed = self.revoker.revoke(&actor, revocation).await?;
                Ok(self.revoked(Some(committed)))
            }
            Targets::Before(client, before) => {
                if pace.is_some() {
                    return Err(Failure::field("closes_per_second", "cannot be chosen for what began before a time"));
                }
                let actor = self.named(actor, "Revoke", &asked.request_id, &asked)?;
                let ended = EndBefore { tenant, client, before, reason };
                Ok(self.revoked(Some(self.authority.end_before(&actor, ended).await?)))
            }
            Targets::Sessions(which, by) => {
                let actor = self.named(actor, "Revoke", &asked.request_id, &asked)?;
                let sessions = RevokeSessions { tenant, which, by, reason, pace };
                let ended = self.authority.revoke_sessions(&actor, sessions).await?;
                Ok(v1::RevokeResponse { sessions: ended.sessions, ..self.revoked(ended.committed) })
            }
            Targets::Keys(which, made_before) => {
                let actor = self.named(actor, "Revoke", &asked.request_id, &asked)?;
                let keys = RevokeKeys { tenant, which, made_before, reason, pace };
                let ended = self.authority.revoke_keys(&actor, keys).await?;
                Ok(v1::RevokeResponse { keys: ended.keys, ..self.revoked(ended.committed) })
            }
        }
    }

    fn revoked(&self, committed: Option<Committed>) -> v1::RevokeResponse {
        v1::RevokeResponse {
            revision: committed.map(|committed| committed.revision.into()),
            enforced_within_ms: committed.map_or(0, |_| self.enforced_within_ms()),
            committed_at: committed.map(|committed| wire::timestamp(committed.committed_at)),
            sessions: 0,
            keys: 0,
        }
    }
}

/// One thing to kill, or what has something in common.
enum Targets {
    One(RevokeTarget),
    /// Of a client application or the tenant.
    Before(Option<ClientId>, Timestamp),
    Sessions(IdentityRef, SessionsBy),
    Keys(IdentityRef, Option<Timestamp>),
}

fn targets_of(tenant: &TenantId, target: Option<v1::revoke_request::Target>) -> Result<Targets, Failure> {
    use v1::revoke_request::Target;
    let by = match target {
        Some(Target::SessionsBefore(asked)) => (asked.identity, SessionsBy::BegunBefore(before(asked.begun_before)?)),
        Some(Target::SessionsOnDevice(asked)) => {
            let device = wire::label("device", &asked.device)?.ok_or_else(|| Failure::field("device", "is needed"))?;
            (asked.identity, SessionsBy::Device(device))
        }
        Some(Target::TenantBefore(asked)) => return Ok(Targets::Before(None, before(asked.begun_before)?)),
        Some(Target::ClientBefore(asked)) => {
            let client = ClientId::try_from(asked.client_id.as_str()).map_err(Failure::name("client_id"))?;
            return Ok(Targets::Before(Some(client), before(asked.begun_before)?));
        }
        Some(Target::KeysOfIdentity(asked)) => {
            let made_before = asked.made_before.map(|at| wire::instant("made_before", at)).transpose()?;
            return Ok(Targets::Keys(wire::identity_ref_in(tenant, asked.identity)?, made_before));
        }
        other => return target_of(tenant, other).map(Targets::One),
    };
    Ok(Targets::Sessions(wire::identity_ref_in(tenant, by.0)?, by.1))
}

fn before(at: Option<prost_types::Timestamp>) -> Result<Timestamp, Failure> {
    wire::instant("begun_before", at.ok_or_else(|| Failure::field("begun_before", "is needed"))?)
}

fn target_of(tenant: &TenantId, target: Option<v1::revoke_request::Target>) -> Result<RevokeTarget, Failure> {
    use v1::revoke_request::Target;
    match target {
        Some(Target::CredentialId(id)) => {
            let id = CredentialId::try_from(id.as_str()).map_err(Failure::name("credential_id"))?;
            Ok(RevokeTarget::Credential(id))
        }
        Some(Target::SessionId(id)) => {
            let id = SessionId::try_from(id.as_str()).map_err(Failure::name("session_id"))?;
            Ok(RevokeTarget::Session(id))
        }
        Some(Target::Identity(reference)) => {
            Ok(RevokeTarget::Identity(wire::identity_ref_in(tenant, Some(reference))?))
        }
        Some(Target::Credential(presented)) => Ok(RevokeTarget::Presented(Secret::from(presented))),
        Some(Target::ClientId(id)) => {
            let id = ClientId::try_from(id.as_str()).map_err(Failure::name("client_id"))?;
            Ok(RevokeTarget::Client(id))
        }
        Some(Target::WholeTenant(_)) => Ok(RevokeTarget::Tenant),
        Some(
            Target::SessionsBefore(_)
            | Target::SessionsOnDevice(_)
            | Target::TenantBefore(_)
            | Target::ClientBefore(_)
            | Target::KeysOfIdentity(_),
        )
        | None => Err(Failure::field("target", "is needed")),
    }
}

/// A caller's name for its request; empty means none.
pub(super) fn request_id_of(text: &str) -> Result<Option<RequestId>, Failure> {
    if text.is_empty() { Ok(None) } else { RequestId::try_from(text).map(Some).map_err(Failure::name("request_id")) }
}

/// Why, when it was said.
pub(super) const fn reason_of(reason: v1::RevocationReason) -> Reason {
    match reason {
        v1::RevocationReason::Unspecified | v1::RevocationReason::Administrative => Reason::Administrative,
        v1::RevocationReason::Logout => Reason::Logout,
        v1::RevocationReason::Disabled => Reason::Disabled,
        v1::RevocationReason::CredentialChanged => Reason::CredentialChanged,
        v1::RevocationReason::RefreshReuse => Reason::RefreshReuse,
        v1::RevocationReason::Compromised => Reason::Compromised,
        v1::RevocationReason::GrantsChanged => Reason::GrantsChanged,
    }
}

/// The tokens of a session that was asked to have tokens.
pub(super) fn tokens_of(credentials: SessionCredentials) -> Result<v1::TokenPair, Failure> {
    match credentials {
        SessionCredentials::Tokens(pair) => pair_to_wire(&pair),
        SessionCredentials::Cookie { .. } => Err(internal("a session with a cookie where tokens were asked for")),
    }
}

fn pair_to_wire(pair: &TokenPair) -> Result<v1::TokenPair, Failure> {
    Ok(v1::TokenPair {
        access_token: text_of(&pair.access)?,
        access_expires_in_ms: wire::millis(pair.access_expires_in),
        refresh_token: text_of(&pair.refresh)?,
        refresh_expires_in_ms: wire::millis(pair.refresh_expires_in),
    })
}

/// A secret that was issued now, on its way to its owner.
pub(super) fn text_of(secret: &Secret) -> Result<String, Failure> {
    secret.expose_str().map(str::to_owned).ok_or_else(|| internal("an issued credential that is not text"))
}

/// A secret that is shown once, or that it was shown before.
pub(super) fn once(secret: Option<&Secret>) -> Result<(String, bool), Failure> {
    Ok(match secret {
        Some(secret) => (text_of(secret)?, false),
        None => (String::new(), true),
    })
}

fn internal(what: &'static str) -> Failure {
    tracing::error!(what, "a bug");
    Failure::new(errors::Reason::Internal, "internal error")
}

#[tonic::async_trait]
impl CredentialsService for Api {
    type WatchEnforcedStream = Receipts;

    async fn issue_tokens(
        &self,
        request: Request<v1::IssueTokensRequest>,
    ) -> Result<Response<v1::IssueTokensResponse>, Status> {
        Ok(Response::new(self.issue(request).await?))
    }

    async fn refresh_tokens(
        &self,
        request: Request<v1::RefreshTokensRequest>,
    ) -> Result<Response<v1::RefreshTokensResponse>, Status> {
        Ok(Response::new(self.refresh(request).await?))
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::GetSessionResponse>, Status> {
        Ok(Response::new(self.read_session(request).await?))
    }

    async fn get_credential(
        &self,
        request: Request<v1::GetCredentialRequest>,
    ) -> Result<Response<v1::GetCredentialResponse>, Status> {
        Ok(Response::new(self.read_credential(request).await?))
    }

    async fn list_credentials(
        &self,
        request: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        Ok(Response::new(self.read_credentials(request).await?))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        Ok(Response::new(self.read_sessions(request).await?))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        Ok(Response::new(self.kill(request).await?))
    }

    async fn await_enforced(
        &self,
        request: Request<v1::AwaitEnforcedRequest>,
    ) -> Result<Response<v1::AwaitEnforcedResponse>, Status> {
        Ok(Response::new(self.await_receipt(request).await?))
    }

    async fn watch_enforced(
        &self,
        request: Request<v1::WatchEnforcedRequest>,
    ) -> Result<Response<Self::WatchEnforcedStream>, Status> {
        Ok(Response::new(self.follow_receipt(request).await?))
    }
}
