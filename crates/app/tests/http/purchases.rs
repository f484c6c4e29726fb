//! Buying: from the order to the paid purchase, once, whoever tells of it first and however often.

use std::time::Duration;

use portico_billing::payment::CheckoutState;
use portico_feature_billing::flows::payments;
use portico_testkit::{
    ledger,
    payments::TestPayments,
    server::{Answer, Client, Database, TestServer, at_once, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::text,
    sites::{column, events},
};

const CREATE: &str = "/api/v1/checkout/create-session";
const SUCCESS: &str = "/api/v1/checkout/success";
const PURCHASES: &str = "/api/v1/purchases";
const WEBHOOK: &str = "/api/v1/webhooks/stripe";

/// The order of the documentation.
pub fn order() -> Value {
    json!({
        "items": [{"productType": "base_product"}],
        "successUrl": "https://app.example.com/paid?session={CHECKOUT_SESSION_ID}",
        "cancelUrl": "https://app.example.com/cart",
    })
}

/// A purchase that is to be paid: its session and its id.
pub async fn checkout(client: &Client) -> (String, String) {
    let session = client.post(CREATE, order()).await.expect(201);
    let newest = client.get(&format!("{PURCHASES}?limit=1")).await.expect(200);
    (text(&session, "sessionId"), text(&newest["items"][0], "id"))
}

/// A purchase that is paid: its id and that of its payment.
pub async fn paid(server: &TestServer, client: &Client) -> (String, String) {
    let (session, id) = checkout(client).await;
    let payment = server.payments.pay(&session);
    let purchase = client.post(SUCCESS, json!({"sessionId": session})).await.expect(200);
    assert_eq!(purchase["status"], "completed");
    (id, payment)
}

/// Sends an event of the provider about a payment.
pub async fn tell_of_payment(server: &TestServer, event: &str, payment: &str) -> Answer {
    let signature = TestPayments::signature(server.app.core.env.now());
    let body = json!({"id": event, "type": "charge.refunded", "payment": payment});
    server.client().with("stripe-signature", &signature).post(WEBHOOK, body).await
}

/// Sends an event of the provider about a session, or about nothing that is of interest.
async fn tell(server: &TestServer, event: &str, session: Option<&str>) -> Answer {
    let signature = TestPayments::signature(server.app.core.env.now());
    let mut body = json!({"id": event, "type": "checkout.session.completed"});
    if let Some(session) = session {
        body["checkout"] = session.into();
    }
    server.client().with("stripe-signature", &signature).post(WEBHOOK, body).await
}

pub async fn status(client: &Client, purchase: &str) -> Value {
    client.get(&format!("{PURCHASES}/{purchase}")).await.expect(200)["status"].clone()
}

async fn completed(client: &Client, purchase: &str) {
    let done = async || (status(client, purchase).await == "completed").then_some(());
    eventually(Duration::from_secs(20), done).await.expect("the purchase is completed");
}

/// Mails to an address about a purchase.
async fn confirmations(server: &TestServer, to: &str, purchase: &str) -> usize {
    let client = server.client().with("accept", "application/json");
    let mails = client.get(&format!("/dev/mailbox?to={to}")).await.json;
    let items = mails["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter(|mail| mail.to_string().contains(purchase)).count()
}

/// Makes every checkout of a client due, those that are paid included, and has the schedule ask about them.
pub async fn a_round(server: &TestServer, client: &Client) {
    let (tenant, now) = (client.tenant.parse().unwrap(), server.app.core.env.now());
    let far = now + time::Duration::days(2);
    let mut work = server.app.core.begin().await.unwrap();
    let open = work.checkouts().due(far, 1000).await.unwrap();
    for mut checkout in open {
        if checkout.tenant_id == tenant {
            checkout.check_at = Some(now);
            work.checkouts().update(&checkout).await.unwrap();
        }
    }
    work.commit().await.unwrap();
    payments::look_after(&server.app.billing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_made_paid_and_confirmed() {
    TestServer::on_each_database(async |server| {
        let email = server.email("ada");
        let ada = server.customer(email).await;
        let made = ada.post(CREATE, order()).await.expect(201);
        let session = text(&made, "sessionId");
        assert!(session.starts_with("cs_") && text(&made, "url").ends_with(&session), "{made}");
        assert!(made["expiresAt"].is_string() && made.as_object().unwrap().len() == 3, "{made}");

        let list = ada.get(PURCHASES).await.expect(200);
        assert_eq!((&list["total"], &list["page"]), (&json!(1), &json!(1)));
        let purchase = list["items"][0].clone();
        let id = text(&purchase, "id");
        assert_eq!(
            purchase,
            json!({
                "id": id, "amount": 35900, "currency": "usd", "status": "pending", "refundedAmount": 0,
                "items": [{
                    "productType": "base_product", "description": "Base Software License", "amount": 35900, "quantity": 1, "discount": 0,
                }],
                "discount": 0,
                "createdAt": purchase["createdAt"], "licenses": [],
            })
        );
        // Whoever comes back without having paid has nothing.
        let back = json!({"sessionId": session});
        assert_eq!(ada.post(SUCCESS, back.clone()).await.expect(200)["status"], "pending");
        assert_eq!(events(&ada, "purchase.completed").await, 0);

        server.payments.pay(&session);
        let paid = ada.post(SUCCESS, back.clone()).await.expect(200);
        assert_eq!((&paid["id"], &paid["status"]), (&json!(id), &json!("completed")));
        assert!(paid["completedAt"].is_string());
        assert_eq!(ada.get(&format!("{PURCHASES}/{id}")).await.expect(200), paid);
        let mailed = async || (confirmations(server, email, &id).await > 0).then_some(());
        eventually(Duration::from_secs(20), mailed).await.expect("a confirmation");

        assert_eq!(ada.post(SUCCESS, back).await.expect(200), paid);
        assert_eq!(tell(server, &format!("evt_{id}"), Some(&session)).await.expect(200), json!({"received": true}));
        a_round(server, &ada).await;
        for (kind, times) in [("purchase.created", 1), ("purchase.completed", 1), ("purchase.failed", 0)] {
            assert_eq!(events(&ada, kind).await, times, "{kind}");
        }
        assert_eq!(confirmations(server, email, &id).await, 1);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_come_first_and_any_number_of_times() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (session, id) = checkout(&ada).await;
        server.payments.pay(&session);
        let event = format!("evt_first_{id}");
        for _ in 0..3 {
            tell(server, &event, Some(&session)).await.expect(200);
        }
        completed(&ada, &id).await;
        assert_eq!(ada.post(SUCCESS, json!({"sessionId": session})).await.expect(200)["status"], "completed");
        assert_eq!(events(&ada, "purchase.completed").await, 1);

        // An event is a hint: what it says is not believed.
        let (unpaid, other) = checkout(&ada).await;
        let hint = format!("evt_hint_{other}");
        tell(server, &hint, Some(&unpaid)).await.expect(200);
        tell(server, &format!("evt_foreign_{other}"), Some("cs_of_somebody_else")).await.expect(200);
        tell(server, &format!("evt_odd_{other}"), None).await.expect(200);
        let seen = async |event: String| {
            let provider = portico_billing::payment::Provider::Stripe;
            let stored = server.app.core.inbox().find(provider, &event).await.unwrap();
            stored.map(|found| found.event.status.as_str())
        };
        for (event, outcome) in [
            (hint, "done"),
            (format!("evt_foreign_{other}"), "ignored"),
            (format!("evt_odd_{other}"), "ignored"),
        ] {
            let worked_off = async || (seen(event.clone()).await == Some(outcome)).then_some(());
            assert!(eventually(Duration::from_secs(20), worked_off).await.is_some(), "{event} is {outcome}");
        }
        assert_eq!(status(&ada, &other).await, "pending");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_that_tell_at_once_one_completes_it() {
    TestServer::on_each_database(async |server| {
        let email = server.email("ada");
        let ada = server.customer(email).await;
        let (session, id) = checkout(&ada).await;
        server.payments.pay(&session);
        let signature = TestPayments::signature(server.app.core.env.now());
        let answers = at_once(64, |number| {
            let (ada, session) = (ada.clone(), session.clone());
            let stripe = server.client().with("stripe-signature", &signature);
            async move {
                match number % 2 {
                    0 => ada.post(SUCCESS, json!({"sessionId": session})).await,
                    _ => {
                        // Half of the events are the same one.
                        let event = format!("evt_{session}_{}", if number % 4 == 1 { 0 } else { number });
                        let body =
                            json!({"id": event, "type": "checkout.session.completed", "checkout": session});
                        stripe.post(WEBHOOK, body).await
                    }
                }
            }
        })
        .await;
        for answer in answers {
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        }
        completed(&ada, &id).await;
        let mailed = async || (confirmations(server, email, &id).await > 0).then_some(());
        eventually(Duration::from_secs(20), mailed).await.expect("a confirmation");
        assert_eq!(events(&ada, "purchase.completed").await, 1);
        assert_eq!(confirmations(server, email, &id).await, 1);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_order_is_told_at_once_and_nothing_is_stored() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let item = |id: &str, quantity: Value| json!({"productType": id, "quantity": quantity});
        let base = || item("base_product", json!(1));
        for (field, value, expected) in [
            ("items", json!([]), vec![("items", "required")]),
            ("items", json!([item("jet", json!(1))]), vec![("items[0].productType", "unknown_product")]),
            ("items", json!([item("base_product", json!(0))]), vec![("items[0].quantity", "out_of_range")]),
            ("items", json!([item("base_product", json!(101))]), vec![("items[0].quantity", "out_of_range")]),
            ("items", json!([item("base_product", json!(-1))]), vec![("items[0].quantity", "out_of_range")]),
            ("items", json!([base(), base()]), vec![("items[1].productType", "duplicate")]),
            ("items", json!("base_product"), vec![("items", "invalid_type")]),
            ("amount", json!(1), vec![("amount", "unknown_field")]),
            ("successUrl", json!("javascript:alert(1)"), vec![("successUrl", "invalid_url")]),
            ("cancelUrl", json!(""), vec![("cancelUrl", "required")]),
        ] {
            let mut wrong = order();
            wrong[field] = value;
            let refused = ada.post(CREATE, wrong.clone()).await.expect(422);
            let found: Vec<(String, String)> = refused["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|error| (text(error, "field"), text(error, "code")))
                .collect();
            let expected: Vec<_> =
                expected.into_iter().map(|(field, code)| (field.to_owned(), code.to_owned())).collect();
            assert_eq!(found, expected, "{wrong}");
        }
        let all_wrong = json!({"items": [item("jet", json!(0))], "successUrl": "x", "cancelUrl": "y"});
        let refused = ada.post(CREATE, all_wrong).await.expect(422);
        assert_eq!(refused["errors"].as_array().unwrap().len(), 4, "{refused}");
        for wrong in [
            json!({}),
            json!({"sessionId": ""}),
            json!({"sessionId": 7}),
            json!({"sessionId": "a".repeat(256)}),
        ] {
            assert_eq!(ada.post(SUCCESS, wrong.clone()).await.status.as_u16(), 422, "{wrong}");
        }
        assert_eq!(ada.get(PURCHASES).await.expect(200)["total"], 0);

        // Nobody buys with an address that is not theirs.
        let unproven = server.unverified(server.email("eve")).await;
        assert_eq!(unproven.post(CREATE, order()).await.expect(403)["code"], "email_unverified");
        assert_eq!(server.client().post(CREATE, order()).await.status.as_u16(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_are_sent_to_the_front_ends_of_the_operator_only() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.payments.return_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let ada = server.customer("ada@example.com").await;
    ada.post(CREATE, order()).await.expect(201);
    for elsewhere in
        ["https://evil.example.org/paid", "http://app.example.com/", "https://app.example.com.evil.org/"]
    {
        let mut wrong = order();
        wrong["successUrl"] = elsewhere.into();
        let refused = ada.post(CREATE, wrong).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], "origin_not_allowed", "{elsewhere}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_and_sessions_of_others_are_not_there() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let eve = server.customer(server.email("eve")).await;
        let (session, id) = checkout(&ada).await;
        server.payments.pay(&session);
        for answer in [
            eve.post(SUCCESS, json!({"sessionId": session})).await,
            eve.post(SUCCESS, json!({"sessionId": "cs_never"})).await,
            eve.get(&format!("{PURCHASES}/{id}")).await,
            eve.with("x-tenant-id", &ada.tenant).get(PURCHASES).await,
        ] {
            assert_eq!(answer.expect(404)["code"], "not_found");
        }
        assert_eq!(eve.get(PURCHASES).await.expect(200)["total"], 0);
        assert_eq!(status(&ada, &id).await, "pending", "and nothing came of it");
        let two = checkout(&ada).await.1;
        let list = ada.get(&format!("{PURCHASES}?limit=1&page=2")).await.expect(200);
        assert_eq!((&list["total"], column(&list, "id")), (&json!(2), vec![id]));
        assert_eq!(column(&ada.get(PURCHASES).await.expect(200), "id")[0], two, "newest first");
        assert_eq!(ada.get(&format!("{PURCHASES}?limit=101")).await.status.as_u16(), 422);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_not_signed_are_refused_and_not_stored() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (session, id) = checkout(&ada).await;
        server.payments.pay(&session);
        let body = json!({"id": format!("evt_forged_{id}"), "type": "checkout.session.completed", "checkout": session});
        let old = TestPayments::signature(server.app.core.env.now() - time::Duration::seconds(400));
        let client = server.client();
        for forged in [client.clone(), client.with("stripe-signature", "t=1,v1=00"), client.with("stripe-signature", &old)] {
            assert_eq!(forged.post(WEBHOOK, body.clone()).await.expect(400)["code"], "invalid_signature");
        }
        let provider = portico_billing::payment::Provider::Stripe;
        let event = format!("evt_forged_{id}");
        assert!(server.app.core.inbox().find(provider, &event).await.unwrap().is_none());
        assert_eq!(status(&ada, &id).await, "pending");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_leads_to_one_checkout_and_no_charge() {
    let server = TestServer::start().await;
    let ada = server.customer("ada@example.com").await;
    server.payments.set_losing_answers(true);
    let refused = ada.post(CREATE, order()).await;
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.expect(503)["code"], "payment_provider_unavailable");
    let id = text(&ada.get(PURCHASES).await.expect(200)["items"][0], "id");
    assert_eq!(status(&ada, &id).await, "pending");
    server.payments.set_losing_answers(false);
    // The schedule repeats the call with the same key.
    a_round(&server, &ada).await;
    let (asked, made) = server.payments.creations();
    assert!(asked >= 2 && made == 1, "asked {asked} times, made {made}");
    assert_eq!(status(&ada, &id).await, "pending");

    // A provider that is down: what is open stays open, and is found later.
    let (session, other) = checkout(&ada).await;
    server.payments.pay(&session);
    server.payments.set_down(true);
    assert_eq!(ada.post(SUCCESS, json!({"sessionId": session})).await.status.as_u16(), 503);
    server.payments.set_down(false);
    a_round(&server, &ada).await;
    assert_eq!(status(&ada, &other).await, "completed", "although no webhook came");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_fails_and_what_differs_grants_nothing() {
    TestServer::alone(async |server| {
        let ada = server.customer("ada@example.com").await;
        let (session, id) = checkout(&ada).await;
        server.payments.change(&session, |checkout| checkout.state = CheckoutState::Expired);
        a_round(server, &ada).await;
        assert_eq!(status(&ada, &id).await, "failed");
        assert_eq!(events(&ada, "purchase.failed").await, 1);

        let (session, id) = checkout(&ada).await;
        server.payments.change(&session, |checkout| checkout.amount.amount = 1);
        server.payments.pay(&session);
        for _ in 0..3 {
            let answer = ada.post(SUCCESS, json!({"sessionId": session})).await.expect(200);
            assert_eq!(answer["status"], "pending");
        }
        assert_eq!(status(&ada, &id).await, "pending");
        assert_eq!(events(&ada, "payment.mismatch").await, 1);
        assert_eq!(events(&ada, "purchase.completed").await, 0);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_without_an_answer_holds_up_no_other() {
    TestServer::alone(async |server| {
        let ada = server.customer("ada@example.com").await;
        let (silent, waiting) = checkout(&ada).await;
        let (session, id) = checkout(&ada).await;
        server.payments.leave_unanswered(&silent);
        server.payments.pay(&session);
        a_round(server, &ada).await;
        assert_eq!(
            (status(&ada, &id).await, status(&ada, &waiting).await),
            ("completed".into(), "pending".into())
        );
        // It was put off.
        let now = server.app.core.env.now();
        assert!(server.app.core.reader().checkouts().due(now, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_begins_ten_purchases_a_minute() {
    let server =
        TestServer::start_with(Database::Sqlite, |settings| settings.rate_limit.enabled = true).await;
    let (ada, eve) = (server.customer("ada@example.com").await, server.customer("eve@example.com").await);
    for _ in 0..10 {
        ada.post(CREATE, order()).await.expect(201);
    }
    let refused = ada.post(CREATE, order()).await;
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    eve.post(CREATE, order()).await.expect(201);
    ada.get(PURCHASES).await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_sent_again_under_its_key_is_one_purchase() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let keyed = ada.with("idempotency-key", "order-1");
        let first = keyed.post(CREATE, order()).await.expect(201);
        let again = keyed.post(CREATE, order()).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.expect(201), first);
        assert_eq!(ada.get(PURCHASES).await.expect(200)["total"], 1);
    })
    .await;
}
