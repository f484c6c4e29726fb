//! What holds for every answer.

use portico_testkit::server::{Database, TestServer};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_security_headers_and_a_request_id() {
    let server = TestServer::start().await;
    let client = server.client();
    for path in ["/api/health", "/api/v1/nothing", "/api/v1/sites", "/verify-email", "/"] {
        let answer = client.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("x-xss-protection", "1; mode=block"),
            ("referrer-policy", ""),
            ("permissions-policy", ""),
            ("content-security-policy", "default-src 'none'"),
        ] {
            let header = answer.header(name);
            assert!(!header.is_empty() && header.starts_with(value), "{path}: {name}: {header}");
        }
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_the_parts_that_are_used() {
    let server = TestServer::start().await;
    let health = server.client().get("/api/health").await.expect(200);
    let version = health["version"].clone();
    let expected = json!({"status": "ok", "version": version, "database": "ok", "redis": "disabled", "storage": "ok", "scanner": "disabled"});
    assert_eq!(health, expected);
    assert_eq!(server.client().get("/api/health/ready").await.expect(200), expected);
    server.stop().await;

    let server = TestServer::start_with(Database::Sqlite, |_| {}).await;
    std::fs::remove_dir_all(server.app.settings.data_dir.join("files")).unwrap();
    let health = server.client().get("/api/health").await.expect(200);
    assert_eq!((&health["status"], &health["storage"]), (&json!("degraded"), &json!("unavailable")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sane_request_id_is_kept_and_a_wild_one_replaced() {
    let server = TestServer::start().await;
    let sane = server.client().with("x-request-id", "front-end.42").get("/api/v1/nothing").await;
    assert_eq!(sane.header("x-request-id"), "front-end.42");
    assert_eq!(sane.json["requestId"], "front-end.42");
    let wild = server.client().with("x-request-id", "a b<script>").get("/api/v1/nothing").await;
    assert_ne!(wild.header("x-request-id"), "a b<script>");
    assert_eq!(wild.json["requestId"], wild.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_problem_details() {
    let server = TestServer::start().await;
    let answer = server.client().get("/api/v1/nothing").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.expect(404);
    assert_eq!(problem["code"], "not_found");
    assert_eq!(problem["instance"], "/api/v1/nothing");
    assert_eq!(problem["status"], 404);
    let answer = server.client().send(Method::PATCH, "/api/v1/auth/login", None, "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    let answer = server.client().get("/api/v1/sites").await;
    assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_origin_may_call_from_a_browser_and_no_other() {
    let server = TestServer::start_with(portico_testkit::server::Database::Sqlite, |settings| {
        settings.cors.origins = vec!["https://portal.example".into()];
        settings.rate_limit.enabled = true;
        settings.rate_limit.sensitive = 1;
    })
    .await;
    let preflight = async |origin: &str| {
        let client = server
            .client()
            .with("origin", origin)
            .with("access-control-request-method", "PUT")
            .with("access-control-request-headers", "authorization, if-match, baggage, x-trace-of-a-tool");
        client.send(Method::OPTIONS, "/api/v1/profile", None, "").await
    };
    let listed = preflight("https://portal.example").await;
    assert!(listed.status.is_success(), "{listed:?}");
    assert_eq!(listed.header("access-control-allow-origin"), "https://portal.example");
    assert_eq!(listed.header("access-control-allow-credentials"), "true");
    let other = preflight("https://evil.example").await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    // Scripts can also read what the layers refuse, and when to come again.
    let script = server.client().with("origin", "https://portal.example");
    let signed_out = script.get("/api/v1/profile").await;
    script.post("/api/v1/auth/login", serde_json::json!({})).await;
    let too_many = script.post("/api/v1/auth/login", serde_json::json!({})).await;
    for (refused, status) in [(signed_out, 401), (too_many, 429)] {
        assert_eq!(refused.status.as_u16(), status, "{refused:?}");
        assert_eq!(refused.header("access-control-allow-origin"), "https://portal.example", "{status}");
        let exposed = refused.header("access-control-expose-headers").to_owned();
        for name in ["retry-after", "link", "content-disposition", "x-ratelimit-remaining"] {
            assert!(exposed.contains(name), "{status}: {name} in {exposed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_and_enforced() {
    let server = TestServer::start_with(portico_testkit::server::Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.sensitive = 3;
    })
    .await;
    let client = server.client();
    let login = json!({"email": "nobody@example.com", "password": "wrong"});
    for remaining in ["2", "1", "0"] {
        let answer = client.post("/api/v1/auth/login", login.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining")), (401, remaining));
        assert_eq!(answer.header("x-ratelimit-limit"), "3");
    }
    // The alias counts with the canonical path, and a made-up forwarding header does not help.
    let refused = client.with("x-forwarded-for", "192.0.2.7").post("/api/v1/customer/login", login).await;
    assert_eq!(refused.status.as_u16(), 429);
    assert_eq!(refused.json["code"], "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(client.get("/api/health").await.status.as_u16(), 200, "other routes go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_answer_like_their_canonical_path() {
    let server = TestServer::start().await;
    for (alias, canonical) in portico_web::alias::ALIASES {
        let (old, new) = (server.client().get(alias).await, server.client().get(canonical).await);
        assert_eq!(
            (old.status, &old.json["code"]),
            (new.status, &new.json["code"]),
            "{alias} and {canonical}"
        );
    }
    let registration =
        json!({"email": "alias@example.com", "password": "Correct-Horse-7", "full_name": "Al Ias"});
    let tokens = server.client().post("/api/v1/customer/register", registration).await.expect(201);
    let mut client = server.client();
    client.sign(&tokens);
    for path in ["/customer/auth/profile", "/api/v1/customer/me", "/api/v1/profile"] {
        assert_eq!(client.get(path).await.expect(200)["fullName"], "Al Ias", "{path}");
    }
    assert_eq!(client.get("/api/tenants?limit=5").await.expect(200)["limit"], 5, "the query is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_how_it_is() {
    TestServer::on_each_database(async |server| {
        let client = server.client();
        assert_eq!(client.get("/api/health").await.expect(200)["status"], "ok");
        assert_eq!(client.get("/api/health/live").await.status.as_u16(), 204);
        assert_eq!(client.get("/api/health/ready").await.status.as_u16(), 200);
        let metrics = client.get("/api/metrics").await.text;
        assert!(metrics.contains("portico_http_request_duration_seconds_bucket"), "{metrics}");
        assert!(metrics.contains("route=\"/api/health/ready\""), "{metrics}");
        let docs = client.get("/api/docs/").await;
        assert_eq!((docs.status.as_u16(), docs.header("content-type")), (200, "text/html; charset=utf-8"));
        // Whatever the page refers to, a browser will not load anything from elsewhere.
        assert!(docs.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
        assert_eq!(client.get("/api/openapi.json").await.expect(200)["openapi"], "3.1.0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_and_the_server_lives_on() {
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};
    let server = TestServer::start().await;
    let app = App::new()
        .app_data(web::Data::new(server.app.api.clone()))
        .wrap(from_fn(portico_web::middleware::around))
        .route("/fine", web::get().to(HttpResponse::Ok))
        .route("/panic", web::get().to(async || -> HttpResponse { panic!("secret detail") }));
    let app = test::init_service(app).await;
    let request =
        || test::TestRequest::get().uri("/panic").insert_header(("x-request-id", "p1")).to_request();
    for _ in 0..2 {
        let error = test::try_call_service(&app, request()).await.map(|_| ()).unwrap_err();
        let response = error.as_response_error().error_response();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["requestId"]), (&json!("internal"), &json!("p1")));
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    let fine = test::call_service(&app, test::TestRequest::get().uri("/fine").to_request()).await;
    assert_eq!(fine.status(), 200);
    let metrics = server.client().get("/api/metrics").await.text;
    let counted = |line: &&str| {
        line.starts_with("portico_http_request_duration_seconds_count") && line.contains("status=\"500\"")
    };
    assert!(metrics.lines().find(counted).is_some(), "{metrics}");
}
