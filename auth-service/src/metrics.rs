//! What can be measured, in the OpenMetrics text format.
//!
//! Every label comes from a fixed set, but for the names of gateways, which are bounded: no identifier, no address and no
//! credential can become one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
mod gateways;
pub(crate) mod logins;
#[cfg(test)]
mod table;

use std::time::Duration;

use auth_domain::{EventQuota, PoolUse};
use portcullis_observe::{CertificateWatch, Process};
use portcullis_types::{LeaseClass, LeaseTerms};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::gateways::GatewayMetrics;
use self::logins::LoginMetrics;
use crate::listen::Refused;

/// The media type of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A gRPC call: which, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: &'static str,
    code: &'static str,
}

/// A gRPC method.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

/// A route of the HTTP edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// Why a watch ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ending {
    reason: &'static str,
}

/// A pool of connections to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: &'static str,
    state: &'static str,
}

/// Why a connection was refused, or cut.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    listener: &'static str,
    reason: &'static str,
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    outcome: &'static str,
    reason: &'static str,
}

/// Where a gateway's registration stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    state: &'static str,
}

/// Which of the certificates that are shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabel {
    certificate: &'static str,
}

/// A class of leases.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

/// How a beat ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BeatLabels {
    outcome: &'static str,
}

/// How a fetch of an issuer's keys ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    outcome: &'static str,
}

/// A fact of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EffectLabels {
    effect: &'static str,
}

/// What is kept for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeptLabels {
    what: &'static str,
}

/// An HTTP request: where, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: &'static str,
    status: u16,
}

/// All counters of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Call, Counter>,
    latency: Family<Method, Histogram, fn() -> Histogram>,
    in_flight: Family<Method, Gauge>,
    verdicts: Family<VerdictLabels, Counter>,
    revocations: Family<EffectLabels, Counter>,
    answers: Family<Answer, Counter>,
    http_latency: Family<Route, Histogram, fn() -> Histogram>,
    connections: Family<Pool, Gauge>,
    refused: Family<RefusedLabels, Counter>,
    watch_ends: Family<Ending, Counter>,
    registrations: Family<Standing, Gauge>,
    /// By method and outcome.
    pub(crate) logins: LoginMetrics,
    issuer_fetches: Family<FetchLabels, Counter>,
    /// Under the gateways' names.
    pub(crate) gateways: GatewayMetrics,
    /// Gateways that came from a branch of the log that is gone.
    pub(crate) forks: Counter,
    bound: Gauge<f64, AtomicU64>,
    lease: Family<ClassLabel, Gauge<f64, AtomicU64>>,
    beats: Family<BeatLabels, Counter>,
    removed: Family<KeptLabels, Counter>,
    removal: Histogram,
    /// Removals that failed.
    pub(crate) retention_failed: Counter,
    /// The last entry that the log no longer keeps.
    pub(crate) log_horizon: Gauge,
    /// From when an entry was read as committed until the last gateway acknowledged it.
    pub(crate) enforced: Histogram,
    /// How many revocations share an entry.
    pub(crate) revocation_group: Histogram,
    /// The newest entry of the log that the tailer has read.
    pub(crate) log_head: Gauge,
    /// Open watches.
    pub(crate) watchers: Gauge,
    /// Answers to probes, each of which may renew a lease.
    pub(crate) probes_answered: Counter,
    /// How many entries the slowest gateway that may hold a lease does not enforce yet.
    pub(crate) watch_backlog: Gauge,
    /// Entries sent to watchers, all together.
    pub(crate) watch_entries: Counter,
    /// Passwords being hashed or waiting for it.
    pub(crate) hash_depth: Gauge,
    /// How long a password waited for its turn to be hashed.
    pub(crate) hash_wait: Histogram,
    /// Passwords refused because too many were waiting.
    pub(crate) hash_rejected: Counter,
    events_refused: Counter,
    /// What counts them.
    quota: OnceLock<Arc<EventQuota>>,
    certificate_left: Family<CertificateLabel, Gauge<f64, AtomicU64>>,
    /// Of the gRPC listener.
    certificate: OnceLock<Arc<CertificateWatch>>,
    /// Rows of the audit trail that this process has sealed.
    pub(crate) audit_sealed: Counter,
    /// Denied calls that were too many for the audit trail.
    pub(crate) denials_unwritten: Counter,
}

/// Counts a call while it lives, however it ends.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0])
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut this = Self {
            registry: Registry::default(),
            calls: Family::default(),
            latency: Family::new_with_constructor(seconds),
            in_flight: Family::default(),
            verdicts: Family::default(),
            revocations: Family::default(),
            answers: Family::default(),
            http_latency: Family::new_with_constructor(seconds),
            connections: Family::default(),
            refused: Family::default(),
            watch_ends: Family::default(),
            registrations: Family::default(),
            logins: LoginMetrics::default(),
            issuer_fetches: Family::default(),
            gateways: GatewayMetrics::new(),
            forks: Counter::default(),
            bound: Gauge::default(),
            lease: Family::default(),
            beats: Family::default(),
            removed: Family::default(),
            removal: seconds(),
            retention_failed: Counter::default(),
            log_horizon: Gauge::default(),
            enforced: seconds(),
            revocation_group: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
            log_head: Gauge::default(),
            watchers: Gauge::default(),
            watch_entries: Counter::default(),
            probes_answered: Counter::default(),
            watch_backlog: Gauge::default(),
            hash_depth: Gauge::default(),
            hash_wait: seconds(),
            hash_rejected: Counter::default(),
            events_refused: Counter::default(),
            quota: OnceLock::new(),
            certificate_left: Family::default(),
            certificate: OnceLock::new(),
            audit_sealed: Counter::default(),
            denials_unwritten: Counter::default(),
        };
        this.register();
        this
    }

    fn register(&mut self) {
        self.registry.register_collector(Box::new(Process));
        let registry = self.registry.sub_registry_with_prefix("portcullis_auth");
        registry.register("grpc_requests", "gRPC calls by method and code", self.calls.clone());
        registry.register("grpc_seconds", "Time from a call's headers to its answer's", self.latency.clone());
        registry.register("grpc_in_flight", "gRPC calls that are not answered yet", self.in_flight.clone());
        registry.register("http_seconds", "Time from a request's headers to its answer's", self.http_latency.clone());
        registry.register(
            "store_connections",
            "Connections to the store, and who waits for one",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused or cut, by listener and why",
            self.refused.clone(),
        );
        registry.register("verdicts", "Verdicts by outcome and reason", self.verdicts.clone());
        registry.register("revocations", "Facts of the log since the start, by effect", self.revocations.clone());
        registry.register("http_requests", "HTTP requests by route and status", self.answers.clone());
        registry.register(
            "registrations",
            "Runs of gateways, by whether they may hold a lease",
            self.registrations.clone(),
        );
        registry.register("bound_seconds", "How long after a revocation a frame may still pass", self.bound.clone());
        registry.register(
            "lease_seconds",
            "How long sockets of a class are served without the authority; only classes within the bound",
            self.lease.clone(),
        );
        registry.register("beats", "Proofs of the head by a write, by outcome", self.beats.clone());
        registry.register("removed_rows", "Rows removed because they were kept long enough", self.removed.clone());
        registry.register(
            "removal_seconds",
            "How long one removal may have kept other writers waiting",
            self.removal.clone(),
        );
        registry.register("removals_failed", "Removals that failed", self.retention_failed.clone());
        registry.register("log_horizon_seq", "Last entry that the log no longer keeps", self.log_horizon.clone());
        registry.register(
            "forks",
            "Cursors of gateways that stand on a branch of the log which is gone",
            self.forks.clone(),
        );
        self.gateways.register(registry);
        self.logins.register(registry);
        let fetches = self.issuer_fetches.clone();
        registry.register("issuer_fetches", "Fetches of the keys of external issuers, by outcome", fetches);
        registry.register("enforced_seconds", "Commit to the last acknowledgement of an entry", self.enforced.clone());
        registry.register(
            "revocations_at_once",
            "Revocations that were committed together, by one entry",
            self.revocation_group.clone(),
        );
        registry.register("log_head_seq", "Newest entry of the revocation log", self.log_head.clone());
        registry.register("watchers", "Open watches", self.watchers.clone());
        registry.register("watch_entries_sent", "Entries sent to watchers", self.watch_entries.clone());
        registry.register(
            "watch_probes_answered",
            "Probes answered, each of which may renew a lease",
            self.probes_answered.clone(),
        );
        registry.register(
            "watch_backlog_entries",
            "Entries that the slowest gateway does not enforce yet",
            self.watch_backlog.clone(),
        );
        registry.register("watch_ends", "Watches that ended, by why", self.watch_ends.clone());
        registry.register("hash_wait_seconds", "Time until a password's turn to be hashed", self.hash_wait.clone());
        registry.register("hash_queue_depth", "Passwords being hashed or waiting", self.hash_depth.clone());
        registry.register("audit_rows_sealed", "Rows of the audit trail sealed", self.audit_sealed.clone());
        registry.register(
            "audit_denials_unwritten",
            "Denied calls that were too many for the audit trail",
            self.denials_unwritten.clone(),
        );
        registry.register("hash_rejected", "Passwords refused for overload", self.hash_rejected.clone());
        registry.register(
            "tenant_events_refused",
            "Events refused because a tenant wrote too many",
            self.events_refused.clone(),
        );
        registry.register(
            "certificate_remaining_seconds",
            "For how long a certificate that is shown is still good",
            self.certificate_left.clone(),
        );
    }

    /// A gRPC call ended.
    pub(crate) fn ended(&self, method: &'static str, code: &'static str) {
        self.calls.get_or_create(&Call { method, code }).inc();
    }

    /// A gRPC call was answered.
    pub(crate) fn took(&self, method: &'static str, took: Duration) {
        self.latency.get_or_create(&Method { method }).observe(took.as_secs_f64());
    }

    /// A gRPC call begins; what is returned is dropped when it ends.
    pub(crate) fn begin(&self, method: &'static str) -> InFlight {
        let gauge = self.in_flight.get_or_create(&Method { method }).clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// A watch ended.
    pub(crate) fn watch_end(&self, reason: &'static str) {
        self.watch_ends.get_or_create(&Ending { reason }).inc();
    }

    /// Shows how many events this quota refused.
    pub(crate) fn count_refused_events_of(&self, quota: Arc<EventQuota>) {
        let _ = self.quota.set(quota);
    }

    /// Shows how long this certificate of the gRPC listener is good.
    pub(crate) fn show_certificate(&self, certificate: Arc<CertificateWatch>) {
        let _ = self.certificate.set(certificate);
    }

    /// Pools are used like this.
    pub(crate) fn pools(&self, pools: &[PoolUse]) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for &PoolUse { pool, busy, idle, most, waiting } in pools {
            for (state, value) in [("busy", busy), ("idle", idle), ("most", most), ("waiting", waiting)] {
                self.connections.get_or_create(&Pool { pool, state }).set(count(value));
            }
        }
    }

    /// Where a listener counts connections that it refuses or cuts.
    pub(crate) fn refused(&self, listener: &'static str) -> Refused {
        let counted = |reason| self.refused.get_or_create_owned(&RefusedLabels { listener, reason });
        Refused { too_many: counted("too_many"), unauthenticated: counted("unauthenticated") }
    }

    /// A fetch of an issuer's keys ended.
    pub(crate) fn issuer_fetch(&self, outcome: &'static str) {
        self.issuer_fetches.get_or_create(&FetchLabels { outcome }).inc();
    }

    /// A verdict was given.
    pub(crate) fn verdict(&self, outcome: &'static str, reason: &'static str) {
        self.verdicts.get_or_create(&VerdictLabels { outcome, reason }).inc();
    }

    /// The log grew by a fact.
    pub(crate) fn revocation(&self, effect: &'static str) {
        self.revocations.get_or_create(&EffectLabels { effect }).inc();
    }

    /// An HTTP request was answered.
    pub(crate) fn answer(&self, route: &'static str, status: u16, took: Duration) {
        self.answers.get_or_create(&Answer { route, status }).inc();
        self.http_latency.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    /// The head of the log was proven by a write, or could not be.
    pub(crate) fn beat(&self, proven: bool) {
        let outcome = if proven { "proven" } else { "failed" };
        self.beats.get_or_create(&BeatLabels { outcome }).inc();
    }

    /// Counts from 0.
    pub(crate) fn begin_removing(&self, what: &'static str) {
        drop(self.removed.get_or_create(&KeptLabels { what }));
    }

    /// So many rows were removed, in one transaction of this length.
    pub(crate) fn removed(&self, what: &'static str, rows: u64, held: Duration) {
        self.removed.get_or_create(&KeptLabels { what }).inc_by(rows);
        self.removal.observe(held.as_secs_f64());
    }

    /// So many runs of gateways stand like this.
    pub(crate) fn registrations(&self, state: &'static str, count: usize) {
        self.registrations.get_or_create(&Standing { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// What gateways are given. What does not fit into the bound is given to nobody.
    pub(crate) fn leases(&self, terms: &LeaseTerms) {
        self.bound.set(terms.bound().as_secs_f64());
        for class in LeaseClass::ALL.into_iter().filter(|class| terms.fits(*class).is_ok()) {
            self.lease.get_or_create(&ClassLabel { class: class.word() }).set(terms.served(class).as_secs_f64());
        }
    }

    /// As text.
    pub(crate) fn encode(&self) -> String {
        if let Some(quota) = self.quota.get() {
            self.events_refused.inner().store(quota.refused(), Ordering::Relaxed);
        }
        if let Some(certificate) = self.certificate.get() {
            let of = CertificateLabel { certificate: "grpc" };
            self.certificate_left.get_or_create(&of).set(certificate.seconds_left());
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a string cannot fail");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_read() {
        let metrics = Metrics::new();
        metrics.ended("Verify", "OK");
        metrics.took("Verify", Duration::from_millis(1));
        metrics.verdict("denied_permanent", "expired");
        metrics.answer("/health", 200, Duration::from_millis(1));
        let in_flight = metrics.begin("Verify");
        metrics.pools(&[PoolUse { pool: "readers", busy: 1, idle: 2, most: 8, waiting: 3 }]);
        let text = metrics.encode();
        for line in [
            r#"portcullis_auth_grpc_requests_total{method="Verify",code="OK"} 1"#,
            r#"portcullis_auth_verdicts_total{outcome="denied_permanent",reason="expired"} 1"#,
            r#"portcullis_auth_http_requests_total{route="/health",status="200"} 1"#,
            "portcullis_auth_watchers 0",
            r#"portcullis_auth_grpc_in_flight{method="Verify"} 1"#,
            r#"portcullis_auth_store_connections{pool="readers",state="waiting"} 3"#,
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        drop(in_flight);
        assert!(metrics.encode().contains(r#"portcullis_auth_grpc_in_flight{method="Verify"} 0"#));
    }
}
