//! What the gateway counts, in the Prometheus text format.
//!
//! Owns the registry and every series. Guarantees that no label comes from a peer: labels are fixed words and close
//! codes of our own, so the number of series is bounded.

#[cfg(test)]
mod table;

use std::sync::atomic::AtomicU64;

use portcullis_observe::Process;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

const PREFIX: &str = "portcullis_gateway";

/// One word of our own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// The word.
    pub reason: &'static str,
}

/// A close code of our own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Code {
    /// The code.
    pub code: u32,
}

/// Authenticated or anonymous.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// The word.
    pub kind: &'static str,
}

/// A state of the enforcer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// The word.
    pub state: &'static str,
}

/// Which of the certificates that are shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CertificateLabel {
    /// The word.
    pub certificate: &'static str,
}

/// A class of leases.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClassLabel {
    /// The word.
    pub class: &'static str,
}

/// All series.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Open sockets by kind.
    pub sockets: Family<Kind, Gauge>,
    /// Open TCP connections.
    pub connections: Gauge,
    /// Handshakes by how they ended: `authenticated`, `anonymous` or the reason of the refusal.
    pub handshakes: Family<Reason, Counter>,
    /// Verdicts from the cache.
    pub verdict_hits: Counter,
    /// Verdicts asked for.
    pub verdict_misses: Counter,
    /// Questions the authority did not answer.
    pub no_verdict: Counter,
    /// 1 for the state the enforcer is in.
    pub state: Family<StateLabel, Gauge>,
    /// The last entry applied.
    pub applied_seq: Gauge<u64, AtomicU64>,
    /// How many entries the last known head was ahead of what was applied.
    pub lag_entries: Gauge<u64, AtomicU64>,
    /// Revoked keys remembered.
    pub index_keys: Gauge<u64, AtomicU64>,
    /// Questions about open connections that the authority has not answered.
    pub open_questions: Gauge<u64, AtomicU64>,
    /// How long frames still pass in each class.
    pub lease_remaining: Family<ClassLabel, Gauge<f64, AtomicU64>>,
    /// How long each class is served, as the authority has set it and within its bound.
    pub lease: Family<ClassLabel, Gauge<f64, AtomicU64>>,
    /// B, as the authority has set it.
    pub bound: Gauge<f64, AtomicU64>,
    /// Sockets of each class that are frozen.
    pub frozen: Family<ClassLabel, Gauge<u64, AtomicU64>>,
    /// Sockets that are fenced and wait for their turn to be closed.
    pub closing: Gauge<u64, AtomicU64>,
    /// Entries applied.
    pub entries: Counter,
    /// Sockets fenced.
    pub fenced: Counter,
    /// Sockets closed, by code.
    pub closed: Family<Code, Counter>,
    /// Watches begun anew, by reason.
    pub resyncs: Family<Reason, Counter>,
    /// Watches opened.
    pub watches: Counter,
    /// Of these, how many took the place of another that still stood.
    pub moves: Counter,
    /// Frames from clients.
    pub messages_in: Counter,
    /// Frames to clients.
    pub messages_out: Counter,
    /// Bytes that still waited for a socket when it ended.
    pub outbox: Histogram,
    /// From an entry's arrival until every socket it covers was fenced.
    pub fence: Histogram,
    /// From a socket's fence until it was closed.
    pub close: Histogram,
    /// Connections and requests refused by a limit.
    pub limited: Family<Reason, Counter>,
    /// For how long a certificate that is shown is still good.
    pub certificate: Family<CertificateLabel, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// All series, at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            sockets: Family::default(),
            connections: Gauge::default(),
            handshakes: Family::default(),
            verdict_hits: Counter::default(),
            verdict_misses: Counter::default(),
            no_verdict: Counter::default(),
            state: Family::default(),
            applied_seq: Gauge::default(),
            lag_entries: Gauge::default(),
            index_keys: Gauge::default(),
            open_questions: Gauge::default(),
            lease_remaining: Family::default(),
            lease: Family::default(),
            bound: Gauge::default(),
            frozen: Family::default(),
            closing: Gauge::default(),
            entries: Counter::default(),
            fenced: Counter::default(),
            closed: Family::default(),
            resyncs: Family::default(),
            watches: Counter::default(),
            moves: Counter::default(),
            messages_in: Counter::default(),
            messages_out: Counter::default(),
            outbox: Histogram::new(exponential_buckets(64.0, 8.0, 7)),
            fence: Histogram::new(exponential_buckets(0.000_05, 4.0, 9)),
            close: Histogram::new(exponential_buckets(0.000_1, 4.0, 9)),
            limited: Family::default(),
            certificate: Family::default(),
        };
        metrics.register_sockets();
        metrics.register_enforcement();
        metrics
    }

    fn register_sockets(&mut self) {
        self.registry.register_collector(Box::new(Process));
        let to = self.registry.sub_registry_with_prefix(PREFIX);
        to.register("sockets", "Open sockets by kind", self.sockets.clone());
        to.register("connections", "Open TCP connections", self.connections.clone());
        to.register("handshakes", "Handshakes by how they ended", self.handshakes.clone());
        to.register("closed", "Sockets closed by code", self.closed.clone());
        to.register("messages_received", "Frames from clients", self.messages_in.clone());
        to.register("messages_sent", "Frames to clients", self.messages_out.clone());
        to.register("limited", "Refused by a limit", self.limited.clone());
        to.register_with_unit(
            "certificate_remaining",
            "For how long a certificate that is shown is still good",
            Unit::Seconds,
            self.certificate.clone(),
        );
        to.register_with_unit(
            "outbox",
            "Bytes that still waited for a socket when it ended",
            Unit::Bytes,
            self.outbox.clone(),
        );
    }

    fn register_enforcement(&mut self) {
        let to = self.registry.sub_registry_with_prefix(PREFIX);
        to.register("verdict_cache_hits", "Verdicts from the cache", self.verdict_hits.clone());
        to.register("verdict_cache_misses", "Verdicts asked for", self.verdict_misses.clone());
        to.register("no_verdict", "Questions the authority did not answer", self.no_verdict.clone());
        to.register("state", "1 for the state the enforcer is in", self.state.clone());
        to.register("applied_seq", "The last log entry applied", self.applied_seq.clone());
        to.register("lag_entries", "Entries between the known head and what is applied", self.lag_entries.clone());
        to.register("index_keys", "Revoked keys remembered", self.index_keys.clone());
        to.register(
            "open_questions",
            "Questions about open connections without an answer",
            self.open_questions.clone(),
        );
        to.register_with_unit("lease_remaining", "Time left by class", Unit::Seconds, self.lease_remaining.clone());
        to.register_with_unit("lease", "How long a class is served", Unit::Seconds, self.lease.clone());
        to.register_with_unit("bound", "B, as the authority has set it", Unit::Seconds, self.bound.clone());
        to.register("frozen", "Sockets that are frozen, by class", self.frozen.clone());
        to.register("closing", "Sockets that are fenced and wait for their turn to be closed", self.closing.clone());
        to.register("entries_applied", "Log entries applied", self.entries.clone());
        to.register("fenced", "Sockets fenced", self.fenced.clone());
        to.register("resyncs", "Watches begun anew", self.resyncs.clone());
        to.register("watches", "Watches opened", self.watches.clone());
        to.register("watch_moves", "Watches that took the place of another that still stood", self.moves.clone());
        to.register_with_unit("fence", "From an entry's arrival to the last fence", Unit::Seconds, self.fence.clone());
        to.register_with_unit("close", "From a socket's fence to its close", Unit::Seconds, self.close.clone());
    }

    /// A handshake ended like this.
    pub fn handshake(&self, reason: &'static str) {
        self.handshakes.get_or_create(&Reason { reason }).inc();
    }

    /// A limit refused something.
    pub fn limit(&self, reason: &'static str) {
        self.limited.get_or_create(&Reason { reason }).inc();
    }

    /// The text of all series.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail; a half-written text would be refused by the reader.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_our_prefix_and_ends_well() {
        let metrics = Metrics::new();
        metrics.handshake("no_credential");
        metrics.closed.get_or_create(&Code { code: 4511 }).inc();
        let text = metrics.encode();
        assert!(text.contains("portcullis_gateway_handshakes_total{reason=\"no_credential\"} 1"), "{text}");
        assert!(text.contains("portcullis_gateway_closed_total{code=\"4511\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
