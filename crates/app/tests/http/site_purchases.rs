//! Buying a site: reserved for one, paid at Recurrente's stand-in, handed over once, whoever tells of it and however often.

use std::time::Duration;

use portico::state::App;
use portico_billing::{
    checkout::PurchaseCheckout,
    payment::Provider,
    site_sale::{HandOverSite, SiteSaleStatus},
};
use portico_feature_billing::flows::site_sales as flow;
use portico_kernel::{Job, JobType, PageRequest, PurchaseId, Timestamp};
use portico_recurrente::stand_in::{Act, StandIn, Webhook};
use portico_sites::site::SiteStatus;
use portico_testkit::server::{Answer, Client, Database, PASSWORD, TestServer, at_once, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    assets,
    fixture::{PICTURE, Person, text},
    site_sales::{offer_of, staff_with_site},
    sites::events,
};

const WEBHOOK: &str = "/api/v1/webhooks/recurrente";
pub const CLAIM: &str = "/api/v1/site-purchases/claim";

/// A site that is for sale for 1,500 quetzals: its seller, its path, its host and its slug.
pub async fn for_sale(server: &TestServer) -> (Client, String, String, String) {
    let (seller, path, host) = staff_with_site(server).await;
    seller.put(&offer_of(&path), json!({"amount": 150_000, "currency": "gtq"})).await.expect(200);
    let slug = host.split('.').next().unwrap().to_owned();
    (seller, path, host, slug)
}

pub async fn buy(client: &Client, slug: &str, email: &str) -> Answer {
    let buyer = json!({"email": email, "full_name": "Ada Lovelace"});
    client.post(&format!("/api/v1/sites/{slug}/purchase"), buyer).await
}

/// The id of the checkout of an answer.
pub fn checkout_of(made: &Value) -> String {
    text(made, "checkoutUrl").rsplit('/').next().unwrap().to_owned()
}

pub fn stand_in(server: &TestServer) -> &StandIn {
    server.app.recurrente.as_ref().unwrap()
}

/// Lets something happen at the stand-in; answers what it would tell.
pub async fn happens(server: &TestServer, checkout: &str, act: Act) -> Vec<Webhook> {
    stand_in(server).act(checkout, act).await.unwrap().expect("it can happen")
}

pub async fn tell(server: &TestServer, webhook: &Webhook) -> Answer {
    let mut client = server.client();
    for (name, value) in &webhook.headers {
        client = client.with(name, value);
    }
    client.send(Method::POST, WEBHOOK, Some(webhook.body.clone()), "application/json").await
}

pub async fn status(server: &TestServer, seller: &Client, id: &str) -> SiteSaleStatus {
    let (tenant, id): (_, PurchaseId) = (seller.tenant.parse().unwrap(), id.parse().unwrap());
    server.app.core.reader().site_sales().find(tenant, id).await.unwrap().unwrap().status
}

pub async fn becomes(server: &TestServer, seller: &Client, id: &str, wanted: SiteSaleStatus) {
    let reached = async || (status(server, seller, id).await == wanted).then_some(());
    eventually(Duration::from_secs(20), reached).await.expect("the sale gets there");
}

/// Changes the checkout of a sale, past every rule: for what only time does.
async fn change(
    server: &TestServer,
    seller: &Client,
    id: &str,
    change: impl FnOnce(&mut PurchaseCheckout, Timestamp),
) {
    let (tenant, id): (_, PurchaseId) = (seller.tenant.parse().unwrap(), id.parse().unwrap());
    let mut work = server.app.core.begin().await.unwrap();
    let mut sale = work.site_sales().lock(tenant, id).await.unwrap().unwrap();
    change(&mut sale.checkout, server.app.core.env.now());
    work.site_sales().update(&sale).await.unwrap();
    work.commit().await.unwrap();
}

/// Makes a sale due, as if half an hour had passed where `is_over`, and has the schedule ask about it.
pub async fn a_round(server: &TestServer, seller: &Client, id: &str, is_over: bool) {
    change(server, seller, id, |checkout, now| {
        checkout.check_at = Some(now);
        if is_over {
            checkout.expires_at = now - time::Duration::SECOND;
        }
    })
    .await;
    flow::look_after(&server.app.billing).await.unwrap();
}

/// Mails to an address that say something.
async fn mails(server: &TestServer, to: &str, marker: &str) -> usize {
    let client = server.client().with("accept", "application/json");
    let found = client.get(&format!("/dev/mailbox?to={to}")).await.json;
    let items = found["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter(|mail| mail["text"].as_str().is_some_and(|text| text.contains(marker))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_an_account_buys_a_site_and_has_it() {
    TestServer::on_each_database(async |server| {
        let (seller, path, host, slug) = for_sale(server).await;
        let picture = assets::form_of("bread.gif", PICTURE);
        let uploaded =
            seller.send(Method::POST, &seller.t("/assets/upload"), Some(picture), assets::FORM).await;
        let picture = text(&uploaded.expect(201)["items"][0], "id");
        let pages = seller.get(&seller.t("/pages")).await.expect(200);
        let page = text(&pages["items"][0], "id");
        let hero = json!({"type": "hero", "content": {"heading": "Fresh bread", "imageAssetId": picture}});
        seller.post(&seller.t(&format!("/pages/{page}/sections")), hero).await.expect(201);

        let visitor = server.client();
        let email = server.email("ada");
        let made = buy(&visitor, &slug, email).await.expect(201);
        assert_eq!(made.as_object().unwrap().len(), 3, "{made}");
        assert!(made["expiresAt"].is_string(), "{made}");
        let (id, checkout) = (text(&made, "purchaseId"), checkout_of(&made));
        assert_eq!(buy(&visitor, &slug, "eve@example.com").await.expect(409)["code"], "site_reserved");
        assert_eq!(visitor.get(&format!("/api/v1/offers/{slug}")).await.status, 200, "it is not sold yet");

        // A person clicks, and the provider tells.
        let at = format!("/dev/recurrente/checkout-session/{checkout}");
        let shown = visitor.get(&at).await;
        assert!(shown.status == 200 && shown.text.contains("1500.00 GTQ"), "{shown:?}");
        let form = "application/x-www-form-urlencoded";
        let clicked = visitor.send(Method::POST, &at, Some(b"act=pay".to_vec()), form).await;
        assert_eq!((clicked.status.as_u16(), clicked.header("location")), (303, at.as_str()));
        becomes(server, &seller, &id, SiteSaleStatus::Completed).await;

        // The site answers as before, and the seller does not have it any more.
        let answer = server.client().with("host", &host).get("/").await;
        assert!(answer.status == 200 && answer.text.contains("Welcome"), "{answer:?}");
        assert_eq!(seller.get(&path).await.status, 404);
        assert_eq!(visitor.get(&format!("/api/v1/offers/{slug}")).await.status, 404);
        assert_eq!(buy(&visitor, &slug, "eve@example.com").await.expect(409)["code"], "site_sold");

        // The buyer sets a password by the link of the welcome mail, which proves the address.
        let token = server.mail_token(email, "reset-password").await;
        let reset = json!({"token": token, "password": PASSWORD});
        visitor.post("/api/v1/auth/reset-password", reset).await.expect(204);
        let mut buyer = server.client();
        let login = json!({"email": email, "password": PASSWORD});
        buyer.sign(&visitor.post("/api/v1/auth/login", login).await.expect(200));
        let profile = buyer.get("/api/v1/profile").await.expect(200);
        buyer.tenant = text(&profile, "activeTenantId");
        assert_eq!((&profile["emailVerified"], &profile["fullName"]), (&json!(true), &json!("Ada Lovelace")));
        let site = buyer.get(&path).await.expect(200);
        assert_eq!((&site["status"], &site["price"]), (&json!("published"), &Value::Null));
        assert_eq!(buyer.get(&buyer.t("/pages")).await.expect(200)["total"], 1);
        let sections = buyer.get(&buyer.t(&format!("/pages/{page}/sections"))).await.expect(200).to_string();
        assert!(sections.contains("Fresh bread") && sections.contains(&picture), "{sections}");
        let file = buyer.get(&buyer.t(&format!("/assets/{picture}"))).await.expect(200);
        let link = text(&file, "url");
        let link = link.trim_start_matches(&server.url);
        assert_eq!(visitor.get(link).await.status, 200, "its file is there");
        // It is theirs to change, and to publish.
        buyer.put(&path, json!({"name": "Panadería Ada"})).await.expect(200);
        buyer.post_empty(&format!("{path}/deploy")).await.expect(202);
        let analytics = buyer.get(&format!("{path}/analytics")).await.expect(200);
        assert!(
            !analytics.to_string().contains("Welcome"),
            "visits of the seller's time are not told: {analytics}"
        );

        server.mail(email, &id).await;
        let sold = server.mail(&text(&seller.get("/api/v1/profile").await.expect(200), "email"), &id).await;
        assert!(sold.contains(&slug) && sold.contains("1500.00 GTQ"), "{sold}");
        for (kind, times) in [
            ("site_sale.created", 1),
            ("site_sale.paid", 1),
            ("site_sale.completed", 1),
            ("site.handed_over", 1),
        ] {
            assert_eq!(events(&seller, kind).await, times, "{kind}");
        }
        for kind in ["site.received", "user.registered_by_purchase"] {
            assert_eq!(events(&buyer, kind).await, 1, "{kind}");
        }
        let trail = seller.get(&seller.t("/audit?limit=100")).await.expect(200).to_string();
        assert!(!trail.contains(email), "the seller's trail does not name the buyer");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_doubled_shuffled_or_missing_lead_to_one_hand_over() {
    TestServer::on_each_database(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let email = server.email("ada");
        let made = buy(&server.client(), &slug, email).await.expect(201);
        let (id, checkout) = (text(&made, "purchaseId"), checkout_of(&made));
        let mut told = happens(server, &checkout, Act::Decline).await;
        told.extend(happens(server, &checkout, Act::Transfer).await);
        for early in told.clone() {
            assert_eq!(tell(server, &early).await.expect(200), json!({"received": true}));
        }
        assert_eq!(
            status(server, &seller, &id).await,
            SiteSaleStatus::Pending,
            "nothing is granted on the way"
        );
        told.extend(happens(server, &checkout, Act::TransferArrives).await);
        told.reverse();
        let doubled: Vec<Webhook> = [told.clone(), told.clone(), told].concat();
        let answers = at_once(doubled.len(), |number| {
            let (webhook, client) = (doubled[number].clone(), server.client());
            async move {
                let client =
                    webhook.headers.iter().fold(client, |client, (name, value)| client.with(name, value));
                client.send(Method::POST, WEBHOOK, Some(webhook.body), "application/json").await.status
            }
        })
        .await;
        assert!(answers.iter().all(|status| status.as_u16() == 200), "{answers:?}");
        becomes(server, &seller, &id, SiteSaleStatus::Completed).await;
        a_round(server, &seller, &id, false).await;
        for kind in ["site_sale.paid", "site_sale.completed", "site.handed_over"] {
            assert_eq!(events(&seller, kind).await, 1, "{kind}");
        }
        server.mail(email, &id).await;
        assert_eq!(mails(server, email, &id).await, 1, "one confirmation");

        // Without any webhook, the schedule finds out.
        let (seller, _, _, slug) = for_sale(server).await;
        let made = buy(&server.client(), &slug, server.email("bea")).await.expect(201);
        happens(server, &checkout_of(&made), Act::Pay).await;
        a_round(server, &seller, &text(&made, "purchaseId"), false).await;
        becomes(server, &seller, &text(&made, "purchaseId"), SiteSaleStatus::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_without_an_answer_holds_up_no_other() {
    // A provider that can be silent about one of them.
    let provider = |app: &mut App| app.billing.recurrente = app.billing.provider.clone();
    let server = TestServer::start_changed(Database::Sqlite, |_| {}, provider).await;
    let (first, _, _, slug) = for_sale(&server).await;
    let made = buy(&server.client(), &slug, server.email("ada")).await.expect(201);
    let waiting = text(&made, "purchaseId");
    server.payments.leave_unanswered(&checkout_of(&made));
    let (second, _, _, slug) = for_sale(&server).await;
    let made = buy(&server.client(), &slug, server.email("bea")).await.expect(201);
    let paid = text(&made, "purchaseId");
    server.payments.pay(&checkout_of(&made));
    for (seller, id, since) in [(&first, &waiting, 2), (&second, &paid, 1)] {
        let since = time::Duration::seconds(since);
        change(&server, seller, id, |checkout, now| checkout.check_at = Some(now - since)).await;
    }
    flow::look_after(&server.app.billing).await.unwrap();
    becomes(&server, &second, &paid, SiteSaleStatus::Completed).await;
    assert_eq!(status(&server, &first, &waiting).await, SiteSaleStatus::Pending);
    // It was put off.
    let now = server.app.core.env.now();
    assert!(server.app.core.reader().site_sales().due(now, 10).await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_buyers_at_once_one_gets_it() {
    TestServer::on_each_database(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let answers = at_once(64, |number| {
            let (client, slug) = (server.client(), slug.clone());
            async move { buy(&client, &slug, &format!("buyer{number}@example.com")).await }
        })
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!(won.len(), 1);
        for answer in lost {
            assert_eq!(answer.expect(409)["code"], "site_reserved");
        }
        assert_eq!(events(&seller, "site_sale.created").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_buys_for_their_tenant_and_for_no_other() {
    TestServer::shared(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let other = server.customer(server.email("bea")).await;
        for webhook in happens(server, &checkout_of(&made), Act::Pay).await {
            tell(server, &webhook).await.expect(200);
        }
        becomes(server, &seller, &text(&made, "purchaseId"), SiteSaleStatus::Completed).await;
        assert_eq!(ada.get(&path).await.expect(200)["status"], "published");
        assert_eq!(other.get(&path).await.status, 404);
        assert_eq!(seller.get(&path).await.status, 404);

        // Nobody buys what their own tenant has.
        let (seller, _, _, slug) = for_sale(server).await;
        let own = seller.post(&format!("/api/v1/sites/{slug}/purchase"), json!({})).await;
        assert_eq!(own.expect(409)["code"], "own_site");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_not_taken_over_and_its_owner_claims_the_site() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let email = server.email("ada");
        let ada = server.customer(email).await;
        let made = buy(&server.client(), &slug, email).await.expect(201);
        let id = text(&made, "purchaseId");
        for webhook in happens(server, &checkout_of(&made), Act::Pay).await {
            tell(server, &webhook).await.expect(200);
        }
        becomes(server, &seller, &id, SiteSaleStatus::Waiting).await;
        assert_eq!(ada.get(&path).await.status, 404, "it waits");
        assert_eq!(buy(&server.client(), &slug, "eve@example.com").await.expect(409)["code"], "site_sold");

        let token = server.mail_token(email, "claim-site").await;
        assert_eq!(mails(server, email, "reset-password").await, 0, "nobody sets a password of theirs");
        let claim = json!({"token": token});
        assert_eq!(server.client().post(CLAIM, claim.clone()).await.status, 401);
        let eve = server.customer(server.email("eve")).await;
        assert_eq!(eve.post(CLAIM, claim.clone()).await.expect(404)["code"], "not_found");
        let mut forged = token.clone();
        forged.push('x');
        for wrong in [forged.as_str(), "none", &token[..token.len() - 1], &token.replacen('_', "-", 1)] {
            assert_eq!(ada.post(CLAIM, json!({"token": wrong})).await.status, 404, "{wrong}");
        }
        assert_eq!(ada.post(CLAIM, json!({})).await.fields(), ["token"]);
        let claimed = ada.post(CLAIM, claim.clone()).await.expect(202);
        assert_eq!((&claimed["purchaseId"], &claimed["slug"]), (&json!(id), &json!(slug)));
        becomes(server, &seller, &id, SiteSaleStatus::Completed).await;
        assert_eq!(ada.get(&path).await.expect(200)["status"], "published");
        assert_eq!(ada.post(CLAIM, claim).await.status, 404, "once");
        for kind in ["site_sale.paid", "site_sale.waiting", "site_sale.claimed", "site_sale.completed"] {
            assert_eq!(events(&seller, kind).await, 1, "{kind}");
        }
        // Their password is what it was.
        let login = json!({"email": email, "password": PASSWORD});
        server.client().post("/api/v1/auth/login", login).await.expect(200);
    })
    .await;
}

/// Sets the status of a site, past every rule.
async fn set_status(server: &TestServer, seller: &Client, path: &str, status: SiteStatus) {
    let (tenant, id) = (seller.tenant.parse().unwrap(), path.rsplit('/').next().unwrap().parse().unwrap());
    let mut work = server.app.core.begin().await.unwrap();
    let mut site = work.sites().find(tenant, id).await.unwrap().unwrap();
    site.status = status;
    work.sites().update(&site).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_suspended_while_it_was_paid_is_handed_over_once_it_is_not() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let ada = server.customer(server.email("ada")).await;
        let made = ada.post_empty(&format!("/api/v1/sites/{slug}/purchase")).await.expect(201);
        let id = text(&made, "purchaseId");
        set_status(server, &seller, &path, SiteStatus::Suspended).await;
        for webhook in happens(server, &checkout_of(&made), Act::Pay).await {
            tell(server, &webhook).await.expect(200);
        }
        let refused = eventually(Duration::from_secs(20), async || {
            let jobs = server.app.core.jobs.list(None, PageRequest::default()).await.unwrap().items;
            let failed = |job: &Job| job.kind == HandOverSite::KIND && job.last_error.is_some();
            jobs.iter().any(failed).then_some(())
        });
        refused.await.expect("it is not handed over");
        assert_eq!(status(server, &seller, &id).await, SiteSaleStatus::Paid);
        assert_eq!(seller.get(&path).await.expect(200)["status"], "suspended");
        assert_eq!(ada.get(&path).await.status, 404);
        set_status(server, &seller, &path, SiteStatus::Published).await;
        becomes(server, &seller, &id, SiteSaleStatus::Completed).await;
        assert_eq!(ada.get(&path).await.expect(200)["status"], "published");
        for kind in ["site.sold", "site.handed_over"] {
            assert_eq!(events(&seller, kind).await, 1, "{kind}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_named_the_address_gets_nothing() {
    TestServer::shared(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let email = server.email("ada");
        // An account with the address, whose maker has not proven it.
        let stranger = server.unverified(email).await;
        let made = buy(&server.client(), &slug, email).await.expect(201);
        for webhook in happens(server, &checkout_of(&made), Act::Pay).await {
            tell(server, &webhook).await.expect(200);
        }
        becomes(server, &seller, &text(&made, "purchaseId"), SiteSaleStatus::Completed).await;
        assert_eq!(stranger.get(&path).await.status, 404);
        let token = server.mail_token(email, "reset-password").await;
        let password = "Another-Horse-8";
        server
            .client()
            .post("/api/v1/auth/reset-password", json!({"token": token, "password": password}))
            .await
            .expect(204);
        let mut buyer = server.client();
        let login = json!({"email": email, "password": password});
        buyer.sign(&buyer.post("/api/v1/auth/login", login).await.expect(200));
        assert_eq!(buyer.get(&path).await.expect(200)["status"], "published");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_pay_frees_the_site() {
    TestServer::on_each_database(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let made = buy(&server.client(), &slug, server.email("ada")).await.expect(201);
        a_round(server, &seller, &text(&made, "purchaseId"), true).await;
        assert_eq!(status(server, &seller, &text(&made, "purchaseId")).await, SiteSaleStatus::Failed);
        assert_eq!(
            stand_in(server).act(&checkout_of(&made), Act::Pay).await.unwrap(),
            None,
            "nobody can pay it"
        );
        assert_eq!(seller.get(&path).await.expect(200)["status"], "for_sale");
        buy(&server.client(), &slug, server.email("bea")).await.expect(201);
        assert_eq!(events(&seller, "site_sale.failed").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_reserves_nothing() {
    TestServer::shared(async |server| {
        let (seller, path, _, slug) = for_sale(server).await;
        let visitor = server.client();
        let at = format!("/api/v1/sites/{slug}/purchase");
        for (body, fields) in [
            (json!({}), vec!["email", "fullName"]),
            (json!({"email": "ada", "fullName": "Ada"}), vec!["email"]),
            (json!({"email": "ada@example.com", "fullName": ""}), vec!["fullName"]),
            (json!({"email": "ada@example.com", "fullName": "x".repeat(201)}), vec!["fullName"]),
        ] {
            let answer = visitor.post(&at, body.clone()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.fields()),
                (422, fields.iter().map(|f| (*f).to_owned()).collect()),
                "{body}"
            );
        }
        assert_eq!(buy(&visitor, "no-such-site", "ada@example.com").await.status, 404);
        seller.put(&offer_of(&path), json!({"amount": 100, "currency": "eur"})).await.expect(200);
        assert_eq!(buy(&visitor, &slug, "ada@example.com").await.expect(409)["code"], "payment_unsupported");
        seller.delete(&offer_of(&path)).await.expect(204);
        assert_eq!(buy(&visitor, &slug, "ada@example.com").await.status, 404);
        assert_eq!(events(&seller, "site_sale.created").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_not_signed_are_refused_and_not_stored() {
    TestServer::shared(async |server| {
        let (seller, _, _, slug) = for_sale(server).await;
        let made = buy(&server.client(), &slug, server.email("ada")).await.expect(201);
        let webhook = happens(server, &checkout_of(&made), Act::Pay).await.swap_remove(0);
        let changed = Webhook { body: [webhook.body.clone(), b" ".to_vec()].concat(), ..webhook.clone() };
        let unsigned = Webhook { headers: Vec::new(), ..webhook.clone() };
        let mut old = webhook.clone();
        old.headers[1].1 = (server.app.core.env.now().unix_seconds() - 400).to_string();
        for forged in [changed, unsigned, old] {
            assert_eq!(tell(server, &forged).await.expect(400)["code"], "invalid_signature");
        }
        let id = &webhook.headers[0].1;
        let inbox = server.app.core.inbox();
        assert!(inbox.find(Provider::Recurrente, id).await.unwrap().is_none());
        assert_eq!(status(server, &seller, &text(&made, "purchaseId")).await, SiteSaleStatus::Pending);
        // An event about something else is stored, and leads to nothing.
        let other = Person::new(server, server.email("other"), |_| {}).await;
        assert_eq!(crate::site_sales::unrelated_event(&other.client, WEBHOOK).await.status, 200);
    })
    .await;
}
