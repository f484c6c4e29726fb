//! Plans that are paid for: from the page to pay at to the end, whoever tells of a change first and however often.

use std::time::Duration;

use portico_feature_billing::flows::{plan_changes, subscriptions};
use portico_kernel::{PlatformRole, RequestInfo, Scope, TenantId};
use portico_testkit::{
    payments::TestPayments,
    server::{Answer, Client, TestServer, at_once, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases,
    sites::events,
};

pub const UPGRADE: &str = "/api/v1/billing/upgrade";
pub const DOWNGRADE: &str = "/api/v1/billing/downgrade";
pub const CANCEL: &str = "/api/v1/billing/cancel";
pub const RESUME: &str = "/api/v1/billing/resume";
pub const SUBSCRIPTION: &str = "/api/v1/billing/subscription";
const METHODS: &str = "/api/v1/billing/payment-methods";
pub const INVOICES: &str = "/api/v1/billing/invoices";

/// A change to a plan, with a way back for the buyer.
pub fn wish(plan: &str) -> Value {
    json!({
        "plan": plan, "successUrl": "https://app.example.com/billing?paid=1", "cancelUrl": "https://app.example.com/billing"
    })
}

/// Asks the provider about a tenant, as the schedule does.
pub async fn sync(server: &TestServer, client: &Client) {
    let tenant: TenantId = client.tenant.parse().unwrap();
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    subscriptions::sync(&server.app.billing, &scope, tenant).await.unwrap();
}

/// Puts the tenant of a client on a plan that it pays for, by the page. Answers the provider's id of its customer.
pub async fn paying(server: &TestServer, client: &Client, plan: &str) -> String {
    let page = client.post(UPGRADE, wish(plan)).await.expect(202);
    server.subscriptions.finish_page(&text(&page, "sessionId"), true);
    sync(server, client).await;
    server.subscriptions.customer(&client.tenant).expect("a customer")
}

/// Sends an event of the provider about a customer.
async fn tell(server: &TestServer, event: &str, customer: &str) -> Answer {
    let signature = TestPayments::signature(server.app.core.env.now());
    let body = json!({"id": event, "type": "customer.subscription.updated", "customer": customer});
    server.client().with("stripe-signature", &signature).post("/api/v1/webhooks/stripe", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_paid_on_a_page_and_comes_into_force_by_a_webhook() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let before = ada.get(SUBSCRIPTION).await.expect(200);
        assert_eq!(
            (&before["plan"], &before["status"], &before["interval"]),
            (&json!("free"), &json!("active"), &Value::Null)
        );
        assert_eq!(before["id"], before["tenantId"]);
        let preview = ada.post("/api/v1/billing/preview", wish("starter")).await.expect(200);
        assert_eq!((&preview["kind"], &preview["amountDue"]), (&json!("upgrade"), &json!(1200)));

        let page = ada.post(UPGRADE, wish("starter")).await.expect(202);
        let session = text(&page, "sessionId");
        assert!(text(&page, "checkoutUrl").ends_with(&session) && page["expiresAt"].is_string(), "{page}");
        // Whoever asks again gets the same page, and nothing is in force before it is paid.
        assert_eq!(ada.post(UPGRADE, wish("starter")).await.expect(202), page);
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "free");

        server.subscriptions.finish_page(&session, true);
        let customer = server.subscriptions.customer(&ada.tenant).unwrap();
        for _ in 0..3 {
            tell(server, &format!("evt_{session}_{}", ada.tenant), &customer).await.expect(200);
        }
        let in_force = async || (ada.get(SUBSCRIPTION).await.json["plan"] == "starter").then_some(());
        eventually(Duration::from_secs(20), in_force).await.expect("the plan is in force");
        let shown = ada.get(SUBSCRIPTION).await.expect(200);
        assert_eq!(
            (&shown["status"], &shown["interval"], &shown["provider"]),
            (&json!("active"), &json!("month"), &json!("stripe"))
        );
        assert!(
            shown["currentPeriodEnd"].is_string() && shown["defaultPaymentMethodId"].is_string(),
            "{shown}"
        );
        assert_eq!(events(&ada, "subscription.started").await, 1);
        let package = ada.get("/api/v1/profile").await.expect(200)["package"].clone();
        assert_eq!(
            package,
            json!({"plan": "starter", "status": "active", "renewsAt": shown["currentPeriodEnd"]})
        );
        // Its limits hold at once.
        for name in ["One", "Two"] {
            ada.post("/api/v1/sites", json!({"name": name})).await.expect(201);
        }
        // An event about somebody unknown changes nothing.
        tell(server, &format!("evt_other_{}", ada.tenant), "cus_of_others").await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_with_something_on_file_is_charged_at_once_or_changes_nothing() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        server.subscriptions.set_declining(Some("insufficient_funds"));
        let before = ada.get(SUBSCRIPTION).await.expect(200);
        let declined = ada.post(UPGRADE, wish("professional")).await.expect(402);
        assert_eq!(
            (&declined["code"], &declined["declineCode"]),
            (&json!("payment_failed"), &json!("insufficient_funds"))
        );
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200), before);
        server.subscriptions.set_declining(None);

        let preview = ada.post("/api/v1/billing/preview", wish("professional")).await.expect(200);
        assert_eq!((&preview["kind"], preview["lines"].as_array().unwrap().len()), (&json!("upgrade"), 2));
        let mut agreed = wish("professional");
        agreed["prorationDate"] = preview["prorationDate"].clone();
        let key = ada.with("idempotency-key", "upgrade-1");
        let upgraded = key.post(UPGRADE, agreed.clone()).await.expect(200);
        assert_eq!((&upgraded["plan"], &upgraded["status"]), (&json!("professional"), &json!("active")));
        assert_eq!(key.post(UPGRADE, agreed).await.expect(200), upgraded, "the answer is kept");
        let paid = &server.subscriptions.invoices_of(&customer)[0];
        assert_eq!(json!(paid.amount_paid), preview["amountDue"]);
        for (plan, status, code) in [
            ("professional", 409, "already_on_plan"),
            ("starter", 409, "not_an_upgrade"),
            ("gold", 422, "invalid"),
        ] {
            assert_eq!(ada.post(UPGRADE, wish(plan)).await.expect(status)["code"], code, "{plan}");
        }
        let mut elsewhere = wish("enterprise");
        elsewhere["successUrl"] = json!("javascript:alert(1)");
        assert_eq!(ada.post(UPGRADE, elsewhere).await.fields(), ["successUrl"]);
        // Without an address a page leads back to the start page.
        let eve = server.customer(server.email("eve")).await;
        let page = eve.post(UPGRADE, json!({"plan": "starter"})).await.expect(202);
        assert!(page["checkoutUrl"].is_string() && page["sessionId"].is_string(), "{page}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_charges_once() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        server.subscriptions.set_losing_answers(true);
        let lost = ada.post(UPGRADE, wish("professional")).await.expect(503);
        assert_eq!(lost["code"], "payment_provider_unavailable");
        server.subscriptions.set_losing_answers(false);
        let tenant: TenantId = ada.tenant.parse().unwrap();
        let call = server.app.core.reader().plan_calls().under_way(tenant).await.unwrap().expect("a call");
        plan_changes::look_after(&server.app.billing, &call).await.unwrap();
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "professional");
        assert_eq!(server.subscriptions.invoices_of(&customer).len(), 2, "the first month and the upgrade");
        assert_eq!(server.app.core.reader().plan_calls().under_way(tenant).await.unwrap(), None);

        // Whoever sends the same again gets the answer of the same call.
        server.subscriptions.set_losing_answers(true);
        ada.post(UPGRADE, wish("enterprise")).await.expect(503);
        server.subscriptions.set_losing_answers(false);
        assert_eq!(ada.post(UPGRADE, wish("enterprise")).await.expect(200)["plan"], "enterprise");
        assert_eq!(server.subscriptions.invoices_of(&customer).len(), 3);
        server.subscriptions.set_down(true);
        assert_eq!(ada.post(CANCEL, json!({})).await.expect(503)["code"], "payment_provider_unavailable");
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["cancelAt"], Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_comes_at_the_end_of_the_period_and_can_be_taken_back() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        assert_eq!(ada.post(DOWNGRADE, wish("free")).await.expect(409)["code"], "no_subscription");
        paying(server, &ada, "starter").await;
        ada.post(UPGRADE, wish("professional")).await.expect(200);
        for name in ["One", "Two", "Three", "Four"] {
            ada.post("/api/v1/sites", json!({"name": name})).await.expect(201);
        }
        let planned = ada.post(DOWNGRADE, wish("starter")).await.expect(200);
        assert_eq!(
            (&planned["plan"], &planned["pendingChange"]["plan"]),
            (&json!("professional"), &json!("starter"))
        );
        assert_eq!(planned["pendingChange"]["at"], planned["currentPeriodEnd"]);
        assert_eq!(
            planned["overLimit"],
            json!([{"meter": "sites", "used": 4, "limit": 3, "remedy": "remove"}])
        );
        assert_eq!(ada.post(UPGRADE, wish("enterprise")).await.expect(409)["code"], "change_scheduled");
        assert_eq!(ada.post(DOWNGRADE, wish("enterprise")).await.expect(409)["code"], "not_a_downgrade");
        let resumed = ada.post_empty(RESUME).await.expect(200);
        assert_eq!(resumed["pendingChange"], Value::Null);
        assert_eq!(ada.post_empty(RESUME).await.expect(409)["code"], "nothing_to_resume");

        let ending = ada.post(CANCEL, json!({"reason": " We close "})).await.expect(200);
        assert_eq!(
            (&ending["plan"], &ending["cancelAt"]),
            (&json!("professional"), &ending["currentPeriodEnd"])
        );
        let package = ada.get("/api/v1/profile").await.expect(200)["package"].clone();
        assert_eq!(package["expiresAt"], ending["cancelAt"]);
        let trail = ada.get(&ada.t("/audit?type=subscription.updated")).await.expect(200);
        assert_eq!(trail["items"][0]["after"]["reason"], "We close");
        let ended = ada.post(CANCEL, json!({"immediately": true})).await.expect(200);
        assert_eq!((&ended["plan"], &ended["status"]), (&json!("free"), &json!("active")));
        // Nothing is deleted, and what was used stays used.
        assert_eq!(ada.get("/api/v1/sites").await.expect(200)["total"], 4);
        ada.post("/api/v1/sites", json!({"name": "Five"})).await.expect(402);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_fails_is_told_and_is_made_up_for() {
    TestServer::alone(async |server| {
        let email = server.email("ada");
        let ada = server.customer(email).await;
        paying(server, &ada, "starter").await;
        server.subscriptions.set_declining(Some("expired_card"));
        let later = server.app.core.env.now() + time::Duration::days(32);
        server.subscriptions.advance_to(later);
        sync(server, &ada).await;
        let overdue = ada.get(SUBSCRIPTION).await.expect(200);
        assert_eq!((&overdue["plan"], &overdue["status"]), (&json!("starter"), &json!("past_due")));
        assert!(overdue["graceEndsAt"].is_string());
        assert_eq!(ada.post(UPGRADE, wish("professional")).await.expect(409)["code"], "payment_overdue");
        let mails = server.client().with("accept", "application/json");
        let told = async || {
            let mails = mails.get(&format!("/dev/mailbox?to={email}")).await.json;
            mails.to_string().contains("A payment for").then_some(())
        };
        eventually(Duration::from_secs(20), told).await.expect("a mail to the owner");
        missing_for(server, &ada, 1).await;
        server.mail(email, "is still missing").await;
        server.subscriptions.set_declining(None);
        server.subscriptions.advance_to(later + time::Duration::days(4));
        sync(server, &ada).await;
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["status"], "active");
        for kind in ["subscription.payment_failed", "subscription.recovered"] {
            assert_eq!(events(&ada, kind).await, 1, "{kind}");
        }
        server.mail(email, "The plan goes on").await;
    })
    .await;
}

/// Has the schedule look after a payment that has been missing for so many days.
async fn missing_for(server: &TestServer, client: &Client, days: i64) {
    let (tenant, now) = (client.tenant.parse().unwrap(), server.app.core.env.now());
    let mut work = server.app.core.begin().await.unwrap();
    let mut account = work.accounts().lock(tenant).await.unwrap().unwrap();
    account.past_due_since = Some(now - time::Duration::days(days));
    account.check_at = Some(now);
    work.accounts().update(&account).await.unwrap();
    work.commit().await.unwrap();
    subscriptions::look_after(&server.app.billing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_reminded_and_the_plan_falls_after_ten_days() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        paying(server, &ada, "starter").await;
        ada.post("/api/v1/sites", json!({"name": "One"})).await.expect(201);
        ada.post("/api/v1/sites", json!({"name": "Two"})).await.expect(201);
        server.subscriptions.set_declining(Some("expired_card"));
        server.subscriptions.advance_to(server.app.core.env.now() + time::Duration::days(32));
        sync(server, &ada).await;
        for (days, told) in [(0, 0), (1, 1), (2, 1), (3, 2), (7, 3), (9, 3)] {
            missing_for(server, &ada, days).await;
            assert_eq!(events(&ada, "subscription.payment_overdue").await, told, "after {days} days");
            assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "starter");
        }
        missing_for(server, &ada, 10).await;
        let fallen = ada.get(SUBSCRIPTION).await.expect(200);
        assert_eq!((&fallen["plan"], &fallen["status"]), (&json!("free"), &json!("active")));
        assert_eq!(events(&ada, "subscription.ended").await, 1);
        assert_eq!(ada.get("/api/v1/sites").await.expect(200)["total"], 2, "what is there stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_with_is_looked_after() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        assert_eq!(ada.get(METHODS).await.expect(200)["total"], 0);
        let back =
            json!({"successUrl": "https://app.example.com/a", "cancelUrl": "https://app.example.com/b"});
        let setup = ada.post(METHODS, back).await.expect(201);
        assert!(setup["sessionId"].is_string() && setup["url"].is_string(), "{setup}");
        assert_eq!(ada.post(METHODS, json!({})).await.fields(), ["cancelUrl", "successUrl"]);
        let customer = paying(server, &ada, "starter").await;
        let second = server.subscriptions.put_on_file(&customer);
        let methods = ada.get(METHODS).await.expect(200);
        assert_eq!((&methods["total"], &methods["items"][0]["id"]), (&json!(2), &json!(second)));
        let first = text(&methods["items"][1], "id");
        assert_eq!(
            (&methods["items"][1]["isDefault"], &methods["items"][1]["last4"]),
            (&json!(true), &json!("4242"))
        );

        let in_use = ada.delete(&format!("{METHODS}/{first}")).await.expect(409);
        assert_eq!(in_use["code"], "payment_method_needed");
        let chosen = json!({"paymentMethodId": second});
        assert_eq!(ada.put("/api/v1/billing/payment-method", chosen).await.expect(200)["isDefault"], true);
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["defaultPaymentMethodId"], json!(second));
        ada.delete(&format!("{METHODS}/{first}")).await.expect(204);
        assert_eq!(ada.get(METHODS).await.expect(200)["total"], 1);

        // Of another customer it is not there.
        let eve = server.customer(server.email("eve")).await;
        let stolen = json!({"paymentMethodId": second});
        assert_eq!(eve.put("/api/v1/billing/payment-method", stolen.clone()).await.status.as_u16(), 404);
        paying(server, &eve, "starter").await;
        assert_eq!(eve.put("/api/v1/billing/payment-method", stolen).await.status.as_u16(), 404);
        assert_eq!(eve.delete(&format!("{METHODS}/{second}")).await.status.as_u16(), 404);

        let portal = json!({"returnUrl": "https://app.example.com/billing"});
        assert!(ada.post("/api/v1/billing/portal-session", portal).await.expect(201)["url"].is_string());
        assert_eq!(ada.post("/api/v1/billing/portal-session", json!({})).await.fields(), ["returnUrl"]);
        for kind in ["payment_method.chosen", "payment_method.removed"] {
            assert_eq!(events(&ada, kind).await, 1, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_of_plans_and_purchases_are_in_one_list() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        paying(server, &ada, "starter").await;
        let (session, purchase) = purchases::checkout(&ada).await;
        server.payments.pay(&session);
        ada.post("/api/v1/checkout/success", json!({"sessionId": session})).await.expect(200);
        let list = ada.get(INVOICES).await.expect(200);
        assert_eq!(list["total"], 2, "{list}");
        let of = |kind: &str| {
            let items = list["items"].as_array().unwrap();
            items.iter().find(|invoice| invoice["kind"] == kind).unwrap().clone()
        };
        let (plan, once) = (of("subscription"), of("purchase"));
        assert_eq!(
            (&plan["status"], &plan["amountPaid"], &plan["currency"]),
            (&json!("paid"), &json!(1200), &json!("usd"))
        );
        assert_eq!(plan["lines"], json!([{"description": "Starter", "quantity": 1, "amount": 1200}]));
        assert_eq!((&once["id"], &once["amountPaid"]), (&json!(purchase), &json!(35900)));
        let id = text(&plan, "id");
        assert_eq!(ada.get(&format!("{INVOICES}/{id}")).await.expect(200), plan);
        let pdf = ada.get(&format!("{INVOICES}/{id}/pdf")).await;
        assert_eq!(pdf.status.as_u16(), 302);
        let receipt = ada.get(&format!("{INVOICES}/{purchase}/pdf")).await;
        assert_eq!((receipt.status.as_u16(), receipt.header("content-type")), (200, "application/pdf"));
        assert_eq!(events(&ada, "invoice.paid").await, 1);
        let eve = server.customer(server.email("eve")).await;
        for path in [format!("{INVOICES}/{id}"), format!("{INVOICES}/{id}/pdf")] {
            assert_eq!(eve.get(&path).await.status.as_u16(), 404, "{path}");
        }
        assert_eq!(eve.get(INVOICES).await.expect(200)["total"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_subscription_is_at_the_path_of_the_tenant() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let path = ada.t("/subscription");
        assert_eq!(ada.get(&path).await.expect(200), ada.get(SUBSCRIPTION).await.expect(200));
        let page = ada.post(&path, wish("starter")).await.expect(202);
        server.subscriptions.finish_page(&text(&page, "sessionId"), true);
        sync(server, &ada).await;
        assert_eq!(ada.post(&path, wish("professional")).await.expect(409)["code"], "subscription_exists");
        assert_eq!(ada.put(&path, wish("professional")).await.expect(200)["plan"], "professional");
        assert_eq!(ada.put(&path, wish("professional")).await.expect(409)["code"], "already_on_plan");
        assert_eq!(ada.put(&path, wish("starter")).await.expect(200)["pendingChange"]["plan"], "starter");
        assert!(ada.delete(&path).await.expect(200)["cancelAt"].is_string());

        let eve = server.customer(server.email("eve")).await;
        assert_eq!(eve.get(&path).await.status.as_u16(), 404);
        assert_eq!(eve.delete(&path).await.status.as_u16(), 404);
        let root = Person::new(server, server.email("root"), |user| user.role = PlatformRole::SuperAdmin);
        let root = root.await.client;
        assert_eq!(root.get(&path).await.expect(200)["plan"], "professional");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_upgrades_at_once_one_is_charged() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        let answers = at_once(16, |_| {
            let ada = ada.clone();
            async move { ada.post(UPGRADE, wish("professional")).await.status.as_u16() }
        })
        .await;
        assert!(answers.iter().all(|status| matches!(status, 200 | 409)), "{answers:?}");
        assert!(answers.contains(&200), "{answers:?}");
        assert_eq!(server.subscriptions.invoices_of(&customer).len(), 2, "the first month and one upgrade");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_says_when_the_plan_renews_or_expires() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let package = async || ada.get("/api/v1/profile").await.expect(200)["package"].clone();
        assert_eq!(package().await, json!({"plan": "free", "status": "active"}), "nothing is due");
        paying(server, &ada, "starter").await;
        let shown = ada.get(SUBSCRIPTION).await.expect(200);
        let end = shown["currentPeriodEnd"].clone();
        let renews = json!({"plan": "starter", "status": "active", "renewsAt": end});
        assert_eq!(package().await, renews);
        assert_eq!(
            ada.put("/api/v1/profile", json!({"company": "Engines"})).await.expect(200)["package"],
            renews
        );

        ada.post(CANCEL, json!({})).await.expect(200);
        let shown = ada.get(SUBSCRIPTION).await.expect(200);
        let expires = json!({"plan": "starter", "status": "active", "expiresAt": shown["cancelAt"]});
        assert_eq!((package().await, &shown["cancelAt"]), (expires, &end));
        ada.post_empty(RESUME).await.expect(200);
        assert_eq!(package().await, renews);
        ada.post(CANCEL, json!({"immediately": true})).await.expect(200);
        assert_eq!(package().await, json!({"plan": "free", "status": "active"}));
    })
    .await;
}
