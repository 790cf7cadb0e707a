//! Gauges that are read from the enforcer when somebody asks.

use gateway_core::State;
use portcullis_types::LeaseClass;

use crate::enforcement::Standing;
use crate::metrics::{CertificateLabel, ClassLabel, Metrics, StateLabel};

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
    metrics.closing.set(standing.counts.waiting as u64);
    for class in LeaseClass::ALL {
        let (label, place) = (ClassLabel { class: class.word() }, class.index());
        let remaining = standing.lease_remaining[place];
        metrics.lease_remaining.get_or_create(&label).set(remaining.as_secs_f64());
        let frozen = if remaining.is_zero() { standing.counts.of_class[place] } else { 0 };
        metrics.frozen.get_or_create(&label).set(frozen as u64);
    }
    if let Some(terms) = &standing.terms {
        metrics.bound.set(terms.bound().as_secs_f64());
        for class in LeaseClass::ALL {
            let served = terms.served(terms.within_bound(class));
            metrics.lease.get_or_create(&ClassLabel { class: class.word() }).set(served.as_secs_f64());
        }
    }
}

/// Sets for how long the certificate is good that is shown to the authority, if one is.
pub fn refresh_certificate(metrics: &Metrics, seconds_left: Option<f64>) {
    if let Some(left) = seconds_left {
        metrics.certificate.get_or_create(&CertificateLabel { certificate: "client" }).set(left);
    }
}
