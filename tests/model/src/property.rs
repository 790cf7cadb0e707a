//! What is promised, and what must be reachable so that the promise says something.
//!
//! Owns the predicates over states. A promise is about frames and receipts, never about the rules that keep it.

use stateright::{Model, Property};

use crate::action::Action;
use crate::config::{Config, Fault};
use crate::state::{Proof, Receipt, Session, State};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// No application frame covered by X passes at or after t_X + B.
    Bound,
    /// Once a receipt says enforced, no frame covered by X can pass, then or later.
    Receipt,
    /// A session inserted after X with an issue revision from before it is never admitted (I18).
    LateSession,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bound, Self::Receipt, Self::LateSession];

    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bound => "no frame passes at or after t_X + B",
            Self::Receipt => "no frame can pass once a receipt says enforced",
            Self::LateSession => "a session older than X and inserted after it is never admitted",
        }
    }
}

impl State {
    /// Whether a frame of a covered socket passes now.
    fn passes(&self, config: &Config) -> bool {
        let fence = !config.breaks(Fault::TimerOnly);
        let here = !self.gateway.paused && self.gateway.has_admitted() && (!fence || self.has_lease());
        let elsewhere = self.ghost.is_some_and(|ghost| !ghost.paused && self.clock() < ghost.deadline);
        self.session.is_covered() && (here || elsewhere)
    }

    fn passes_after(&self, config: &Config, ticks: u8) -> bool {
        self.revoked_at.is_some_and(|at| self.now >= at + ticks) && self.passes(config)
    }

    fn admits_late_session(&self) -> bool {
        matches!(self.session, Session::Open { late: true, .. }) && self.gateway.has_admitted()
    }

    fn has_said(&self, proof: Proof) -> bool {
        self.receipt == Receipt::Said(proof)
    }
}

/// The model: a configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol(pub(crate) Config);

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.possible(&self.0, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        next.take(&self.0, action)?;
        next.normalise(&self.0);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises: [(Promise, Predicate); 3] = [
            (Promise::Bound, |model, state| !state.passes_after(&model.0, model.0.bound())),
            (Promise::Receipt, |model, state| !matches!(state.receipt, Receipt::Said(_)) || !state.passes(&model.0)),
            (Promise::LateSession, |_, state| !state.admits_late_session()),
        ];
        let always = promises.map(|(promise, holds)| Property::always(promise.text(), holds));
        let goals = if self.0.fault.is_none() { goals(&self.0) } else { Vec::new() };
        always.into_iter().chain(goals).collect()
    }
}

type Predicate = fn(&Protocol, &State) -> bool;

/// What this configuration must be able to reach.
fn goals(config: &Config) -> Vec<Property<Protocol>> {
    let wanted = GOALS.iter().chain(GOALS_OF_RECEIPTS).filter(|goal| (goal.when)(config));
    wanted.map(|goal| Property::sometimes(goal.name, goal.reached)).collect()
}

/// Something that must be reachable where it makes sense.
struct Goal {
    name: &'static str,
    when: fn(&Config) -> bool,
    reached: Predicate,
}

const GOALS: &[Goal] = &[
    Goal {
        name: "the bound is tight: a frame passes one tick before it",
        when: |config| config.end >= config.bound(),
        reached: |model, state| state.passes_after(&model.0, model.0.bound() - 1),
    },
    Goal {
        name: "a socket outlives its first lease",
        when: |config| config.end > config.bound(),
        reached: |model, state| {
            state.revoked_at.is_none()
                && state.now > model.0.bound()
                && state.has_lease()
                && state.gateway.sockets().any(|socket| socket.admitted && !socket.thawed)
        },
    },
    Goal {
        name: "an entry closes a socket before the lease ends",
        when: |_| true,
        reached: |_, state| state.spent.fenced && state.has_lease(),
    },
    Goal {
        name: "a cached verdict admits",
        when: |config| config.cache,
        reached: |_, state| state.gateway.sockets().any(|socket| socket.admitted && socket.cached),
    },
    Goal {
        name: "a shared verdict admits",
        when: |config| config.coalesce,
        reached: |_, state| state.gateway.sockets().any(|socket| socket.admitted && socket.shared),
    },
    Goal {
        name: "a survivor thaws",
        when: |config| config.freeze && config.end > config.served(),
        reached: |_, state| state.gateway.sockets().any(|socket| socket.thawed) && state.has_lease(),
    },
    Goal {
        name: "a socket is held while nobody is let in",
        when: |config| config.hold > 0,
        reached: |model, state| {
            let synced = state.gateway.is_synced() && state.gateway.unproven.is_none();
            synced && state.has_lease() && !state.is_live(&model.0) && state.gateway.has_admitted()
        },
    },
    Goal {
        name: "a login after X admits",
        when: |config| config.login,
        reached: |_, state| !state.session.is_covered() && state.gateway.has_admitted(),
    },
    Goal {
        name: "a replaced process passes frames",
        when: |config| config.replace,
        reached: |_, state| state.ghost.is_some_and(|ghost| !ghost.paused && state.clock() < ghost.deadline),
    },
    Goal {
        name: "a socket outlives a resync",
        when: |config| config.refusals > 0,
        reached: |_, state| {
            let gateway = &state.gateway;
            state.spent.refusals > 0 && gateway.is_synced() && state.has_lease() && gateway.has_admitted()
        },
    },
];

const GOALS_OF_RECEIPTS: &[Goal] = &[
    Goal {
        name: "a receipt by acknowledgement, before B",
        when: Config::has_receipts,
        reached: |model, state| {
            let early = state.revoked_at.is_some_and(|at| state.now < at + model.0.bound());
            early && state.has_said(Proof::Acknowledged) && state.spent.fenced
        },
    },
    Goal {
        name: "a receipt by time",
        when: |config| config.has_receipts() && config.end >= config.bound(),
        reached: |_, state| state.has_said(Proof::Elapsed),
    },
    Goal {
        name: "a receipt because nobody can hold a lease, before B",
        when: |config| config.has_receipts() && config.end >= config.bound(),
        reached: |model, state| {
            let early = state.revoked_at.is_some_and(|at| state.now < at + model.0.bound());
            early && state.has_said(Proof::NoLease) && state.registered.iter().flatten().count() > 0
        },
    },
];
