//! Sessions and credentials as `CredentialsService` shows them.

use auth_domain::{
    CredentialFilter, CredentialKind, CredentialState, ListedCredential, ListedSession, Scope, SessionFilter,
    SessionState,
};
use portcullis_proto::auth::v1;
use portcullis_types::{CredentialId, SessionId};
use tonic::Request;

use super::caller::admitted;
use super::errors::{Failure, target_not_found};
use super::verification::kind_to_wire;
use super::{Api, wire};

impl Api {
    pub(super) async fn read_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<v1::GetSessionResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let id = SessionId::try_from(asked.session_id.as_str()).map_err(Failure::name("session_id"))?;
        let session = self.authority.session(&tenant, id).await?.ok_or_else(target_not_found)?;
        Ok(v1::GetSessionResponse { session: Some(session_to_wire(session)) })
    }

    pub(super) async fn read_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<v1::ListSessionsResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let filter = SessionFilter {
            device: wire::label("device", &asked.device)?,
            client: wire::client("client_id", &asked.client_id)?,
            begun_before: None,
            live_at: asked.only_active.then(|| self.clock.now()),
            usable: true,
            or_dormant: false,
        };
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.sessions(&tenant, &which, filter, page).await?;
        let (sessions, next_page_token) = wire::paged(page, session_to_wire);
        Ok(v1::ListSessionsResponse { sessions, next_page_token })
    }

    pub(super) async fn read_credential(
        &self,
        request: Request<v1::GetCredentialRequest>,
    ) -> Result<v1::GetCredentialResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let tenant = wire::tenant("tenant", &asked.tenant)?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let id = CredentialId::try_from(asked.credential_id.as_str()).map_err(Failure::name("credential_id"))?;
        let credential = self.authority.credential(&tenant, id).await?.ok_or_else(target_not_found)?;
        Ok(v1::GetCredentialResponse { credential: Some(credential_to_wire(credential)) })
    }

    pub(super) async fn read_credentials(
        &self,
        request: Request<v1::ListCredentialsRequest>,
    ) -> Result<v1::ListCredentialsResponse, Failure> {
        let admitted = admitted(&request)?;
        let asked = request.into_inner();
        let (tenant, which) = wire::identity_ref(asked.identity.clone())?;
        self.act(&admitted, Scope::IdentityRead, &tenant).await?;
        let kind = kind_of(wire::one_of("kind", asked.kind)?)?;
        let session = match asked.session_id.as_str() {
            "" => None,
            id => Some(SessionId::try_from(id).map_err(Failure::name("session_id"))?),
        };
        let filter = CredentialFilter { kind, session };
        let page = wire::page(asked.page_size, &asked.page_token)?;
        let page = self.authority.credentials(&tenant, &which, &filter, page).await?;
        let (credentials, next_page_token) = wire::paged(page, credential_to_wire);
        Ok(v1::ListCredentialsResponse { credentials, next_page_token })
    }
}

fn kind_of(kind: v1::CredentialKind) -> Result<Option<CredentialKind>, Failure> {
    Ok(match kind {
        v1::CredentialKind::Unspecified => None,
        v1::CredentialKind::SessionCookie => Some(CredentialKind::SessionCookie),
        v1::CredentialKind::AccessToken => Some(CredentialKind::AccessToken),
        v1::CredentialKind::RefreshToken => Some(CredentialKind::RefreshToken),
        v1::CredentialKind::Ticket => Some(CredentialKind::Ticket),
        v1::CredentialKind::ApiKey => Some(CredentialKind::ApiKey),
        v1::CredentialKind::ClientCertificate => Some(CredentialKind::ClientCertificate),
        v1::CredentialKind::SignatureKey => Some(CredentialKind::SignatureKey),
        v1::CredentialKind::Password => {
            return Err(Failure::field("kind", "passwords have a list of their own: `PasswordsService.ListPasswords`"));
        }
    })
}

fn credential_to_wire(listed: ListedCredential) -> v1::Credential {
    let state = match listed.state {
        CredentialState::Active => v1::CredentialState::Active,
        CredentialState::Refused => v1::CredentialState::Refused,
        CredentialState::Revoked => v1::CredentialState::Revoked,
        CredentialState::Expired => v1::CredentialState::Expired,
        CredentialState::Spent => v1::CredentialState::Spent,
    };
    let row = listed.credential;
    v1::Credential {
        id: row.id.to_string(),
        kind: kind_to_wire(row.kind).into(),
        state: state.into(),
        identity_id: row.identity.to_string(),
        session_id: row.session.map_or_else(String::new, |id| id.to_string()),
        parent_id: row.parent.map_or_else(String::new, |id| id.to_string()),
        label: wire::label_to_wire(row.label.as_ref()),
        scopes: row.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        audiences: row.audiences.iter().map(|audience| audience.as_str().to_owned()).collect(),
        origins: row.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        created_at: Some(wire::timestamp(row.created_at)),
        expires_at: row.expires_at.map(wire::timestamp),
    }
}

fn session_to_wire(listed: ListedSession) -> v1::Session {
    let state = match listed.state {
        SessionState::Active => v1::SessionState::Active,
        SessionState::Revoked => v1::SessionState::Revoked,
        SessionState::Expired => v1::SessionState::Expired,
    };
    let session = listed.session;
    let methods = session.authentication.iter().flat_map(|how| how.methods.iter());
    v1::Session {
        authentication_methods: methods.map(|method| method.name().to_owned()).collect(),
        authenticated_at: session.authentication.map(|how| wire::timestamp(how.at)),
        id: session.id.to_string(),
        identity_id: session.identity.to_string(),
        state: state.into(),
        device: wire::label_to_wire(session.device.as_ref()),
        client_id: session.client.map_or_else(String::new, |client| client.as_str().to_owned()),
        created_at: Some(wire::timestamp(session.created_at)),
        expires_at: Some(wire::timestamp(session.expires_at)),
    }
}
