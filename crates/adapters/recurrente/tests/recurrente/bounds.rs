//! What has to end although the provider does not end it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portico_billing::payment::{CheckoutState, PaymentError, PaymentProvider};
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse};
use serde_json::{Value, json};
use time::Duration;

use crate::{TestClock, order, server::Server};

/// Answers each call as told, and notes it.
struct Scripted<F> {
    answer: F,
    calls: Mutex<Vec<(HttpMethod, Value)>>,
}

impl<F> Scripted<F> {
    fn new(answer: F) -> Arc<Self> {
        Arc::new(Self { answer, calls: Mutex::default() })
    }

    fn calls(&self, method: HttpMethod) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(known, _)| *known == method).map(|(_, body)| body.clone()).collect()
    }
}

#[async_trait]
impl<F: Fn(&HttpRequest) -> (u16, Value) + Send + Sync> HttpClient for Scripted<F> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        self.calls.lock().unwrap().push((request.method, body));
        let (status, body) = (self.answer)(&request);
        Ok(HttpResponse { status, headers: Vec::new(), body: body.to_string().into_bytes() })
    }

    fn admits(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }
}

fn checkout(expires_at: &Value) -> Value {
    json!({
        "id": "ch_1", "status": "unpaid", "metadata": {"reference": "t_1"}, "expires_at": expires_at,
        "created_at": "2026-01-01T00:00:00Z", "total_in_cents": "150000", "currency": "GTQ", "live_mode": false,
    })
}

#[tokio::test]
async fn the_search_for_an_earlier_checkout_is_given_up_and_nothing_is_made() {
    let server = Server::start().await;
    let clock: Arc<TestClock> = server.clock.clone();
    // A page that is full of others, and takes its time.
    let http = Scripted::new(move |_: &HttpRequest| {
        clock.advance(Duration::seconds(5));
        (200, json!(vec![json!({"id": "ch_9", "metadata": {"reference": "another"}}); 20]))
    });
    let made = server.provider_over(http.clone()).create_checkout(&order("t_1", server.env.now()), "k").await;
    assert!(matches!(&made, Err(PaymentError::Unavailable(_))), "it is tried again later: {made:?}");
    assert_eq!(http.calls(HttpMethod::Get).len(), 4, "20 seconds");
    assert!(http.calls(HttpMethod::Post).is_empty(), "there may be one");
}

#[tokio::test]
async fn a_checkout_without_an_end_is_given_ours() {
    let server = Server::start().await;
    let new = order("t_1", server.env.now());
    let end = json!(new.expires_at.to_string());
    for (was_made, posts) in [(false, 1), (true, 0)] {
        let given = end.clone();
        let http = Scripted::new(move |request: &HttpRequest| match request.method {
            HttpMethod::Post => (201, json!({"id": "ch_1", "checkout_url": "https://pay.example.com/ch_1"})),
            HttpMethod::Patch => (200, checkout(&given)),
            _ if request.url.ends_with("/checkouts/ch_1") => (200, checkout(&Value::Null)),
            _ if was_made => (200, json!([checkout(&Value::Null)])),
            _ => (200, json!([])),
        });
        let made = server.provider_over(http.clone()).create_checkout(&new, "k").await.unwrap();
        assert_eq!((made.state, made.expires_at), (CheckoutState::Open, new.expires_at));
        assert_eq!(http.calls(HttpMethod::Patch), [json!({"expires_at": end})]);
        assert_eq!(http.calls(HttpMethod::Post).len(), posts);
    }
}

#[tokio::test]
async fn a_checkout_that_has_an_end_or_is_paid_is_left_as_it_is() {
    let server = Server::start().await;
    let new = order("t_1", server.env.now());
    let mut paid = checkout(&Value::Null);
    paid["status"] = json!("paid");
    for (found, state) in [
        (checkout(&json!(new.expires_at.to_string())), CheckoutState::Open),
        (paid, CheckoutState::Paid { payment_id: "ch_1".to_owned() }),
    ] {
        let http = Scripted::new(move |request: &HttpRequest| match request.method {
            HttpMethod::Get if request.url.ends_with("/checkouts/ch_1") => (200, found.clone()),
            HttpMethod::Get => (200, json!([found.clone()])),
            _ => (500, Value::Null),
        });
        let made = server.provider_over(http.clone()).create_checkout(&new, "k").await.unwrap();
        assert_eq!(made.state, state);
        assert!(http.calls(HttpMethod::Patch).is_empty());
    }
}
