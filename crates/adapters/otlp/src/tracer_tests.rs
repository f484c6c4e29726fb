use std::sync::Mutex;

use async_trait::async_trait;
use portico_kernel::http::{HttpError, HttpRequest, HttpResponse};

use super::*;
use crate::{annotate, current};

const STRANGER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Records requests, and answers with a status.
struct Fake {
    status: u16,
    calls: Mutex<Vec<HttpRequest>>,
}

#[async_trait]
impl HttpClient for Fake {
    fn admits(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.calls.lock().unwrap().push(request);
        Ok(HttpResponse { status: self.status, headers: Vec::new(), body: Vec::new() })
    }
}

fn tracer(ratio: f64, endpoint: &str) -> (Tracer, Arc<Fake>) {
    let fake = Arc::new(Fake { status: 200, calls: Mutex::default() });
    let collector = Collector {
        endpoint: endpoint.to_owned(),
        headers: vec![("x-key".to_owned(), "let-me-in".to_owned().into())],
        sample_ratio: ratio,
        service: "portico".to_owned(),
        version: "1.2.3",
        instance: "one".to_owned(),
    };
    (Tracer::sending(collector, fake.clone(), Handle::current()).unwrap(), fake)
}

#[tokio::test]
async fn switched_off_a_trace_is_carried_on_and_none_is_begun() {
    let off = Tracer::off();
    let parent: TraceParent = STRANGER.parse().unwrap();
    for span in
        [off.asked("GET /", Some(parent), Instant::now()), off.begin(Work::Later, "job", Some(parent))]
    {
        assert_eq!(span.parent(), Some(parent));
        assert!(!span.is_recorded());
        assert_eq!(span.run(async { current() }).await, Some(parent));
    }
    assert_eq!(off.asked("GET /", None, Instant::now()).run(async { current() }).await, None);
    assert_eq!(current(), None);
}

#[tokio::test]
async fn spans_of_one_trace_follow_from_each_other_and_are_sent() {
    let (tracer, fake) = tracer(1.0, "http://collector.test:4318/");
    let request = tracer.asked("GET", None, Instant::now());
    let parent = request.run(async { current() }).await.unwrap();
    assert_eq!(request.parent(), Some(parent));
    let job = tracer.begin(Work::Later, "job", Some(parent));
    let inside = job.parent().unwrap();
    assert_eq!((inside.trace, inside.sampled), (parent.trace, true));
    assert_ne!(inside.span, parent.span);
    request.run(async { annotate("page.updated", &[("id", &7)]) }).await;
    drop((request, job));
    tracer.flush().await;
    let calls = fake.calls.lock().unwrap().clone();
    let [call] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    assert_eq!(call.url, "http://collector.test:4318/v1/traces");
    let header = |name: &str| call.headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value);
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert_eq!(header("x-key"), Some("let-me-in"));
    let body = String::from_utf8_lossy(&call.body);
    for text in ["page.updated", "1.2.3", "service.instance.id"] {
        assert!(body.contains(text), "{text}");
    }
}

#[tokio::test]
async fn whether_a_strangers_trace_is_recorded_is_for_us_to_say() {
    let parent: TraceParent = STRANGER.parse().unwrap();
    let (all, _) = tracer(1.0, "http://collector.test");
    let unsampled = TraceParent { sampled: false, ..parent };
    assert!(all.asked("GET", Some(unsampled), Instant::now()).is_recorded());
    let (none, fake) = tracer(0.0, "http://collector.test");
    let span = none.asked("GET", Some(parent), Instant::now());
    let inside = span.parent().unwrap();
    assert_eq!((span.is_recorded(), inside.trace, inside.sampled), (false, parent.trace, false));
    // A parent that we stored ourselves is trusted.
    assert!(none.begin(Work::Later, "job", Some(parent)).is_recorded());
    assert!(!all.begin(Work::Later, "job", Some(unsampled)).is_recorded());
    // A fraction of the traces: the same ones in every process.
    let (some, _) = tracer(0.25, "http://collector.test");
    let (others, _) = tracer(0.25, "http://collector.test");
    let mut chosen = 0;
    for number in 1..=2000_u128 {
        let trace = std::num::NonZero::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let parent = TraceParent { trace: trace.unwrap(), ..parent };
        let recorded = some.asked("GET", Some(parent), Instant::now()).is_recorded();
        assert_eq!(recorded, others.asked("GET", Some(parent), Instant::now()).is_recorded());
        chosen += usize::from(recorded);
    }
    assert!((400..600).contains(&chosen), "{chosen}");
    none.flush().await;
    assert!(
        fake.calls.lock().unwrap().iter().all(|call| !String::from_utf8_lossy(&call.body).contains("GET"))
    );
}

#[tokio::test]
async fn a_call_that_has_ended_belongs_to_the_span_of_the_task() {
    let (tracer, fake) = tracer(1.0, "http://collector.test/v1/traces");
    tracer.past("select", Duration::from_millis(5), [("db.query.text", "select 1".to_owned())], false);
    let span = tracer.asked("GET", None, Instant::now());
    let work = async {
        assert!(tracer.records());
        tracer.past("insert", Duration::from_millis(5), [("db.query.text", "insert".to_owned())], true);
    };
    span.run(work).await;
    assert!(!tracer.records());
    drop(span);
    tracer.close().await;
    let calls = fake.calls.lock().unwrap().clone();
    let [call] = calls.as_slice() else { panic!("{} calls", calls.len()) };
    assert_eq!(call.url, "http://collector.test/v1/traces");
    let body = String::from_utf8_lossy(&call.body);
    assert!(body.contains("insert") && !body.contains("select 1"), "what belongs to no span is left out");
}
