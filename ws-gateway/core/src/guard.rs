//! The guard: what stands before every application frame of one connection.
//!
//! Owns the fence, the credential's expiry and the view of the lease's deadline for its class, all readable without a
//! lock.
//! Guarantees (I14): [`Guard::check`] passes only while the connection is not fenced, not suspended, its credential has
//! not expired and the gateway's lease is valid for its class. A fence once set stays set, with its first reason, and
//! forbids from that moment whether or not the connection's turn to be closed has come; a lease that ran out
//! freezes, and what is frozen thaws by itself when the lease is renewed, because the deadline is all there is.
//! Anonymous connections have neither expiry nor lease (I16).

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_types::{Boottime, LeaseClass, Revision};

use crate::close::CloseReason;
use crate::faults::{Fault, is_broken};
use crate::lease::Deadlines;
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
    /// The connection is over, for this reason, and is closed when its turn comes: nothing passes, it stays until then.
    Fenced(CloseReason),
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

/// The bits of [`Guard`]'s state that hold the class's place.
const CLASS: u8 = 0b11;
/// The authority is being asked again.
const SUSPENDED: u8 = 0b100;
/// Fenced, and not called to close yet.
const WAITS: u8 = 0b1000;

/// See the module. Only the enforcer changes it, one step at a time.
pub struct Guard {
    fenced: OnceLock<Fence>,
    /// One byte for what would be three: each frame reads it once.
    state: AtomicU8,
    /// Nanoseconds of boot time; `u64::MAX` for never.
    expires_at: AtomicU64,
    /// Who the connection is since the authority last judged it, until its task has taken that.
    news: Mutex<Option<Arc<Principal>>>,
    lease: Option<Arc<Deadlines>>,
    waker: Arc<dyn Wake>,
}

impl Guard {
    pub(crate) fn new(
        expires_at: Option<Boottime>,
        lease: Option<(Arc<Deadlines>, LeaseClass)>,
        waker: Arc<dyn Wake>,
    ) -> Self {
        let (lease, class) = lease.map_or((None, LeaseClass::Standard), |(lease, class)| (Some(lease), class));
        Self {
            fenced: OnceLock::new(),
            state: AtomicU8::new(bits(class)),
            expires_at: AtomicU64::new(expires_at.unwrap_or(Boottime::MAX).as_nanos()),
            news: Mutex::new(None),
            lease,
            waker,
        }
    }

    /// Whether an application frame may pass at `now`; asked right before each dispatch and each write.
    pub fn check(&self, now: Boottime) -> Result<(), Stop> {
        if let Some(fence) = self.fenced.get() {
            return Err(if self.waits() { Stop::Fenced(fence.reason) } else { Stop::Close(fence.reason) });
        }
        if now.as_nanos() >= self.expires_at.load(Ordering::Acquire) {
            return Err(Stop::Close(CloseReason::Expired));
        }
        let state = self.state.load(Ordering::Acquire);
        let is_over = |lease: &Arc<Deadlines>| !lease.is_before(class_in(state), now);
        if self.lease.as_ref().is_some_and(is_over) && !is_broken(Fault::TimerOnly) {
            return Err(Stop::Frozen);
        }
        if state & SUSPENDED == 0 { Ok(()) } else { Err(Stop::Suspended) }
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

    /// Fences the connection, and leaves it to [`Guard::release`] to have it closed. False if it was fenced before.
    pub(crate) fn fence_and_wait(&self, fence: Fence) -> bool {
        if self.fenced.get().is_some() {
            return false;
        }
        // Before the fence: a task that sees the fence sees that it has to wait.
        self.state.fetch_or(WAITS, Ordering::AcqRel);
        self.fenced.set(fence).is_ok()
    }

    /// Has the task close the connection, if it was left waiting for that. False if it was not.
    pub(crate) fn release(&self) -> bool {
        let waited = self.state.fetch_and(!WAITS, Ordering::AcqRel) & WAITS != 0;
        if waited {
            self.waker.wake();
        }
        waited
    }

    /// Whether it is fenced and its turn to be closed has not come.
    pub(crate) fn waits(&self) -> bool {
        self.state.load(Ordering::Acquire) & WAITS != 0
    }

    /// Has the task look at [`Guard::check`] again.
    pub(crate) fn call(&self) {
        self.waker.wake();
    }

    pub(crate) fn suspend(&self) {
        self.state.fetch_or(SUSPENDED, Ordering::AcqRel);
    }

    /// Who the connection is since it was judged again; given once. Asked after [`Guard::check`] has passed and before
    /// the frame is judged, so that no frame is judged by what the connection was allowed before.
    pub fn take_news(&self) -> Option<Arc<Principal>> {
        // Only assignments happen under the lock.
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The news are there before anything passes again.
    pub(crate) fn resume(&self, expires_at: Option<Boottime>, class: LeaseClass, principal: &Arc<Principal>) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(principal));
        self.expires_at.store(expires_at.unwrap_or(Boottime::MAX).as_nanos(), Ordering::Release);
        self.state.store((self.state.load(Ordering::Acquire) & WAITS) | bits(class), Ordering::Release);
        self.waker.wake();
    }
}

const fn bits(class: LeaseClass) -> u8 {
    match class {
        LeaseClass::Strict => 0,
        LeaseClass::Standard => 1,
        LeaseClass::Tolerant => 2,
        LeaseClass::Hold => 3,
    }
}

const fn class_in(state: u8) -> LeaseClass {
    match state & CLASS {
        0 => LeaseClass::Strict,
        1 => LeaseClass::Standard,
        2 => LeaseClass::Tolerant,
        _ => LeaseClass::Hold,
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("fenced", &self.fenced.get()).finish_non_exhaustive()
    }
}
