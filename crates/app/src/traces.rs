//! Traces of requests, jobs and statements; slow statements.

use std::{num::NonZero, time::Duration};

use actix_web::http::header::HeaderMap;
use metrics::{Counter, Histogram};
use portico_kernel::{Env, Event, Job, RequestInfo, TraceParent, trace::StoreObserver};
use portico_otlp::{Collector, Span, Tracer, Work};
use portico_tenancy::delivery::Delivery;
use tokio::runtime::Handle;

use crate::{
    http::context::{self, CURRENT, RequestContext},
    outbound,
    settings::{Settings, Telemetry},
    worker::handlers::JobError,
};

/// Most characters of a statement in logs and traces.
const STATEMENT: usize = 2000;

/// Most characters of a path in traces.
const PATH: usize = 256;

/// The tracer that the settings ask for.
pub fn tracer(settings: &Telemetry, env: &Env) -> anyhow::Result<Tracer> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Tracer::off()) };
    let collector = Collector {
        endpoint: endpoint.to_string(),
        headers: settings.headers()?,
        sample_ratio: settings.sample_ratio,
        service: settings.service_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        instance: env.random_uuid().to_string(),
    };
    Ok(Tracer::sending(collector, outbound::for_telemetry()?, Handle::current())?)
}

/// The span of a request. Probes and metrics have none: they would be most of what is sent.
pub fn of_request(tracer: &Tracer, method: &str, path: &str, headers: &HeaderMap, id: &str) -> Span {
    if path.starts_with("/api/health") || path == "/api/metrics" {
        return Span::none();
    }
    let span = tracer.asked("HTTP", asked_by(headers));
    if span.is_recorded() {
        span.set("http.request.method", method.to_owned());
        span.set("url.path", path.chars().take(PATH).collect::<String>());
        span.set("portico.request_id", id.to_owned());
    }
    span
}

/// How a request ended.
pub fn answered(span: &Span, method: &str, route: Option<&str>, status: u16) {
    span.rename(|| route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
    if let Some(route) = route {
        span.set("http.route", route.to_owned());
    }
    span.set("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.fail("");
    }
}

/// What a client says of its own trace. Said twice, it is not believed (W3C Trace Context, section 3.2.2).
fn asked_by(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all("traceparent");
    match (said.next(), said.next()) {
        (Some(one), None) => one.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// Does a job in a span that follows from whatever enqueued it. What it logs and writes names the request that caused it.
pub async fn job(
    tracer: &Tracer,
    job: &Job,
    work: impl Future<Output = Result<(), JobError>>,
) -> Result<(), JobError> {
    let span = tracer.begin(Work::Later, format!("job {}", job.kind), job.trace_parent);
    if span.is_recorded() {
        span.set("portico.job.id", job.id.to_string());
        span.set("portico.job.kind", job.kind.clone());
        span.set("portico.job.attempt", i64::from(job.attempts));
        span.set("portico.request_id", job.request_id.clone());
        span.set("portico.tenant.id", job.tenant_id.to_string());
    }
    let info = RequestInfo { id: job.request_id.clone(), ..RequestInfo::default() };
    let context = RequestContext { info, ..RequestContext::default() };
    let result = CURRENT.scope(context, span.run(work)).await;
    match &result {
        Ok(()) => {}
        Err(JobError::Retry(_)) => span.fail("to be tried again"),
        Err(JobError::Fatal(_)) => span.fail("hopeless"),
    }
    result
}

/// The span of what a reader of the event log does about an event.
pub fn of_event(tracer: &Tracer, reader: &'static str, event: &Event) -> Span {
    let span = tracer.begin(Work::Later, format!("event {}", event.kind), event.trace_parent);
    if span.is_recorded() {
        span.set("portico.event.id", event.id.to_string());
        span.set("portico.reader", reader);
        span.set("portico.request_id", event.request_id.clone());
        span.set("portico.tenant.id", event.tenant.to_string());
    }
    span
}

/// The span of an attempt to deliver a message. The receiver is told of it, and can go on with the trace.
pub fn of_delivery(tracer: &Tracer, delivery: &Delivery, event: Option<&Event>) -> Span {
    let span = tracer.begin(Work::Call, "webhook", event.and_then(|event| event.trace_parent));
    if span.is_recorded() {
        span.set("http.request.method", "POST");
        span.set("portico.delivery.id", delivery.id.to_string());
        span.set("portico.delivery.attempt", i64::from(delivery.attempt));
        span.set("portico.webhook.id", delivery.webhook_id.to_string());
        span.set("portico.event.id", delivery.event_id.to_string());
        span.set("portico.tenant.id", delivery.tenant.to_string());
    }
    span
}

/// What the receiver answered, if anything.
pub fn delivered(span: &Span, status: Option<u16>) {
    if let Some(status) = status {
        span.set("http.response.status_code", i64::from(status));
    }
    if !status.is_some_and(|status| (200..300).contains(&status)) {
        span.fail("");
    }
}

/// Notes in the span at hand what was committed.
pub fn committed(events: &[Event]) {
    for event in events {
        portico_otlp::annotate(&event.kind, &[("event.id", &event.id), ("tenant.id", &event.tenant)]);
    }
}

/// The id of the trace at hand, for logs.
pub fn current_id() -> Option<String> {
    portico_otlp::current().map(|parent| parent.trace_id())
}

/// Watches the database: how long statements take, which are slow, and what they are a part of.
pub struct Watch {
    tracer: Tracer,
    system: &'static str,
    slow: Option<NonZero<u128>>,
    durations: Histogram,
    slow_ones: Counter,
}

impl Watch {
    /// For the database of the settings. Metrics must be installed already.
    pub fn new(settings: &Settings, tracer: Tracer) -> Self {
        let postgres = settings.is_postgres();
        Self {
            tracer,
            system: if postgres { "postgresql" } else { "sqlite" },
            slow: NonZero::new(settings.database.slow_query.as_nanos()),
            durations: metrics::histogram!("database_statement_duration_seconds"),
            slow_ones: metrics::counter!("slow_queries_total"),
        }
    }
}

impl StoreObserver for Watch {
    fn trace_parent(&self) -> Option<TraceParent> {
        portico_otlp::current()
    }

    fn statement(&self, sql: &str, took: Duration, failed: bool) {
        self.durations.record(took.as_secs_f64());
        if self.slow.is_some_and(|slow| took.as_nanos() >= slow.get()) {
            self.slow_ones.increment(1);
            let request = context::current();
            tracing::warn!(
                target: "portico::slow_query",
                statement = short(sql), duration_ms = took.as_secs_f64() * 1e3, failed,
                request_id = request.info.id, trace_id = current_id(), "a statement was slow"
            );
        }
        if self.tracer.records() {
            let operation = operation(sql);
            let attributes = [
                ("db.system.name", self.system.to_owned()),
                ("db.operation.name", operation.clone()),
                ("db.query.text", short(sql)),
            ];
            self.tracer.past(operation, took, attributes, failed);
        }
    }
}

/// The first word of a statement.
fn operation(sql: &str) -> String {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    word.to_ascii_uppercase()
}

/// A statement on one line. Values are no part of it: they are bound.
fn short(sql: &str) -> String {
    let mut text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(STATEMENT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_traceparent_is_believed_when_it_is_said_once() {
        const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let name = HeaderName::from_static("traceparent");
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            asked_by(&headers)
        };
        assert_eq!(headers(&[]), None);
        assert_eq!(headers(&[ONE]).unwrap().to_string(), ONE);
        assert_eq!(headers(&[ONE, ONE]), None);
        assert_eq!(headers(&["nonsense"]), None);
        assert_eq!(headers(&["00-é"]), None);
    }

    #[test]
    fn a_slow_statement_is_one_line_that_names_the_request() {
        let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer({
                let lines = lines.clone();
                move || Lines(lines.clone())
            })
            .finish();
        let mut settings = Settings::default();
        settings.database.slow_query = Duration::from_millis(50);
        let slow = Watch::new(&settings, Tracer::off());
        settings.database.slow_query = Duration::ZERO;
        let silent = Watch::new(&settings, Tracer::off());
        let info = RequestInfo { id: "r-17".into(), ..RequestInfo::default() };
        let request = RequestContext { info, ..RequestContext::default() };
        tracing::subscriber::with_default(subscriber, || {
            CURRENT.sync_scope(request, || {
                slow.statement("select 1", Duration::from_millis(49), false);
                slow.statement("update pages\n set title = $1", Duration::from_millis(50), true);
                silent.statement("select pg_sleep(9)", Duration::from_secs(9), false);
            });
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [
            "WARN portico::slow_query",
            "update pages set title = $1",
            "duration_ms=50",
            "failed=true",
            "r-17",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn statements_are_shown_on_one_line_and_not_without_end() {
        assert_eq!(short("select *\n   from pages\twhere id = $1"), "select * from pages where id = $1");
        let long = short(&"é".repeat(STATEMENT * 2));
        assert_eq!(long.chars().count(), STATEMENT + 1);
        assert_eq!(
            (operation(" select 1"), operation("INSERT into"), operation("")),
            ("SELECT".to_owned(), "INSERT".to_owned(), String::new())
        );
    }
}
