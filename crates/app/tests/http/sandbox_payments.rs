//! Buying at the payments sandbox of a server without an account at Stripe: the adapter of Stripe, the pages, the webhooks.

use std::time::Duration;

use portico_billing::{inbound::InboundStatus, payment::Provider};
use portico_kernel::{
    PlatformRole,
    http::{HttpClient, HttpMethod, HttpRequest},
};
use portico_payments_sandbox::embedded::BASE_URL;
use portico_testkit::{
    payments::TestPayments,
    server::{Answer, Client, Database, TestServer, at_once, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::{checkout, order},
    sites::events,
};

const CREATE: &str = "/api/v1/checkout/create-session";
const SUCCESS: &str = "/api/v1/checkout/success";
const PURCHASES: &str = "/api/v1/purchases";
const WEBHOOK: &str = "/api/v1/webhooks/stripe";
pub const SANDBOX: &str = "/dev/payments";

/// A server as a developer starts it: payments are made at the sandbox.
pub async fn server() -> TestServer {
    TestServer::start_changed(
        Database::Sqlite,
        |_| {},
        |app| {
            let sandbox = app.payments_sandbox.as_ref().expect("no account is set");
            let providers = portico::payments::at_sandbox(sandbox);
            app.billing.provider = providers.payments;
            app.billing.subscriptions = providers.subscriptions;
        },
    )
    .await
}

/// Calls the sandbox as somebody who has its key: a form that is not empty is posted.
pub async fn call(server: &TestServer, path: &str, form: &str) -> Value {
    let sandbox = server.app.payments_sandbox.as_ref().unwrap();
    let authorization = ("authorization".to_owned(), format!("Bearer {}", sandbox.secret_key()));
    let get = HttpRequest { headers: vec![authorization], ..HttpRequest::get(format!("{BASE_URL}{path}")) };
    let request = match form {
        "" => get,
        form => HttpRequest { method: HttpMethod::Post, body: form.as_bytes().to_vec(), ..get },
    };
    serde_json::from_slice(&sandbox.send(request).await.unwrap().body).unwrap()
}

/// Sends a form of a page.
pub async fn submit(server: &TestServer, url: &str, form: &str) -> Answer {
    let path = url.strip_prefix(&server.url).unwrap_or(url);
    let body = Some(form.as_bytes().to_vec());
    server.client().send(Method::POST, path, body, "application/x-www-form-urlencoded").await
}

/// A buyer chooses a card on the page of a session.
pub async fn pay(server: &TestServer, session: &str, card: &str) -> Answer {
    let form = format!("action=pay&card={card}&email=ana%40example.com");
    submit(server, &format!("{SANDBOX}/checkout/{session}"), &form).await
}

async fn status(client: &Client, purchase: &str) -> String {
    text(&client.get(&format!("{PURCHASES}/{purchase}")).await.expect(200), "status")
}

async fn becomes(client: &Client, purchase: &str, wanted: &str) {
    let is_so = async || (status(client, purchase).await == wanted).then_some(());
    assert!(eventually(Duration::from_secs(20), is_so).await.is_some(), "the purchase becomes {wanted}");
}

/// The events of a kind about a session, as the sandbox has them.
async fn sent(server: &TestServer, kind: &str, session: &str) -> Vec<Value> {
    let list = call(server, &format!("/v1/events?limit=100&type={kind}"), "").await;
    let all = list["data"].as_array().unwrap().clone();
    all.into_iter().filter(|event| event["data"]["object"]["id"] == session).collect()
}

/// Waits until each of the two webhooks of the one event of a kind about a session was taken, and the event was worked off.
async fn told(server: &TestServer, kind: &str, session: &str) {
    let done = async || {
        let found = sent(server, kind, session).await;
        let [event] = found.as_slice() else { return None };
        let inbox = server.app.core.inbox();
        let stored = inbox.find(Provider::Stripe, event["id"].as_str()?).await.ok()??;
        (event["pending_webhooks"] == 0 && stored.event.status == InboundStatus::Done).then_some(())
    };
    assert!(eventually(Duration::from_secs(20), done).await.is_some(), "{kind} is told and worked off");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_pays_and_closes_the_window_has_bought_once() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let made = ada.post(CREATE, order()).await.expect(201);
    let (session, page) = (text(&made, "sessionId"), text(&made, "url"));
    assert!(session.starts_with("cs_test_"));
    assert_eq!(page, format!("{}{SANDBOX}/checkout/{session}", server.url));
    let shown = server.client().get(page.strip_prefix(&server.url).unwrap()).await;
    assert_eq!(shown.status.as_u16(), 200);
    assert!(shown.text.contains("ada@example.com"), "the page has the address already: {}", shown.text);
    assert!(
        shown.text.contains("359.00 USD") && shown.text.contains("Base Software License"),
        "{}",
        shown.text
    );
    assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    let id = text(&ada.get(PURCHASES).await.expect(200)["items"][0], "id");
    assert_eq!(status(&ada, &id).await, "pending");

    let paid = pay(&server, &session, "visa").await;
    assert_eq!(paid.status.as_u16(), 303, "{}", paid.text);
    assert_eq!(paid.header("location"), format!("https://app.example.com/paid?session={session}"));
    becomes(&ada, &id, "completed").await;
    told(&server, "checkout.session.completed", &session).await;
    let after = ada.post(SUCCESS, json!({"sessionId": session})).await.expect(200);
    assert_eq!(after["status"], "completed");
    assert_eq!(events(&ada, "purchase.completed").await, 1);
    assert_eq!(events(&ada, "payment.mismatch").await, 0);
    let again = pay(&server, &session, "visa").await;
    assert_eq!(again.status.as_u16(), 303, "it is paid: back to the shop");
    assert_eq!(sent(&server, "checkout.session.completed", &session).await.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_success_call_may_come_first_or_together_with_the_webhooks() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let (session, id) = checkout(&ada).await;
    let back = json!({"sessionId": session});
    assert_eq!(ada.post(SUCCESS, back.clone()).await.expect(200)["status"], "pending");
    pay(&server, &session, "visa").await;
    assert_eq!(ada.post(SUCCESS, back).await.expect(200)["status"], "completed", "without a webhook");
    told(&server, "checkout.session.completed", &session).await;
    assert_eq!(status(&ada, &id).await, "completed");

    let (session, other) = checkout(&ada).await;
    pay(&server, &session, "mastercard").await;
    let answers = at_once(24, |_| {
        let (ada, back) = (ada.clone(), json!({"sessionId": session}));
        async move { ada.post(SUCCESS, back).await }
    })
    .await;
    for answer in answers {
        assert_eq!(answer.expect(200)["id"], json!(other));
    }
    told(&server, "checkout.session.completed", &session).await;
    assert_eq!(status(&ada, &other).await, "completed");
    assert_eq!(events(&ada, "purchase.completed").await, 2, "one each");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_a_closed_window_and_a_question_of_the_bank_are_no_end() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let (session, id) = checkout(&ada).await;
    let declined = pay(&server, &session, "visa_chargeDeclinedInsufficientFunds").await;
    assert_eq!(declined.status.as_u16(), 402);
    assert!(declined.text.contains("insufficient funds"), "{}", declined.text);
    let closed = submit(&server, &format!("{SANDBOX}/checkout/{session}"), "action=close").await;
    assert_eq!(closed.header("location"), "https://app.example.com/cart");
    let success = json!({"sessionId": session});
    assert_eq!(ada.post(SUCCESS, success.clone()).await.expect(200)["status"], "pending");

    let bank = pay(&server, &session, "threeDSecure2Required").await.header("location").to_owned();
    assert!(bank.starts_with(&format!("{}{SANDBOX}/authenticate/", server.url)), "{bank}");
    let question = server.client().get(bank.strip_prefix(&server.url).unwrap()).await;
    assert!(question.status.as_u16() == 200 && question.text.contains("3-D Secure"), "{}", question.text);
    assert_eq!(submit(&server, &bank, "action=fail").await.status.as_u16(), 402);
    assert_eq!(ada.post(SUCCESS, success).await.expect(200)["status"], "pending");
    let bank = pay(&server, &session, "threeDSecure2Required").await.header("location").to_owned();
    assert_eq!(submit(&server, &bank, "action=confirm").await.status.as_u16(), 303);
    becomes(&ada, &id, "completed").await;
    for (kind, times) in [("purchase.completed", 1), ("purchase.failed", 0)] {
        assert_eq!(events(&ada, kind).await, times, "{kind}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_moved_on_payments_expire_and_others_are_made() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let (session, id) = checkout(&ada).await;
    let before = server.client().with("accept", "application/json").get(SANDBOX).await.expect(200);
    assert_eq!(before["items"][0]["id"], session);
    assert_eq!(before["items"][0]["status"], "open");
    let moved =
        server.client().post(&format!("{SANDBOX}/clock"), json!({"advance": "31d"})).await.expect(200);
    assert!(text(&moved, "time") > text(&before, "time"), "{moved}");
    becomes(&ada, &id, "failed").await;
    told(&server, "checkout.session.expired", &session).await;
    assert_eq!(pay(&server, &session, "visa").await.status.as_u16(), 200, "the page says that it is over");
    assert_eq!(status(&ada, &id).await, "failed");
    assert_eq!(events(&ada, "purchase.failed").await, 1);

    let form = submit(&server, &format!("{SANDBOX}/clock"), "advance=1d").await;
    assert_eq!((form.status.as_u16(), form.header("location")), (303, SANDBOX));
    for wrong in ["", "advance=", "advance=soon", "{\"advance\": 7}", "{\"advance\": \"1d\", \"by\": 1}"] {
        assert_eq!(submit(&server, &format!("{SANDBOX}/clock"), wrong).await.status.as_u16(), 400, "{wrong}");
    }
    // The shop does not know of that clock.
    let (session, later) = checkout(&ada).await;
    assert_eq!(pay(&server, &session, "visa").await.status.as_u16(), 303);
    becomes(&ada, &later, "completed").await;
    let page = server.client().get(SANDBOX).await;
    assert!(page.text.contains("359.00 USD") && page.text.contains("complete, paid"), "{}", page.text);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_the_documentation_is_paid_as_it_stands() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let documented = json!({
        "items": [{"productType": "base_product"}],
        "successUrl": "http://127.0.0.1:7600/paid?session={CHECKOUT_SESSION_ID}",
        "cancelUrl": "http://127.0.0.1:7600/cart",
    });
    for path in [CREATE, "/api/customer/checkout/create-session"] {
        let session = text(&ada.post(path, documented.clone()).await.expect(201), "sessionId");
        let paid = pay(&server, &session, "visa").await;
        assert_eq!(paid.header("location"), format!("http://127.0.0.1:7600/paid?session={session}"));
        let bought = ada.post(SUCCESS, json!({"sessionId": session})).await.expect(200);
        assert_eq!(bought["status"], "completed");
        assert_eq!((&bought["amount"], &bought["currency"]), (&json!(35900), &json!("usd")));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_coupon_leaves_has_to_be_enough_to_be_charged() {
    const COUPONS: &str = "/api/v1/admin/coupons";
    let server = server().await;
    let staff =
        Person::new(&server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client;
    let almost_all = json!({"code": "ALMOST-ALL", "amount": 35870, "currency": "usd"});
    let coupon = staff.post(COUPONS, almost_all).await.expect(201);
    let ada = server.customer("ada@example.com").await;
    let mut wanted = order();
    wanted["coupon"] = "ALMOST-ALL".into();
    assert_eq!(ada.post(CREATE, wanted).await.expect(409)["code"], "amount_too_small");
    let purchases = ada.get(PURCHASES).await.expect(200);
    assert_eq!((&purchases["total"], &purchases["items"][0]["status"]), (&json!(1), &json!("failed")));
    let coupon = staff.get(&format!("{COUPONS}/{}", text(&coupon, "id"))).await.expect(200);
    assert_eq!(coupon["redemptions"], 0, "it was given back");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_is_for_the_host_of_the_server_and_not_beside_an_account() {
    let server = server().await;
    for path in [SANDBOX.to_owned(), format!("{SANDBOX}/checkout/cs_test_1")] {
        let elsewhere = server.client().with("host", "evil.example").get(&path).await;
        assert_eq!(elsewhere.status.as_u16(), 404, "{path}");
    }
    assert_eq!(server.client().get(&format!("{SANDBOX}/checkout/cs_test_1")).await.status.as_u16(), 404);
    let forged =
        json!({"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}});
    let test_provider = TestPayments::signature(server.app.core.env.now());
    for client in [server.client(), server.client().with("stripe-signature", &test_provider)] {
        assert_eq!(client.post(WEBHOOK, forged.clone()).await.expect(400)["code"], "invalid_signature");
    }
    server.stop().await;

    let with_account = TestServer::start_with(Database::Sqlite, |settings| {
        settings.stripe.secret_key = Some("sk_test_of_an_account".to_owned().into());
        settings.stripe.webhook_secrets = vec!["whsec_of_an_account".to_owned().into()];
    })
    .await;
    assert!(with_account.app.payments_sandbox.is_none());
    assert_eq!(with_account.client().get(SANDBOX).await.status.as_u16(), 404);
    let clock = with_account.client().post(&format!("{SANDBOX}/clock"), json!({"advance": "1d"})).await;
    assert_eq!(clock.status.as_u16(), 404);
    with_account.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_have_a_limit_of_their_own() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_address = 5;
        settings.rate_limit.signed = 40;
    })
    .await;
    let signature = TestPayments::signature(server.app.core.env.now());
    let stripe = server.client().with("stripe-signature", &signature);
    for number in 0..30 {
        let answer = stripe.post(WEBHOOK, json!({"id": format!("evt_{number}"), "type": "x"})).await;
        assert_eq!(answer.header("x-ratelimit-limit"), "40");
        answer.expect(200);
    }
    let mut refused = 0;
    for _ in 0..20 {
        let unsigned = server.client().post(WEBHOOK, json!({"id": "evt_0", "type": "x"})).await;
        match unsigned.status.as_u16() {
            400 => {}
            429 => refused += 1,
            other => panic!("{other}: {}", unsigned.text),
        }
    }
    assert!(refused > 0, "and it is a limit");
    assert_eq!(server.client().get("/api/v1/billing/plans").await.status.as_u16(), 200, "counted apart");
    server.stop().await;
}
