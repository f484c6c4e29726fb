//! Giving back what a site was sold for: by staff, and in the panel of the provider.

use std::time::Duration;

use portico_billing::site_sale::SiteSaleStatus;
use portico_kernel::{PlatformRole, PurchaseId};
use portico_recurrente::stand_in::Act;
use portico_testkit::{
    ledger,
    server::{Client, TestServer, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    site_purchases::{
        CLAIM, a_round, becomes, buy, checkout_of, for_sale, happens, stand_in, status as status_of, tell,
    },
    site_sales::offer_of,
    sites::events,
};

pub async fn clerk(server: &TestServer) -> Client {
    Person::new(server, server.email("clerk"), |user| user.role = PlatformRole::Staff).await.client
}

pub fn refund_of(id: &str) -> String {
    format!("/api/v1/admin/site-sales/{id}/refund")
}

/// Pays for a site, and waits until its sale has a status. Answers the id of the sale.
pub async fn paid(server: &TestServer, seller: &Client, made: &Value, status: SiteSaleStatus) -> String {
    for webhook in happens(server, &checkout_of(made), Act::Pay).await {
        tell(server, &webhook).await.expect(200);
    }
    let id = text(made, "purchaseId");
    becomes(server, seller, &id, status).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_give_back_what_a_site_was_sold_for_and_it_stays_with_its_buyer() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = text(&made, "purchaseId");
        let (clerk, refund) = (clerk(server).await, refund_of(&id));
        assert_eq!(clerk.post(&refund, json!({})).await.expect(409)["code"], "purchase_not_paid");
        paid(server, &seller, &made, SiteSaleStatus::Completed).await;

        assert_eq!(ada.post(&refund, json!({})).await.status.as_u16(), 403);
        let long = json!({"reason": "x".repeat(501)});
        assert_eq!(clerk.post(&refund, long).await.fields(), ["reason"]);
        assert_eq!(clerk.post(&refund_of(&ada.tenant), json!({})).await.status.as_u16(), 404);
        // The buyer has a receipt, and the seller and strangers have not.
        let invoice = format!("/api/v1/billing/invoices/{id}");
        let number = text(&ada.get(&invoice).await.expect(200), "number");
        assert!(number.starts_with("TEST-"), "{number}");
        let pdf = async |query: &str| ada.get(&format!("{invoice}/pdf{query}")).await.text;
        let receipt = pdf("?language=en").await;
        assert!(receipt.contains(&format!("({number})")) && !receipt.contains("(Refunded)"), "{receipt}");
        assert!(pdf("?paper=letter&language=es").await.contains("(Recibo)"));
        assert_eq!(seller.get(&invoice).await.status, 404);
        let stranger = server.customer(server.email("stranger")).await;
        assert_eq!(stranger.get(&format!("{invoice}/pdf")).await.status, 404);
        server.mail(server.email("ada"), &number).await;

        let keyed = clerk.with("idempotency-key", "refund-1");
        let given = keyed.post(&refund, json!({"reason": "Wrong site"})).await.expect(201);
        assert_eq!(
            (&given["status"], &given["amount"], &given["purchaseId"], &given["reason"]),
            (&json!("succeeded"), &json!(150_000), &json!(id), &json!("Wrong site"))
        );
        keyed.post(&refund, json!({"reason": "Wrong site"})).await.expect(201);
        assert_eq!(clerk.post(&refund, json!({})).await.expect(409)["code"], "nothing_to_refund");
        assert_eq!(status_of(server, &seller, &id).await, SiteSaleStatus::Refunded);
        assert_eq!(ada.get(&path).await.expect(200)["status"], "published");
        assert_eq!(ada.get(&invoice).await.expect(200)["amountRefunded"], 150_000);
        assert!(pdf("?language=en").await.contains("(Refunded)"));
        for kind in ["refund.created", "site_sale.refunded"] {
            assert_eq!(events(&seller, kind).await, 1, "{kind}");
        }
        ledger::sound(server).await;
    })
    .await;
}

/// Waits until a site is there for a client, and answers it.
async fn returned(client: &Client, path: &str) -> Value {
    let there = async || {
        let answer = client.get(path).await;
        (answer.status == 200).then_some(answer)
    };
    eventually(Duration::from_secs(20), there).await.expect("it comes back").expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_return_a_site_to_its_seller_together_with_the_money() {
    TestServer::on_each_database(async |server| {
        let (seller, path, host, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = paid(server, &seller, &made, SiteSaleStatus::Completed).await;
        let draft = json!({"title": "What only Ada knows"});
        ada.post(&ada.t("/pages"), draft).await.expect(201);
        // She publishes in this moment, and staff give back twice.
        ada.post_empty(&format!("{path}/deploy")).await.expect(202);
        let (clerk, refund) = (clerk(server).await, refund_of(&id));
        let odd = clerk.post(&refund, json!({"returnSite": "yes"})).await;
        assert_eq!(odd.fields(), ["returnSite"]);
        let input = json!({"reason": "Wrong site", "returnSite": true});
        clerk.post(&refund, input.clone()).await.expect(201);
        assert_eq!(clerk.post(&refund, input).await.expect(409)["code"], "nothing_to_refund");

        let back = returned(&seller, &path).await;
        assert_eq!((&back["status"], &back["liveDeploymentId"]), (&json!("draft"), &Value::Null));
        assert_eq!(ada.get(&path).await.status, 404);
        let pages = seller.get(&seller.t("/pages")).await.expect(200).to_string();
        assert!(pages.contains("Welcome") && !pages.contains("What only Ada knows"), "{pages}");
        for (client, kind) in [(&seller, "site.returned"), (&ada, "site.taken_back")] {
            assert_eq!(events(client, kind).await, 1, "{kind}");
        }
        // It answers nowhere, until the seller publishes it.
        let offline = async || {
            let answer = server.client().with("host", &host).get("/").await;
            (answer.status != 200).then_some(())
        };
        eventually(Duration::from_secs(20), offline).await.expect("it is offline");
        seller.post_empty(&format!("{path}/deploy")).await.expect(202);
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_its_buyer_has_deleted_is_not_missed() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = paid(server, &seller, &made, SiteSaleStatus::Completed).await;
        ada.delete(&path).await.expect(204);
        clerk(server).await.post(&refund_of(&id), json!({"returnSite": true})).await.expect(201);
        let (tenant, sale): (_, PurchaseId) = (seller.tenant.parse().unwrap(), id.parse().unwrap());
        let settled = async || {
            let sale = server.app.core.reader().site_sales().find(tenant, sale).await.unwrap().unwrap();
            (!sale.returns_site).then_some(sale.status)
        };
        let status = eventually(Duration::from_secs(20), settled).await.expect("the job gives up");
        assert_eq!(status, SiteSaleStatus::Refunded);
        assert_eq!(seller.get(&path).await.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_waits_is_the_sellers_again_once_it_is_given_back() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let email = server.email("ada");
        let ada = server.customer(email).await;
        let made = buy(&server.client(), &slug, email).await.expect(201);
        let id = paid(server, &seller, &made, SiteSaleStatus::Waiting).await;
        let token = server.mail_token(email, "claim-site").await;
        let given = clerk(server).await.post(&refund_of(&id), json!({})).await.expect(201);
        assert_eq!(given["status"], "succeeded");
        assert_eq!(status_of(server, &seller, &id).await, SiteSaleStatus::Refunded);
        assert_eq!(ada.post(CLAIM, json!({"token": token})).await.status.as_u16(), 404);
        assert_eq!(seller.get(&path).await.expect(200)["status"], "published");
        assert_eq!(events(&seller, "site.unsold").await, 1);
        let offer = json!({"amount": 100, "currency": "usd"});
        assert_eq!(seller.put(&offer_of(&path), offer).await.expect(200)["status"], "for_sale");
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_in_the_panel_is_found_by_its_webhook() {
    TestServer::on_each_database(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = paid(server, &seller, &made, SiteSaleStatus::Completed).await;
        let webhook = stand_in(server).give_back(&checkout_of(&made)).await.unwrap().expect("it is paid");
        for _ in 0..3 {
            tell(server, &webhook).await.expect(200);
        }
        becomes(server, &seller, &id, SiteSaleStatus::Refunded).await;
        assert_eq!(events(&seller, "site_sale.refunded").await, 1);
        let again = clerk(server).await.post(&refund_of(&id), json!({})).await;
        assert_eq!(again.expect(409)["code"], "nothing_to_refund");
        ledger::sound(server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_a_bank_sends_back_is_found_without_a_webhook() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = paid(server, &seller, &made, SiteSaleStatus::Completed).await;
        let given = clerk(server).await.post(&refund_of(&id), json!({})).await.expect(201);
        assert_eq!(given["status"], "succeeded");
        a_round(server, &seller, &id, false).await;
        assert_eq!(status_of(server, &seller, &id).await, SiteSaleStatus::Refunded);

        stand_in(server).send_back(&text(&given, "providerId")).await.unwrap();
        for _ in 0..2 {
            a_round(server, &seller, &id, false).await;
            assert_eq!(status_of(server, &seller, &id).await, SiteSaleStatus::Completed);
        }
        assert_eq!(ada.get(&path).await.expect(200)["status"], "published");
        let invoice = ada.get(&format!("/api/v1/billing/invoices/{id}")).await.expect(200);
        assert_eq!(invoice["amountRefunded"], 0);
        for kind in ["refund.failed", "site_sale.refund_failed"] {
            assert_eq!(events(&seller, kind).await, 1, "{kind}");
        }
        ledger::sound(server).await;
    })
    .await;
}
