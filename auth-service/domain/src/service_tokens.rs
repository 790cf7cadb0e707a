//! Client credentials: a service exchanges its API key, or its client certificate, for a short-lived token, which a program
//! that should not hold the key presents at the authority's own API.
//!
//! Guarantees: a token may do at most what its key may, where its key may, and dies with it; it is for the authority alone,
//! so nobody opens a socket with it; it brings forth no other token, and no key that outlives it.

use std::time::Duration;

use portcullis_types::{CredentialId, Secret, Timestamp};

use crate::access_token::looks_like_jwt;
use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::standing::Standing;
use crate::verification::Form;
use crate::{
    Audience, Authority, BeginError, Caller, Credential, CredentialKind, IdentityRef, ReadView, Scopes, StoreError,
};

/// A token for a service.
#[derive(Clone, Debug)]
pub struct ServiceToken {
    /// A JWT; none where the same request was answered before, and showed it then.
    pub token: Option<Secret>,
    /// Its id.
    pub id: CredentialId,
    /// What it may do.
    pub scopes: Scopes,
    /// Until it ends.
    pub expires_in: Duration,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTokenError {
    /// It was asked for with another such token.
    #[error("a service token is issued for an API key or a certificate, not for another token")]
    NotByKey,
    /// It would be allowed what its key is not.
    #[error("a token never has scopes that its key lacks")]
    ScopesBeyondKey,
    /// It would live longer than an access token does.
    #[error("a service token lives no longer than an access token")]
    TooLong,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Issues a token for the caller's own key, with all of its scopes or some.
    pub async fn issue_service_token(
        &self,
        caller: &Caller,
        scopes: Option<Scopes>,
        expires_in: Option<Duration>,
    ) -> Result<ServiceToken, ServiceTokenError> {
        let scopes = scopes.unwrap_or(caller.scopes);
        if !scopes.is_within(caller.scopes) {
            return Err(ServiceTokenError::ScopesBeyondKey);
        }
        let life = expires_in.unwrap_or(self.settings().access_ttl);
        if life > self.settings().access_ttl {
            return Err(ServiceTokenError::TooLong);
        }
        let actor = Actor::caller(caller);
        let mut tx = match self.begin_named(&actor, &caller.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(self.service_token_before(before).await?),
        };
        let key = tx.credential(caller.credential).await?;
        let key = key.filter(Credential::is_of_service).ok_or(ServiceTokenError::NotByKey)?;
        let identity = tx.identity(&caller.tenant, &IdentityRef::Id(caller.identity)).await?;
        identity.ok_or(StoreError::Corrupt { what: "a credential without its identity" })?;
        let (now, issued) = (self.now(), tx.head().revision());
        let signer = self.keyring().signer(&mut *tx, self.keks()).await?;
        let end = key.expires_at.map_or(now + life, |end| end.min(now + life));
        let row = Credential {
            id: CredentialId::new(self.ids()),
            session: None,
            kind: CredentialKind::AccessToken,
            digest: None,
            parent: Some(key.id),
            label: None,
            scopes,
            audiences: vec![self.own_audience()],
            origins: Vec::new(),
            issued,
            signing_key: Some(signer.id),
            created_at: now,
            // Whole seconds, because `exp` has no more: the row and the token end at the same instant.
            expires_at: Some(Timestamp::from_unix_seconds(end.as_unix_seconds())),
            spent: None,
            key_terms: None,
            certificate: None,
            revoked_seq: None,
            ..key
        };
        tx.insert_credential(&row).await?;
        let about = About::Credential { id: row.id, of: row.identity };
        let entry = self.audit(&actor, &row.tenant, "service_token.issue", about);
        let detail = Detail::default().and("for_key", caller.credential).and_list("scopes", scopes.iter());
        tx.insert_audit(&entry.telling(detail)).await?;
        tx.commit(row.id.to_string(), now).await?;
        let expires_in = row.expires_at.unwrap_or(now).saturating_since(now);
        let token = self.sign_access_token(&signer, &row, None);
        Ok(ServiceToken { token: Some(token), id: row.id, scopes, expires_in })
    }

    async fn service_token_before(&self, mut before: Before) -> Result<ServiceToken, StoreError> {
        let id = before.subject()?;
        // One that has ended may be gone, and then it may do nothing.
        let Some(row) = before.view().credential(id).await? else {
            return Ok(ServiceToken { token: None, id, scopes: Scopes::NONE, expires_in: Duration::ZERO });
        };
        let expires_in = row.expires_at.unwrap_or_default().saturating_since(self.now());
        Ok(ServiceToken { token: None, id, scopes: row.scopes, expires_in })
    }

    /// Whom a service token is for: the authority, by the name that it gives itself.
    fn own_audience(&self) -> Audience {
        Audience::try_from(self.settings().issuer.as_str()).unwrap_or_else(|_| self.settings().audience.clone())
    }

    /// The standing of a presented service token, when it says what its row says; nothing is judged yet.
    pub(crate) async fn presented_service_token(
        &self,
        view: &mut dyn ReadView,
        text: &str,
    ) -> Result<Option<Standing>, StoreError> {
        if !looks_like_jwt(text) {
            return Ok(None);
        }
        let Ok(signed) = self.read_access_token(text).await? else { return Ok(None) };
        let form = Form::Signed(Box::new(signed));
        let standing = Standing::of(view, form.id()).await?;
        Ok(standing.filter(|standing| standing.credential.is_service_token() && form.fits(&standing.credential)))
    }
}

/// The key that a service token was issued for.
pub(crate) async fn key_of(view: &mut dyn ReadView, token: &Credential) -> Result<Standing, StoreError> {
    let corrupt = StoreError::Corrupt { what: "a service token without its key" };
    let Some(parent) = token.parent else { return Err(corrupt) };
    Standing::of(view, parent).await?.ok_or(corrupt)
}
