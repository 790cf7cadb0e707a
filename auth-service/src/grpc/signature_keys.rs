//! `SignatureKeysService`.

use auth_domain::{
    CarriedKey, CredentialState, NewSignatureKey, RevokeRequest, RevokeTarget, RotateSignatureKey, Scope, SignatureKey,
};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::signature_keys_service_server::SignatureKeysService;
use portcullis_types::{CredentialId, SessionId, TenantId};
use tonic::{Request, Response, Status};

use super::api_keys::span;
use super::caller::admitted;
use super::credentials::{reason_of, request_id_of};
use super::errors::{Failure, Reason};
use super::{Api, wire};

impl Api {
    async fn challenge(
        &self,
        request: Request<v1::BeginSignatureKeyRequest>,
    ) -> Result<v1::BeginSignatureKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        self.act(&admitted, Scope::Issue, &tenant).await?;
        let session = session_of(&asked.session_id)?;
        let begun = self.authority.begin_signature_key(&tenant, &which, session).await?;
        Ok(v1::BeginSignatureKeyResponse {
            challenge: begun.challenge,
            audience: begun.audience,
            expires_in_ms: wire::millis(begun.expires_in),
        })
    }

    async fn put_signature_key(
        &self,
        request: Request<v1::RegisterSignatureKeyRequest>,
    ) -> Result<v1::RegisterSignatureKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, identity) = wire::identity_ref(asked.identity.clone())?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
        let actor = self.named(actor, "RegisterSignatureKey", &asked.request_id, &asked)?;
        let new = NewSignatureKey {
            tenant,
            identity,
            session: session_of(&asked.session_id)?,
            label: wire::label("label", &asked.label)?,
            expires_in: span("expires_in_ms", asked.expires_in_ms)?,
            jwk: asked.jwk,
            proof: asked.proof,
        };
        let registered = self.authority.register_signature_key(&actor, new).await?;
        Ok(v1::RegisterSignatureKeyResponse {
            signature_key: Some(to_wire(registered.key)),
            revision: Some(registered.committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn read_signature_key(
        &self,
        request: Request<v1::GetSignatureKeyRequest>,
    ) -> Result<v1::GetSignatureKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let key = self.known(&tenant, key_id(&asked.id)?).await?;
        Ok(v1::GetSignatureKeyResponse { signature_key: Some(to_wire(key)) })
    }

    async fn read_signature_keys(
        &self,
        request: Request<v1::ListSignatureKeysRequest>,
    ) -> Result<v1::ListSignatureKeysResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let session = session_of(&asked.session_id)?;
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.signature_keys(&tenant, &which, session, page).await?;
        let (signature_keys, next_page_token) = wire::paged(page, to_wire);
        Ok(v1::ListSignatureKeysResponse { signature_keys, next_page_token })
    }

    async fn exchange_signature_key(
        &self,
        request: Request<v1::RotateSignatureKeyRequest>,
    ) -> Result<v1::RotateSignatureKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::Issue, &tenant).await?;
        let actor = self.named(actor, "RotateSignatureKey", &asked.request_id, &asked)?;
        let rotation = RotateSignatureKey {
            tenant,
            id: key_id(&asked.id)?,
            old_ends_in: span("old_ends_in_ms", asked.old_ends_in_ms)?.unwrap_or_default(),
            expires_in: span("expires_in_ms", asked.expires_in_ms)?,
            jwk: asked.jwk,
            proof: asked.proof,
        };
        let rotated = self.authority.rotate_signature_key(&actor, rotation).await?;
        Ok(v1::RotateSignatureKeyResponse {
            signature_key: Some(to_wire(rotated.key)),
            old: Some(to_wire(rotated.old)),
            revision: Some(rotated.committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
        })
    }

    async fn end_signature_key(
        &self,
        request: Request<v1::RevokeSignatureKeyRequest>,
    ) -> Result<v1::RevokeSignatureKeyResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let reason = reason_of(asked.reason());
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        let actor = self.act(&admitted, Scope::Revoke, &tenant).await?;
        let id = self.known(&tenant, key_id(&asked.id)?).await?.id;
        let (target, request_id) = (RevokeTarget::Credential(id), request_id_of(&asked.request_id)?);
        let revocation = RevokeRequest { tenant, target, reason, pace: None, request_id };
        let committed = self.revoker.revoke(&actor, revocation).await?;
        Ok(v1::RevokeSignatureKeyResponse {
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
            committed_at: Some(wire::timestamp(committed.committed_at)),
        })
    }

    async fn known(&self, tenant: &TenantId, id: CredentialId) -> Result<SignatureKey, Failure> {
        let found = self.authority.signature_key(tenant, id).await?;
        found.ok_or_else(|| Failure::new(Reason::SignatureKeyNotFound, "no such signature key"))
    }
}

fn key_id(text: &str) -> Result<CredentialId, Failure> {
    CredentialId::try_from(text).map_err(Failure::name("id"))
}

/// Empty means none.
fn session_of(text: &str) -> Result<Option<SessionId>, Failure> {
    if text.is_empty() { Ok(None) } else { SessionId::try_from(text).map(Some).map_err(Failure::name("session_id")) }
}

/// As a verdict has it.
pub(super) fn carried_to_wire(carried: CarriedKey) -> v1::CarriedSignatureKey {
    v1::CarriedSignatureKey {
        id: carried.id.to_string(),
        jwk: carried.key.jwk().to_owned(),
        algorithm: carried.key.algorithm().name().to_owned(),
        thumbprint: carried.key.thumbprint().text(),
        of_session: carried.is_of_session,
        // 0 means that it does not end, as in the verdict itself.
        expires_in_ms: carried.expires_in.map_or(0, |left| wire::millis(left).max(1)),
    }
}

fn to_wire(key: SignatureKey) -> v1::SignatureKey {
    let state = match key.state {
        // What is used once is no signature key.
        CredentialState::Active | CredentialState::Spent => v1::SignatureKeyState::Active,
        CredentialState::Refused => v1::SignatureKeyState::Refused,
        CredentialState::Revoked => v1::SignatureKeyState::Revoked,
        CredentialState::Expired => v1::SignatureKeyState::Expired,
    };
    v1::SignatureKey {
        id: key.id.to_string(),
        identity_id: key.identity.to_string(),
        session_id: key.session.map_or_else(String::new, |id| id.to_string()),
        jwk: key.key.jwk().to_owned(),
        algorithm: key.key.algorithm().name().to_owned(),
        thumbprint: key.key.thumbprint().text(),
        label: wire::label_to_wire(key.label.as_ref()),
        created_at: Some(wire::timestamp(key.created_at)),
        expires_at: key.expires_at.map(wire::timestamp),
        state: state.into(),
        replaces: key.replaces.map_or_else(String::new, |id| id.to_string()),
        replaced_by: key.replaced_by.map_or_else(String::new, |id| id.to_string()),
    }
}

#[tonic::async_trait]
impl SignatureKeysService for Api {
    async fn begin_signature_key(
        &self,
        request: Request<v1::BeginSignatureKeyRequest>,
    ) -> Result<Response<v1::BeginSignatureKeyResponse>, Status> {
        Ok(Response::new(self.challenge(request).await?))
    }

    async fn register_signature_key(
        &self,
        request: Request<v1::RegisterSignatureKeyRequest>,
    ) -> Result<Response<v1::RegisterSignatureKeyResponse>, Status> {
        Ok(Response::new(self.put_signature_key(request).await?))
    }

    async fn get_signature_key(
        &self,
        request: Request<v1::GetSignatureKeyRequest>,
    ) -> Result<Response<v1::GetSignatureKeyResponse>, Status> {
        Ok(Response::new(self.read_signature_key(request).await?))
    }

    async fn list_signature_keys(
        &self,
        request: Request<v1::ListSignatureKeysRequest>,
    ) -> Result<Response<v1::ListSignatureKeysResponse>, Status> {
        Ok(Response::new(self.read_signature_keys(request).await?))
    }

    async fn rotate_signature_key(
        &self,
        request: Request<v1::RotateSignatureKeyRequest>,
    ) -> Result<Response<v1::RotateSignatureKeyResponse>, Status> {
        Ok(Response::new(self.exchange_signature_key(request).await?))
    }

    async fn revoke_signature_key(
        &self,
        request: Request<v1::RevokeSignatureKeyRequest>,
    ) -> Result<Response<v1::RevokeSignatureKeyResponse>, Status> {
        Ok(Response::new(self.end_signature_key(request).await?))
    }
}

#[cfg(test)]
mod tests {
    use auth_domain::{MAX_GRANT_BYTES, MAX_ROLES_HELD, MAX_SIGNATURE_KEYS, PublicKey};
    use prost::Message as _;

    use super::super::MOST_BYTES_OUT;
    use super::*;

    /// A gateway judges as many at once after a fork, and none of them may be too much.
    #[test]
    fn the_largest_verdicts_with_all_their_keys_fit_in_one_answer() {
        let jwk = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
        let carried = CarriedKey {
            id: CredentialId::from_bytes([0xff; 16]),
            key: PublicKey::from_jwk(jwk).expect("a key"),
            is_of_session: true,
            expires_in: Some(auth_domain::MAX_API_KEY_LIFE),
        };
        let named = v1::Key { kind: v1::KeyKind::Credential.into(), id: vec![0xff; 16] };
        let keys = usize::try_from(2 * MAX_SIGNATURE_KEYS).expect("few");
        let allowed = v1::Allowed {
            signature_keys: vec![carried_to_wire(carried); keys],
            keys: vec![named; keys + MAX_ROLES_HELD + 8],
            ..Default::default()
        };
        let one = allowed.encoded_len() + usize::try_from(MAX_GRANT_BYTES).expect("small") + 1_200;
        assert!(256 * one <= MOST_BYTES_OUT, "{one} bytes each");
    }
}
