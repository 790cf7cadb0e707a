//! No session outlives a "log out everywhere" that came after its login had begun, however late it is inserted (I18).
//!
//! A login reads the head, and inserts its session later; in between the log grows, or loses entries that nobody was told
//! of and uses their numbers again. The oldest entries are forgotten at any time, and no denial becomes an admission by
//! that. With either half of the rule broken a session survives, so the simulation would see it.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Somebody else's entry commits, and nobody is told before the next event.
    Other,
    /// The identity is logged out everywhere, and whoever asked for it is told.
    LogOutEverywhere,
    /// The login reads the head.
    Begin,
    /// The login inserts its session.
    Insert,
    /// The last entry is lost, unless somebody was told of it, and with it what was written after it.
    LoseTail,
    /// Others' entries commit, and later all but the newest are forgotten.
    Compact,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Other),
        Just(Event::LogOutEverywhere),
        Just(Event::Begin),
        Just(Event::Insert),
        Just(Event::LoseTail),
        Just(Event::Compact)
    ]
}

#[derive(Default)]
struct World {
    /// Each entry's chain, and whether it may be lost.
    log: Vec<(u64, bool)>,
    commits: u64,
    /// Kept on the identity's row.
    ended: Option<u64>,
    /// The login under way: what it read, and whether the identity was logged out since.
    login: Option<(Revision, bool)>,
    session: Option<(Revision, bool)>,
    /// The head when the session was inserted.
    inserted_at: u64,
    /// The last entry that is forgotten.
    horizon: u64,
}

impl World {
    /// What the log knows of a position.
    fn at(&self, seq: u64) -> Option<Revision> {
        if seq < self.horizon { None } else { self.was_at(seq) }
    }

    fn was_at(&self, seq: u64) -> Option<Revision> {
        let Some(before) = seq.checked_sub(1) else { return Some(Revision { seq, chain: 0 }) };
        let (chain, _) = self.log.get(usize::try_from(before).ok()?)?;
        Some(Revision { seq, chain: *chain })
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn append(&mut self, may_be_lost: bool) {
        self.commits += 1;
        self.log.push((self.commits, may_be_lost));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Other => self.append(true),
            Event::LogOutEverywhere => {
                self.append(false);
                self.ended = Some(self.head());
                for (_, logged_out) in self.login.iter_mut().chain(&mut self.session) {
                    *logged_out = true;
                }
            }
            Event::Begin => self.login = self.at(self.head()).map(|head| (head, false)),
            Event::Insert => {
                let login = self.login.take();
                if let Some(login) = login.filter(|login| may_begin(login.0, self.at(login.0.seq))) {
                    (self.session, self.inserted_at) = (Some(login), self.head());
                }
            }
            Event::LoseTail => {
                let newest_stays = self.head() == self.horizon + 1;
                if !newest_stays && self.log.pop_if(|(_, may_be_lost)| *may_be_lost).is_some() {
                    self.session.take_if(|_| self.inserted_at > self.log.len() as u64);
                }
            }
            Event::Compact => {
                self.append(true);
                self.append(true);
                self.horizon = self.head() - 1;
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Some((issued, logged_out)) = self.session else { return Ok(()) };
        let on_this_log = is_of_this_log(issued, self.head(), self.at(issued.seq));
        let lives = on_this_log && !is_ended(issued.seq, self.ended);
        prop_assert!(!(lives && logged_out), "a session of {issued} lives, logged out at {:?}", self.ended);
        let is_on_branch = self.was_at(issued.seq) == Some(issued);
        prop_assert!(lives || logged_out || !is_on_branch, "a session of {issued} died of nothing");
        Ok(())
    }
}

fn holds() -> bool {
    let config = Config { cases: 5_000, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&prop::collection::vec(event(), 1..12), |events| {
        let mut world = World::default();
        for event in events {
            world.step(event);
            world.check()?;
        }
        Ok(())
    });
    outcome.is_ok()
}

#[test]
fn no_session_outlives_a_log_out_everywhere_that_came_after_its_login_began() {
    assert!(holds());
}

#[cfg(feature = "faults")]
#[test]
fn breaking_either_half_of_the_rule_is_found() {
    for fault in [Fault::IssueRevisionIgnored, Fault::LoginSpansFailover] {
        assert!(!crate::faults::while_broken(Some(fault), holds), "{fault:?} was not found");
    }
}
