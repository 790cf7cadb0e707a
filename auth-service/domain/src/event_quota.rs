//! How many events a tenant's services may write to the log in a minute.
//!
//! An event is an entry that every gateway applies and a name that each keeps for a day, so a tenant that writes without
//! end is paid for by all others.
//! Guarantees: a bucket for each tenant, full after a minute in which nothing was taken; what comes to no event is given
//! back, so repeats and what is dead already cost nothing. Bounded: beyond [`MOST_TENANTS`] that took something in this
//! minute, all others share one bucket.
//! Refuses to count the tenant `system`, people at the HTTP edge, and what the authority itself revokes: a stolen token
//! that is presented again kills its family however much its tenant wrote.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_types::{Boottime, TenantId};

use crate::audit::Actor;
use crate::{Authority, BeginError, StoreError};

const MOST_TENANTS: usize = 16_384;
const MINUTE_NANOS: u64 = 60_000_000_000;

/// See the module.
pub struct EventQuota {
    /// From one event to the next, when a tenant writes as many as it may.
    interval_nanos: u64,
    buckets: Mutex<Buckets>,
    refused: AtomicU64,
}

/// Until when each tenant has written ahead, as nanoseconds since boot; a full bucket has none.
#[derive(Debug, Default)]
struct Buckets {
    ahead_until: HashMap<TenantId, u64>,
    others_until: u64,
}

impl EventQuota {
    /// So many events a minute, at least one.
    pub fn new(per_minute: u32) -> Self {
        let interval_nanos = MINUTE_NANOS / u64::from(per_minute.max(1));
        Self { interval_nanos, buckets: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// How many were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes one; where there is none left: for how long to wait.
    fn take(&self, tenant: &TenantId, now: Boottime) -> Result<(), Duration> {
        let mut buckets = self.lock();
        let ahead = buckets.of(tenant, now);
        let next = (*ahead).max(now.as_nanos()) + self.interval_nanos;
        let over = next.saturating_sub(now.as_nanos() + MINUTE_NANOS);
        if over > 0 {
            drop(buckets);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Duration::from_nanos(over));
        }
        *ahead = next;
        Ok(())
    }

    fn give_back(&self, tenant: &TenantId) {
        let mut buckets = self.lock();
        let Buckets { ahead_until, others_until } = &mut *buckets;
        let ahead = ahead_until.get_mut(tenant).unwrap_or(others_until);
        *ahead = ahead.saturating_sub(self.interval_nanos);
    }

    // Each step leaves the buckets whole.
    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    fn of(&mut self, tenant: &TenantId, now: Boottime) -> &mut u64 {
        let Self { ahead_until, others_until } = self;
        if !ahead_until.contains_key(tenant) && ahead_until.len() >= MOST_TENANTS {
            ahead_until.retain(|_, until| *until > now.as_nanos());
            if ahead_until.len() >= MOST_TENANTS {
                return others_until;
            }
        }
        ahead_until.entry(tenant.clone()).or_default()
    }
}

impl fmt::Debug for EventQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQuota").field("interval_nanos", &self.interval_nanos).finish_non_exhaustive()
    }
}

/// One event that was taken, and is given back unless it is written. From the moment at which its commit begins it is
/// given back by nothing but a definite word that it did not take place: whoever leaves meanwhile has written all the same.
#[derive(Debug)]
pub(crate) struct Charge {
    quota: Arc<EventQuota>,
    tenant: TenantId,
    is_written: bool,
}

impl Charge {
    /// The commit that writes it begins now.
    pub(crate) const fn commit(&mut self) {
        self.is_written = true;
    }

    /// That commit ended so.
    pub(crate) fn settle<T>(mut self, outcome: &Result<T, StoreError>) {
        self.is_written = matches!(outcome, Ok(_) | Err(StoreError::UnknownOutcome(_)));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if !self.is_written {
            self.quota.give_back(&self.tenant);
        }
    }
}

impl Authority {
    /// What bounds the events of tenants.
    pub fn event_quota(&self) -> &Arc<EventQuota> {
        self.quota()
    }

    /// Takes an event of the tenant whose service asks; none where it is not counted.
    pub(crate) fn charge(&self, actor: &Actor) -> Result<Option<Charge>, BeginError> {
        let tenant = actor.home();
        if actor.key().is_none() || tenant.is_system() {
            return Ok(None);
        }
        let taken = self.quota().take(tenant, self.clock().boottime());
        taken.map_err(|retry_after| BeginError::TenantQuota { retry_after })?;
        Ok(Some(Charge { quota: Arc::clone(self.quota()), tenant: tenant.clone(), is_written: false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::try_from(name).expect("a valid name")
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_tenant_takes_so_many_a_minute_and_no_other_is_the_poorer() {
        let (quota, start) = (EventQuota::new(60), Boottime::from_nanos(5 * MINUTE_NANOS));
        let taken = (0..100).filter(|_| quota.take(&tenant("acme"), start).is_ok()).count();
        assert_eq!((taken, quota.refused()), (60, 40));
        assert_eq!(quota.take(&tenant("acme"), start), Err(SECOND), "one comes back each second");
        assert_eq!(quota.take(&tenant("globex"), start), Ok(()));
        assert_eq!(quota.take(&tenant("acme"), start + SECOND), Ok(()));
        assert_eq!(quota.take(&tenant("acme"), start + SECOND), Err(SECOND));
        let later = start + Duration::from_secs(600);
        let taken = (0..100).filter(|_| quota.take(&tenant("acme"), later).is_ok()).count();
        assert_eq!(taken, 60, "nothing is saved for longer than a minute");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (quota, start) = (EventQuota::new(60), Boottime::from_nanos(0));
        while quota.take(&tenant("acme"), start).is_ok() {}
        quota.give_back(&tenant("acme"));
        assert_eq!(quota.take(&tenant("acme"), start), Ok(()));
        assert!(quota.take(&tenant("acme"), start).is_err());
    }

    #[test]
    fn only_what_is_known_not_to_be_written_is_given_back() {
        let quota = Arc::new(EventQuota::new(1));
        let charge = || {
            let taken = quota.take(&tenant("acme"), Boottime::from_nanos(0));
            taken.map(|()| Charge { quota: Arc::clone(&quota), tenant: tenant("acme"), is_written: false })
        };
        drop(charge().expect("nothing was taken"));
        let mut begun = charge().expect("its commit did not begin");
        begun.commit();
        begun.settle(&Err::<(), _>(StoreError::Conflict));
        let unknown = charge().expect("it left no trace");
        unknown.settle(&Err::<(), _>(StoreError::UnknownOutcome("nobody said".into())));
        assert!(charge().is_err(), "it may be written");
        quota.give_back(&tenant("acme"));
        let mut left = charge().expect("it was given back");
        left.commit();
        drop(left);
        assert!(charge().is_err(), "whoever leaves has written");
    }

    #[test]
    fn more_tenants_than_are_told_apart_share_what_one_has() {
        let (quota, start) = (EventQuota::new(1), Boottime::from_nanos(0));
        for n in 0..MOST_TENANTS {
            assert_eq!(quota.take(&tenant(&format!("t{n}")), start), Ok(()));
        }
        assert_eq!(quota.take(&tenant("one-more"), start), Ok(()));
        assert!(quota.take(&tenant("another"), start).is_err(), "together with the one before");
        assert_eq!(quota.lock().ahead_until.len(), MOST_TENANTS);
        let later = start + Duration::from_secs(61);
        assert_eq!(quota.take(&tenant("another"), later), Ok(()), "whoever takes nothing is forgotten");
        assert_eq!(quota.lock().ahead_until.len(), 1);
    }
}
