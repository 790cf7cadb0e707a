//! Gauges that are read from the enforcer when somebody asks.

use gateway_core::State;

use crate::enforcement::Standing;
use crate::metrics::{Metrics, StateLabel};

const STATES: [State; 4] = [State::Syncing, State::Live, State::Suspect, State::Isolated];

const fn word(state: State) -> &'static str {
    match state {
        State::Syncing => "syncing",
        State::Live => "live",
        State::Suspect => "suspect",
        State::Isolated => "isolated",
    }
}

/// Sets the gauges to what stands now.
pub fn refresh(metrics: &Metrics, standing: &Standing) {
    for state in STATES {
        let gauge = metrics.state.get_or_create(&StateLabel { state: word(state) });
        gauge.set(i64::from(state == standing.state));
    }
    metrics.applied_seq.set(standing.applied.map_or(0, |applied| applied.seq));
    metrics.index_keys.set(standing.counts.index_keys as u64);
    metrics.open_questions.set(standing.counts.questions as u64);
    metrics.lease_remaining.set(standing.lease_remaining.as_secs_f64());
}
