//! Plans, refunds and disputes at the payments sandbox: the adapter of Stripe, the pages, the webhooks, and a clock that is moved on.

use std::time::Duration;

use portico_kernel::PlatformRole;
use portico_testkit::{
    ledger,
    server::{Client, TestServer, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::checkout,
    sandbox_payments::{SANDBOX, call, pay, server, submit},
    sites::events,
    subscriptions::wish,
};

const UPGRADE: &str = "/api/v1/billing/upgrade";
const DOWNGRADE: &str = "/api/v1/billing/downgrade";
const CANCEL: &str = "/api/v1/billing/cancel";
const RESUME: &str = "/api/v1/billing/resume";
const PREVIEW: &str = "/api/v1/billing/preview";
const SUBSCRIPTION: &str = "/api/v1/billing/subscription";
const METHOD: &str = "/api/v1/billing/payment-method";
const METHODS: &str = "/api/v1/billing/payment-methods";
const INVOICES: &str = "/api/v1/billing/invoices";
const PORTAL: &str = "/api/v1/billing/portal-session";

/// The clock of the sandbox goes on.
async fn pass(server: &TestServer, time: &str) {
    server.client().post(&format!("{SANDBOX}/clock"), json!({"advance": time})).await.expect(200);
}

/// Waits until a tenant has a plan with a status, and answers its subscription.
async fn becomes(client: &Client, plan: &str, status: &str) -> Value {
    let is_so = async || {
        let shown = client.get(SUBSCRIPTION).await.json;
        (shown["plan"] == plan && shown["status"] == status).then_some(shown)
    };
    match eventually(Duration::from_secs(20), is_so).await {
        Some(shown) => shown,
        None => panic!("{plan} is not {status}: {}", client.get(SUBSCRIPTION).await.json),
    }
}

/// Puts a card on file on the page for it, and answers its id.
async fn put_on_file(server: &TestServer, client: &Client, card: &str) -> String {
    let back = json!({"successUrl": "https://app.example.com/a", "cancelUrl": "https://app.example.com/b"});
    let page = client.post(METHODS, back).await.expect(201);
    let saved = submit(server, &text(&page, "url"), &format!("action=pay&card={card}")).await;
    assert_eq!((saved.status.as_u16(), saved.header("location")), (303, "https://app.example.com/a"));
    text(&client.get(METHODS).await.expect(200)["items"][0], "id")
}

async fn choose(client: &Client, method: &str) {
    let chosen = client.put(METHOD, json!({"paymentMethodId": method})).await.expect(200);
    assert_eq!(chosen["isDefault"], true);
    assert_eq!(client.get(SUBSCRIPTION).await.expect(200)["defaultPaymentMethodId"], json!(method));
}

/// Waits until so much was paid so many times.
async fn invoiced(client: &Client, paid: i64, times: usize) {
    let is_so = async || {
        let list = client.get(INVOICES).await.json;
        let is_it = |one: &&Value| one["status"] == "paid" && one["amountPaid"] == paid;
        (list["items"].as_array()?.iter().filter(is_it).count() == times).then_some(())
    };
    let done = eventually(Duration::from_secs(20), is_so).await;
    assert!(done.is_some(), "{paid} {times} times: {}", client.get(INVOICES).await.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_paid_changed_missed_made_up_for_and_ended() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let page = ada.post(UPGRADE, wish("starter")).await.expect(202);
    let (session, url) = (text(&page, "sessionId"), text(&page, "checkoutUrl"));
    assert_eq!(url, format!("{}{SANDBOX}/checkout/{session}", server.url));
    let shown = server.client().get(url.strip_prefix(&server.url).unwrap()).await;
    assert!(shown.status.as_u16() == 200 && shown.text.contains("12.00 USD"), "{}", shown.text);
    assert_eq!(pay(&server, &session, "visa_chargeDeclined").await.status.as_u16(), 402);
    let paid = pay(&server, &session, "visa").await;
    assert_eq!(paid.header("location"), "https://app.example.com/billing?paid=1");
    let running = becomes(&ada, "starter", "active").await;
    assert_eq!((&running["interval"], &running["provider"]), (&json!("month"), &json!("stripe")));
    invoiced(&ada, 1200, 1).await;
    let methods = ada.get(METHODS).await.expect(200);
    assert_eq!((&methods["total"], &methods["items"][0]["isDefault"]), (&json!(1), &json!(true)));
    let visa = text(&methods["items"][0], "id");
    assert_eq!(running["defaultPaymentMethodId"], json!(visa));

    // What was shown is what is charged.
    let preview = ada.post(PREVIEW, wish("professional")).await.expect(200);
    assert_eq!((&preview["kind"], preview["lines"].as_array().unwrap().len()), (&json!("upgrade"), 2));
    let mut agreed = wish("professional");
    agreed["prorationDate"] = preview["prorationDate"].clone();
    let upgraded = ada.post(UPGRADE, agreed).await.expect(200);
    assert_eq!((&upgraded["plan"], &upgraded["status"]), (&json!("professional"), &json!("active")));
    assert_eq!(upgraded["currentPeriodEnd"], running["currentPeriodEnd"]);
    invoiced(&ada, preview["amountDue"].as_i64().unwrap(), 1).await;

    // A renewal fails, and is made up for with another card.
    let failing = put_on_file(&server, &ada, "chargeCustomerFail").await;
    choose(&ada, &failing).await;
    pass(&server, "32d").await;
    let overdue = becomes(&ada, "professional", "past_due").await;
    assert!(overdue["graceEndsAt"].is_string(), "{overdue}");
    assert_eq!(ada.post(UPGRADE, wish("enterprise")).await.expect(409)["code"], "payment_overdue");
    choose(&ada, &visa).await;
    pass(&server, "4d").await;
    becomes(&ada, "professional", "active").await;
    invoiced(&ada, 2900, 1).await;

    // Less follows at the end of the period.
    let planned = ada.post(DOWNGRADE, wish("starter")).await.expect(200);
    assert_eq!(planned["pendingChange"]["plan"], "starter");
    assert_eq!(planned["pendingChange"]["at"], planned["currentPeriodEnd"]);
    assert_eq!(ada.post_empty(RESUME).await.expect(200)["pendingChange"], Value::Null);
    ada.post(DOWNGRADE, wish("starter")).await.expect(200);
    pass(&server, "32d").await;
    becomes(&ada, "starter", "active").await;
    invoiced(&ada, 1200, 2).await;

    let ending = ada.post(CANCEL, json!({"reason": "We close"})).await.expect(200);
    assert_eq!(ending["cancelAt"], ending["currentPeriodEnd"]);
    pass(&server, "32d").await;
    let ended = becomes(&ada, "free", "active").await;
    assert_eq!((&ended["cancelAt"], &ended["interval"]), (&Value::Null, &Value::Null));
    // With a card on file it begins again at once.
    assert_eq!(ada.post(UPGRADE, wish("starter")).await.expect(200)["plan"], "starter");
    for (kind, times) in [
        ("subscription.started", 2),
        ("subscription.payment_failed", 1),
        ("subscription.recovered", 1),
        ("subscription.ended", 1),
    ] {
        assert_eq!(events(&ada, kind).await, times, "{kind}");
    }
    ledger::sound(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_tried_without_a_card_and_goes_on_with_one() {
    let server = server().await;
    let staff = Person::new(&server, "staff@example.com", |user| user.role = PlatformRole::Staff);
    let plan = json!({
        "id": "agency", "name": "Agency", "description": "For those who build sites for others.", "features": ["2 sites"],
        "prices": [{"interval": "month", "amount": 4900, "currency": "usd"}],
        "limits": {"sites": 2}, "premiumTemplates": true, "trialDays": 14, "position": 5,
    });
    staff.await.client.post("/api/v1/admin/plans", plan).await.expect(201);
    let [ada, eve] = [server.customer("ada@example.com").await, server.customer("eve@example.com").await];
    for client in [&ada, &eve] {
        let page = client.post(UPGRADE, wish("agency")).await.expect(202);
        let tried = pay(&server, &text(&page, "sessionId"), "").await;
        assert_eq!(tried.status.as_u16(), 303, "{}", tried.text);
        let trial = becomes(client, "agency", "trialing").await;
        assert_eq!(
            (&trial["trialEndsAt"], &trial["defaultPaymentMethodId"]),
            (&trial["currentPeriodEnd"], &Value::Null)
        );
    }
    let card = put_on_file(&server, &ada, "visa").await;
    let used = async || (ada.get(SUBSCRIPTION).await.json["defaultPaymentMethodId"] == card).then_some(());
    assert!(eventually(Duration::from_secs(20), used).await.is_some(), "the one card is what is paid with");
    pass(&server, "15d").await;
    becomes(&ada, "agency", "active").await;
    invoiced(&ada, 4900, 1).await;
    becomes(&eve, "free", "active").await;
    // The end of a trial that nobody paid for is no end of what was paid for.
    for (kind, of_ada, of_eve) in [("subscription.trial_ended", 1, 1), ("subscription.ended", 0, 0)] {
        assert_eq!((events(&ada, kind).await, events(&eve, kind).await), (of_ada, of_eve), "{kind}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_provider_are_of_one_customer() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let page = ada.post(UPGRADE, wish("starter")).await.expect(202);
    pay(&server, &text(&page, "sessionId"), "visa").await;
    let running = becomes(&ada, "starter", "active").await;
    let back = json!({"returnUrl": "https://app.example.com/billing"});
    let portal = text(&ada.post(PORTAL, back).await.expect(201), "url");
    let shown = server.client().get(portal.strip_prefix(&server.url).unwrap()).await;
    assert!(shown.status.as_u16() == 200 && shown.text.contains("4242"), "{}", shown.text);
    // Nothing is ended there, and a card that is added there is what is paid with.
    let list = call(&server, "/v1/subscriptions?limit=1", "").await;
    let id = text(&list["data"][0], "id");
    let refused = submit(&server, &portal, &format!("action=cancel&subscription={id}")).await;
    assert_eq!(refused.status.as_u16(), 402, "{}", refused.text);
    assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["cancelAt"], Value::Null);
    assert_eq!(submit(&server, &portal, "action=add&card=mastercard").await.status.as_u16(), 303);
    let before = running["defaultPaymentMethodId"].clone();
    let other = async || {
        let now = ada.get(SUBSCRIPTION).await.json["defaultPaymentMethodId"].clone();
        (now.is_string() && now != before).then_some(now)
    };
    let chosen = eventually(Duration::from_secs(20), other).await.expect("the webhook tells of the new card");
    let methods = ada.get(METHODS).await.expect(200);
    assert_eq!((&methods["items"][0]["id"], &methods["items"][0]["isDefault"]), (&chosen, &json!(true)));
    ada.delete(&format!("{METHODS}/{}", before.as_str().unwrap())).await.expect(204);

    let id = text(&ada.get(INVOICES).await.expect(200)["items"][0], "id");
    let pdf = ada.get(&format!("{INVOICES}/{id}/pdf")).await;
    assert_eq!(pdf.status.as_u16(), 302);
    let file = server.client().get(pdf.header("location").strip_prefix(&server.url).unwrap()).await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "application/pdf"));

    let eve = server.customer("eve@example.com").await;
    let stolen = json!({"paymentMethodId": chosen});
    assert_eq!(eve.put(METHOD, stolen).await.status.as_u16(), 404);
    assert_eq!(eve.get(METHODS).await.expect(200)["total"], 0);
    server.stop().await;
}

/// Waits until a purchase has a status and so much of it was given back.
async fn purchase_becomes(client: &Client, id: &str, status: &str, refunded: i64) {
    let path = format!("/api/v1/purchases/{id}");
    let is_so = async || {
        let shown = client.get(&path).await.json;
        (shown["status"] == status && shown["refundedAmount"] == refunded).then_some(())
    };
    let done = eventually(Duration::from_secs(20), is_so).await;
    assert!(done.is_some(), "{status} {refunded}: {}", client.get(&path).await.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_back_by_staff_at_the_provider_and_by_banks() {
    let server = server().await;
    let ada = server.customer("ada@example.com").await;
    let staff = Person::new(&server, "staff@example.com", |user| user.role = PlatformRole::Staff);
    let staff = staff.await.client;
    let (session, id) = checkout(&ada).await;
    pay(&server, &session, "visa").await;
    purchase_becomes(&ada, &id, "completed", 0).await;
    let path = format!("/api/v1/admin/customers/{}/purchases/{id}", ada.tenant);
    let part = staff.post(&format!("{path}/refunds"), json!({"amount": 10000})).await.expect(201);
    assert_eq!((&part["status"], &part["amount"]), (&json!("succeeded"), &json!(10000)));
    purchase_becomes(&ada, &id, "partially_refunded", 10000).await;
    // The rest is given back on pages of the provider.
    let payment = text(&staff.get(&path).await.expect(200), "paymentId");
    call(&server, "/v1/refunds", &format!("payment_intent={payment}")).await;
    purchase_becomes(&ada, &id, "refunded", 35900).await;
    let read = staff.get(&path).await.expect(200);
    assert_eq!(read["refunds"].as_array().unwrap().len(), 2, "{read}");

    // A refund that does not reach the buyer counts no longer.
    let (session, id) = checkout(&ada).await;
    pay(&server, &session, "refundFail").await;
    purchase_becomes(&ada, &id, "completed", 0).await;
    let path = format!("/api/v1/admin/customers/{}/purchases/{id}/refunds", ada.tenant);
    staff.post(&path, json!({})).await.expect(201);
    purchase_becomes(&ada, &id, "refunded", 35900).await;
    pass(&server, "2d").await;
    purchase_becomes(&ada, &id, "completed", 0).await;

    for (evidence, end) in [("winning_evidence", "completed"), ("losing_evidence", "disputed")] {
        let (session, id) = checkout(&ada).await;
        pay(&server, &session, "createDispute").await;
        purchase_becomes(&ada, &id, "disputed", 0).await;
        let open = call(&server, "/v1/disputes?limit=1", "").await;
        let dispute = text(&open["data"][0], "id");
        let form = format!("evidence%5Buncategorized_text%5D={evidence}");
        call(&server, &format!("/v1/disputes/{dispute}"), &form).await;
        purchase_becomes(&ada, &id, end, 0).await;
        let closed = async || {
            let all = events(&ada, "purchase.dispute_closed").await;
            (all == usize::from(end == "disputed") + 1).then_some(())
        };
        assert!(eventually(Duration::from_secs(20), closed).await.is_some(), "{evidence} is told");
    }
    ledger::sound(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discount_is_charged_less_until_its_end() {
    let server = server().await;
    let staff =
        Person::new(&server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client;
    let coupon = json!({
        "code": "summer25", "appliesTo": ["plans"], "percent": 25, "duration": "repeating", "durationInMonths": 2
    });
    staff.post("/api/v1/admin/coupons", coupon).await.expect(201);
    let ada = server.customer("ada@example.com").await;
    let mut with_coupon = wish("professional");
    with_coupon["couponCode"] = "Summer25".into();
    assert_eq!(ada.post(PREVIEW, with_coupon.clone()).await.expect(200)["amountDue"], 2175);
    let session = text(&ada.post(UPGRADE, with_coupon).await.expect(202), "sessionId");
    assert_eq!(pay(&server, &session, "visa").await.status.as_u16(), 303);
    let running = becomes(&ada, "professional", "active").await;
    assert_eq!(
        (&running["discount"]["code"], &running["discount"]["percentOff"]),
        (&json!("SUMMER25"), &json!(25))
    );
    invoiced(&ada, 2175, 1).await;
    let lines = ada.get(INVOICES).await.expect(200)["items"][0]["lines"].clone();
    assert_eq!(lines[1], json!({"description": "SUMMER25", "quantity": 1, "amount": -725}));

    // The plan that follows keeps it, and the third invoice is whole again.
    let planned = ada.post(DOWNGRADE, wish("starter")).await.expect(200);
    assert_eq!(planned["discount"], running["discount"]);
    pass(&server, "32d").await;
    becomes(&ada, "starter", "active").await;
    invoiced(&ada, 900, 1).await;
    pass(&server, "32d").await;
    invoiced(&ada, 1200, 1).await;
    // The subscription is told by a webhook of its own, which may come after that of the invoice.
    let has_ended = async || ada.get(SUBSCRIPTION).await.json["discount"].is_null().then_some(());
    assert!(eventually(Duration::from_secs(20), has_ended).await.is_some(), "the discount goes on");
    ledger::sound(&server).await;
}
