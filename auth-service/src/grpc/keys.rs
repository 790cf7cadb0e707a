//! `KeysService`.

use auth_domain::{KeyState, RotateSigningKey, Scope, SigningKeyStanding};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::keys_service_server::KeysService;
use portcullis_types::SigningKeyId;
use tonic::{Request, Response, Status};

use super::caller::admitted;
use super::credentials::{reason_of, request_id_of};
use super::errors::Failure;
use super::{Api, wire};

impl Api {
    async fn read_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<v1::ListSigningKeysResponse, Failure> {
        admitted(&request)?.act_anywhere(Scope::Keys)?;
        let keys = self.authority.signing_keys().await?;
        Ok(v1::ListSigningKeysResponse { signing_keys: keys.into_iter().map(to_wire).collect() })
    }

    async fn rotate(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<v1::RotateSigningKeyResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let asked = request.into_inner();
        let actor = self.named(actor, "RotateSigningKey", &asked.request_id, &asked)?;
        let instead_of = match asked.instead_of.as_str() {
            "" => None,
            id => Some(SigningKeyId::try_from(id).map_err(Failure::name("instead_of"))?),
        };
        let rotation = RotateSigningKey { instead_of, at_once: asked.at_once };
        let next = self.authority.rotate_signing_key(&actor, rotation).await?.next.id;
        let keys = self.authority.signing_keys().await?;
        Ok(v1::RotateSigningKeyResponse { signing_key: keys.into_iter().find(|key| key.key.id == next).map(to_wire) })
    }

    async fn kill_signing_key(
        &self,
        request: Request<v1::RevokeSigningKeyRequest>,
    ) -> Result<v1::RevokeSigningKeyResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let asked = request.into_inner();
        let id = SigningKeyId::try_from(asked.signing_key_id.as_str()).map_err(Failure::name("signing_key_id"))?;
        let (reason, request_id) = (reason_of(asked.reason()), request_id_of(&asked.request_id)?);
        let committed = self.authority.revoke_signing_key(&actor, id, reason, request_id).await?;
        Ok(v1::RevokeSigningKeyResponse {
            revision: Some(committed.revision.into()),
            enforced_within_ms: self.enforced_within_ms(),
            committed_at: Some(wire::timestamp(committed.committed_at)),
        })
    }

    async fn encrypt_anew(&self, request: Request<v1::ReencryptRequest>) -> Result<v1::ReencryptResponse, Failure> {
        let actor = admitted(&request)?.act_anywhere(Scope::Keys)?;
        let done = self.authority.reencrypt(&actor).await?;
        if done.seals_left > 0 {
            tracing::warn!(
                seals = done.seals_left,
                "no key-encryption key that was given vouches for some audit seals"
            );
        }
        Ok(v1::ReencryptResponse { kek_id: done.kek_id, count: done.count })
    }
}

fn to_wire(standing: SigningKeyStanding) -> v1::SigningKey {
    let SigningKeyStanding { key, signs_at, needed_until, shown } = standing;
    let state = match key.state {
        KeyState::Published => v1::SigningKeyState::Published,
        KeyState::Signing => v1::SigningKeyState::Signing,
        KeyState::Retained => v1::SigningKeyState::Retained,
        KeyState::Revoked => v1::SigningKeyState::Revoked,
    };
    v1::SigningKey {
        id: key.id.to_string(),
        state: state.into(),
        algorithm: key.algorithm.name().to_owned(),
        created_at: Some(wire::timestamp(key.created_at)),
        signing_at: key.signing_at.or(signs_at).map(wire::timestamp),
        retained_at: key.retained_at.map(wire::timestamp),
        needed_until: needed_until.map(wire::timestamp),
        shown,
        kek_id: if key.sealed_private.is_empty() { String::new() } else { key.kek_id },
    }
}

#[tonic::async_trait]
impl KeysService for Api {
    async fn list_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        Ok(Response::new(self.read_signing_keys(request).await?))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        Ok(Response::new(self.rotate(request).await?))
    }

    async fn revoke_signing_key(
        &self,
        request: Request<v1::RevokeSigningKeyRequest>,
    ) -> Result<Response<v1::RevokeSigningKeyResponse>, Status> {
        Ok(Response::new(self.kill_signing_key(request).await?))
    }

    async fn reencrypt(
        &self,
        request: Request<v1::ReencryptRequest>,
    ) -> Result<Response<v1::ReencryptResponse>, Status> {
        Ok(Response::new(self.encrypt_anew(request).await?))
    }
}
