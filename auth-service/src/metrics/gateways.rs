//! What each gateway is seen to do, under its name.
//!
//! Owns the only series with a name as their label. Guarantees that there are at most [`MOST`] of each: a gateway that
//! comes when there are as many is counted as `other`, so that a key which may watch makes no series without end.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use auth_domain::watch::Able;
use portcullis_types::GatewayId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How many gateways have series of their own.
const MOST: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByGateway {
    gateway: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct GatewayMetrics {
    names: Mutex<BTreeSet<GatewayId>>,
    applied: Family<ByGateway, Histogram, fn() -> Histogram>,
    closed: Family<ByGateway, Histogram, fn() -> Histogram>,
    lag: Family<ByGateway, Gauge>,
    lease: Family<ByGateway, Gauge<f64, AtomicU64>>,
}

/// From a millisecond to half a minute: a healthy fleet, and a gateway that was cut off.
fn seconds() -> Histogram {
    Histogram::new([0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0])
}

impl GatewayMetrics {
    /// Without any gateway.
    pub(super) fn new() -> Self {
        Self {
            names: Mutex::default(),
            applied: Family::new_with_constructor(seconds),
            closed: Family::new_with_constructor(seconds),
            lag: Family::default(),
            lease: Family::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "gateway_applied_seconds",
            "Commit of an entry to this gateway's word that it is enforced",
            self.applied.clone(),
        );
        registry.register(
            "gateway_closed_seconds",
            "Commit of an entry to this gateway's word that every socket which it fenced for it is closed",
            self.closed.clone(),
        );
        registry.register(
            "gateway_lag_entries",
            "Entries that a gateway which may hold a lease has not said that it enforces",
            self.lag.clone(),
        );
        registry.register(
            "gateway_lease_seconds",
            "How long a gateway may still hold a lease, if it is not heard again",
            self.lease.clone(),
        );
    }

    /// A gateway said for the first time that it enforces an entry, so long after the commit.
    pub(crate) fn applied(&self, gateway: &GatewayId, after: Duration) {
        self.applied.get_or_create(&self.label(gateway)).observe(after.as_secs_f64());
    }

    /// A gateway has closed the last socket that it fenced for an entry, so long after the commit.
    pub(crate) fn closed(&self, gateway: &GatewayId, after: Duration) {
        self.closed.get_or_create(&self.label(gateway)).observe(after.as_secs_f64());
    }

    /// How those stand that may hold a lease; of two runs of one gateway, and of the others together, the worst counts.
    pub(crate) fn stand<'a>(&self, able: impl Iterator<Item = Able<'a>>, head: u64) {
        self.lag.clear();
        self.lease.clear();
        for Able { gateway, applied, lease_left } in able {
            let label = self.label(gateway);
            let lag = head.saturating_sub(applied.map_or(0, |applied| applied.seq));
            let gauge = self.lag.get_or_create(&label);
            gauge.set(gauge.get().max(i64::try_from(lag).unwrap_or(i64::MAX)));
            drop(gauge);
            let gauge = self.lease.get_or_create(&label);
            gauge.set(gauge.get().max(lease_left.as_secs_f64()));
        }
    }

    fn label(&self, gateway: &GatewayId) -> ByGateway {
        // Only one insertion happens under the lock.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(gateway) && names.len() < MOST {
            names.insert(gateway.clone());
        }
        let name = if names.contains(gateway) { gateway.as_str() } else { "other" };
        ByGateway { gateway: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_most_share_one_series() {
        let metrics = GatewayMetrics::new();
        let name = |n: usize| GatewayId::try_from(format!("gateway-{n}").as_str()).expect("a name");
        let labels: BTreeSet<_> = (0..1_000).map(|n| metrics.label(&name(n)).gateway).collect();
        assert_eq!(labels.len(), MOST + 1);
        assert_eq!(metrics.label(&name(999)).gateway, "other");
        assert_eq!(metrics.label(&name(0)).gateway, "gateway-0");
    }
}
