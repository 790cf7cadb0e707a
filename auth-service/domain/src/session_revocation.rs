//! Ending the sessions of an identity by what they have in common: when they began, or their device.
//!
//! They are found and ended in one transaction, by one entry that names each. Who logs in meanwhile is as if it did so
//! afterwards: to end also what is on its way, revoke the identity. With what began before a time go the signature keys that
//! the identity has for itself from before it.

use portcullis_types::{CredentialId, IdentityId, TenantId, Timestamp};

use crate::asking::{Before, Begun};
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Effect, Fact, Pace, Reason, Target};
use crate::{Authority, BeginError, Committed, IdentityRef, Label, ReadView, Session, SessionFilter, StoreError};

/// The most sessions that one entry ends.
pub const MAX_SESSIONS_ENDED: u32 = 4_096;

/// Which sessions to end.
#[derive(Clone, Debug)]
pub struct RevokeSessions {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose.
    pub which: IdentityRef,
    /// What they have in common.
    pub by: SessionsBy,
    /// Why.
    pub reason: Reason,
    /// How fast sockets are closed that it fences; absent: at once.
    pub pace: Option<Pace>,
}

/// What sessions have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsBy {
    /// They began before this.
    BegunBefore(Timestamp),
    /// They are on this device, as named at login.
    Device(Label),
}

/// What was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedSessions {
    /// The entry; none when no such session lived, and no such key.
    pub committed: Option<Committed>,
    /// How many sessions it ends.
    pub sessions: u32,
}

/// Why no sessions were ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeSessionsError {
    /// There is no such identity.
    #[error("no such identity")]
    NotFound,
    /// More than one entry ends.
    #[error("more than {MAX_SESSIONS_ENDED} sessions: revoke the identity instead")]
    TooMany,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authority {
    /// Ends every session of an identity that has this in common and lives, or would again with its issuer's next token.
    pub async fn revoke_sessions(
        &self,
        actor: &Actor,
        request: RevokeSessions,
    ) -> Result<EndedSessions, RevokeSessionsError> {
        let RevokeSessions { tenant, which, by, reason, pace } = request;
        let mut change = match self.begin_named_urgently(actor, &tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(ended_before(&before)?),
        };
        let identity = change.identity(&tenant, &which).await?.ok_or(RevokeSessionsError::NotFound)?;
        let filter = filter_of(&by, self.now());
        let found = find(&mut *change, &tenant, identity.id, &filter).await?;
        let keys = match &by {
            SessionsBy::BegunBefore(at) => keys_before(&mut *change, &tenant, identity.id, *at).await?,
            // Nobody said on which device an identity's own key is.
            SessionsBy::Device(_) => Vec::new(),
        };
        let sessions = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let what = match &by {
            SessionsBy::BegunBefore(_) => "identity.revoke_sessions_before",
            SessionsBy::Device(_) => "identity.revoke_sessions_on_device",
        };
        let mut entry = self.audit(actor, &tenant, what, About::Identity(identity.id));
        entry.detail = Detail::default().and_count("sessions", found.len());
        entry.reason = Some(reason.text().to_owned());
        change.insert_audit(&entry).await?;
        let Some(batch) = batch_of(&tenant, &found, &keys, reason).map(|batch| batch.paced(pace)) else {
            change.commit(sessions.to_string(), self.now()).await?;
            return Ok(EndedSessions { committed: None, sessions });
        };
        let committed = change.commit_with(batch, sessions.to_string(), self.now()).await?;
        Ok(EndedSessions { committed: Some(committed), sessions })
    }
}

fn filter_of(by: &SessionsBy, now: Timestamp) -> SessionFilter {
    // What is only idle at its issuer would come back.
    let live = SessionFilter { live_at: Some(now), or_dormant: true, ..SessionFilter::default() };
    match by {
        SessionsBy::BegunBefore(at) => SessionFilter { begun_before: Some(*at), ..live },
        SessionsBy::Device(device) => SessionFilter { device: Some(device.clone()), ..live },
    }
}

async fn find(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    identity: IdentityId,
    filter: &SessionFilter,
) -> Result<Vec<Session>, RevokeSessionsError> {
    let found = view.find_sessions(tenant, identity, filter, None, MAX_SESSIONS_ENDED + 1).await?;
    if found.len() > MAX_SESSIONS_ENDED as usize {
        return Err(RevokeSessionsError::TooMany);
    }
    Ok(found)
}

/// The signature keys that an identity has for itself since before then. Those of sessions die with them.
async fn keys_before(
    view: &mut dyn ReadView,
    tenant: &TenantId,
    identity: IdentityId,
    at: Timestamp,
) -> Result<Vec<CredentialId>, StoreError> {
    let keys = view.own_signature_keys(tenant, identity).await?.into_iter().map(|row| row.credential);
    Ok(keys.filter(|key| key.created_at < at).map(|key| key.id).collect())
}

fn batch_of(tenant: &TenantId, sessions: &[Session], keys: &[CredentialId], reason: Reason) -> Option<Batch> {
    let sessions = sessions.iter().map(|session| Target::Session(tenant.clone(), session.id));
    let mut targets = sessions.chain(keys.iter().map(|key| Target::Credential(tenant.clone(), *key)));
    let first = Batch::kill(targets.next()?, reason);
    Some(targets.map(|target| Fact { target, effect: Effect::Kill, reason, pace: None }).fold(first, Batch::and))
}

fn ended_before(before: &Before) -> Result<EndedSessions, StoreError> {
    Ok(EndedSessions { committed: before.maybe_committed(), sessions: before.number()? })
}
