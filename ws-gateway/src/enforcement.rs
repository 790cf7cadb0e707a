//! The enforcer, shared by everything in the process that depends on it.
//!
//! Owns the one lock around it, never held across a wait, and tells waiters which entry was applied last.
//! Guarantees that the time of a step is read under the lock, so that steps see time in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::{
    ConnectionId, Counts, Enforcer, Fence, Guard, Input, NotAdmitted, Output, Settings, State, Verdict, Wake,
};
use portcullis_types::{Boottime, ClassOverBound, Clock, LeaseClass, LeaseTerms, Revision, TenantId};
use tokio::sync::watch;

use crate::closings::Closings;

/// How long a verdict that is ahead of the log may wait for its entry (PROTOCOL 3.3).
const WAIT_FOR_ENTRY: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub struct Enforcement {
    enforcer: Mutex<Enforcer>,
    clock: Arc<dyn Clock>,
    applied: watch::Sender<Option<Revision>>,
    closings: Closings,
}

/// A moment's view, for readiness and metrics.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// How the gateway stands to the authority.
    pub state: State,
    /// Whether connections with a credential are admitted.
    pub admits: bool,
    /// The last entry applied.
    pub applied: Option<Revision>,
    /// For how long frames still pass in each class, in the order of [`LeaseClass::ALL`].
    pub lease_remaining: [Duration; LeaseClass::ALL.len()],
    /// How long leases are; none before the first welcome.
    pub terms: Option<LeaseTerms>,
    /// Figures.
    pub counts: Counts,
}

impl Enforcement {
    /// Knows nothing, admits nobody.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let (enforcer, applied) = (Mutex::new(Enforcer::new(settings)), watch::Sender::new(None));
        Self { enforcer, clock, applied, closings: Closings::default() }
    }

    /// One step; the outputs are to be carried out in order. Only the driver of the watch takes steps.
    pub fn step(&self, input: Input) -> Vec<Output> {
        let mut enforcer = self.lock();
        let now = self.clock.boottime();
        let outputs = enforcer.step(input, now);
        let applied = enforcer.applied();
        drop(enforcer);
        for output in &outputs {
            if let Output::Acknowledge { revision, fenced } = output {
                self.closings.fenced(*revision, *fenced);
            }
        }
        self.applied.send_if_modified(|last| std::mem::replace(last, applied) != applied);
        outputs
    }

    /// Registers a connection on a verdict. A verdict that is ahead waits a moment for its entry.
    pub async fn register(
        &self,
        connection: ConnectionId,
        verdict: &Verdict,
        waker: &Arc<dyn Wake>,
    ) -> Result<Arc<Guard>, NotAdmitted> {
        self.when_applied(|enforcer, now| enforcer.register(connection, verdict, Arc::clone(waker), now)).await
    }

    /// Puts a newer verdict of the same identity in the place of the one a connection rests on.
    pub async fn replace(&self, connection: ConnectionId, verdict: &Verdict) -> Result<(), NotAdmitted> {
        self.when_applied(|enforcer, now| enforcer.replace(connection, verdict, now)).await
    }

    /// Registers a connection without a credential.
    pub fn register_anonymous(&self, connection: ConnectionId, tenant: &TenantId, waker: Arc<dyn Wake>) -> Arc<Guard> {
        self.lock().register_anonymous(connection, tenant, waker)
    }

    /// The connection is over. What had fenced it, if it was fenced; said once.
    pub fn remove(&self, connection: ConnectionId) -> Option<Fence> {
        self.lock().remove(connection)
    }

    /// How many sockets are closed of those that were fenced.
    pub const fn closings(&self) -> &Closings {
        &self.closings
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<Revision> {
        *self.applied.borrow()
    }

    /// Whether connections whose tenant names no class of leases are admitted now.
    pub fn admits(&self) -> bool {
        let enforcer = self.lock();
        enforcer.admits(self.clock.boottime())
    }

    /// Whether anybody with a credential could be admitted now, whichever class their tenant has.
    pub fn may_admit(&self) -> bool {
        let enforcer = self.lock();
        enforcer.may_admit(self.clock.boottime())
    }

    /// Why the route is not served, when its class of leases outlasts the authority's bound.
    pub fn route_over_bound(&self) -> Option<ClassOverBound> {
        self.lock().route_over_bound()
    }

    /// How long until the next connection that waits to be closed may be called; none when nobody waits.
    pub fn until_next_close(&self) -> Option<Duration> {
        let next = self.lock().next_close()?;
        Some(next.saturating_since(self.clock.boottime()))
    }

    /// A moment's view.
    pub fn standing(&self) -> Standing {
        let enforcer = self.lock();
        let now = self.clock.boottime();
        Standing {
            state: enforcer.state(now),
            admits: enforcer.admits(now),
            applied: enforcer.applied(),
            lease_remaining: LeaseClass::ALL.map(|class| enforcer.deadlines().get(class).saturating_since(now)),
            terms: enforcer.terms().copied(),
            counts: enforcer.counts(),
        }
    }

    async fn when_applied<T>(
        &self,
        attempt: impl Fn(&mut Enforcer, Boottime) -> Result<T, NotAdmitted>,
    ) -> Result<T, NotAdmitted> {
        let mut applied = self.applied.subscribe();
        let once = || {
            let mut enforcer = self.lock();
            let now = self.clock.boottime();
            attempt(&mut enforcer, now)
        };
        let waited = tokio::time::timeout(WAIT_FOR_ENTRY, async {
            loop {
                // Seen before the attempt, so that an entry applied between the two ends the wait.
                applied.borrow_and_update();
                match once() {
                    Err(NotAdmitted::Ahead { .. }) if applied.changed().await.is_ok() => {}
                    decided => return decided,
                }
            }
        });
        match waited.await {
            Ok(decided) => decided,
            Err(_late) => once(),
        }
    }

    // A panic inside the enforcer is a fault of ours that takes the process down by its driver; readers go on until then.
    fn lock(&self) -> MutexGuard<'_, Enforcer> {
        self.enforcer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
