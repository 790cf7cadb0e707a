//! Logins: the family to which tokens and cookies belong.

use portcullis_types::{ClientId, IdentityId, Revision, SessionId, TenantId, Timestamp};

use crate::{
    Authentication, Authority, Identity, IdentityRef, InvalidPage, Label, Page, Paged, ReadView, SessionFilter,
    StoreError,
};

/// One login of an identity on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub identity: IdentityId,
    /// The device as named at login.
    pub device: Option<Label>,
    /// The client application as named at login.
    pub client: Option<ClientId>,
    /// The head, read before the checks that allowed it.
    pub issued: Revision,
    /// How its login proved who it is; none where nobody proved it here.
    pub authentication: Option<Authentication>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The newest entry that killed it; kept for ever.
    pub revoked_seq: Option<u64>,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// What was issued under it can be used.
    Active,
    /// It was revoked, or something above it was.
    Revoked,
    /// Its time is over, or that of everything it could be used with.
    Expired,
}

/// A session, and where it stands now.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// The session.
    pub session: Session,
    /// Where it stands.
    pub state: SessionState,
}

/// Why sessions could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListSessionsError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// The page cannot be asked for.
    #[error(transparent)]
    Page(#[from] InvalidPage),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Reads a session, and where it stands.
    pub async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<ListedSession>, StoreError> {
        let mut view = self.store().read().await?;
        let Some(session) = view.session(tenant, id).await? else { return Ok(None) };
        standing_of(view.as_mut(), session, self.now()).await.map(Some)
    }

    /// Reads an identity's sessions that pass the filter, newest first.
    pub async fn sessions(
        &self,
        tenant: &TenantId,
        which: &IdentityRef,
        filter: SessionFilter,
        page: Page,
    ) -> Result<Paged<ListedSession>, ListSessionsError> {
        let mut view = self.store().read().await?;
        let identity = view.identity(tenant, which).await?.ok_or(ListSessionsError::NotFound)?;
        let query = query_of(tenant, &identity, &filter);
        let before = page.id(&query)?;
        let above = Above::of(view.as_mut(), &identity).await?;
        let mut listed = Vec::new();
        let found = view.find_sessions(tenant, identity.id, &filter, before, page.fetch()).await?;
        let ids: Vec<_> = found.iter().map(|session| session.id).collect();
        let usable = view.usable_sessions(&ids, self.now()).await?;
        for session in found {
            let is_usable = usable.contains(&session.id);
            let state = state_of(view.as_mut(), &session, &above, is_usable, self.now()).await?;
            listed.push(ListedSession { session, state });
        }
        Ok(page.cut(&query, listed, |item| item.session.id.to_string()))
    }
}

/// A session, and where it stands.
pub(crate) async fn standing_of(
    view: &mut dyn ReadView,
    session: Session,
    now: Timestamp,
) -> Result<ListedSession, StoreError> {
    let identity = view.identity(&session.tenant, &IdentityRef::Id(session.identity)).await?;
    let identity = identity.ok_or(StoreError::Corrupt { what: "a session without its identity" })?;
    let above = Above::of(view, &identity).await?;
    let is_usable = !view.usable_sessions(&[session.id], now).await?.is_empty();
    let state = state_of(view, &session, &above, is_usable, now).await?;
    Ok(ListedSession { session, state })
}

/// What a page token is bound to. The time at which sessions are asked to be live moves on from page to page.
fn query_of(tenant: &TenantId, identity: &Identity, filter: &SessionFilter) -> String {
    let SessionFilter { device, client, begun_before, live_at, usable, or_dormant } = filter;
    format!(
        "sessions:{tenant}/{}:{device:?}:{client:?}:{begun_before:?}:{}:{usable}:{or_dormant}",
        identity.id,
        live_at.is_some()
    )
}

/// What ended sessions of an identity from above: the newest entry, and a time.
struct Above {
    revoked_seq: Option<u64>,
    ended_before: Option<Timestamp>,
}

impl Above {
    async fn of(view: &mut dyn ReadView, identity: &Identity) -> Result<Self, StoreError> {
        let tenant = view.tenant(&identity.tenant).await?;
        let (seq, ended_before) = tenant.map_or((None, None), |row| (row.revoked_seq, row.ended_before));
        Ok(Self { revoked_seq: identity.revoked_seq.max(seq), ended_before })
    }
}

async fn state_of(
    view: &mut dyn ReadView,
    session: &Session,
    above: &Above,
    is_usable: bool,
    now: Timestamp,
) -> Result<SessionState, StoreError> {
    let (seq, ended_before) = match &session.client {
        Some(client) => (
            view.client_revoked_seq(&session.tenant, client).await?,
            view.client_ended_before(&session.tenant, client).await?,
        ),
        None => (None, None),
    };
    let killed = session.revoked_seq.is_some()
        || above.revoked_seq.max(seq).is_some_and(|seq| session.issued.seq < seq)
        || above.ended_before.max(ended_before).is_some_and(|ended| session.created_at < ended);
    Ok(match () {
        () if killed => SessionState::Revoked,
        () if now >= session.expires_at || !is_usable => SessionState::Expired,
        () => SessionState::Active,
    })
}
