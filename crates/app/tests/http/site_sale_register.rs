//! Sales of sites as staff, sellers and everybody else look them up.

use std::time::Duration;

use portico_billing::site_sale::SiteSaleStatus;
use portico_kernel::PlatformRole;
use portico_recurrente::stand_in::Act;
use portico_testkit::server::{Client, TestServer, eventually};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text},
    site_purchases::{CLAIM, becomes, buy, checkout_of, for_sale, happens, tell},
    site_refunds::{clerk, paid, refund_of},
};

const SALES: &str = "/api/v1/admin/site-sales";

async fn sale(clerk: &Client, id: &str) -> Value {
    clerk.get(&format!("{SALES}/{id}")).await.expect(200)
}

/// The ids that a query finds.
async fn found(clerk: &Client, query: &str) -> Vec<String> {
    let answer = clerk.get(&format!("{SALES}?{query}")).await.expect(200);
    let items = answer["items"].as_array().unwrap();
    assert_eq!(answer["total"], items.len(), "{answer}");
    items.iter().map(|item| text(item, "id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_follow_a_sale_from_its_reservation_to_its_return() {
    TestServer::on_each_database(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let (ada, clerk) = (server.customer(server.email("ada")).await, clerk(server).await);
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = text(&made, "purchaseId");
        let seen = sale(&clerk, &id).await;
        assert_eq!(
            (&seen["status"], &seen["waitsFor"], &seen["checkoutStage"], &seen["provider"]),
            (&json!("pending"), &json!("payment"), &json!("open"), &json!("recurrente"))
        );
        assert_eq!(
            (&seen["sellerId"], &seen["buyerId"], &seen["buyerEmail"]),
            (&json!(seller.tenant), &json!(ada.tenant), &json!(server.email("ada")))
        );
        assert_eq!((&seen["sessionId"], &seen["slug"]), (&json!(checkout_of(&made)), &json!(slug)));
        assert_eq!((&seen["paymentId"], &seen["receiptNumber"]), (&Value::Null, &Value::Null));
        assert_eq!((&seen["expiresAt"], &seen["refunds"]), (&made["expiresAt"], &json!([])));

        paid(server, &seller, &made, SiteSaleStatus::Completed).await;
        let seen = sale(&clerk, &id).await;
        let invoice = ada.get(&format!("/api/v1/billing/invoices/{id}")).await.expect(200);
        assert_eq!((&seen["receiptNumber"], &seen["waitsFor"]), (&invoice["number"], &Value::Null));
        assert!(seen["paidAt"].is_string() && seen["paymentId"].is_string(), "{seen}");
        let overview = format!("/api/v1/admin/customers/{}/overview", ada.tenant);
        assert_eq!(clerk.get(&overview).await.expect(200)["siteSales"][0]["id"], id);

        clerk.post(&refund_of(&id), json!({"reason": "Wrong site", "returnSite": true})).await.expect(201);
        let seen = sale(&clerk, &id).await;
        assert_eq!(
            (&seen["status"], &seen["refunds"][0]["status"]),
            (&json!("refunded"), &json!("succeeded"))
        );
        assert_eq!(seen["refunds"][0]["reason"], "Wrong site");
        assert_eq!(seen["returnsSite"] == true, seen["waitsFor"] == "return", "{seen}");

        // Nobody else sees it, and the seller not who has bought.
        let path = format!("{SALES}/{id}");
        for client in [&ada, &server.customer(server.email("eve")).await] {
            assert_eq!(client.get(&path).await.status.as_u16(), 403);
            assert_eq!(client.get(SALES).await.status.as_u16(), 403);
            assert_eq!(client.get("/api/v1/site-sales").await.expect(200)["total"], 0);
        }
        let own = seller.get("/api/v1/site-sales").await.expect(200);
        assert_eq!((&own["total"], &own["items"][0]["id"]), (&json!(1), &json!(id)));
        assert_eq!(own["items"][0]["status"], "refunded");
        let told = own.to_string();
        assert!(!told.contains(server.email("ada")) && !told.contains(&ada.tenant), "{told}");
        assert_eq!(clerk.get(&format!("{SALES}/{}", ada.tenant)).await.status.as_u16(), 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_are_found_by_what_somebody_knows_of_them() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let (other, _, _, other_slug) = for_sale(server).await;
        let (email, clerk) = (server.email("ada"), clerk(server).await);
        let ada = server.customer(email).await;
        let made = buy(&server.client(), &slug, email).await.expect(201);
        let waiting = paid(server, &seller, &made, SiteSaleStatus::Waiting).await;
        let pending = buy(&server.client(), &other_slug, server.email("bea")).await.expect(201);
        let pending = text(&pending, "purchaseId");
        let checkout = checkout_of(&made);
        let site = path.rsplit('/').next().unwrap();
        let upper = email.to_uppercase();
        for (query, expected) in [
            (String::new(), vec![&pending, &waiting]),
            ("status=waiting".to_owned(), vec![&waiting]),
            ("status=failed".to_owned(), vec![]),
            (format!("sellerId={}", other.tenant), vec![&pending]),
            (format!("siteId={site}"), vec![&waiting]),
            (format!("buyerEmail={upper}"), vec![&waiting]),
            (format!("buyerId={}", ada.tenant), vec![]),
            (format!("reference={checkout}"), vec![&waiting]),
            (format!("reference={checkout}x"), vec![]),
            ("from=2999-01-01T00:00:00Z".to_owned(), vec![]),
            ("to=2999-01-01T00:00:00Z&status=pending".to_owned(), vec![&pending]),
        ] {
            let ids = found(&clerk, &query).await;
            assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{query}");
        }
        assert_eq!(sale(&clerk, &waiting).await["waitsFor"], "claim");
        for (query, field) in [("status=lost", "status"), ("siteId=x", "siteId"), ("limit=101", "limit")] {
            assert_eq!(clerk.get(&format!("{SALES}?{query}")).await.fields(), [field]);
        }
        let long = format!("{SALES}?reference={}", "x".repeat(201));
        assert_eq!(clerk.get(&long).await.fields(), ["reference"]);

        // Once it is claimed it is found by the account.
        let token = server.mail_token(email, "claim-site").await;
        ada.post(CLAIM, json!({"token": token})).await.expect(202);
        becomes(server, &seller, &waiting, SiteSaleStatus::Completed).await;
        for query in [format!("buyerId={}", ada.tenant), format!("buyerEmail={email}")] {
            assert_eq!(found(&clerk, &query).await, std::slice::from_ref(&waiting), "{query}");
        }

        // Who is narrowed to another area sees none.
        let boss =
            Person::new(server, server.email("boss"), |user| user.role = PlatformRole::SuperAdmin).await;
        let narrowed =
            Person::new(server, server.email("narrowed"), |user| user.role = PlatformRole::Staff).await;
        let user = format!("/api/v1/users/{}", narrowed.claims.user);
        boss.client.put(&user, json!({"staffAreas": ["operations"]})).await.expect(200);
        let hidden = async || (narrowed.client.get(SALES).await.status == 403).then_some(());
        eventually(Duration::from_secs(1), hidden).await.expect("the areas hold");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_leaves_the_site_to_its_buyer_until_the_page_ends() {
    TestServer::on_each_database(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let made = buy(&server.client(), &slug, server.email("ada")).await.expect(201);
        let (id, checkout) = (text(&made, "purchaseId"), checkout_of(&made));
        for webhook in happens(server, &checkout, Act::Decline).await {
            tell(server, &webhook).await.expect(200);
        }
        let clerk = clerk(server).await;
        let seen = sale(&clerk, &id).await;
        assert_eq!((&seen["status"], &seen["checkoutStage"]), (&json!("pending"), &json!("open")));
        let other = buy(&server.client(), &slug, server.email("bea")).await;
        assert_eq!(other.expect(409)["code"], "site_reserved");
        paid(server, &seller, &made, SiteSaleStatus::Completed).await;
    })
    .await;
}
