//! Time, as an argument: the only file that reads a clock.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Wall-clock time in microseconds since 1970-01-01T00:00:00Z.
///
/// Two machines' timestamps are never compared to decide anything about a revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as JWTs count (RFC 7519 `NumericDate`); rounded down.
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// From whole seconds since 1970; saturates.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// So much before; saturates.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// Time since this machine booted, suspended time included: the clock that leases are counted on.
///
/// Meaningful on one machine only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boottime(u64);

impl Boottime {
    /// Before everything.
    pub const ZERO: Self = Self(0);
    /// After everything.
    pub const MAX: Self = Self(u64::MAX);

    /// From nanoseconds since boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self - duration`, not before boot.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl std::ops::Add<Duration> for Boottime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Reads both clocks. Held as `Arc<dyn Clock>` at the edge; rules take `now` as an argument.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time since boot.
    fn boottime(&self) -> Boottime;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
const BOOTTIME: ClockId = ClockId::Boottime;
// Outside Linux the monotonic clock is the nearest there is; on macOS it counts suspended time too.
#[cfg(not(target_os = "linux"))]
const BOOTTIME: ClockId = ClockId::Monotonic;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let t = clock_gettime(ClockId::Realtime);
        Timestamp(t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_nsec / 1_000))
    }

    fn boottime(&self) -> Boottime {
        let t = clock_gettime(BOOTTIME);
        Boottime(t.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(t.tv_nsec.unsigned_abs()))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Boottime)>);

impl ManualClock {
    /// Stands at `now`, one hour after boot.
    pub fn starting_at(now: Timestamp) -> Self {
        Self(Mutex::new((now, Boottime::from_nanos(3_600_000_000_000))))
    }

    /// Moves both clocks.
    pub fn advance(&self, by: Duration) {
        let mut clocks = self.lock();
        *clocks = (clocks.0 + by, clocks.1 + by);
    }

    /// Sets the wall clock alone, as NTP or an operator may.
    pub fn set_wall(&self, to: Timestamp) {
        self.lock().0 = to;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Timestamp, Boottime)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn boottime(&self) -> Boottime {
        self.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_does_not_wrap_at_its_ends() {
        assert_eq!(Boottime::ZERO.saturating_sub(Duration::from_secs(1)), Boottime::ZERO);
        assert_eq!(Boottime::MAX + Duration::from_secs(1), Boottime::MAX);
        assert_eq!(Boottime::ZERO.saturating_since(Boottime::MAX), Duration::ZERO);
    }

    #[test]
    fn timestamps_before_1970_round_down_to_seconds() {
        assert_eq!(Timestamp::from_micros(-1).as_unix_seconds(), -1);
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX).as_micros(), i64::MAX);
    }

    #[test]
    fn the_system_clock_moves_forward() {
        let before = SystemClock.boottime();
        assert!(before > Boottime::ZERO);
        assert!(SystemClock.boottime() >= before);
    }

    #[test]
    fn setting_the_wall_clock_leaves_boottime_alone() {
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_000));
        let boot = clock.boottime();
        clock.set_wall(Timestamp::from_unix_seconds(1));
        assert_eq!(clock.boottime(), boot);
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(1));
    }
}
