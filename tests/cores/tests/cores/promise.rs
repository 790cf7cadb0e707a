//! What is promised, checked after every step.

use std::time::Duration;

use gateway_core::CloseReason;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use protocol_model::Fault;

use crate::broken::with_fault;
use crate::events::{Event, Heads, Setting, event};
use crate::world::{Drifts, LEASE, World};

/// More than any rounding of the clocks.
const ROUNDING: Duration = Duration::from_micros(100);

/// How a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A frame passed after the bound.
    Bound,
    /// A frame passed after a receipt had said that it cannot.
    Receipt,
    /// Somebody was closed whom nothing concerns.
    Harmless,
}

impl World {
    pub(crate) fn check(&mut self) -> Result<(), Broken> {
        if let Some(first) = self.told.first().copied().filter(|_| self.setting.receipts) {
            self.promised |= self.is_read(first.revision) && self.is_proven(first);
        }
        let bound = u64::try_from((LEASE + ROUNDING).as_nanos()).expect("it fits");
        for process in self.gateways.iter().chain(&self.stopped) {
            for passing in process.passing(self.real) {
                let forbidden = self
                    .told
                    .iter()
                    .enumerate()
                    .filter(|(_, told)| told.person == passing.person && told.session >= passing.session);
                for (number, told) in forbidden {
                    if self.real >= told.at + bound {
                        return Err(Broken::Bound);
                    }
                    if number == 0 && self.promised {
                        return Err(Broken::Receipt);
                    }
                }
            }
            let closed = process
                .connections
                .iter()
                .filter(|connection| connection.guard.fenced().is_some_and(|reason| reason != CloseReason::LeaseLost));
            if closed.into_iter().any(|closed| !self.concerned[usize::from(closed.person)]) {
                return Err(Broken::Harmless);
            }
        }
        Ok(())
    }
}

fn run(setting: Setting, fault: Option<Fault>, drifts: Drifts, events: &[Event]) -> Result<(), Broken> {
    with_fault(fault, || {
        let mut world = World::new(setting, fault, drifts);
        for event in events {
            world.step(*event);
            world.check()?;
        }
        Ok(())
    })
}

/// The shortest way found in which a promise is broken, by the same seed each time.
pub(crate) fn search(setting: Setting, fault: Option<Fault>, cases: u32) -> Option<(Broken, Vec<Event>)> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let drift = || -1..=1_i64;
    let input = ([drift(), drift(), drift()], prop::collection::vec(event(setting), 1..80));
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&input, |(drifts, events)| {
        run(setting, fault, drifts, &events).map_err(|broken| TestCaseError::fail(format!("{broken:?}")))
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(_, (drifts, events))) => {
            let broken = run(setting, fault, drifts, &events).expect_err("the same as before");
            Some((broken, events))
        }
        Err(TestError::Abort(reason)) => panic!("no case was tried: {reason}"),
    }
}

const EVERYTHING: Setting = Setting {
    gateways: 2,
    receipts: true,
    cache: true,
    refusals: true,
    restarts: true,
    replaced: true,
    forgetful: true,
    ..Setting::CALM
};

#[test]
fn the_cores_keep_every_promise_with_one_authority_whatever_happens() {
    assert_eq!(search(EVERYTHING, None, 3_000).map(|(broken, _)| broken), None);
}

#[test]
fn the_cores_keep_every_promise_with_two_replicas_a_failover_and_a_deposed_primary() {
    let shared = Setting { replicas: 2, restarts: false, failover: true, deposed: true, moves: true, ..EVERYTHING };
    for heads in [Heads::Fresh, Heads::Beats] {
        assert_eq!(search(Setting { heads, ..shared }, None, 1_500).map(|(broken, _)| broken), None, "{heads:?}");
    }
    let aged = Setting { heads: Heads::Aged, receipts: false, ..shared };
    assert_eq!(search(aged, None, 1_500).map(|(broken, _)| broken), None);
}
