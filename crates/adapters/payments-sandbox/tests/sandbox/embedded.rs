//! The sandbox in a file: what is stored, and who sees it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use portico_kernel::{
    Clock, Env, Random, Timestamp,
    http::{HttpClient, HttpError, HttpRequest},
};
use portico_payments_sandbox::embedded::{BASE_URL, EmbeddedSandbox};
use serde_json::{Value, json};

use crate::harness::{form, text};

/// Shows what it is set to.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Other bytes each time.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn env() -> (Env, Arc<Hands>) {
    let hands = Arc::new(Hands(AtomicI64::new(1_800_000_000)));
    (Env::new(hands.clone(), Arc::new(Counting(AtomicU8::new(0)))), hands)
}

fn open(folder: &Path, url: &str) -> (EmbeddedSandbox, Arc<Hands>) {
    let (env, hands) = env();
    (EmbeddedSandbox::open(folder, url.to_owned(), env).unwrap(), hands)
}

async fn call(sandbox: &EmbeddedSandbox, path: &str, fields: Option<Value>) -> Value {
    let authorization = ("authorization".to_owned(), format!("Bearer {}", sandbox.secret_key()));
    let url = format!("{BASE_URL}{path}");
    let request = match fields {
        Some(fields) => HttpRequest::post(url, vec![authorization], form(&fields).into_bytes()),
        None => HttpRequest { headers: vec![authorization], ..HttpRequest::get(url) },
    };
    let answer = sandbox.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

async fn checkout(sandbox: &EmbeddedSandbox) -> Value {
    let price = json!({"currency": "usd", "unit_amount": 100, "product_data": {"name": "A"}});
    let fields = json!({
        "mode": "payment", "success_url": "http://shop.example/done", "customer_email": "ana@shop.example",
        "line_items": [{"quantity": 1, "price_data": price}],
    });
    call(sandbox, "/v1/checkout/sessions", Some(fields)).await
}

async fn pay(sandbox: &EmbeddedSandbox, session: &Value) -> String {
    let path = format!("/checkout/{}", text(&session["id"]));
    let body = form(&json!({"action": "pay", "card": "visa"})).into_bytes();
    let answer = sandbox.page("POST".to_owned(), path, body).await.unwrap();
    assert_eq!(answer.status, 303);
    answer.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone()
}

#[tokio::test]
async fn what_it_has_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path(), "http://127.0.0.1:1/dev/payments");
    let session = checkout(&first).await;
    assert!(text(&session["url"]).starts_with("http://127.0.0.1:1/dev/payments/checkout/cs_test_"));
    assert_eq!(pay(&first, &session).await, "http://shop.example/done");
    let moved = first.advance(Duration::from_secs(86_400)).await.unwrap();
    assert_eq!(moved.unix_seconds(), 1_800_086_400);
    let keys = (first.secret_key().to_owned(), first.webhook_secret().to_owned());
    assert!(keys.0.starts_with("sk_test_") && keys.1.starts_with("whsec_"));
    let mode = fs::metadata(folder.path().join("payments-sandbox.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds the keys");
    drop(first);

    let (second, _) = open(folder.path(), "http://127.0.0.1:2/dev/payments");
    assert_eq!((second.secret_key(), second.webhook_secret()), (keys.0.as_str(), keys.1.as_str()));
    let path = format!("/v1/checkout/sessions/{}", text(&session["id"]));
    assert_eq!(call(&second, &path, None).await["payment_status"], "paid");
    let list = second.checkouts().await.unwrap();
    assert_eq!((list.len(), &list[0]["id"]), (1, &session["id"]));
    assert_eq!(second.time().await.unwrap(), moved);
    assert!(text(&checkout(&second).await["url"]).starts_with("http://127.0.0.1:2/dev/payments/"));
}

#[tokio::test]
async fn processes_on_one_folder_see_what_the_other_did() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = open(folder.path(), "http://shop.example/pay");
    let (other, hands) = open(folder.path(), "http://shop.example/pay");
    let session = checkout(&one).await;
    pay(&other, &session).await;
    let path = format!("/v1/checkout/sessions/{}", text(&session["id"]));
    assert_eq!(call(&one, &path, None).await["payment_status"], "paid");
    // Each delivery is handed to one of them.
    hands.0.fetch_add(10, Ordering::Relaxed);
    let (due, _) = other.due_webhooks().await.unwrap();
    assert!(due.len() >= 6 && due.len().is_multiple_of(2), "each event twice: {}", due.len());
    assert!(one.due_webhooks().await.unwrap().0.is_empty());
    let outcomes = due.iter().map(|delivery| (delivery.id.clone(), true)).collect();
    one.acknowledge(outcomes).await.unwrap();
    hands.0.fetch_add(3600, Ordering::Relaxed);
    assert!(other.due_webhooks().await.unwrap().0.is_empty(), "what was taken does not come again");
}

#[tokio::test]
async fn webhooks_come_late_and_again_until_they_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, hands) = open(folder.path(), "http://shop.example/pay");
    let (none, pause) = sandbox.due_webhooks().await.unwrap();
    assert!(none.is_empty() && pause == Duration::from_secs(30), "nothing is to come: {pause:?}");
    pay(&sandbox, &checkout(&sandbox).await).await;
    sandbox.called().await;
    let mut all = Vec::new();
    for _ in 0..=2 {
        let (due, pause) = sandbox.due_webhooks().await.unwrap();
        assert!(pause <= Duration::from_secs(30));
        all.extend(due);
        hands.0.fetch_add(1, Ordering::Relaxed);
    }
    let names: Vec<&String> = all[0].headers.iter().map(|(name, _)| name).collect();
    assert!(names.contains(&&"Stripe-Signature".to_owned()), "{names:?}");
    let refused = all.iter().map(|delivery| (delivery.id.clone(), false)).collect();
    sandbox.acknowledge(refused).await.unwrap();
    hands.0.fetch_add(31, Ordering::Relaxed);
    let (again, _) = sandbox.due_webhooks().await.unwrap();
    assert_eq!(again.len(), all.len());
}

#[tokio::test]
async fn a_file_that_is_gone_begins_anew_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, _) = open(folder.path(), "http://shop.example/pay");
    checkout(&sandbox).await;
    let file = folder.path().join("payments-sandbox.json");
    fs::remove_file(&file).unwrap();
    let list = call(&sandbox, "/v1/checkout/sessions", None).await;
    assert_eq!(list["data"], json!([]), "its key still opens it");
    checkout(&sandbox).await;
    assert!(file.exists());
    fs::write(&file, "{").unwrap();
    fs::remove_file(file.with_extension("lock")).unwrap();
    let error = EmbeddedSandbox::open(folder.path(), String::new(), env().0).err().unwrap();
    assert!(error.to_string().contains("remove it"), "{error}");
    let broken = sandbox.send(HttpRequest::get(format!("{BASE_URL}/v1/events"))).await;
    assert!(matches!(broken, Err(HttpError::Unreachable(_))), "{broken:?}");
}

#[tokio::test]
async fn it_is_no_way_to_other_servers() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, _) = open(folder.path(), "http://shop.example/pay");
    for url in [
        "https://api.stripe.com/v1/events",
        "https://payments-sandbox.invalid.example/v1/events",
        BASE_URL,
        "",
    ] {
        assert!(matches!(sandbox.admits(url), Err(HttpError::Refused(_))), "{url}");
        assert!(matches!(sandbox.send(HttpRequest::get(url)).await, Err(HttpError::Refused(_))), "{url}");
    }
}
