//! Traces: from a request through its event to the job and what that runs, in one trace.

use std::time::{Duration, Instant};

use portico_kernel::{Event, TraceParent};
use portico_recurrente::WebhookSecrets;
use portico_testkit::{
    collector::{TestCollector, TestSpan},
    payments::RECURRENTE_SECRET,
    receiver::{Receiver, Reply},
    server::{Database, TestServer, eventually},
};
use reqwest::Method;
use serde_json::json;

const STRANGER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

async fn traced(database: Database, collector: &TestCollector, ratio: f64) -> TestServer {
    TestServer::start_with(database, |settings| {
        settings.telemetry.otlp_endpoint = Some(collector.url().parse().unwrap());
        settings.telemetry.otlp_headers = Some("authorization=Bearer let-me-in".to_owned().into());
        settings.telemetry.sample_ratio = ratio;
        settings.telemetry.service_name = "portico-test".to_owned();
    })
    .await
}

fn registration(email: &str) -> serde_json::Value {
    json!({"email": email, "password": portico_testkit::server::PASSWORD, "fullName": "Ada"})
}

/// The spans of a trace of this name.
fn named<'s>(spans: &'s [TestSpan], trace: &str, name: &str) -> Vec<&'s TestSpan> {
    spans.iter().filter(|span| span.trace == trace && span.name == name).collect()
}

/// The events that the log has of the request of this id.
async fn events_of(server: &TestServer, request: &str) -> Vec<Event> {
    let mut work = server.app.core.begin().await.unwrap();
    let taken = work.readers().take(vec!["traces_test"], 10_000).await.unwrap();
    taken.events.into_iter().filter(|event| event.request_id == request).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_request_through_its_event_to_the_job() {
    for database in [Database::Sqlite, Database::Postgres] {
        let collector = TestCollector::start().await;
        let server = traced(database, &collector, 1.0).await;
        let client = server.client().with("traceparent", STRANGER).with("x-request-id", "r-trace");
        client.post("/api/v1/auth/register", registration("ada@example.com")).await.expect(201);
        server.mail_token("ada@example.com", "verify-email").await;

        let parent: TraceParent = STRANGER.parse().unwrap();
        let trace = parent.trace_id();
        let complete = eventually(Duration::from_secs(10), async || {
            server.app.core.tracer.flush().await;
            let spans = collector.spans();
            (!named(&spans, &trace, "job email.verification").is_empty()).then_some(spans)
        });
        let spans = complete.await.expect("the span of the job");
        let [request] = named(&spans, &trace, "POST /api/v1/auth/register")[..] else { panic!("{spans:#?}") };
        assert_eq!(request.parent, format!("{:016x}", parent.span), "the trace of the client goes on");
        assert_eq!(request.kind, "Server");
        for (name, value) in [
            ("http.request.method", "POST"),
            ("http.route", "/api/v1/auth/register"),
            ("http.response.status_code", "201"),
            ("url.path", "/api/v1/auth/register"),
            ("portico.request_id", "r-trace"),
        ] {
            assert_eq!(request.attributes.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(request.events.iter().any(|event| event == "user.registered"), "{:?}", request.events);
        let [event] = named(&spans, &trace, "event user.registered")[..] else { panic!("{spans:#?}") };
        assert_eq!((&event.parent, &*event.kind), (&request.id, "Consumer"));
        let [job] = named(&spans, &trace, "job email.verification")[..] else { panic!("{spans:#?}") };
        assert_eq!((&job.parent, &job.attributes["portico.request_id"]), (&event.id, &"r-trace".to_owned()));
        assert!(!job.failed && job.attributes["portico.job.attempt"] == "1");
        // The spans of their database statements.
        let system = if database == Database::Postgres { "postgresql" } else { "sqlite" };
        for (of, statement) in [(request, "INSERT"), (request, "COMMIT"), (job, "SELECT")] {
            let done = named(&spans, &trace, statement);
            let done = done
                .iter()
                .find(|span| span.parent == of.id)
                .unwrap_or_else(|| panic!("{statement} of {}", of.name));
            assert_eq!((&*done.kind, &*done.attributes["db.system.name"]), ("Client", system));
        }
        for span in &spans {
            let all = format!("{span:?}");
            assert!(span.in_order, "{all}");
            assert_eq!(span.resource["service.name"], "portico-test");
            assert!(!all.contains("ada@example.com") && !all.contains("Correct-Horse"), "no values: {all}");
        }
        assert_eq!(collector.headers()[0]["authorization"], "Bearer let-me-in");
        let events = events_of(&server, "r-trace").await;
        let of_request = format!("00-{trace}-{}-01", request.id);
        assert!(!events.is_empty());
        for event in events.iter().filter(|event| event.kind == "user.registered") {
            assert_eq!(event.trace_parent.unwrap().to_string(), of_request);
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_belongs_to_the_trace_of_its_event_and_tells_the_receiver() {
    let collector = TestCollector::start().await;
    let traces = TestServer::start_with(Database::Sqlite, |settings| {
        settings.telemetry.otlp_endpoint = Some(collector.url().parse().unwrap());
        settings.webhooks.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        settings.webhooks.retries = vec![Duration::from_millis(30)];
    })
    .await;
    let plain = TestServer::start_with(Database::Postgres, |settings| {
        settings.webhooks.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let parent: TraceParent = STRANGER.parse().unwrap();
    for server in [&traces, &plain] {
        let owner = server.customer("owner@example.com").await;
        let receiver = Receiver::start().await;
        let records = server.app.settings.telemetry.otlp_endpoint.is_some();
        receiver.next([Reply::status(if records { 500 } else { 200 })]);
        receiver.always(Reply::status(200));
        let hook = json!({"url": receiver.url, "events": ["tenant.updated"]});
        owner.post(&owner.t("/webhooks"), hook).await.expect(201);
        let change = owner.with("traceparent", STRANGER);
        change.put(&owner.t(""), json!({"name": "Panadería Luz"})).await.expect(200);
        let received = receiver.wait_for(if records { 2 } else { 1 }).await;
        if !records {
            assert_eq!(received[0].header("traceparent"), STRANGER, "as the client said it");
            continue;
        }
        let spans = eventually(Duration::from_secs(10), async || {
            server.app.core.tracer.flush().await;
            let spans = collector.spans();
            (named(&spans, &parent.trace_id(), "webhook").len() == 2).then_some(spans)
        });
        let spans = spans.await.expect("a span of each attempt");
        let [request] = named(&spans, &parent.trace_id(), "PUT /api/v1/tenants/{tenantId}")[..] else {
            panic!("{spans:#?}")
        };
        let attempts = named(&spans, &parent.trace_id(), "webhook");
        for (received, (status, number)) in received.iter().zip([("500", "1"), ("200", "2")]) {
            let sent: TraceParent = received.header("traceparent").parse().unwrap();
            let span = attempts.iter().find(|span| span.id == format!("{:016x}", sent.span));
            let span = span.expect("the receiver is told of the span of the attempt");
            assert_eq!((sent.trace, sent.sampled, &span.parent), (parent.trace, true, &request.id));
            assert_eq!(span.attributes["portico.delivery.attempt"], number);
            assert_eq!(
                (&*span.attributes["http.response.status_code"], span.failed),
                (status, status == "500")
            );
        }
    }
    traces.stop().await;
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_payment_provider_tells_is_followed_in_the_trace_of_its_request() {
    for database in [Database::Sqlite, Database::Postgres] {
        let collector = TestCollector::start().await;
        let server = traced(database, &collector, 1.0).await;
        let event = json!({"event_type": "intent.succeeded", "checkout": {"id": "ch_unknown"}}).to_string();
        let secrets = WebhookSecrets::new(&[RECURRENTE_SECRET.to_owned().into()]).unwrap();
        let mut provider = server.client().with("traceparent", STRANGER).with("x-request-id", "r-provider");
        for (name, value) in secrets.sign("msg_1", event.as_bytes(), server.app.core.env.now()) {
            provider = provider.with(&name, &value);
        }
        let path = "/api/v1/webhooks/recurrente";
        provider.send(Method::POST, path, Some(event.into_bytes()), "application/json").await.expect(200);

        let parent: TraceParent = STRANGER.parse().unwrap();
        let trace = parent.trace_id();
        let complete = eventually(Duration::from_secs(10), async || {
            server.app.core.tracer.flush().await;
            let spans = collector.spans();
            (!named(&spans, &trace, "job payment.event").is_empty()).then_some(spans)
        });
        let spans = complete.await.expect("the span of the job");
        let [request] = named(&spans, &trace, &format!("POST {path}"))[..] else { panic!("{spans:#?}") };
        let [job] = named(&spans, &trace, "job payment.event")[..] else { panic!("{spans:#?}") };
        assert_eq!(
            (&job.parent, &job.attributes["portico.request_id"]),
            (&request.id, &"r-provider".to_owned())
        );
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_trace_begins_one_and_probes_have_none() {
    let collector = TestCollector::start().await;
    let server = traced(Database::Sqlite, &collector, 1.0).await;
    let client = server.client();
    client.get("/api/health/ready").await.expect(200);
    client.get("/api/metrics").await;
    client.with("traceparent", "00-gibberish").get("/api/v1/templates").await.expect(200);
    client.get("/api/v1/nowhere").await.expect(404);
    server.app.core.tracer.flush().await;
    let spans = collector.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.kind == "Server").collect();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(requests.iter().all(|span| span.parent.is_empty() && span.trace.len() == 32 && !span.failed));
    assert_ne!(requests[0].trace, requests[1].trace);
    assert_eq!(requests[0].name, "GET /api/v1/templates");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_of_a_request_begins_when_the_request_came() {
    let collector = TestCollector::start().await;
    let server = traced(Database::Sqlite, &collector, 1.0).await;
    let ago = Duration::from_secs(5);
    let came = Instant::now().checked_sub(ago).unwrap();
    drop(server.app.core.tracer.asked("came before", None, came));
    server.app.core.tracer.flush().await;
    let spans = collector.spans();
    let span = spans.iter().find(|span| span.name == "came before").expect("the span");
    assert!(span.took >= ago && span.took < ago + Duration::from_secs(5), "{span:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_recorded_is_still_carried_on() {
    let collector = TestCollector::start().await;
    let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let off = TestServer::start().await;
    let none = traced(Database::Sqlite, &collector, 0.0).await;
    for server in [&off, &none] {
        let client = server.client().with("x-request-id", "r-quiet");
        let asked = client.with("traceparent", sampled);
        asked.post("/api/v1/auth/register", registration("ada@example.com")).await.expect(201);
        client
            .with("x-request-id", "r-none")
            .post("/api/v1/auth/register", registration("eve@example.com"))
            .await
            .expect(201);
        server.app.core.tracer.flush().await;
        let events = events_of(server, "r-quiet").await;
        assert!(!events.is_empty());
        let parent: TraceParent = sampled.parse().unwrap();
        for event in events {
            let noted = event.trace_parent.expect("the trace of the client");
            assert_eq!(noted.trace, parent.trace);
            // The sampled flag that is passed on says whether we recorded it.
            assert_eq!(noted.sampled, server.app.settings.telemetry.otlp_endpoint.is_none());
        }
    }
    let events = events_of(&off, "r-none").await;
    assert!(!events.is_empty() && events.iter().all(|event| event.trace_parent.is_none()));
    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
    off.stop().await;
    none.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_harms_nobody() {
    let gone = TestCollector::start().await;
    let address = gone.url().to_owned();
    drop(gone);
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.telemetry.otlp_endpoint = Some(address.parse().unwrap());
    })
    .await;
    let client = server.customer("ada@example.com").await;
    client.get("/api/v1/profile").await.expect(200);
    // More than the queue holds: the excess is dropped, and no request waits.
    for _ in 0..300 {
        client.get("/api/v1/profile").await.expect(200);
    }
    server.stop().await;
}
