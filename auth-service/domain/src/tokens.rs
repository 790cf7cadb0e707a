//! Sessions with their tokens: opening them, and rotating refresh tokens.
//!
//! Guarantees: a refresh token has one successor, derived from it and never drawn, so that a lost answer is answered
//! with the same token, once, and never with a second live branch. Presenting a spent one after the grace, or after its
//! successor was used, ends the session in the same transaction that found it out.

use std::time::Duration;

use portcullis_types::{
    ClientId, CredentialId, OpaqueKind, OpaqueToken, Revision, Secret, SessionId, TenantId, Timestamp,
};

use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::outrun::unless_outrun;
use crate::standing::{Standing, digest_matches, may_begin};
use crate::verification::Form;
use crate::{
    Authentication, Authority, BeginError, Credential, CredentialKind, DenyReason, Identity, IdentityRef,
    IdentityState, KnownDevice, Label, LoginMode, Method, Scopes, Session, Spent, StoreError, TenantState, WriteTx,
};

/// An access token and what renews it.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// A JWT.
    pub access: Secret,
    /// Until the access token ends.
    pub access_expires_in: Duration,
    /// Opaque, of one use.
    pub refresh: Secret,
    /// Until the refresh token ends.
    pub refresh_expires_in: Duration,
}

/// What a new session is used with.
#[derive(Clone, Debug)]
pub enum SessionCredentials {
    /// Tokens.
    Tokens(TokenPair),
    /// A cookie.
    Cookie {
        /// Its value.
        value: Secret,
        /// Until it ends.
        expires_in: Duration,
    },
}

/// A session that was just opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who it is.
    pub identity: Identity,
    /// The session.
    pub session: Session,
    /// Its credentials.
    pub credentials: SessionCredentials,
    /// What the device is known by that it was opened on, where it is remembered.
    pub device: Option<KnownDevice>,
}

/// For whom a back end opens a session.
#[derive(Clone, Debug)]
pub struct IssueTokens {
    /// The tenant.
    pub tenant: TenantId,
    /// The identity.
    pub identity: IdentityRef,
    /// The device as the person would name it.
    pub device: Option<Label>,
    /// The client application.
    pub client: Option<ClientId>,
}

/// What became of a request for a session.
#[derive(Clone, Debug)]
pub enum IssueOutcome {
    /// It is open.
    Opened(Box<NewSession>),
    /// The same request opened this one before; its tokens were shown then.
    Before(SessionId),
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The identity is disabled.
    #[error("the identity is disabled")]
    Disabled,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    Suspended,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a refresh token.
#[derive(Clone, Debug)]
pub enum RefreshOutcome {
    /// The next pair.
    Granted(TokenPair),
    /// Refused. Reuse of a spent token also ended its session.
    Denied(DenyReason),
}

impl Authority {
    /// Opens a session on the word of the caller.
    pub async fn issue_tokens(&self, actor: &Actor, request: IssueTokens) -> Result<IssueOutcome, IssueError> {
        let mut tx = match self.begin_named(actor, &request.tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(IssueOutcome::Before(before.subject()?)),
        };
        let issued = tx.head().revision();
        let identity = tx.identity(&request.tenant, &request.identity).await?.ok_or(IssueError::NotFound)?;
        if identity.state != IdentityState::Active {
            return Err(IssueError::Disabled);
        }
        if tx.tenant(&request.tenant).await?.is_none_or(|tenant| tenant.state != TenantState::Active) {
            return Err(IssueError::Suspended);
        }
        let (device, client) = (request.device, request.client);
        let opening = Opening { issued, device, client, mode: LoginMode::Tokens, authentication: None };
        let opened = self.open_session(&mut *tx, actor, identity, opening).await?;
        tx.commit(opened.session.id.to_string(), self.now()).await?;
        Ok(IssueOutcome::Opened(Box::new(opened)))
    }

    /// Spends a refresh token for the next pair. `actor` is who asks: the HTTP edge, or a back end for its user.
    pub async fn refresh_tokens(&self, actor: &Actor, token: &Secret) -> Result<RefreshOutcome, BeginError> {
        self.refresh_tokens_of(actor, token, None).await
    }

    /// As [`Authority::refresh_tokens`], for this client application: the token of a session that another one opened is
    /// refused, and not spent.
    pub async fn refresh_tokens_of(
        &self,
        actor: &Actor,
        token: &Secret,
        client: Option<&str>,
    ) -> Result<RefreshOutcome, BeginError> {
        unless_outrun(|| self.refresh_once(actor, token, client)).await
    }

    async fn refresh_once(
        &self,
        actor: &Actor,
        token: &Secret,
        client: Option<&str>,
    ) -> Result<RefreshOutcome, BeginError> {
        let token = match token.expose_str().map(OpaqueToken::parse) {
            Some(Ok(token)) if token.kind == OpaqueKind::RefreshToken => token,
            Some(Ok(_)) => return Ok(RefreshOutcome::Denied(DenyReason::WrongKind)),
            Some(Err(_)) | None => return Ok(RefreshOutcome::Denied(DenyReason::Malformed)),
        };
        let form = Form::Opaque(token.clone());
        // In a snapshot first, so that what is refused anyway keeps no writer waiting.
        let mut view = self.store().read().await?;
        match self.bearer_standing(view.as_mut(), &form, None, self.now()).await? {
            // A session's client never changes.
            Ok(standing) if standing.is_of_another_client(client) => {
                return Ok(RefreshOutcome::Denied(DenyReason::WrongAudience));
            }
            Ok(_) => {}
            Err(denial) => return Ok(RefreshOutcome::Denied(denial.reason)),
        }
        drop(view);
        let mut tx = self.begin(actor).await?;
        let now = self.now();
        let standing = match self.bearer_standing(tx.as_mut(), &form, None, now).await? {
            Ok(standing) => standing,
            Err(denial) => return Ok(RefreshOutcome::Denied(denial.reason)),
        };
        match standing.credential.spent {
            None => Ok(self.rotate(tx, actor, standing, &token, now).await?),
            Some(Spent::Rotated { successor, at }) => {
                Ok(self.again(tx, actor, standing, &token, (successor, at), now).await?)
            }
            Some(Spent::Redeemed { .. }) => Err(StoreError::Corrupt { what: "a redeemed refresh token" }.into()),
        }
    }

    async fn rotate(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        standing: Standing,
        token: &OpaqueToken,
        now: Timestamp,
    ) -> Result<RefreshOutcome, StoreError> {
        let family = Family::of(standing, tx.head().revision())?;
        let next = CredentialId::new(self.ids());
        if !tx.spend_refresh_token(token.id, next, now).await? {
            return Err(StoreError::Conflict);
        }
        let next =
            OpaqueToken::from_secret(OpaqueKind::RefreshToken, next, self.kek().refresh_successor(&token.reveal()));
        let row = family.refresh_row(&next, Some(token.id), now, now + self.settings().refresh_ttl);
        tx.insert_credential(&row).await?;
        let pair = self.pair(tx.as_mut(), &family, &next, &row, now).await?;
        self.note_refresh(tx.as_mut(), actor, &family, token.id).await?;
        tx.commit().await?;
        Ok(RefreshOutcome::Granted(pair))
    }

    /// A spent token: a lost answer within the grace, or a theft.
    async fn again(
        &self,
        mut tx: Box<dyn WriteTx>,
        actor: &Actor,
        standing: Standing,
        token: &OpaqueToken,
        (successor, spent_at): (CredentialId, Timestamp),
        now: Timestamp,
    ) -> Result<RefreshOutcome, StoreError> {
        let family = Family::of(standing, tx.head().revision())?;
        let row = tx.credential(successor).await?;
        let row = row.ok_or(StoreError::Corrupt { what: "a spent refresh token without its successor" })?;
        let within = now < spent_at + self.settings().refresh_grace;
        if within && row.spent.is_none() {
            // A key-encryption key that is gone would have derived it: then nothing is answered. Nor is anything beyond
            // the first repetition, so that a spent token does not bring access tokens without end. Nothing is killed.
            let Some(next) = self.successor(token, &row) else { return Ok(RefreshOutcome::Denied(DenyReason::Spent)) };
            if !tx.repeat_refresh_token(token.id, now).await? {
                return Ok(RefreshOutcome::Denied(DenyReason::Spent));
            }
            let pair = self.pair(tx.as_mut(), &family, &next, &row, now).await?;
            self.note_refresh(tx.as_mut(), actor, &family, token.id).await?;
            tx.commit().await?;
            return Ok(RefreshOutcome::Granted(pair));
        }
        let session = &family.session;
        let holder = Actor::holder(&session.tenant, token.id).at(actor.address());
        let about = About::Session { id: session.id, of: session.identity };
        tx.insert_audit(&self.audit(&holder, &session.tenant, "session.refresh_reuse", about)).await?;
        let batch = Batch::kill(Target::Session(session.tenant.clone(), session.id), Reason::RefreshReuse);
        tx.commit_with(batch, now).await?;
        Ok(RefreshOutcome::Denied(DenyReason::Spent))
    }

    /// The successor that the row is of: the key-encryption key may have changed since it was derived.
    fn successor(&self, token: &OpaqueToken, row: &Credential) -> Option<OpaqueToken> {
        let revealed = token.reveal();
        self.keks()
            .iter()
            .map(|kek| OpaqueToken::from_secret(OpaqueKind::RefreshToken, row.id, kek.refresh_successor(&revealed)))
            .find(|candidate| digest_matches(row, candidate))
    }

    async fn note_refresh(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        family: &Family,
        token: CredentialId,
    ) -> Result<(), StoreError> {
        let Session { tenant, id, identity, .. } = &family.session;
        let holder = Actor::holder(tenant, token).at(actor.address());
        let about = About::Session { id: *id, of: *identity };
        tx.insert_audit(&self.audit(&holder, tenant, "token.refresh", about)).await
    }

    /// Inserts a session with its first credentials. `opening.issued` was read before the identity was checked.
    pub(crate) async fn open_session(
        &self,
        tx: &mut dyn WriteTx,
        actor: &Actor,
        identity: Identity,
        opening: Opening,
    ) -> Result<NewSession, StoreError> {
        // A failover between the two leaves another log here: the login is done again.
        let is_head = opening.issued == tx.head().revision();
        if !is_head && !may_begin(opening.issued, tx.revision_at(opening.issued.seq).await?) {
            return Err(StoreError::Conflict);
        }
        let now = self.now();
        let session = Session {
            id: SessionId::new(self.ids()),
            tenant: identity.tenant.clone(),
            identity: identity.id,
            device: opening.device,
            client: opening.client,
            authentication: opening.authentication,
            issued: opening.issued,
            created_at: now,
            expires_at: now + self.settings().session_ttl,
            revoked_seq: None,
        };
        tx.insert_session(&session).await?;
        let family = Family { session, issued: opening.issued };
        let credentials = match opening.mode {
            LoginMode::Tokens => {
                let next =
                    OpaqueToken::generate(OpaqueKind::RefreshToken, CredentialId::new(self.ids()), self.entropy());
                let row = family.refresh_row(&next, None, now, now + self.settings().refresh_ttl);
                tx.insert_credential(&row).await?;
                SessionCredentials::Tokens(self.pair(tx, &family, &next, &row, now).await?)
            }
            LoginMode::Cookie => {
                let id = CredentialId::new(self.ids());
                let cookie = OpaqueToken::generate(OpaqueKind::SessionCookie, id, self.entropy());
                let end = now + self.settings().cookies.idle_after;
                tx.insert_credential(&family.row(&cookie, CredentialKind::SessionCookie, None, now, Some(end))).await?;
                let expires_in = family.session.expires_at.saturating_since(now);
                SessionCredentials::Cookie { value: cookie.reveal(), expires_in }
            }
        };
        let about = About::Session { id: family.session.id, of: identity.id };
        let entry = self.audit(actor, &identity.tenant, "session.create", about);
        tx.insert_audit(&entry.telling(told(&family.session, opening.mode))).await?;
        Ok(NewSession { identity, session: family.session, credentials, device: None })
    }

    /// A new access token beside a refresh token that has its row.
    async fn pair(
        &self,
        tx: &mut dyn WriteTx,
        family: &Family,
        refresh: &OpaqueToken,
        refresh_row: &Credential,
        now: Timestamp,
    ) -> Result<TokenPair, StoreError> {
        // Whole seconds, because `exp` has no more: the row and the token end at the same instant.
        let end = (now + self.settings().access_ttl).min(family.session.expires_at);
        let end = Timestamp::from_unix_seconds(end.as_unix_seconds());
        let signer = self.keyring().signer(tx, self.keks()).await?;
        let row = Credential {
            id: CredentialId::new(self.ids()),
            kind: CredentialKind::AccessToken,
            digest: None,
            audiences: vec![self.settings().audience.clone()],
            signing_key: Some(signer.id),
            expires_at: Some(end),
            ..family.row(refresh, CredentialKind::AccessToken, None, now, None)
        };
        tx.insert_credential(&row).await?;
        Ok(TokenPair {
            access: self.sign_access_token(&signer, &row, Some(&family.session)),
            access_expires_in: end.saturating_since(now),
            refresh: refresh.reveal(),
            refresh_expires_in: refresh_row.expires_at.unwrap_or(now).saturating_since(now),
        })
    }
}

/// How it was proved whose it is, and what it is used with.
fn told(session: &Session, mode: LoginMode) -> Detail {
    let with = match mode {
        LoginMode::Tokens => "tokens",
        LoginMode::Cookie => "cookie",
    };
    let detail = Detail::default().and("with", with).and_maybe("client", session.client.as_ref());
    match session.authentication {
        Some(proved) => detail.and_list("methods", proved.methods.iter().map(Method::name)),
        None => detail,
    }
}

/// How a session is opened.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) issued: Revision,
    pub(crate) device: Option<Label>,
    pub(crate) client: Option<ClientId>,
    pub(crate) mode: LoginMode,
    pub(crate) authentication: Option<Authentication>,
}

/// A session, and the head that was read before it was found to be good.
pub(crate) struct Family {
    pub(crate) session: Session,
    pub(crate) issued: Revision,
}

impl Family {
    pub(crate) fn of(standing: Standing, issued: Revision) -> Result<Self, StoreError> {
        let session =
            standing.into_rows().session.ok_or(StoreError::Corrupt { what: "a credential without its session" })?;
        Ok(Self { session, issued })
    }

    fn refresh_row(
        &self,
        token: &OpaqueToken,
        parent: Option<CredentialId>,
        now: Timestamp,
        end: Timestamp,
    ) -> Credential {
        self.row(token, CredentialKind::RefreshToken, parent, now, Some(end))
    }

    /// A row of this session, ending with it at the latest.
    pub(crate) fn row(
        &self,
        token: &OpaqueToken,
        kind: CredentialKind,
        parent: Option<CredentialId>,
        now: Timestamp,
        end: Option<Timestamp>,
    ) -> Credential {
        let session = &self.session;
        Credential {
            id: token.id,
            tenant: session.tenant.clone(),
            identity: session.identity,
            session: Some(session.id),
            kind,
            digest: Some(token.digest()),
            parent,
            label: None,
            scopes: Scopes::NONE,
            audiences: Vec::new(),
            origins: Vec::new(),
            issued: self.issued,
            signing_key: None,
            created_at: now,
            expires_at: Some(end.map_or(session.expires_at, |end| end.min(session.expires_at))),
            spent: None,
            key_terms: None,
            certificate: None,
            revoked_seq: None,
        }
    }
}
