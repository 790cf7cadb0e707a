//! When others' gateways are looked at.
//!
//! Guarantees that a look comes when it is due, however much is noted, and that notes bring one only so often.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often other processes' gateways are looked at though nobody asks: a lease is known to be over only when nobody
/// renewed it for so long.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a look began notes bring no other one.
const PAUSE: Duration = Duration::from_millis(10);
/// How many looks there are between two sweeps of old notes.
const SWEEP: u32 = 60;

/// Why others' gateways are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Something may have been noted.
    Noted,
    /// It is time.
    Due,
    /// It is time, and to forget what is over.
    Sweep,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Calls {
    due: Interval,
    looks: u32,
    not_before: Instant,
}

impl Calls {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let mut due = tokio::time::interval_at(now + LOOK, LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { due, looks: 0, not_before: now }
    }

    /// Safe to be dropped: the pause is kept by the next one.
    pub(super) async fn next<F: Future<Output = ()>>(&mut self, heard: impl FnOnce() -> F) -> Call {
        let not_before = self.not_before;
        let noted = async {
            tokio::time::sleep_until(not_before).await;
            heard().await;
        };
        let is_due = tokio::select! {
            biased;
            _ = self.due.tick() => true,
            () = noted => false,
        };
        self.not_before = Instant::now() + PAUSE;
        if !is_due {
            return Call::Noted;
        }
        self.looks = (self.looks + 1) % SWEEP;
        if self.looks == 0 { Call::Sweep } else { Call::Due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_busy_fleet_is_looked_at_when_it_is_time_and_only_so_often_between() {
        let began = Instant::now();
        let mut calls = Calls::new();
        let (mut noted, mut due) = (0_u32, 0_u32);
        loop {
            match calls.next(|| async {}).await {
                Call::Noted => noted += 1,
                Call::Due => due += 1,
                Call::Sweep => break,
            }
            // A look takes its time, and notes come faster.
            tokio::time::advance(Duration::from_micros(100)).await;
        }
        assert_eq!(due, SWEEP - 1);
        let most = began.elapsed().as_millis() / PAUSE.as_millis();
        assert!(u128::from(noted) <= most && u128::from(noted) > most / 2, "{noted} of {most}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_in_a_quiet_fleet_is_looked_at_at_once() {
        let mut calls = Calls::new();
        let began = Instant::now();
        assert_eq!(calls.next(|| async {}).await, Call::Noted);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(calls.next(std::future::pending::<()>).await, Call::Due);
    }
}
