//! Front pages of sites are answered before the application, and nobody can tell.

use std::{collections::BTreeMap, rc::Rc, sync::atomic::Ordering};

use actix_web::test::{TestRequest, call_service, init_service};
use portico::server;
use portico_feature_sites::hosting::{self, Fronts};
use portico_testkit::{
    collector::TestCollector,
    server::{Answer, Client, Database, TestServer, eventually},
};
use reqwest::Method;

use crate::publishing::{PATIENCE, Shop};

/// Encodings that nobody has: with them `Accept-Encoding` is longer than what is remembered, so that the application answers.
const UNKNOWN: &str = "a-long-name-of-an-encoding, and-another-one-that-nobody-has-heard-of";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// More requests than the server has threads, each of which asks the application first.
const REQUESTS: usize = 12;

async fn ask(visitor: &Client, method: &Method) -> Answer {
    visitor.send(method.clone(), "/", None, "").await
}

/// The headers of an answer, without those that are others in each.
fn headers(answer: &Answer) -> BTreeMap<String, String> {
    let headers = answer.headers.iter();
    headers
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_page_is_the_same_with_and_without_the_application() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("fronts")).await;
    shop.write(&"<p>Fresh bread, every morning, for everybody.</p>".repeat(40)).await;
    shop.deploy().await;
    for accepted in ["", "gzip", "gzip, deflate, br"] {
        let visitor = shop.visitor.with("accept-encoding", accepted);
        let by_application = format!("{accepted}, {UNKNOWN}");
        let tag = ask(&visitor.with("accept-encoding", &by_application), &Method::GET).await;
        let tag = tag.header("etag").to_owned();
        let again = visitor.with("if-none-match", &format!("\"other\", {tag}"));
        let other = visitor.with("if-none-match", "\"other\"");
        for (visitor, method, status) in [
            (&visitor, Method::GET, 200),
            (&visitor, Method::HEAD, 200),
            (&again, Method::GET, 304),
            (&again, Method::HEAD, 304),
            (&other, Method::GET, 200),
        ] {
            let full = ask(&visitor.with("accept-encoding", &by_application), &method).await;
            assert_eq!(full.status.as_u16(), status, "{method} {accepted}");
            assert_eq!(full.header("x-content-type-options"), "nosniff");
            let mut ids = Vec::new();
            for _ in 0..REQUESTS {
                let answer = ask(visitor, &method).await;
                assert_eq!(answer.status, full.status, "{method} {accepted}");
                assert_eq!(headers(&answer), headers(&full), "{method} {accepted}");
                assert!(answer.text == full.text, "{method} {accepted}");
                ids.push(answer.header("x-request-id").to_owned());
            }
            ids.sort();
            ids.dedup();
            assert!(ids.len() == REQUESTS && !ids[0].is_empty(), "{ids:?}");
        }
    }
    let named = shop.visitor.with("x-request-id", "visit-17");
    for _ in 0..REQUESTS {
        assert_eq!(ask(&named, &Method::GET).await.header("x-request-id"), "visit-17");
    }
    // A query makes no other page, and is no way around what is refused.
    let home = ask(&shop.visitor, &Method::GET).await.text;
    for _ in 0..REQUESTS {
        assert_eq!(shop.visitor.get("/?utm_source=letter").await.text, home);
        let refused = shop.visitor.send(Method::PUT, "/", Some(b"{}".to_vec()), "application/json").await;
        assert_eq!(refused.status.as_u16(), 405);
        let with_body = shop.visitor.send(Method::GET, "/", Some(b"{}".to_vec()), "application/json").await;
        assert_eq!((with_body.status.as_u16(), &with_body.text), (200, &home));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_counted_and_the_last_one_ends_its_connection() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("counted")).await;
    shop.deploy().await;
    let mut bytes = 0;
    for _ in 0..REQUESTS {
        bytes += ask(&shop.visitor, &Method::GET).await.text.len() as u64;
        ask(&shop.visitor, &Method::HEAD).await;
    }
    server.app.sites.hosting.visits.flush(&server.app.core).await;
    let tenant = shop.client.tenant.parse().unwrap();
    let today = server.app.core.env.now().into_inner().date();
    let sent = server.app.core.reader().visits().traffic(tenant, today, today).await.unwrap();
    assert_eq!(sent, (2 * REQUESTS as u64, bytes));

    server::retire(&server.app);
    for _ in 0..REQUESTS {
        let answer = ask(&shop.visitor, &Method::GET).await;
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_remembered_for_equal_requests_until_something_changes() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("remembered")).await;
    shop.deploy().await;
    let site = shop.client.get(&shop.path).await.expect(200);
    let host = site["url"].as_str().unwrap().trim_start_matches("http://");
    let (hosting, fronts) = (&server.app.sites.hosting, Rc::<Fronts>::default());
    let app = init_service(server::application(server.app.clone(), fronts.clone())).await;
    let to = |uri: &str| TestRequest::with_uri(uri).insert_header(("host", host));
    let answered = |request: TestRequest| {
        let answer = hosting::answer(hosting, &fronts, request.to_request().head(), None);
        answer.map(|answer| answer.status().as_u16())
    };
    let remembered = async || {
        // More than once where the machine is busy: a page is remembered for less than a second.
        let found = eventually(PATIENCE, async || {
            call_service(&app, to("/").to_request()).await;
            answered(to("/"))
        });
        assert_eq!(found.await, Some(200));
    };

    assert_eq!(answered(to("/")), None, "nobody asked for it");
    remembered().await;
    for (what, other) in [
        ("another method", TestRequest::post().insert_header(("host", host))),
        ("another path", to("/about/")),
        ("a host in the target", to(&format!("http://{host}/"))),
        ("another host", TestRequest::with_uri("/").insert_header(("host", "other.localhost"))),
        ("no host", TestRequest::with_uri("/")),
        ("other encodings", to("/").insert_header(("accept-encoding", "gzip"))),
    ] {
        assert_eq!(answered(other), None, "{what}");
    }
    remembered().await;
    server::retire(&server.app);
    assert_eq!(answered(to("/")), None, "clients are asked to close their connections");
    server.app.api.ready.store(true, Ordering::Release);
    remembered().await;
    shop.client.delete(&shop.path).await.expect(204);
    assert_eq!(answered(to("/")), None, "the site is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_page_has_the_same_span_with_and_without_the_application() {
    let collector = TestCollector::start().await;
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.telemetry.otlp_endpoint = Some(collector.url().parse().unwrap());
    })
    .await;
    let shop = Shop::open(&server, server.email("traced")).await;
    shop.deploy().await;
    let site = shop.client.get(&shop.path).await.expect(200);
    let host = site["url"].as_str().unwrap().trim_start_matches("http://");
    let (hosting, fronts) = (&server.app.sites.hosting, Rc::<Fronts>::default());
    let app = init_service(server::application(server.app.clone(), fronts.clone())).await;
    let request = |id: &str, trace: Option<&str>| {
        let request = TestRequest::with_uri("/").insert_header(("host", host));
        let request = request.insert_header(("x-request-id", id));
        match trace {
            Some(trace) => request.insert_header(("traceparent", trace)).to_request(),
            None => request.to_request(),
        }
    };
    for (trace, by_application, direct) in [(Some(TRACE), "a-1", "d-1"), (None, "a-2", "d-2")] {
        let answered = eventually(PATIENCE, async || {
            call_service(&app, request(by_application, trace)).await;
            let answer = hosting::answer(hosting, &fronts, request(direct, trace).head(), None);
            answer.map(|answer| answer.status().as_u16())
        });
        assert_eq!(answered.await, Some(200));
        let spans = eventually(PATIENCE, async || {
            server.app.core.tracer.flush().await;
            let spans = collector.spans();
            let of = |id: &str| {
                let mut spans = spans.iter();
                spans
                    .find(|span| span.attributes.get("portico.request_id").is_some_and(|of| of == id))
                    .cloned()
            };
            of(by_application).zip(of(direct))
        });
        let (mut full, mut short) = spans.await.expect("a span of each");
        for (span, id) in [(&mut full, by_application), (&mut short, direct)] {
            assert_eq!(span.attributes.remove("portico.request_id").as_deref(), Some(id));
            assert!(span.in_order && !span.failed && span.events.is_empty(), "{span:?}");
        }
        assert_eq!((&*short.name, &*short.kind, &*short.attributes["url.path"]), ("GET", "Server", "/"));
        assert_eq!(short.attributes["http.response.status_code"], "200");
        assert_eq!((&short.name, &short.kind, &short.attributes), (&full.name, &full.kind, &full.attributes));
        match trace {
            Some(trace) => assert!([&full, &short].iter().all(|span| {
                trace.contains(&span.trace) && trace.contains(&span.parent) && !span.parent.is_empty()
            })),
            None => assert!(full.trace != short.trace && full.parent.is_empty() && short.parent.is_empty()),
        }
    }
    server.stop().await;
}
