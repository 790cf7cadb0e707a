//! Who may watch, and from where.
//!
//! Guarantees: the caller's right is judged at a head that is not older than the watch's position, so no revocation of it can
//! fall between.

use auth_domain::watch::{self, Resync, Watcher, WatcherParts};
use auth_domain::{CallerError, Scope};
use portcullis_types::Revision;

use super::hearing::Start;
use super::{Ended, Watching};
use crate::forks::Fork;
use crate::grpc::errors::{Failure, Reason};

impl Watching {
    /// Begins where the gateway stands, if it may.
    pub(super) async fn open(&self, start: &Start) -> Result<Watcher, Ended> {
        let store = self.api.authority.store();
        let head = store.head().await?.revision();
        let at_cursor = match start.cursor {
            Some(cursor) => store.revision_at(cursor.seq).await?,
            None => None,
        };
        let horizon = store.horizon().await?;
        let position =
            watch::judge(start.cursor, at_cursor, horizon, head).map_err(|reason| self.refuse(start, reason, head))?;
        let admitted = self.admitted.again(&self.api.authority).await?;
        admitted.act_anywhere(Scope::Watch)?;
        let caller = admitted.caller();
        // Before the welcome, so before any probe of this run.
        if let Some(run) = start.registered() {
            self.api.receipts.register(run)?;
        }
        let parts = WatcherParts {
            position,
            caller_keys: caller.keys.clone(),
            caller_revision: caller.revision,
            patience: self.patience(),
        };
        Ok(Watcher::new(parts, head))
    }

    /// Why a cursor is refused; one of another branch is news to the operator, unless anybody may have made it up.
    fn refuse(&self, start: &Start, reason: Resync, head: Revision) -> Ended {
        if let (Resync::Fork, Some(run), Some(cursor)) = (reason, start.registered(), start.cursor) {
            let at = self.api.clock.now();
            self.api.receipts.forks().note(Fork { gateway: run.gateway.clone(), cursor, head, at });
        }
        Ended::Resync(reason, head)
    }

    /// A key that expired, or lost its scope, watches no longer. A store that does not answer changes nothing.
    pub(super) async fn judge_again(&self) -> Result<(), Ended> {
        match self.admitted.again(&self.api.authority).await {
            Ok(admitted) => admitted.act_anywhere(Scope::Watch).map(drop).map_err(Ended::from),
            Err(CallerError::Unauthenticated) => Err(caller_revoked().into()),
            Err(CallerError::Store(_)) => Ok(()),
        }
    }
}

/// The end of a watch whose caller is not good any more.
pub(super) fn caller_revoked() -> Failure {
    Failure::new(Reason::CallerRevoked, "the credential of this watch is not good any more")
}
