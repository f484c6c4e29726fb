//! Plans that are paid for at a provider that does not answer, whose answers are lost, or whose money comes back.

use std::time::Duration;

use portico::settings::Settings;
use portico_billing::{payment::DisputeStatus, plan_call::PlanCall, subscription::SubscriptionStatus};
use portico_feature_billing::flows::subscriptions;
use portico_kernel::TenantId;
use portico_testkit::{
    ledger,
    server::{Client, Database, TestServer, eventually},
};
use serde_json::{Value, json};

use crate::{
    sites::events,
    subscriptions::{CANCEL, DOWNGRADE, INVOICES, RESUME, SUBSCRIPTION, UPGRADE, paying, sync, wish},
};

/// Has the schedule ask about the subscription of a client next, `age` before all that is due now.
async fn due(server: &TestServer, client: &Client, age: time::Duration) {
    let at = server.app.core.env.now() - age;
    let mut work = server.app.core.begin().await.unwrap();
    let mut account = work.accounts().lock(client.tenant.parse().unwrap()).await.unwrap().unwrap();
    account.check_at = Some(at);
    work.accounts().update(&account).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_without_an_answer_holds_up_no_other() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let eve = server.customer(server.email("eve")).await;
        let silent = paying(server, &ada, "starter").await;
        let speaking = paying(server, &eve, "starter").await;
        // A call of hers is left behind, too.
        server.subscriptions.set_losing_answers(true);
        ada.post(UPGRADE, wish("professional")).await.expect(503);
        server.subscriptions.set_losing_answers(false);
        let tenant: TenantId = ada.tenant.parse().unwrap();
        let mut work = server.app.core.begin().await.unwrap();
        let call = work.plan_calls().under_way(tenant).await.unwrap().expect("a call");
        let due_now = PlanCall { check_at: Some(server.app.core.env.now()), ..call };
        work.plan_calls().update(&due_now).await.unwrap();
        work.commit().await.unwrap();
        due(server, &ada, time::Duration::MINUTE).await;
        due(server, &eve, time::Duration::ZERO).await;
        server.subscriptions.leave_unanswered(&silent);
        server.subscriptions.set_status(&speaking, SubscriptionStatus::PastDue);

        subscriptions::look_after(&server.app.billing).await.unwrap();
        assert_eq!(eve.get(SUBSCRIPTION).await.expect(200)["status"], "past_due");
        // Hers were put off.
        let now = server.app.core.env.now();
        let mut reader = server.app.core.reader();
        assert!(reader.accounts().due(now, 10).await.unwrap().is_empty());
        assert!(reader.plan_calls().due(now, 10).await.unwrap().is_empty());
        assert!(reader.plan_calls().under_way(tenant).await.unwrap().is_some(), "and is not forgotten");
        drop(reader);

        // A provider that answers nobody is left alone after three.
        server.subscriptions.set_down(true);
        let mut people = vec![ada, eve];
        for number in 0..3 {
            let person = server.customer(server.email(&format!("person{number}"))).await;
            server.subscriptions.set_down(false);
            paying(server, &person, "starter").await;
            server.subscriptions.set_down(true);
            people.push(person);
        }
        for person in &people {
            due(server, person, time::Duration::ZERO).await;
        }
        subscriptions::look_after(&server.app.billing).await.unwrap_err();
        let left = server.app.core.reader().accounts().due(server.app.core.env.now(), 10).await.unwrap();
        assert_eq!(left.len(), people.len() - 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_waits_for_a_change_that_nobody_got_an_answer_to() {
    TestServer::alone(async |server| {
        let ada = server.customer(server.email("ada")).await;
        paying(server, &ada, "professional").await;
        server.subscriptions.set_losing_answers(true);
        ada.post(DOWNGRADE, wish("starter")).await.expect(503);
        server.subscriptions.set_losing_answers(false);
        // To take it back now, and to ask for the same again, would have the provider answer what it did before.
        assert_eq!(ada.post_empty(RESUME).await.expect(409)["code"], "change_in_progress");
        assert_eq!(ada.post(CANCEL, json!({})).await.expect(409)["code"], "change_in_progress");
        let planned = ada.post(DOWNGRADE, wish("starter")).await.expect(200);
        assert_eq!(planned["pendingChange"]["plan"], "starter");
        assert_eq!(ada.post_empty(RESUME).await.expect(200)["pendingChange"], Value::Null);
        let planned = ada.post(DOWNGRADE, wish("starter")).await.expect(200);
        assert_eq!(planned["pendingChange"]["plan"], "starter", "another call");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_an_invoice_that_comes_back_is_booked_each_time() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        let invoice = server.subscriptions.invoices_of(&customer)[0].id.clone();
        // It does not reach the buyer, and is given back once more.
        for (amount, refunded) in [(500, 500), (-500, 0), (500, 500)] {
            server.subscriptions.refund(&customer, &invoice, amount);
            sync(server, &ada).await;
            sync(server, &ada).await;
            let shown = ada.get(INVOICES).await.expect(200);
            assert_eq!(shown["items"][0]["amountRefunded"], json!(refunded));
            ledger::sound(server).await;
        }
        assert_eq!(events(&ada, "invoice.refunded").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_pays_no_more_at_once() {
    let at_once = |settings: &mut Settings| settings.tenancy.deletion_grace = Duration::ZERO;
    let server = TestServer::start_with(Database::Sqlite, at_once).await;
    let ada = server.customer("ada@example.com").await;
    let customer = paying(&server, &ada, "starter").await;
    assert_eq!(server.subscriptions.running_of(&customer), 1);
    // The provider does not answer at first.
    server.subscriptions.set_down(true);
    let tenant = ada.t("");
    assert!(ada.delete(&tenant).await.status.is_success());
    server.subscriptions.set_down(false);
    let ended = async || (server.subscriptions.running_of(&customer) == 0).then_some(());
    eventually(Duration::from_secs(30), ended).await.expect("nothing is paid for any more");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_waits_for_its_deletion_renews_nothing_and_pays_on_once_it_is_restored() {
    let grace = |settings: &mut Settings| settings.tenancy.deletion_grace = Duration::from_secs(3600);
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, grace).await;
        let ada = server.customer(server.email("ada")).await;
        paying(&server, &ada, "starter").await;
        let tenant: TenantId = ada.tenant.parse().unwrap();
        for (path, ends) in [("", true), ("/restore", false)] {
            let path = ada.t(path);
            let answer = if ends { ada.delete(&path).await } else { ada.post_empty(&path).await };
            assert!(answer.status.is_success(), "{path}");
            let followed = async || {
                let account = server.app.core.reader().accounts().find(tenant).await.unwrap().unwrap();
                let running = account.subscription.unwrap();
                assert_eq!(running.status, SubscriptionStatus::Active, "it is paid until the period ends");
                (running.ends_at.is_some() == ends).then_some(())
            };
            eventually(Duration::from_secs(30), followed).await.expect("the subscription follows the tenant");
        }
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "starter");
        assert_eq!(events(&ada, "subscription.change_requested").await, 3);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_was_deleted_at_the_provider_is_on_the_free_plan_and_may_pay_again() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let first = paying(server, &ada, "starter").await;
        server.subscriptions.delete_customer(&first);
        sync(server, &ada).await;
        let shown = ada.get(SUBSCRIPTION).await.expect(200);
        assert_eq!((&shown["plan"], &shown["provider"]), (&json!("free"), &Value::Null));
        assert_eq!(events(&ada, "subscription.ended").await, 1);
        let second = paying(server, &ada, "professional").await;
        assert_ne!(second, first);
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "professional");

        // Deleted a moment ago, so that nobody here knows it yet.
        server.subscriptions.delete_customer(&second);
        let third = paying(server, &ada, "starter").await;
        assert_ne!(third, second);
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "starter");
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_a_plan_that_is_disputed_is_booked_and_told_once() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        let invoice = server.subscriptions.invoices_of(&customer)[0].id.clone();
        for status in [DisputeStatus::NeedsAnswer, DisputeStatus::Lost] {
            server.subscriptions.dispute(&customer, &invoice, status);
            sync(server, &ada).await;
            sync(server, &ada).await;
            ledger::sound(server).await;
        }
        for kind in ["invoice.disputed", "invoice.dispute_closed"] {
            assert_eq!(events(&ada, kind).await, 1, "{kind}");
        }
        assert_eq!(ada.get(SUBSCRIPTION).await.expect(200)["plan"], "starter");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_invoices_than_a_page_are_read() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let customer = paying(server, &ada, "starter").await;
        for (more, stored) in [(250, 251), (1, 252)] {
            server.subscriptions.bill(&customer, more);
            sync(server, &ada).await;
            assert_eq!(ada.get(INVOICES).await.expect(200)["total"], stored);
        }
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_the_provider_counts_for_each_user() {
    let strict = |settings: &mut Settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.checkouts = 3;
    };
    let server = TestServer::start_with(Database::Sqlite, strict).await;
    let ada = server.customer("ada@example.com").await;
    let home = "https://app.example.com/billing";
    let calls = [
        ("/api/v1/billing/preview", wish("starter"), 200),
        ("/api/v1/billing/payment-methods", json!({"successUrl": home, "cancelUrl": home}), 201),
        ("/api/v1/billing/portal-session", json!({"returnUrl": home}), 201),
    ];
    for (path, body, status) in &calls {
        ada.post(path, body.clone()).await.expect(*status);
    }
    for (path, body, _) in &calls {
        assert_eq!(ada.post(path, body.clone()).await.expect(429)["code"], "rate_limited", "{path}");
    }
    assert_eq!(ada.post(UPGRADE, wish("starter")).await.expect(429)["code"], "rate_limited");
    let eve = server.customer("eve@example.com").await;
    eve.post("/api/v1/billing/preview", wish("starter")).await.expect(200);
    server.stop().await;
}
