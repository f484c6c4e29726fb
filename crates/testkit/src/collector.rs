//! An OpenTelemetry collector that keeps the spans it receives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1 as sent,
};
use prost::Message;

/// A span as the collector got it.
#[derive(Clone, Debug, Default)]
pub struct TestSpan {
    /// Id of the trace, in hexadecimal.
    pub trace: String,
    /// Id of the span.
    pub id: String,
    /// Id of the parent span; empty for the first one of a trace.
    pub parent: String,
    /// Name.
    pub name: String,
    /// `Server`, `Client`, `Consumer`…
    pub kind: String,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// Names of its events.
    pub events: Vec<String>,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it ended after it began.
    pub in_order: bool,
    /// From its beginning to its end.
    pub took: Duration,
    /// Attributes of the resource: the process that sent it.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<TestSpan>,
    headers: Vec<BTreeMap<String, String>>,
}

/// A collector of a test's own, which takes OTLP over HTTP, in protobuf. Dropped, it stops.
pub struct TestCollector {
    kept: Arc<Mutex<Kept>>,
    url: String,
    handle: ServerHandle,
}

impl TestCollector {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let data = web::Data::from(kept.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(16 << 20))
                .route("/v1/traces", web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let address = server.addrs().first().copied().expect("an address");
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { kept, url: format!("http://{address}"), handle }
    }

    /// Its address, as the setting `telemetry.otlp_endpoint` has it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<TestSpan> {
        self.kept().spans.clone()
    }

    /// The headers of every call so far.
    pub fn headers(&self) -> Vec<BTreeMap<String, String>> {
        self.kept().headers.clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TestCollector {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn take(kept: web::Data<Mutex<Kept>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let Ok(export) = ExportTraceServiceRequest::decode(body) else {
        return HttpResponse::BadRequest().finish();
    };
    let text =
        |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.headers.push(request.headers().iter().filter_map(text).collect());
    for group in export.resource_spans {
        let resource = attributes(&group.resource.unwrap_or_default().attributes);
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            kept.spans.push(TestSpan { resource: resource.clone(), ..read(span) });
        }
    }
    HttpResponse::Ok()
        .content_type("application/x-protobuf")
        .body(ExportTraceServiceResponse::default().encode_to_vec())
}

fn read(span: sent::Span) -> TestSpan {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    TestSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: format!("{:?}", span.kind()),
        in_order: span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano,
        took: Duration::from_nanos(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)),
        attributes: attributes(&span.attributes),
        events: span.events.into_iter().map(|event| event.name).collect(),
        failed: span.status.is_some_and(|status| status.code() == sent::status::StatusCode::Error),
        name: span.name,
        resource: BTreeMap::new(),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter().map(|pair| (pair.key.clone(), shown(pair.value.as_ref()))).collect()
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}
