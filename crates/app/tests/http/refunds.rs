//! Giving money back: by staff, at the provider itself, and by banks; once, whoever tells of it and however often.

use std::time::Duration;

use portico_billing::{
    ledger::Account,
    payment::{Dispute, DisputeStatus, Payment, Refund, RefundState},
    refund::{RefundInput, Refunds},
};
use portico_kernel::{Money, PlatformRole, RequestInfo, Scope};
use portico_testkit::{
    database::tamper,
    ledger,
    server::{Client, TestServer, at_once, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    purchases::{a_round, checkout, paid, status, tell_of_payment},
    sites::events,
};

async fn staff(server: &TestServer) -> Client {
    Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client
}

/// The path of a purchase, as staff reach it.
fn purchase(client: &Client, id: &str) -> String {
    format!("/api/v1/admin/customers/{}/purchases/{id}", client.tenant)
}

fn refunds(client: &Client, id: &str) -> String {
    format!("{}/refunds", purchase(client, id))
}

/// Status and refunded amount, as the customer sees them.
async fn seen(client: &Client, id: &str) -> (String, i64) {
    let purchase = client.get(&format!("/api/v1/purchases/{id}")).await.expect(200);
    (text(&purchase, "status"), purchase["refundedAmount"].as_i64().unwrap())
}

async fn becomes(client: &Client, id: &str, status: &str, refunded: i64) {
    let end = (status.to_owned(), refunded);
    let reached = async || (seen(client, id).await == end).then_some(());
    let reached = eventually(Duration::from_secs(20), reached).await;
    assert!(reached.is_some(), "{:?} instead of {end:?}", seen(client, id).await);
}

/// What was given back at the provider.
fn back(server: &TestServer, payment: &str) -> i64 {
    server.payments.change_payment(payment, |payment: &mut Payment| {
        payment.refunds.iter().map(|refund| refund.amount.amount).sum()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_give_back_a_part_and_then_the_rest() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        let part = json!({"amount": 10000, "reason": "One of two was not used."});
        let made = staff.post(&refunds(&ada, &id), part).await.expect(201);
        assert_eq!(
            made,
            json!({
                "id": made["id"], "purchaseId": id, "providerId": format!("re_refund_{}", text(&made, "id")),
                "amount": 10000, "currency": "usd", "status": "succeeded", "reason": "One of two was not used.",
                "createdAt": made["createdAt"], "updatedAt": made["updatedAt"],
            })
        );
        assert_eq!(seen(&ada, &id).await, ("partially_refunded".to_owned(), 10000));
        let rest = staff.post(&refunds(&ada, &id), json!({})).await.expect(201);
        assert_eq!((&rest["amount"], &rest["reason"]), (&json!(25900), &Value::Null));
        assert_eq!(seen(&ada, &id).await, ("refunded".to_owned(), 35900));
        assert_eq!(back(server, &payment), 35900);
        let invoice = ada.get(&format!("/api/v1/billing/invoices/{id}")).await.expect(200);
        assert_eq!((&invoice["amountPaid"], &invoice["amountRefunded"]), (&json!(35900), &json!(35900)));
        let more = staff.post(&refunds(&ada, &id), json!({"amount": 1})).await;
        assert_eq!(more.expect(409)["code"], "nothing_to_refund");

        let read = staff.get(&purchase(&ada, &id)).await.expect(200);
        assert_eq!((&read["status"], &read["paymentId"]), (&json!("refunded"), &json!(payment)));
        assert_eq!(read["refunds"], json!([made, rest]));
        let list = format!("/api/v1/admin/customers/{}/purchases", ada.tenant);
        let list = staff.get(&list).await.expect(200);
        assert_eq!((&list["total"], &list["items"][0]["id"]), (&json!(1), &json!(id)));

        assert_eq!((events(&ada, "refund.created").await, events(&ada, "purchase.refunded").await), (2, 2));
        let trail = ada.get(&ada.t("/audit?type=purchase.refunded")).await.expect(200);
        let last = &trail["items"][0];
        assert_eq!((&last["before"]["refundedAmount"], &last["after"]["refundedAmount"]), (&json!(10000), &json!(35900)));
        a_round(server, &ada).await;
        let report = ledger::sound(server).await;
        let usd = |account| report.balances[&(account, "usd".to_owned())];
        assert!(usd(Account::Refunds) >= 35900 && usd(Account::Fees) >= 30, "{report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_given_back_where_it_was_paid() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        // As if it had been paid at the other provider, which has no list of what was given back of a payment.
        let url = server.app.settings.database_url();
        let statement = "update checkouts set provider = 'recurrente' where purchase_id = $1";
        assert_eq!(tamper(url.expose_secret(), statement, &[id.parse().unwrap()]).await, 1);
        let refused = staff.post(&refunds(&ada, &id), json!({})).await.expect(409);
        assert_eq!(refused["code"], "payment_unsupported");
        assert_eq!(back(server, &payment), 0, "another provider is not asked for it");
        assert_eq!(staff.get(&purchase(&ada, &id)).await.expect(200)["refunds"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_given_back_is_refused_and_nothing_is_stored() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let pending = checkout(&ada).await.1;
        let refused = staff.post(&refunds(&ada, &pending), json!({})).await.expect(409);
        assert_eq!(refused["code"], "purchase_not_paid");
        let (id, payment) = paid(server, &ada).await;
        let path = refunds(&ada, &id);
        let refused = staff.post(&path, json!({"amount": 35901})).await.expect(409);
        assert_eq!((&refused["code"], &refused["left"]), (&json!("refund_too_large"), &json!(35900)));
        for (wrong, field) in [
            (json!({"amount": 0}), "amount"),
            (json!({"amount": -5}), "amount"),
            (json!({"amount": "5"}), "amount"),
            (json!({"amount": 5, "reason": "x".repeat(501)}), "reason"),
            (json!({"currency": "eur"}), "currency"),
        ] {
            let refused = staff.post(&path, wrong.clone()).await;
            assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec![field.to_owned()]), "{wrong}");
        }
        // Another customer's purchase, one that is not there, and nobody's.
        let eve = server.customer(server.email("eve")).await;
        for path in [
            refunds(&eve, &id),
            refunds(&ada, &eve.tenant),
            format!("/api/v1/admin/customers/{id}/purchases/{id}/refunds"),
        ] {
            assert_eq!(staff.post(&path, json!({})).await.expect(404)["code"], "not_found", "{path}");
        }
        assert_eq!(staff.get(&purchase(&eve, &id)).await.status.as_u16(), 404);
        for client in [&ada, &eve] {
            assert_eq!(client.post(&path, json!({})).await.status.as_u16(), 403);
            assert_eq!(client.get(&purchase(&ada, &id)).await.status.as_u16(), 403);
        }
        // A provider that does not answer what is left.
        server.payments.set_down(true);
        let refused = staff.post(&path, json!({})).await;
        server.payments.set_down(false);
        assert_eq!(refused.expect(503)["code"], "payment_provider_unavailable");
        assert_eq!((back(server, &payment), events(&ada, "refund.created").await), (0, 0));
        assert_eq!(seen(&ada, &id).await, ("completed".to_owned(), 0));
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_at_once_no_more_is_given_back_than_was_paid() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        let path = refunds(&ada, &id);
        let answers = at_once(64, |number| {
            let (staff, path) = (staff.clone(), path.clone());
            // Half of them want all of it, the others a part.
            let body = if number % 2 == 0 { json!({}) } else { json!({"amount": 20000}) };
            async move { staff.post(&path, body).await }
        })
        .await;
        let mut given = 0;
        for answer in answers {
            match answer.status.as_u16() {
                201 => given += answer.json["amount"].as_i64().unwrap(),
                409 => {
                    let codes = ["refund_in_progress", "nothing_to_refund", "refund_too_large"];
                    assert!(codes.contains(&text(&answer.json, "code").as_str()), "{}", answer.text);
                }
                _ => panic!("{} {}", answer.status, answer.text),
            }
        }
        assert!(given > 0 && given <= 35900, "{given}");
        assert_eq!((back(server, &payment), seen(&ada, &id).await.1), (given, given));
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_is_lost_is_made_once() {
    TestServer::on_each_database(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        let path = refunds(&ada, &id);
        // The process could as well have died after the call: what is stored is the same.
        server.payments.set_losing_answers(true);
        let keyed = staff.with("idempotency-key", "refund-1");
        let stored = keyed.post(&path, json!({"amount": 500})).await.expect(201);
        server.payments.set_losing_answers(false);
        assert_eq!((&stored["status"], &stored["providerId"]), (&json!("requested"), &Value::Null));
        assert_eq!(seen(&ada, &id).await, ("completed".to_owned(), 0), "nobody knows yet");
        // Sent again it is the same refund, and another one has to wait.
        let again = keyed.post(&path, json!({"amount": 500})).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.expect(201), stored);
        // The provider is asked what is left, and tells of the refund.
        let next = staff.post(&path, json!({"amount": 700})).await.expect(201);
        assert_eq!(next["status"], "succeeded");
        assert_eq!(back(server, &payment), 1200);
        for _ in 0..2 {
            a_round(server, &ada).await;
        }
        assert_eq!(seen(&ada, &id).await, ("partially_refunded".to_owned(), 1200));
        let read = staff.get(&purchase(&ada, &id)).await.expect(200);
        assert_eq!(read["refunds"].as_array().unwrap().len(), 2, "{read}");
        assert_eq!(read["refunds"][0]["id"], stored["id"]);
        assert_eq!(back(server, &payment), 1200);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_dead_process_has_stored_is_made_by_the_schedule() {
    TestServer::on_each_database(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, payment) = paid(server, &ada).await;
        // What a process leaves behind that dies before the call.
        let (tenant, scope) = (ada.tenant.parse().unwrap(), Scope::system(None, RequestInfo::default()));
        let input = RefundInput { amount: Some(900), reason: None };
        let mut work = server.app.core.begin().await.unwrap();
        let mut begun = Refunds::new(&mut *work, &scope, &server.app.core.env);
        begun.begin(tenant, id.parse().unwrap(), &input).await.unwrap();
        work.commit().await.unwrap();
        let waiting = staff(server).await.post(&refunds(&ada, &id), json!({"amount": 900})).await;
        assert_eq!(waiting.expect(409)["code"], "refund_in_progress");
        assert_eq!(back(server, &payment), 0);
        for _ in 0..3 {
            a_round(server, &ada).await;
        }
        assert_eq!(back(server, &payment), 900);
        assert_eq!(seen(&ada, &id).await, ("partially_refunded".to_owned(), 900));
        assert_eq!(events(&ada, "purchase.refunded").await, 1);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_on_pages_of_the_provider_is_found() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        server.payments.refund_elsewhere(&payment, 900);
        for _ in 0..3 {
            tell_of_payment(server, &format!("evt_back_{id}"), &payment).await.expect(200);
        }
        becomes(&ada, &id, "partially_refunded", 900).await;
        // An event that never came.
        server.payments.refund_elsewhere(&payment, 100);
        a_round(server, &ada).await;
        assert_eq!(seen(&ada, &id).await, ("partially_refunded".to_owned(), 1000));
        // What is left is asked of the provider.
        server.payments.refund_elsewhere(&payment, 1000);
        let refused = staff.post(&refunds(&ada, &id), json!({"amount": 34900})).await.expect(409);
        assert_eq!((&refused["code"], &refused["left"]), (&json!("refund_too_large"), &json!(33900)));
        assert_eq!(events(&ada, "purchase.refunded").await, 3);
        // Money that did not reach the buyer.
        server.payments.change_payment(&payment, |payment| {
            payment.refunds[0].state = RefundState::Failed;
        });
        tell_of_payment(server, &format!("evt_failed_{id}"), &payment).await.expect(200);
        becomes(&ada, &id, "partially_refunded", 1100).await;
        assert_eq!(events(&ada, "purchase.refund_failed").await, 1);
        // A payment of somebody else is of no interest, however often it is told of.
        tell_of_payment(server, &format!("evt_strange_{id}"), "pi_of_somebody_else").await.expect(200);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_payment_may_come_before_that_of_its_completion() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (session, id) = checkout(&ada).await;
        let payment = server.payments.pay(&session);
        server.payments.refund_elsewhere(&payment, 35900);
        tell_of_payment(server, &format!("evt_early_{id}"), &payment).await.expect(200);
        becomes(&ada, &id, "refunded", 35900).await;
        assert_eq!(
            (events(&ada, "purchase.completed").await, events(&ada, "purchase.refunded").await),
            (1, 1)
        );
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_told_of_and_ends_for_us_or_for_the_buyer() {
    TestServer::on_each_database(async |server| {
        let staff = staff(server).await;
        let ada = server.customer(server.email("ada")).await;
        for (end, last) in [(DisputeStatus::Won, "completed"), (DisputeStatus::Lost, "disputed")] {
            let (id, payment) = paid(server, &ada).await;
            let before =
                (events(&ada, "purchase.disputed").await, events(&ada, "purchase.dispute_closed").await);
            let answer_by = server.app.core.env.now() + time::Duration::days(7);
            server.payments.change_payment(&payment, |payment| {
                payment.disputes.push(Dispute {
                    id: format!("dp_{id}"),
                    amount: payment.amount.clone(),
                    status: DisputeStatus::NeedsAnswer,
                    answer_by: Some(answer_by),
                    fee: Some(Money { amount: 1500, currency: "usd".to_owned() }),
                });
            });
            for number in 0..3 {
                tell_of_payment(server, &format!("evt_dispute_{number}_{id}"), &payment).await.expect(200);
            }
            becomes(&ada, &id, "disputed", 0).await;
            let refused = staff.post(&refunds(&ada, &id), json!({})).await.expect(409);
            assert_eq!(refused["code"], "purchase_disputed");
            let read = staff.get(&purchase(&ada, &id)).await.expect(200);
            assert_eq!(
                (&read["disputes"][0]["status"], &read["disputes"][0]["providerId"]),
                (&json!("needs_answer"), &json!(format!("dp_{id}")))
            );
            assert!(read["disputes"][0]["answerBy"].is_string(), "{read}");
            server.payments.change_payment(&payment, |payment| payment.disputes[0].status = end);
            // No event tells of it.
            a_round(server, &ada).await;
            assert_eq!(status(&ada, &id).await, last);
            a_round(server, &ada).await;
            let after =
                (events(&ada, "purchase.disputed").await, events(&ada, "purchase.dispute_closed").await);
            assert_eq!(after, (before.0 + 1, before.1 + 1));
            ledger::sound(server).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_license_that_staff_resume_during_a_dispute_is_not_suspended_again_by_the_buyer_who_asks() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (session, id) = checkout(&ada).await;
        let payment = server.payments.pay(&session);
        let back = json!({"sessionId": session});
        let bought = ada.post("/api/v1/checkout/success", back.clone()).await.expect(200);
        let license = text(&bought["licenses"][0], "id");
        server.payments.change_payment(&payment, |payment| {
            payment.disputes.push(Dispute {
                id: format!("dp_{id}"),
                amount: payment.amount.clone(),
                status: DisputeStatus::NeedsAnswer,
                answer_by: None,
                fee: None,
            });
        });
        a_round(server, &ada).await;
        let address = format!("/api/v1/licenses/{license}");
        assert_eq!(ada.get(&address).await.expect(200)["status"], "suspended");
        let why = json!({"reason": "They have paid by bank transfer"});
        staff.post(&format!("/api/v1/admin/licenses/{license}/resume"), why).await.expect(200);
        for _ in 0..2 {
            ada.post("/api/v1/checkout/success", back.clone()).await.expect(200);
            a_round(server, &ada).await;
        }
        assert_eq!(ada.get(&address).await.expect(200)["status"], "active");
        assert_eq!(status(&ada, &id).await, "disputed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_is_a_refund_that_failed() {
    TestServer::shared(async |server| {
        let (staff, ada) = (staff(server).await, server.customer(server.email("ada")).await);
        let (id, payment) = paid(server, &ada).await;
        // What is taken back between the question and the call cannot be given back.
        server.payments.set_refusing_refunds(true);
        let failed = staff.post(&refunds(&ada, &id), json!({"amount": 900})).await.expect(201);
        server.payments.set_refusing_refunds(false);
        assert_eq!((&failed["status"], &failed["providerId"]), (&json!("failed"), &Value::Null));
        assert_eq!(seen(&ada, &id).await, ("completed".to_owned(), 0));
        assert_eq!(events(&ada, "refund.failed").await, 1);
        // It stands in the way of nothing.
        staff.post(&refunds(&ada, &id), json!({})).await.expect(201);
        assert_eq!((back(server, &payment), seen(&ada, &id).await.1), (35900, 35900));
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_another_one_changes_nothing_and_staff_is_told() {
    TestServer::shared(async |server| {
        let ada = server.customer(server.email("ada")).await;
        let (id, payment) = paid(server, &ada).await;
        let gtq = Money { amount: 35900, currency: "gtq".to_owned() };
        server.payments.change_payment(&payment, |payment| {
            let refund = Refund {
                id: "re_odd".to_owned(),
                amount: gtq,
                state: RefundState::Succeeded,
                reference: None,
            };
            payment.refunds.push(refund);
        });
        for number in 0..2 {
            tell_of_payment(server, &format!("evt_odd_{number}_{id}"), &payment).await.expect(200);
        }
        let told = async || (events(&ada, "payment.mismatch").await > 0).then_some(());
        eventually(Duration::from_secs(20), told).await.expect("staff is told");
        a_round(server, &ada).await;
        assert_eq!(
            (seen(&ada, &id).await, events(&ada, "payment.mismatch").await),
            (("completed".to_owned(), 0), 1)
        );
        ledger::sound(server).await;
    })
    .await;
}
