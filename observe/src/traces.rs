//! Spans of what this process does, sent to an OpenTelemetry collector (OTLP over gRPC) where one is configured.
//!
//! Owns the one provider of the process, and the W3C `traceparent` that ties spans of two processes together; `tracestate`
//! is not passed on.
//! Guarantees: what a span says is a word of this program (`&'static str`), so no credential, no identifier and nothing
//! else that a peer said can stand in one; a collector that is slow or gone costs nothing but its spans, because they wait
//! in a queue of bounded length and what does not fit is dropped. Without a collector a span costs one look at a flag.
//! Refuses a collector that is not on loopback: the line to it is in the clear.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, Uri};
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use serde::Deserialize;

/// For one batch, and for the last ones when the process ends.
const TIME: Duration = Duration::from_secs(3);
/// How often what waits is sent.
const EVERY: Duration = Duration::from_secs(1);

static ON: AtomicBool = AtomicBool::new(false);

/// `[traces]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// The collector, `http://<loopback address>:4317`; absent: no traces.
    pub endpoint: Option<String>,
    /// Of the traces that begin here, one in so many is recorded. One that began elsewhere is when it was there.
    pub one_in: u32,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { endpoint: None, one_in: 1 }
    }
}

impl TracesConfig {
    /// Which keys may not be used, and what they must be.
    pub fn rules(&self) -> [(bool, &'static str, &'static str); 2] {
        let endpoint = "must be http://<loopback address>:<port>: the line to a collector is in the clear";
        [
            (self.endpoint.as_deref().is_none_or(is_loopback), "traces.endpoint", endpoint),
            (self.one_in > 0, "traces.one_in", "must be at least 1"),
        ]
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    uri.scheme_str() == Some("http")
        && uri.port_u16().is_some()
        && host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The process's traces, while it runs.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// The line to a collector cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint: {0}")]
pub struct TracesError(#[from] ExporterBuildError);

impl Traces {
    /// Begins, within a runtime, if there is a collector. `instance` tells processes of one service apart.
    pub fn start(config: &TracesConfig, service: &'static str, instance: &str) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(TIME).build()?;
        let sampler = Sampler::TraceIdRatioBased(1.0 / f64::from(config.one_in.max(1)));
        let resource = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let batches = BatchConfigBuilder::default().with_scheduled_delay(EVERY).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource)
            .build();
        global::set_tracer_provider(provider.clone());
        ON.store(true, Ordering::Relaxed);
        Ok(Some(Self(provider)))
    }

    /// Sends what waits, for a bounded time.
    pub async fn finish(self) {
        // It waits for a thread of its own.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(TIME)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// What a span is below: one of another process, or none.
#[derive(Clone, Default)]
pub struct Parent(Option<Box<Context>>);

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parent").field(&self.0.is_some()).finish()
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // What is passed on by others is not passed on from here.
        if key == "tracestate" { None } else { self.0.get(key)?.to_str().ok() }
    }

    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Parent {
    /// The one that a request names, if it names one.
    pub fn of(headers: &HeaderMap) -> Self {
        if !ON.load(Ordering::Relaxed) || !headers.contains_key("traceparent") {
            return Self(None);
        }
        let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        Self(found.has_active_span().then(|| Box::new(found)))
    }
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answering somebody.
    Server,
    /// Asking somebody.
    Client,
}

/// Something that this process does; it ends when it is dropped.
pub struct Span(Option<Context>);

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.0.is_some()).finish()
    }
}

impl Span {
    /// Begins below a span of another process, or as the first of its trace.
    pub fn begin(name: &'static str, kind: Kind, parent: &Parent) -> Self {
        if !ON.load(Ordering::Relaxed) {
            return Self(None);
        }
        let parent = parent.0.as_deref().cloned().unwrap_or_default();
        Self(Some(begun(name, kind, &parent)))
    }

    /// Begins below the span of [`Span::over`] that this runs in.
    pub fn within(name: &'static str, kind: Kind) -> Self {
        Self(ON.load(Ordering::Relaxed).then(|| begun(name, kind, &Context::current())))
    }

    /// Says something of it, in words of this program.
    pub fn say(&self, key: &'static str, word: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, word));
        }
    }

    /// It did not do what it was for.
    pub fn fail(&self) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(""));
        }
    }

    /// What names it to another process.
    pub fn traceparent(&self) -> Option<String> {
        let context = self.0.as_ref()?.span().span_context().clone();
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
        context.is_valid().then(|| format!("00-{trace}-{span}-{flags:02x}"))
    }

    /// Runs a future within it.
    pub async fn over<T>(&self, future: impl Future<Output = T>) -> T {
        match &self.0 {
            None => future.await,
            Some(context) => future.with_context(context.clone()).await,
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

fn begun(name: &'static str, kind: Kind, parent: &Context) -> Context {
    let tracer = global::tracer("portcullis");
    let kind = match kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    };
    let span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent);
    parent.with_span(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_spoken_to_in_the_clear_on_loopback_only() {
        for (endpoint, good) in [
            ("http://127.0.0.1:4317", true),
            ("http://[::1]:4317", true),
            ("http://10.0.0.1:4317", false),
            ("https://127.0.0.1:4317", false),
            ("http://127.0.0.1", false),
            ("http://127.0.0.1.evil.test:1", false),
        ] {
            let config = TracesConfig { endpoint: Some(endpoint.to_owned()), one_in: 1 };
            assert_eq!(config.rules()[0].0, good, "{endpoint}");
        }
        assert!(!TracesConfig { endpoint: None, one_in: 0 }.rules()[1].0);
    }

    #[test]
    fn without_a_collector_there_are_no_spans() {
        let headers = HeaderMap::from_iter([(
            "traceparent".parse().expect("a name"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a value"),
        )]);
        let span = Span::begin("admission", Kind::Server, &Parent::of(&headers));
        assert_eq!(span.traceparent(), None);
    }
}
