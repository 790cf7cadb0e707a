//! Exploration: running the checker on a configuration and saying what it found.
//!
//! Owns the only contact with the checker. Breadth first on one thread, so that counterexamples are the shortest ones
//! and the same every time.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use stateright::{Checker, Expectation, HasDiscoveries, Model as _};

use crate::config::Config;
use crate::property::{Promise, Protocol};

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Distinct states visited.
    pub states: usize,
    /// The longest path without a detour.
    pub depth: usize,
    /// Promises broken, each with the shortest way there.
    pub broken: Vec<(Promise, Vec<String>)>,
    /// What should be reachable and was not.
    pub unreached: Vec<&'static str>,
    /// How many such goals there are.
    pub goals: usize,
}

impl Exploration {
    /// The way to the violation of `promise`, if there is one.
    pub fn trace(&self, promise: Promise) -> Option<&[String]> {
        self.broken.iter().find(|(broken, _)| *broken == promise).map(|(_, trace)| trace.as_slice())
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} states, depth {}", self.states, self.depth)?;
        for (promise, trace) in &self.broken {
            let mut line = String::new();
            for step in trace {
                write!(line, " {step}")?;
            }
            writeln!(f, "broken in {} steps: {}\n   {line}", trace.len(), promise.text())?;
        }
        self.unreached.iter().try_for_each(|goal| writeln!(f, "never reached: {goal}"))
    }
}

/// Visits every reachable state, on so many threads.
pub fn explore(config: Config, threads: usize) -> Exploration {
    run(config, HasDiscoveries::All, threads)
}

/// Visits states until `promise` is broken.
pub fn explore_until_broken(config: Config, promise: Promise) -> Exploration {
    run(config, HasDiscoveries::AnyOf(BTreeSet::from([promise.text()])), 1)
}

fn run(config: Config, until: HasDiscoveries, threads: usize) -> Exploration {
    let model = Protocol(config);
    let goals = model.properties().into_iter().filter(|property| property.expectation == Expectation::Sometimes);
    let goals: Vec<_> = goals.map(|property| property.name).collect();
    let checker = model.checker().threads(threads).finish_when(until).spawn_bfs().join();
    let mut found = checker.discoveries();
    let broken = Promise::ALL
        .into_iter()
        .filter_map(|promise| Some((promise, found.remove(promise.text())?)))
        .map(|(promise, path)| (promise, path.into_actions().iter().map(|step| format!("{step:?}")).collect()))
        .collect();
    Exploration {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        broken,
        unreached: goals.iter().copied().filter(|goal| !found.contains_key(goal)).collect(),
        goals: goals.len(),
    }
}
