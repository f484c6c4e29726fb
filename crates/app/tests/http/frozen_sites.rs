//! A site that is for sale, sold, suspended or over the limit stays unchanged: every operation of the API document that changes
//! anything is tried by an owner of its tenant, so a new route is tried too.

use std::time::Duration;

use portico_kernel::{PageId, PlatformRole, RequestInfo, Scope, TenantRole, Timestamp};
use portico_sites::{page::Pages, site::SiteStatus};
use portico_testkit::{
    TestEnv,
    server::{Client, TestServer, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::authorization::{RULES, body};
use crate::fixture::{Fixture, Person, text, unlimited};
use crate::{assets, over_limit, site_sales, usage};

/// How long something is waited for that comes by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has nothing to do with sites, by how its path begins. Everything else is tried.
const ELSEWHERE: [&str; 15] = [
    "/api/v1/auth/",
    "/api/v1/users",
    "/api/v1/profile",
    "/api/v1/invitations/",
    "/api/v1/tenants/{tenantId}/invitations",
    "/api/v1/tenants/{tenantId}/members",
    "/api/v1/tenants/{tenantId}/transfer-ownership",
    "/api/v1/tenants/{tenantId}/suspend",
    "/api/v1/tenants/{tenantId}/restore",
    "/api/v1/admin/customers/",
    "/api/v1/tenants/{tenantId}/subscription",
    "/api/v1/billing/",
    "/api/v1/checkout/",
    "/api/v1/licenses",
    "/api/v1/support/",
];

/// What would end the tenant with all that is in it, which its owner may.
const ENDS: [(&str, &str); 1] = [("DELETE", "/api/v1/tenants/{tenantId}")];

/// Operations that change nothing on the site and are not refused: messages of visitors, links to drafts, other sites, wizards,
/// and what tenants have besides sites. Whatever else is answered with success fails the test.
const HARMLESS: [&str; 18] = [
    "POST /api/v1/sites",
    "POST /api/v1/sites/{siteId}/preview",
    "PUT /api/v1/sites/{siteId}/submissions/{submissionId}",
    "DELETE /api/v1/sites/{siteId}/submissions/{submissionId}",
    "POST /api/v1/tenants",
    "PUT /api/v1/tenants/{tenantId}",
    "PUT /api/v1/tenants/{tenantId}/branding",
    "DELETE /api/v1/tenants/{tenantId}/branding",
    "PUT /api/v1/tenants/{tenantId}/settings",
    "POST /api/v1/tenants/{tenantId}/assets/upload",
    "PUT /api/v1/tenants/{tenantId}/assets/{assetId}",
    "DELETE /api/v1/tenants/{tenantId}/assets/{assetId}",
    "POST /api/v1/tenants/{tenantId}/assets/{assetId}/restore",
    "POST /api/v1/tenants/{tenantId}/api-keys",
    "PUT /api/v1/tenants/{tenantId}/api-keys/{apiKeyId}",
    "POST /api/v1/tenants/{tenantId}/api-keys/{apiKeyId}/rotate",
    "DELETE /api/v1/tenants/{tenantId}/api-keys/{apiKeyId}",
    "POST /api/v1/tenants/{tenantId}/deliveries/{deliveryId}/resend",
];

fn is_harmless(method: &str, template: &str) -> bool {
    HARMLESS.contains(&&*format!("{method} {template}"))
        || template.starts_with("/api/v1/wizard/")
        || template.starts_with("/api/v1/tenants/{tenantId}/webhooks")
}

/// Whether an operation of this path is about the site, so that its caller gets the code that says why it is refused.
fn is_about_a_site(template: &str) -> bool {
    let about = ["{siteId}", "/pages", "/navigation", "/ai/", "/apply"];
    about.iter().any(|part| template.contains(part)) && !template.starts_with("/api/v1/admin/")
}

/// Everything that is on the site, and what visitors get of it.
async fn content(server: &TestServer, fixture: &Fixture) -> Vec<String> {
    let client = &fixture.owner.client;
    let mut all = Vec::new();
    for template in [
        "/api/v1/sites/{siteId}",
        "/api/v1/sites/{siteId}/deployments",
        "/api/v1/sites/{siteId}/domains?limit=100",
        "/api/v1/tenants/{tenantId}/pages?limit=100&siteId={siteId}",
        "/api/v1/tenants/{tenantId}/pages/{pageId}/sections",
        "/api/v1/tenants/{tenantId}/pages/{pageId}/seo",
        "/api/v1/tenants/{tenantId}/pages/{pageId}/versions",
        "/api/v1/tenants/{tenantId}/pages/{pageId}/template",
        "/api/v1/tenants/{tenantId}/navigation?siteId={siteId}",
    ] {
        let answer = client.get(&fixture.path(template)).await;
        assert_eq!(answer.status.as_u16(), 200, "{template}: {}", answer.text);
        all.push(answer.text);
    }
    let visitor = server.client().with("host", &fixture.ids["siteHost"]);
    all.push(visitor.get("/").await.text);
    all
}

async fn set_status(server: &TestServer, fixture: &Fixture, status: SiteStatus) {
    let (tenant, site) = (fixture.ids["tenantId"].parse().unwrap(), fixture.ids["siteId"].parse().unwrap());
    let mut work = server.app.core.begin().await.unwrap();
    let mut site = work.sites().find(tenant, site).await.unwrap().unwrap();
    site.status = status;
    work.sites().update(&site).await.unwrap();
    work.commit().await.unwrap();
}

/// Bodies that reach the content of the site, where those of the matrix do not.
async fn sent(
    server: &TestServer,
    fixture: &Fixture,
    spare: &Person,
    operation: (&str, &str),
    number: usize,
) -> Vec<Option<Value>> {
    let id = |name: &str| fixture.ids[name].clone();
    match operation.1.trim_start_matches("/api/v1") {
        "/ai/content-optimize" => {
            vec![Some(json!({"pageId": id("pageId"), "sectionId": id("sectionId"), "apply": true}))]
        }
        "/ai/seo-optimize" => vec![Some(json!({"pageId": id("pageId"), "apply": true}))],
        "/ai/generate-page" => vec![Some(json!({
            "siteId": id("siteId"), "title": "Mine", "purpose": "Mine", "sections": ["hero"], "create": true,
        }))],
        "/templates/{templateId}/apply" => {
            vec![Some(json!({"pageId": id("pageId")})), Some(json!({"siteId": id("siteId")}))]
        }
        "/tenants/{tenantId}/pages/{pageId}" if operation.0 == "PUT" => {
            let at = server.app.core.env.now().unix_seconds() + 3600;
            let at = Timestamp::from_unix_seconds(at).unwrap();
            vec![
                Some(json!({"title": "Mine"})),
                Some(json!({"status": "draft"})),
                Some(json!({"status": "draft", "publishAt": at})),
            ]
        }
        "/tenants/{tenantId}/pages" => {
            vec![Some(json!({"title": "Draft"})), Some(json!({"title": "Live", "status": "published"}))]
        }
        "/tenants/{tenantId}/navigation/reorder" => {
            let path = fixture.path("/api/v1/tenants/{tenantId}/navigation");
            let list = fixture.owner.client.get(&path).await.expect(200);
            let items = list["items"].as_array().unwrap();
            assert!(items.len() > 1, "one item has no other order");
            let turned = items.iter().rev().enumerate();
            let turned: Vec<_> = turned.map(|(at, item)| json!({"id": item["id"], "position": at})).collect();
            vec![Some(json!({"items": turned}))]
        }
        _ => vec![body(server, fixture, spare, operation, number).await],
    }
}

async fn call(client: &Client, operation: (&str, &str), path: &str, body: Option<Value>) -> (u16, Value) {
    let (method, template) = operation;
    let answer = match body {
        _ if template.ends_with("/assets/upload") => {
            let form = assets::form_of("more.gif", crate::fixture::PICTURE);
            client.send(Method::POST, path, Some(form), assets::FORM).await
        }
        Some(body) if method == "POST" => client.post(path, body).await,
        Some(body) => client.put(path, body).await,
        None if method == "POST" => client.post_empty(path).await,
        None if method == "DELETE" => client.delete(path).await,
        None => panic!("say in the matrix what {method} {template} is sent"),
    };
    (answer.status.as_u16(), answer.json)
}

/// Tries every operation but some. None changes anything on the site, and those about a site are refused with a code. `number` is of the
/// operation, so that none is sent what another one was sent.
async fn nothing_changes(
    server: &TestServer,
    fixture: &Fixture,
    spare: &Person,
    code: &str,
    allowed: &[(&str, &str)],
    number: &mut usize,
) {
    let client = &fixture.owner.client;
    let before = content(server, fixture).await;
    for (method, template, _) in RULES.iter() {
        let operation = (*method, *template);
        if matches!(*method, "GET" | "HEAD")
            || ELSEWHERE.iter().any(|start| template.starts_with(start))
            || ENDS.contains(&operation)
            || allowed.contains(&operation)
        {
            continue;
        }
        *number += 1;
        let path = fixture.path(template);
        for body in sent(server, fixture, spare, operation, *number).await {
            let (answered, json) = call(client, operation, &path, body).await;
            let after = content(server, fixture).await;
            for (old, new) in before.iter().zip(&after) {
                assert_eq!(old, new, "{method} {template} answered {answered}: {json}");
            }
            let refused = answered == 409 && json["code"] == code;
            let as_ruled = match is_about_a_site(template) {
                _ if is_harmless(method, template) => true,
                true => refused,
                false => answered >= 400,
            };
            assert!(as_ruled, "{method} {template}: {answered} {json}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_lets_a_member_change_a_frozen_site() {
    TestServer::alone(async |server| {
        unlimited(server).await;
        let fixture = Fixture::new(server, "frozen").await;
        let spare = Person::new(server, "spare@example.net", |_| {}).await;
        let client = &fixture.owner.client;
        // SEO metadata, and a version to restore.
        client.put(&fixture.path(SEO), json!({"title": "Shown"})).await.expect(200);
        client.post(&fixture.path(APPLY), json!({"pageId": fixture.ids["pageId"]})).await.expect(200);
        let mut fixture = fixture;
        for name in ["navItemId", "sectionId", "versionId"] {
            let id = fixture.fresh(server, name).await;
            fixture.ids.insert(name.into(), id);
        }
        let client = &fixture.owner.client;
        let mut number = 0;
        for (status, code) in [
            (SiteStatus::ForSale, "site_for_sale"),
            (SiteStatus::Sold, "site_sold"),
            (SiteStatus::Suspended, "site_suspended"),
        ] {
            set_status(server, &fixture, status).await;
            if status == SiteStatus::Suspended {
                // Seen by every instance within a second.
                let visitor = server.client().with("host", &fixture.ids["siteHost"]);
                let gone =
                    eventually(PATIENCE, async || (visitor.get("/").await.status == 404).then_some(())).await;
                gone.expect("a suspended site does not answer");
            }
            nothing_changes(server, &fixture, &spare, code, &[], &mut number).await;
        }
        // The same operations are possible again.
        set_status(server, &fixture, SiteStatus::Published).await;
        client.put(&fixture.path(SEO), json!({"title": "Mine"})).await.expect(200);

        // One of more sites than the plan includes: what its owner may do is to delete it.
        let staff = Person::new(server, "limits@example.org", |user| user.role = PlatformRole::Staff).await;
        usage::agree(&staff.client, client, "sites", 0).await;
        over_limit::days_are_over(server, client).await;
        let site = fixture.path("/api/v1/sites/{siteId}");
        let marked = eventually(PATIENCE, async || {
            (client.get(&site).await.expect(200)["overLimit"] == true).then_some(())
        });
        marked.await.expect("the site is read-only");
        let visitor = server.client().with("host", &fixture.ids["siteHost"]);
        let back = eventually(PATIENCE, async || (visitor.get("/").await.status == 200).then_some(())).await;
        back.expect("a site over the limit answers");
        let deletion = [("DELETE", "/api/v1/sites/{siteId}")];
        nothing_changes(server, &fixture, &spare, "over_limit", &deletion, &mut number).await;
        assert!(client.delete(&site).await.status.is_success());
        assert_eq!(client.get(&site).await.status.as_u16(), 404);
    })
    .await;
}

const SEO: &str = "/api/v1/tenants/{tenantId}/pages/{pageId}/seo";
const APPLY: &str = "/api/v1/templates/{templateId}/apply";

#[tokio::test(flavor = "multi_thread")]
async fn a_site_for_sale_shows_what_was_offered_whatever_was_planned_before() {
    TestServer::on_each_database(async |server| {
        let (staff, path, host) = site_sales::staff_with_site(server).await;
        let colleague = Person::new(server, "colleague@example.com", |_| {}).await;
        colleague.join(server, &staff.tenant, TenantRole::Owner).await;
        let member = colleague.client.with("x-tenant-id", &staff.tenant);
        let visitor = server.client().with("host", &host);
        let shown = visitor.get("/").await.text;

        // A page that is to be published soon, and a build that is under way when the site is offered.
        let page = member.post(&staff.t("/pages"), json!({"title": "Planned"})).await.expect(201);
        let planned = staff.t(&format!("/pages/{}", text(&page, "id")));
        let at = server.app.core.env.now() + time::Duration::seconds(5);
        member.put(&planned, json!({"publishAt": at})).await.expect(200);
        staff.put(&site_sales::offer_of(&path), json!({"amount": 100, "currency": "usd"})).await.expect(200);
        let draft = member.get(&planned).await.expect(200);

        let id: PageId = text(&page, "id").parse().unwrap();
        let tenant = staff.tenant.parse().unwrap();
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        let later = server.app.core.env.now() + time::Duration::seconds(10);
        let env = TestEnv::new(later, 7);
        let mut work = server.app.core.begin().await.unwrap();
        let published = Pages::new(&mut *work, &scope, &env).publish_scheduled(id, at).await.unwrap();
        assert_eq!(published, None);
        work.commit().await.unwrap();
        assert_eq!(member.get(&planned).await.expect(200), draft);

        // The branding is the tenant's; what is published does not follow it.
        member.put(&staff.t("/branding"), json!({"colors": {"primary": "#123456"}})).await.expect(200);
        assert_eq!(visitor.get("/").await.text, shown);
        let deploy = member.post_empty(&format!("{path}/deploy")).await;
        assert_eq!((deploy.status.as_u16(), &deploy.json["code"]), (409, &json!("site_for_sale")));
        // Staff of another tenant may not, and staff of this tenant may.
        let other = Person::new(server, "other@example.org", |user| user.role = PlatformRole::Staff).await;
        assert_eq!(other.client.put(&path, json!({"name": "Mine"})).await.status, 404);
        staff.put(&planned, json!({"title": "Theirs"})).await.expect(200);
    })
    .await;
}
