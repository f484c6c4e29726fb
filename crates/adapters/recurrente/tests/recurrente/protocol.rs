//! What goes over the wire, and what comes back when something is wrong.

use portico_billing::payment::{PaymentError, PaymentProvider};
use portico_kernel::http::HttpMethod;
use portico_recurrente::HeaderStyle;
use serde_json::{Value, json};

use crate::{
    order,
    server::{Call, Fault, Server},
};

fn header<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn the_call_is_the_documented_one() {
    let server = Server::start().await;
    let new = order("tenant_checkout", server.env.now());
    let made = server.provider().create_checkout(&new, "checkout_1").await.unwrap();
    let calls = server.calls();
    let lines: Vec<&str> = calls.iter().map(|call| call.line.as_str()).collect();
    let since = "2025-12-31T00:00:00Z";
    assert_eq!(
        lines,
        [
            format!("GET /api/checkouts?from_time={since}&page=1&items=20").as_str(),
            "POST /api/checkouts",
            format!("GET /api/checkouts/{}", made.id).as_str(),
        ]
    );
    let sent: Value = serde_json::from_str(&calls[1].body).unwrap();
    assert_eq!(
        sent,
        json!({
            "items": [{"name": "Panadería Luz", "currency": "GTQ", "amount_in_cents": 150_000, "quantity": 1}],
            "success_url": "https://app.example.com/thanks",
            "cancel_url": "https://app.example.com/offers",
            "metadata": {"reference": "tenant_checkout"},
            "expires_at": "2026-01-01T00:30:00Z",
        })
    );
    assert_eq!(header(&calls[1], "idempotency-key"), Some("checkout_1"));
    for call in &calls {
        assert_eq!(
            (header(call, "x-public-key"), header(call, "x-secret-key")),
            (Some("pk_test_stand_in"), Some("sk_test_stand_in"))
        );
        assert_eq!(header(call, "authorization"), None);
    }
}

#[tokio::test]
async fn the_keys_are_sent_in_either_way() {
    let server = Server::start().await;
    let bearer = server.provider_with(|config| config.headers = HeaderStyle::Bearer);
    bearer.create_checkout(&order("t_1", server.env.now()), "k").await.unwrap();
    for call in server.calls() {
        assert_eq!(header(&call, "authorization"), Some("Bearer sk_test_stand_in"));
        assert_eq!(
            (header(&call, "x-public-key"), header(&call, "x-secret-key")),
            (Some("pk_test_stand_in"), None)
        );
    }
    let wrong = server.provider_with(|config| config.secret_key = "sk_test_wrong".to_owned().into());
    let error = wrong.checkout("ch_1").await.unwrap_err();
    assert!(
        matches!(&error, PaymentError::Refused(why) if why.contains("401") && !why.contains("sk_")),
        "{error}"
    );
}

#[tokio::test]
async fn a_call_in_doubt_is_not_a_refused_one() {
    let server = Server::start().await;
    let provider = server.provider();
    let new = order("t_1", server.env.now());
    for (fault, passing) in [
        (Fault::Status(500, "oops"), true),
        (Fault::Status(429, "{}"), true),
        (Fault::Status(409, "{}"), true),
        (Fault::Body("<html>"), true),
        (Fault::Body("{}"), true),
        (Fault::Status(422, r#"{"error": "Amount is too small"}"#), false),
        (Fault::Status(401, "{}"), false),
    ] {
        server.fail_next(fault.clone());
        let error = provider.create_checkout(&new, "k").await.unwrap_err();
        assert_eq!(error.is_passing(), passing, "{fault:?}: {error}");
    }
    server.fail_next(Fault::Status(422, r#"{"error": "Amount is too small"}"#));
    let error = provider.create_checkout(&new, "k").await.unwrap_err();
    assert!(error.to_string().contains("Amount is too small"), "{error}");
}

#[tokio::test]
async fn an_address_that_may_not_be_called_is_not_called() {
    let server = Server::start().await;
    for base_url in ["http://10.0.0.1/api", "http://169.254.169.254/api", "ftp://a.example/api"] {
        let provider = server.provider_with(|config| config.base_url = base_url.to_owned());
        let error = provider.checkout("ch_1").await.unwrap_err();
        assert!(
            matches!(&error, PaymentError::Refused(why) if why.contains("recurrente.base_url")),
            "{error}"
        );
    }
    assert!(server.calls().is_empty());
}

/// The stand-in refuses what the provider's documents rule out, so that a wrong call of the adapter is found.
#[tokio::test]
async fn the_stand_in_keeps_the_documented_rules() {
    let server = Server::start().await;
    let keys = [("X-Public-Key", "pk_test_stand_in"), ("X-Secret-Key", "sk_test_stand_in")];
    let keys: Vec<(String, String)> =
        keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let post = async |path: &str, body: Value| {
        let body = body.to_string();
        server.stand_in.answer(HttpMethod::Post, path, &keys, body.as_bytes()).await.unwrap()
    };
    let item = json!({"name": "A", "currency": "GTQ", "amount_in_cents": "500"});
    let (status, made) = post("/api/checkouts/", json!({"items": [item]})).await;
    assert_eq!((status, made.as_object().unwrap().len()), (201, 2), "{made}");
    let with = |name: &str, value: Value| {
        let mut item = item.clone();
        item[name] = value;
        json!({"items": [item]})
    };
    let long = "x".repeat(501);
    for wrong in [
        json!({}),
        json!({"items": []}),
        with("currency", json!("EUR")),
        with("currency", json!("gtq")),
        with("quantity", json!(10)),
        with("quantity", json!(0)),
        with("amount_in_cents", json!(0)),
        with("name", json!("")),
        json!({"items": [item, {"name": "B", "currency": "USD", "amount_in_cents": 1}]}),
        json!({"items": [item], "expires_at": "tomorrow"}),
        json!({"items": [item], "metadata": {"reference": long}}),
    ] {
        assert_eq!(post("/api/checkouts", wrong.clone()).await.0, 422, "{wrong}");
    }
    let none = server.stand_in.answer(HttpMethod::Get, "/api/test", &[], b"").await.unwrap();
    assert_eq!(none, (401, json!({"error": "Unauthorized"})));
    for (path, status) in
        [("/api/test", 200), ("/api/users", 404), ("/checkouts", 404), ("/api/refunds/re_1", 404)]
    {
        let answer = server.stand_in.answer(HttpMethod::Get, path, &keys, b"").await.unwrap();
        assert_eq!(answer.0, status, "{path}");
    }
}
