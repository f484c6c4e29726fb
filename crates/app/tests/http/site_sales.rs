//! Sites for sale.

use std::time::Duration;

use portico_billing::{
    checkout::CheckoutStage,
    ledger::{LedgerTransaction, SourceKind},
    payment::Provider,
    site_sale::{OfferedSite, SaleRule, SiteBuyer, SiteSaleStatus, SiteSales},
    subject::Subject,
};
use portico_feature_billing::flows::site_sales::claim_token;
use portico_kernel::{PlatformRole, RequestInfo, Scope, TenantRole};
use portico_recurrente::WebhookSecrets;
use portico_sites::{
    sale::{Offer, Sales},
    site::{NewSite, Site, SiteStatus, Sites},
};
use portico_testkit::{
    payments::RECURRENTE_SECRET,
    server::{Answer, Client, TestServer, at_once, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Person, text};
use crate::sites::site;

/// A staff member, with a site of their tenant that is live: its path and its host.
pub async fn staff_with_site(server: &TestServer) -> (Client, String, String) {
    let staff = Person::new(
        server,
        server.email(&format!("staff-{}", server.app.core.env.random_uuid().simple())),
        |user| user.role = PlatformRole::Staff,
    )
    .await
    .client;
    let site = site(&staff, "Clínica Sol").await;
    let path = format!("/api/v1/sites/{}", text(&site, "id"));
    let page = json!({"title": "Welcome", "status": "published", "isHome": true});
    staff.post(&staff.t("/pages"), page).await.expect(201);
    staff.post_empty(&format!("{path}/deploy")).await.expect(202);
    let live = eventually(Duration::from_secs(20), async || {
        let status = staff.get(&format!("{path}/status")).await.expect(200);
        (status["status"] == "live").then_some(())
    });
    live.await.expect("the site is deployed");
    (staff, path, text(&site, "url").trim_start_matches("http://").to_owned())
}

/// A site of a tenant that is live, perhaps offered for sale already. Made in the store, past every rule.
pub async fn offered(server: &TestServer, tenant: &str, for_sale: bool) -> Site {
    let scope = Scope::system(Some(tenant.parse().unwrap()), RequestInfo::default());
    let mut work = server.app.core.begin().await.unwrap();
    let input = NewSite { name: "Shop window".to_owned(), ..NewSite::default() };
    let mut site = Sites::new(&mut *work, &scope, &server.app.core.env).create(input).await.unwrap();
    site.status = SiteStatus::Published;
    site.live_deployment_id = Some(server.app.core.env.new_id());
    work.sites().update(&site).await.unwrap();
    if for_sale {
        let offer = Offer { amount: 100, currency: "usd".to_owned() };
        Sales::new(&mut *work, &scope, &server.app.core.env).offer(site.id, offer, None).await.unwrap();
    }
    work.commit().await.unwrap();
    site
}

/// The secret of the link to claim a site of a tenant that somebody with this address has bought. Made in the store, past every rule.
pub async fn waiting(server: &TestServer, seller: &str, email: &str) -> String {
    let site = offered(server, seller, true).await;
    let scope = Scope::system(Some(site.tenant_id), RequestInfo::default());
    let offered = OfferedSite {
        tenant: site.tenant_id,
        site: site.id,
        name: site.name,
        slug: site.subdomain.to_string(),
        price: portico_kernel::Money { amount: 100, currency: "usd".to_owned() },
    };
    let buyer = SiteBuyer { email: email.to_owned(), full_name: "Buyer".to_owned(), account: None };
    let home = "https://app.example.com/".to_owned();
    let rule =
        SaleRule { provider: Provider::Recurrente, live: false, success_url: home.clone(), cancel_url: home };
    let mut work = server.app.core.begin().await.unwrap();
    let mut sale =
        SiteSales::new(&mut *work, &scope, &server.app.core.env).begin(offered, buyer, rule).await.unwrap();
    sale.status = SiteSaleStatus::Waiting;
    (sale.paid_at, sale.checkout.check_at) = (Some(server.app.core.env.now()), None);
    work.site_sales().update(&sale).await.unwrap();
    work.commit().await.unwrap();
    claim_token(&server.app.billing, &sale)
}

/// The sale of a site that was paid for, of a tenant to itself, whose payment the provider does not know. Made in the store, past every rule.
pub async fn sold(server: &TestServer, client: &Client) -> String {
    let seller = client.tenant.as_str();
    let account = client.get("/api/v1/profile").await.expect(200);
    let env = &server.app.core.env;
    let scope = Scope::system(Some(seller.parse().unwrap()), RequestInfo::default());
    let offered = OfferedSite {
        tenant: seller.parse().unwrap(),
        site: env.new_id(),
        name: "Shop window".to_owned(),
        slug: format!("sold-{}", env.random_uuid().simple()),
        price: portico_kernel::Money { amount: 100, currency: "usd".to_owned() },
    };
    let buyer = SiteBuyer { email: "b@example.com".to_owned(), full_name: "Buyer".to_owned(), account: None };
    let home = "https://app.example.com/".to_owned();
    let rule =
        SaleRule { provider: Provider::Recurrente, live: false, success_url: home.clone(), cancel_url: home };
    let mut work = server.app.core.begin().await.unwrap();
    let mut sale = SiteSales::new(&mut *work, &scope, env).begin(offered, buyer, rule).await.unwrap();
    (sale.status, sale.paid_at) = (SiteSaleStatus::Completed, Some(env.now()));
    sale.buyer = Some((account["id"].as_str().unwrap().parse().unwrap(), sale.tenant_id));
    (sale.checkout.stage, sale.checkout.check_at) = (CheckoutStage::Paid, None);
    let payment = format!("ch_{}", env.random_uuid().simple());
    let paid = LedgerTransaction::moved(
        Provider::Recurrente,
        false,
        SourceKind::Payment,
        &payment,
        &sale.price(),
        env.now(),
    );
    work.ledger().book(sale.tenant_id, &paid.unwrap().about(&[(Subject::Site, 1)])).await.unwrap();
    sale.checkout.payment_id = Some(payment);
    work.site_sales().update(&sale).await.unwrap();
    work.commit().await.unwrap();
    sale.id.to_string()
}

/// Sends an event of Recurrente that is about no payment. Another one each time.
pub async fn unrelated_event(client: &Client, path: &str) -> Answer {
    let env = portico_security::system_env();
    let secrets = WebhookSecrets::new(&[RECURRENTE_SECRET.to_owned().into()]).unwrap();
    let body = br#"{"event_type": "withdrawal.create"}"#;
    let headers = secrets.sign(&format!("msg_{}", env.random_uuid().simple()), body, env.now());
    let client = headers.iter().fold(client.clone(), |client, (name, value)| client.with(name, value));
    client.send(Method::POST, path, Some(body.to_vec()), "application/json").await
}

pub fn offer_of(site: &str) -> String {
    format!("{}/offer", site.replace("/api/v1/", "/api/v1/admin/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offered_site_is_a_demo_for_everybody() {
    TestServer::on_each_database(async |server| {
        let (staff, path, host) = staff_with_site(server).await;
        let visitor = server.client();
        let listed = async || visitor.get("/api/v1/sites/for-sale").await.expect(200);
        assert_eq!(listed().await["total"], 0);
        let slug = host.split('.').next().unwrap();
        let demo = format!("/api/v1/sites/for-sale/{slug}");
        assert_eq!(visitor.get(&demo).await.status, 404);

        let bad = staff.put(&offer_of(&path), json!({"amount": -1, "currency": "Dollars"})).await;
        assert_eq!((bad.status.as_u16(), bad.fields()), (422, vec!["amount".into(), "currency".into()]));
        let offered =
            staff.put(&offer_of(&path), json!({"amount": 35900, "currency": "usd"})).await.expect(200);
        assert_eq!((&offered["status"], &offered["price"]["amount"]), (&json!("for_sale"), &json!(35900)));

        let shown = visitor.get(&demo).await.expect(200);
        assert_eq!(shown["price"], json!({"amount": 35900, "currency": "usd"}));
        assert_eq!((&shown["name"], &shown["slug"]), (&json!("Clínica Sol"), &json!(slug)));
        assert_eq!(shown["url"], format!("http://{host}"));
        assert_eq!(listed().await["items"], json!([shown]));
        assert_eq!(visitor.get("/api/v1/sites/for-sale?q=sol").await.expect(200)["total"], 1);
        assert_eq!(visitor.get("/api/v1/sites/for-sale?q=luna").await.expect(200)["total"], 0);
        assert_eq!(visitor.get("/api/v1/sites/for-sale?color=red").await.status, 422);
        let fields: Vec<&String> = shown.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["language", "name", "price", "slug", "url"], "nothing else is public");
        // It can still be visited.
        let page = server.client().with("host", &host).get("/").await;
        assert!(page.status == 200 && page.text.contains("Welcome"), "{page:?}");

        staff.delete(&offer_of(&path)).await.expect(204);
        assert_eq!(visitor.get(&demo).await.status, 404);
        assert_eq!(staff.delete(&offer_of(&path)).await.json["code"], "not_for_sale");
        let site = staff.get(&path).await.expect(200);
        assert_eq!((&site["status"], &site["price"]), (&json!("published"), &Value::Null));
        let audit = staff.get(&staff.t("/audit?limit=100")).await.expect(200).to_string();
        assert!(audit.contains("site.offered") && audit.contains("site.withdrawn"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_sale_is_changed_by_staff_only() {
    TestServer::shared(async |server| {
        let (staff, path, _) = staff_with_site(server).await;
        staff.put(&offer_of(&path), json!({"amount": 100, "currency": "usd"})).await.expect(200);
        let colleague = Person::new(server, server.email("colleague"), |_| {}).await;
        colleague.join(server, &staff.tenant, TenantRole::Owner).await;
        let colleague = colleague.client.with("x-tenant-id", &staff.tenant);
        let pages = colleague.get(&staff.t("/pages")).await.expect(200);
        let page = staff.t(&format!("/pages/{}", text(&pages["items"][0], "id")));
        let section = json!({"type": "text", "content": {"html": "<p>Mine</p>"}});
        for answer in [
            colleague.put(&path, json!({"name": "Mine"})).await,
            colleague.delete(&path).await,
            colleague.post_empty(&format!("{path}/deploy")).await,
            colleague.post(&format!("{path}/domains"), json!({"name": "mine.example"})).await,
            colleague.put(&page, json!({"title": "Mine"})).await,
            colleague.delete(&page).await,
            colleague.post(&staff.t("/pages"), json!({"title": "Mine", "status": "published"})).await,
            colleague.post(&format!("{page}/sections"), section).await,
            colleague
                .post(&staff.t("/navigation"), json!({"label": "Mine", "url": "https://mine.example/"}))
                .await,
        ] {
            assert_eq!(
                (answer.status.as_u16(), &answer.json["code"]),
                (409, &json!("site_for_sale")),
                "{answer:?}"
            );
        }
        // Nor may they withdraw it, or staff of another tenant.
        assert_eq!(colleague.delete(&offer_of(&path)).await.status, 403);
        let other = Person::new(server, server.email("other"), |user| user.role = PlatformRole::Staff).await;
        assert_eq!(other.client.delete(&offer_of(&path)).await.status, 404);
        staff.put(&path, json!({"name": "Clínica Luna"})).await.expect(200);
        staff.put(&page, json!({"title": "Hello"})).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_offers_at_once_end_in_one_state() {
    TestServer::on_each_database(async |server| {
        let (staff, path, _) = staff_with_site(server).await;
        let answers = at_once(16, |number| {
            let (staff, path) = (staff.clone(), offer_of(&path));
            async move {
                match number % 4 {
                    3 => staff.delete(&path).await,
                    _ => staff.put(&path, json!({"amount": number + 1, "currency": "usd"})).await,
                }
            }
        })
        .await;
        for answer in &answers {
            assert!(matches!(answer.status.as_u16(), 200 | 204 | 409), "{answer:?}");
        }
        let site = staff.get(&path).await.expect(200);
        assert_eq!(site["status"] == "for_sale", site["price"] != Value::Null, "{site}");
    })
    .await;
}
