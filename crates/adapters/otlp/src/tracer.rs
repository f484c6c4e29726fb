//! Creation of spans, and their export.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, time,
    trace::{Span as _, SpanBuilder, SpanKind, TraceContextExt, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample},
};
use portico_kernel::{TraceParent, http::HttpClient};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use crate::{
    client::Exports,
    span::{Span, remote},
};

/// Timeout of sending the last spans when the process ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// The collector of spans.
#[derive(Clone)]
pub struct Collector {
    /// URL of OTLP over HTTP, for instance `http://127.0.0.1:4318`. `/v1/traces` is appended if it is missing.
    pub endpoint: String,
    /// Headers of every call, for instance credentials.
    pub headers: Vec<(String, SecretString)>,
    /// Fraction of the traces that is recorded: 0.0 to 1.0.
    pub sample_ratio: f64,
    /// Name of the service.
    pub service: String,
    /// Version of the service.
    pub version: &'static str,
    /// Id of the process.
    pub instance: String,
}

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TracerError(String);

/// Kind of work (span kind), by which tools connect callers and callees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Answers a waiting caller (server).
    Answer,
    /// Calls another service and waits (client).
    Call,
    /// Work that was queued before (consumer).
    Later,
}

/// Creates spans. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Sending>>);

struct Sending {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    ratio: Sampler,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}

impl Tracer {
    /// Records nothing. A trace begun by a caller is propagated.
    pub fn off() -> Self {
        Self(None)
    }

    /// Sends spans in batches, from its own thread; `http` calls the collector on `runtime`. While the collector is
    /// unavailable spans are queued, and when the queue is full (2,048) new ones are dropped.
    pub fn sending(
        collector: Collector,
        http: Arc<dyn HttpClient>,
        runtime: Handle,
    ) -> Result<Self, TracerError> {
        let endpoint = collector.endpoint.trim_end_matches('/').trim_end_matches("/v1/traces");
        let headers = collector.headers.iter();
        let headers: HashMap<String, String> =
            headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Exports::new(http, runtime))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_headers(headers)
            .build()
            .map_err(|error| TracerError(error.to_string()))?;
        let resource = Resource::builder_empty()
            .with_service_name(collector.service)
            .with_attributes([
                KeyValue::new("service.version", collector.version),
                KeyValue::new("service.instance.id", collector.instance),
            ])
            .build();
        let ratio = Sampler::TraceIdRatioBased(collector.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(ratio.clone())))
            .with_resource(resource)
            .build();
        let scope = InstrumentationScope::builder("portico").with_version(collector.version).build();
        let tracer = provider.tracer_with_scope(scope);
        Ok(Self(Some(Arc::new(Sending { provider, tracer, ratio }))))
    }

    /// A span for an external request that began at `started`. The caller's trace is continued, but the sampling decision is
    /// ours: the same traces in every process, selected by their id.
    pub fn asked(
        &self,
        name: impl Into<Cow<'static, str>>,
        parent: Option<TraceParent>,
        started: Instant,
    ) -> Span {
        let Some(sending) = &self.0 else { return parent.map_or_else(Span::none, carried) };
        let context = match parent {
            Some(parent) => remote(TraceParent { sampled: sending.chooses(parent), ..parent }),
            None => Context::new(),
        };
        let started = before(time::now(), started.elapsed());
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_start_time(started);
        sending.begin(builder, &context)
    }

    /// Begins a span that follows from `parent`. Without one, it begins a new trace.
    pub fn begin(&self, work: Work, name: impl Into<Cow<'static, str>>, parent: Option<TraceParent>) -> Span {
        let Some(sending) = &self.0 else { return parent.map_or_else(Span::none, carried) };
        let kind = match work {
            Work::Answer => SpanKind::Server,
            Work::Call => SpanKind::Client,
            Work::Later => SpanKind::Consumer,
        };
        sending.begin(SpanBuilder::from_name(name).with_kind(kind), &parent.map_or_else(Context::new, remote))
    }

    /// Whether the span of this task is recorded, so that [`Tracer::past`] has an effect.
    pub fn records(&self) -> bool {
        self.0.is_some() && Context::map_current(|context| context.span().is_recording())
    }

    /// Adds a completed call of this duration to the span of this task.
    pub fn past(
        &self,
        name: impl Into<Cow<'static, str>>,
        took: Duration,
        attributes: impl IntoIterator<Item = (&'static str, String)>,
        failed: bool,
    ) {
        let Some(sending) = &self.0 else { return };
        Context::map_current(|parent| {
            if !parent.span().is_recording() {
                return;
            }
            let end = time::now();
            let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
            let builder = SpanBuilder::from_name(name)
                .with_kind(SpanKind::Client)
                .with_start_time(before(end, took))
                .with_attributes(attributes.collect::<Vec<_>>());
            let mut span = sending.tracer.build_with_context(builder, parent);
            if failed {
                span.set_status(opentelemetry::trace::Status::error(""));
            }
            span.end_with_timestamp(end);
        });
    }

    /// Sends all completed spans.
    pub async fn flush(&self) {
        self.wait(|sending| drop(sending.provider.force_flush())).await;
    }

    /// Sends all completed spans, and stops recording.
    pub async fn close(&self) {
        self.wait(|sending| drop(sending.provider.shutdown_with_timeout(PATIENCE))).await;
    }

    /// Runs blocking calls of the library elsewhere: it waits for its thread, which needs the runtime in order to call.
    async fn wait(&self, work: impl FnOnce(&Sending) + Send + 'static) {
        if let Some(sending) = self.0.clone() {
            let _ = tokio::task::spawn_blocking(move || work(&sending)).await;
        }
    }
}

impl Sending {
    fn begin(&self, builder: SpanBuilder, parent: &Context) -> Span {
        Span { context: parent.with_span(self.tracer.build_with_context(builder, parent)) }
    }

    fn chooses(&self, parent: TraceParent) -> bool {
        let trace = opentelemetry::trace::TraceId::from_bytes(parent.trace.get().to_be_bytes());
        let decided = self.ratio.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
        decided.decision == SamplingDecision::RecordAndSample
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Sends remaining spans, unless it was closed. On another thread, because the library waits for its thread, which
        // waits for the runtime, which may wait for us.
        let provider = self.provider.clone();
        std::thread::spawn(move || drop(provider.shutdown_with_timeout(PATIENCE)));
    }
}

/// The time that was this long before `end`.
fn before(end: SystemTime, took: Duration) -> SystemTime {
    end.checked_sub(took).unwrap_or(end)
}

fn carried(parent: TraceParent) -> Span {
    Span { context: remote(parent) }
}

#[cfg(test)]
#[path = "tracer_tests.rs"]
mod tests;
