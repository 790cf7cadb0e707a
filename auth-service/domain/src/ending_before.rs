//! Ending everything in a tenant, or of one client application, that began before a time.
//!
//! There may be more sessions than one entry names, so the time is kept on the row of the tenant or the client application, for
//! ever, and every verdict looks at it: what began before it is dead. The entry has the sockets of all judged again. Each is fenced
//! by it at once, as by every entry; those that began before the time are denied and closed, the others go on.
//! Guarantees: every gateway that knows entries at all enforces it, and the bound and receipts are as for every other one.
//! What has no session dies only by its own key, as ever: API keys, passwords and certificates stay; signature keys
//! that identities have for themselves, and tokens of services, go. So do one-time tokens for passwords, with the tenant,
//! and logins that were asked for more.

use portcullis_types::{ClientId, TenantId, Timestamp};

use crate::asking::Begun;
use crate::audit::{About, Actor, Detail};
use crate::batch::{Batch, Reason, Target};
use crate::outrun::{Outrun, unless_outrun};
use crate::revocation::is_anybodys;
use crate::{Authority, BeginError, Committed, StoreError, TenantState};

/// What to end.
#[derive(Clone, Debug)]
pub struct EndBefore {
    /// The tenant.
    pub tenant: TenantId,
    /// Only what is this client application's; absent: everything in the tenant.
    pub client: Option<ClientId>,
    /// What began before this. One that is yet to come is now: who logs in later is never dead already.
    pub before: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum EndBeforeError {
    /// There is no such tenant, or nothing could rest on the client application.
    #[error("no such target")]
    NotFound,
    /// It did not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Outrun for EndBeforeError {
    fn is_outrun(&self) -> bool {
        match self {
            Self::Begin(error) => error.is_outrun(),
            Self::Store(error) => error.is_outrun(),
            Self::NotFound => false,
        }
    }
}

impl Authority {
    /// Ends what began before a time.
    pub async fn end_before(&self, actor: &Actor, request: EndBefore) -> Result<Committed, EndBeforeError> {
        unless_outrun(|| self.end_before_once(actor, request.clone())).await
    }

    async fn end_before_once(&self, actor: &Actor, request: EndBefore) -> Result<Committed, EndBeforeError> {
        let EndBefore { tenant, client, before, reason } = request;
        let mut change = match self.begin_named_urgently(actor, &tenant).await? {
            Begun::New(change) => change,
            Begun::Before(before) => return Ok(before.committed()?),
        };
        let living = change.tenant(&tenant).await?.filter(|tenant| tenant.state != TenantState::Deleted);
        living.ok_or(EndBeforeError::NotFound)?;
        let before = before.min(self.now());
        let (target, about, action) = match client {
            None => {
                change.end_tenant_before(&tenant, before).await?;
                (Target::Tenant(tenant.clone()), About::Tenant(tenant.clone()), "tenant.end_before")
            }
            Some(client) => {
                if !is_anybodys(&mut *change, &tenant, &client).await? {
                    return Err(EndBeforeError::NotFound);
                }
                change.end_client_before(&tenant, &client, before).await?;
                (Target::Client(tenant.clone(), client.clone()), About::Client(client), "client.end_before")
            }
        };
        let mut entry = self.audit(actor, &tenant, action, about);
        entry.detail = Detail::default().and("before", before.as_unix_seconds());
        entry.reason = Some(reason.text().to_owned());
        change.insert_audit(&entry).await?;
        Ok(change.commit_with(Batch::reauthorize_for(target, reason), tenant.to_string(), self.now()).await?)
    }
}
