//! The guard: what stands before every application frame of one connection.
//!
//! Owns the fence, the credential's expiry and the view of the lease's deadline, all readable without a lock.
//! Guarantees (I14): [`Guard::check`] passes only while the connection is not fenced, not suspended, its credential has
//! not expired and the gateway's lease is valid. A fence once set stays set, with its first reason; a lease that ran out
//! freezes, and what is frozen thaws by itself when the lease is renewed, because the deadline is all there is.
//! Anonymous connections have neither expiry nor lease (I16).

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_types::{Boottime, Revision};

use crate::close::CloseReason;
use crate::faults::{Fault, is_broken};
use crate::lease::Deadline;
use crate::verdict::Principal;

/// Wakes a connection's task; called after the reason to wake it is visible to [`Guard::check`].
pub trait Wake: Send + Sync {
    /// Must neither block nor panic.
    fn wake(&self);
}

/// Why a frame must not pass now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The connection is over, for this reason.
    Close(CloseReason),
    /// The authority is being asked again: nothing passes, the connection stays.
    Suspended,
    /// The gateway's lease has run out: nothing passes, the connection stays until the gateway has caught up.
    Frozen,
}

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Why.
    pub reason: CloseReason,
    /// The entry of the log that did it; none where something else did.
    pub by: Option<Revision>,
    /// When.
    pub at: Boottime,
}

/// See the module.
pub struct Guard {
    fenced: OnceLock<Fence>,
    suspended: AtomicBool,
    /// Nanoseconds of boot time; `u64::MAX` for never.
    expires_at: AtomicU64,
    /// Who the connection is since the authority last judged it, until its task has taken that.
    news: Mutex<Option<Arc<Principal>>>,
    lease: Option<Arc<Deadline>>,
    waker: Arc<dyn Wake>,
}

impl Guard {
    pub(crate) fn new(expires_at: Option<Boottime>, lease: Option<Arc<Deadline>>, waker: Arc<dyn Wake>) -> Self {
        Self {
            fenced: OnceLock::new(),
            suspended: AtomicBool::new(false),
            expires_at: AtomicU64::new(expires_at.unwrap_or(Boottime::MAX).as_nanos()),
            news: Mutex::new(None),
            lease,
            waker,
        }
    }

    /// Whether an application frame may pass at `now`; asked right before each dispatch and each write.
    pub fn check(&self, now: Boottime) -> Result<(), Stop> {
        if let Some(fence) = self.fenced.get() {
            return Err(Stop::Close(fence.reason));
        }
        if now.as_nanos() >= self.expires_at.load(Ordering::Acquire) {
            return Err(Stop::Close(CloseReason::Expired));
        }
        if self.lease.as_ref().is_some_and(|deadline| !deadline.is_before(now)) && !is_broken(Fault::TimerOnly) {
            return Err(Stop::Frozen);
        }
        if self.suspended.load(Ordering::Acquire) { Err(Stop::Suspended) } else { Ok(()) }
    }

    /// Why the connection is over, if it was fenced.
    pub fn fenced(&self) -> Option<CloseReason> {
        self.fenced.get().map(|fence| fence.reason)
    }

    /// What fenced the connection, if it was.
    pub fn fence_set(&self) -> Option<Fence> {
        self.fenced.get().copied()
    }

    /// When the credential expires, if it does.
    pub fn expires_at(&self) -> Option<Boottime> {
        match self.expires_at.load(Ordering::Acquire) {
            u64::MAX => None,
            nanos => Some(Boottime::from_nanos(nanos)),
        }
    }

    /// Fences the connection, then wakes its task. False if it was fenced before.
    pub(crate) fn fence(&self, fence: Fence) -> bool {
        let first = self.fenced.set(fence).is_ok();
        if first {
            self.waker.wake();
        }
        first
    }

    /// Has the task look at [`Guard::check`] again.
    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    pub(crate) fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
    }

    /// Who the connection is since it was judged again; given once. Asked after [`Guard::check`] has passed and before
    /// the frame is judged, so that no frame is judged by what the connection was allowed before.
    pub fn take_news(&self) -> Option<Arc<Principal>> {
        // Only assignments happen under the lock.
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The news are there before anything passes again.
    pub(crate) fn resume(&self, expires_at: Option<Boottime>, principal: &Arc<Principal>) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(principal));
        self.expires_at.store(expires_at.unwrap_or(Boottime::MAX).as_nanos(), Ordering::Release);
        self.suspended.store(false, Ordering::Release);
        self.waker.wake();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("fenced", &self.fenced.get()).finish_non_exhaustive()
    }
}
