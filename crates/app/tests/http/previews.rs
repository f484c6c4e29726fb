//! Preview links that show a draft to every client that has them.

use std::{sync::mpsc, thread::available_parallelism};

use futures_util::{FutureExt, future::join_all};
use portico_kernel::TenantId;
use portico_sites::{preview::PreviewGrant, site::SiteStatus};
use portico_tenancy::tenant::TenantStatus;
use portico_testkit::server::{Answer, Client, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    publishing::{PATIENCE, Shop, stylesheet, walk},
    sites::events,
};

/// Where a preview is, without the address of the server.
fn path(server: &TestServer, preview: &Value) -> String {
    preview["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned()
}

async fn preview(server: &TestServer, shop: &Shop) -> String {
    let made = shop.client.post_empty(&format!("{}/preview", shop.path)).await;
    let location = made.header("location").to_owned();
    let made = made.expect(201);
    assert_eq!(made["url"], location);
    path(server, &made)
}

/// The headers that every answer of a preview has.
fn assert_kept_by_nobody(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("sandbox ") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
    assert_eq!(answer.header("set-cookie"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_shown_to_whoever_has_the_link_and_to_nobody_else() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("preview")).await;
        shop.deploy().await;
        let client = &shop.client;
        let draft = json!({"title": "Secret plans"});
        let draft = client.post(&client.t("/pages"), draft).await.expect(201);
        let gone = json!({"title": "Put away", "status": "archived"});
        client.post(&client.t("/pages"), gone).await.expect(201);
        shop.write("<p>Not yet live <a href=\"/secret-plans\">plans</a></p>").await;
        let item = json!({"label": "Our plans", "pageId": draft["id"]});
        client.post(&client.t("/navigation"), item).await.expect(201);
        let live = shop.visitor.get("/").await;
        let before = walk(&shop.files(server)).len();

        let root = preview(server, &shop).await;
        let anonymous = server.client();
        let home = anonymous.get(&root).await;
        assert_eq!(
            (home.status.as_u16(), home.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{}",
            home.text
        );
        assert_kept_by_nobody(&home);
        for there in ["Not yet live", "Our plans"] {
            assert!(home.text.contains(there), "{there}: {}", home.text);
        }
        assert!(!home.text.contains("Put away"));
        // Everything that the page refers to is inside the preview.
        let inside = |page: &str| {
            for attribute in ["href=\"/", "src=\"/"] {
                for (at, _) in page.match_indices(attribute) {
                    assert!(
                        page[at..].contains(&root) && page[at + attribute.len() - 1..].starts_with(&root),
                        "{}",
                        &page[at..at + 60]
                    );
                }
            }
        };
        inside(&home.text);
        let link = format!("href=\"{root}secret-plans/\"");
        assert!(home.text.matches(&link).count() >= 2, "in the text and in the navigation: {}", home.text);
        let plans = anonymous.get(&format!("{root}secret-plans/")).await;
        assert!(plans.status.is_success() && plans.text.contains("Secret plans"));
        inside(&plans.text);
        let css = anonymous.get(stylesheet(&home.text)).await;
        assert_eq!((css.status.as_u16(), css.header("content-type")), (200, "text/css; charset=utf-8"));
        assert_kept_by_nobody(&css);
        let moved = anonymous.get(&format!("{root}secret-plans")).await;
        assert_eq!(
            (moved.status.as_u16(), moved.header("location")),
            (307, format!("{root}secret-plans/").as_str())
        );
        let moved = anonymous.get(root.trim_end_matches('/')).await;
        assert_eq!((moved.status.as_u16(), moved.header("location")), (307, root.as_str()));
        assert_eq!(anonymous.get(&format!("{root}..%2f..%2fsecret.key")).await.status.as_u16(), 400);
        for missing in ["put-away/", "nothing", "assets/none.css"] {
            let answer = anonymous.get(&format!("{root}{missing}")).await;
            assert_eq!(answer.status.as_u16(), 404, "{missing}");
            assert_kept_by_nobody(&answer);
        }
        let head = anonymous.send(Method::HEAD, &root, None, "").await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
        assert_eq!(anonymous.post(&root, json!({})).await.status.as_u16(), 405);

        // It shows what is stored at the time of the request.
        shop.write("<p>A moment later</p>").await;
        assert!(anonymous.get(&root).await.text.contains("A moment later"));

        // Nothing of it is in the live site, neither in its files nor at its host name.
        assert_eq!(shop.visitor.get("/").await.text, live.text);
        assert_eq!(shop.visitor.get("/secret-plans/").await.status.as_u16(), 404);
        let at_site = shop.visitor.get(&root).await;
        assert_eq!(at_site.status.as_u16(), 404);
        assert!(!at_site.text.contains("Not yet live"));
        assert_eq!(walk(&shop.files(server)).len(), before, "no file was written");
        assert_eq!(events(client, "preview.created").await, 1);

        // What the preview showed is what is published then.
        client
            .put(
                &client.t(&format!("/pages/{}", draft["id"].as_str().unwrap())),
                json!({"status": "published"}),
            )
            .await
            .expect(200);
        let shown = anonymous.get(&root).await.text;
        shop.deploy().await;
        let published = shop.visitor.get("/").await.text;
        assert_eq!(shown.replace(&root, "/"), published);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_no_good_show_nothing() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("tamper")).await;
        let other = Shop::open(server, server.email("other")).await;
        let root = preview(server, &shop).await;
        let anonymous = server.client();
        let gone = async |path: &str| {
            let answer = anonymous.get(path).await;
            assert_eq!(answer.status.as_u16(), 404, "{path}: {}", answer.text);
            assert!(!answer.text.contains("Panadería"), "{path}");
            assert_kept_by_nobody(&answer);
        };
        assert!(anonymous.get(&root).await.status.is_success());
        let token = root.trim_start_matches("/preview/").trim_end_matches('/');
        let parts: Vec<&str> = token.splitn(4, '-').collect();
        let [tenant, site, expires, signature] = parts[..] else { panic!("{token}") };
        let later: i64 = expires.parse::<i64>().unwrap() + 1;
        let (other_tenant, other_site) =
            (other.client.tenant.replace('-', ""), other.path.rsplit('/').next().unwrap().replace('-', ""));
        for token in [
            format!("{tenant}-{site}-{later}-{signature}"),
            format!("{tenant}-{other_site}-{expires}-{signature}"),
            format!("{other_tenant}-{other_site}-{expires}-{signature}"),
            format!("{tenant}-{site}-{expires}-"),
            format!("{tenant}-{site}-{expires}-{}", &signature[1..]),
            format!("{tenant}-{site}-{expires}-{signature}A"),
            format!("{tenant}-{site}-{expires}"),
            format!("{tenant}-{site}-99999999999999999999-{signature}"),
            format!("{tenant}-{site}--1-{signature}"),
            "x".to_owned(),
            "---".to_owned(),
        ] {
            gone(&format!("/preview/{token}/")).await;
        }
        assert_eq!(anonymous.get("/preview/").await.status.as_u16(), 404);
        assert_eq!(anonymous.get("/preview/%00/").await.status.as_u16(), 400);

        // One that has expired.
        let (tenant, site): (TenantId, _) =
            (shop.client.tenant.parse().unwrap(), shop.path.rsplit('/').next().unwrap().parse().unwrap());
        let expires_at = server.app.core.env.now() - time::Duration::seconds(1);
        let old = portico_feature_sites::flows::previews::token(
            &server.app.sites,
            tenant,
            &PreviewGrant { site, expires_at },
        );
        gone(&format!("/preview/{old}/")).await;

        // Suspended, and back.
        set_status(server, &shop, SiteStatus::Suspended).await;
        gone(&root).await;
        assert_eq!(
            shop.client.post_empty(&format!("{}/preview", shop.path)).await.expect(409)["code"],
            "site_suspended"
        );
        set_status(server, &shop, SiteStatus::Draft).await;
        assert!(anonymous.get(&root).await.status.is_success());
        for status in [TenantStatus::Suspended, TenantStatus::Deleting, TenantStatus::Active] {
            let mut work = server.app.core.begin().await.unwrap();
            let mut owner = work.tenants().find(tenant).await.unwrap().unwrap();
            owner.status = status;
            work.tenants().update(&owner).await.unwrap();
            work.commit().await.unwrap();
            if status == TenantStatus::Active {
                assert!(anonymous.get(&root).await.status.is_success());
            } else {
                gone(&root).await;
            }
        }
        shop.client.delete(&shop.path).await.expect(204);
        gone(&root).await;
    })
    .await;
}

async fn set_status(server: &TestServer, shop: &Shop, status: SiteStatus) {
    let (tenant, site) =
        (shop.client.tenant.parse().unwrap(), shop.path.rsplit('/').next().unwrap().parse().unwrap());
    let mut work = server.app.core.begin().await.unwrap();
    let mut found = work.sites().find(tenant, site).await.unwrap().unwrap();
    found.status = status;
    work.sites().update(&found).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_a_link_and_for_how_long() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("links")).await;
    let at = format!("{}/preview", shop.path);
    let life = async |client: &Client, body: Value| -> i64 {
        let made = client.post(&at, body).await.expect(201);
        let until = time::OffsetDateTime::parse(
            made["expiresAt"].as_str().unwrap(),
            &time::format_description::well_known::Rfc3339,
        );
        (until.unwrap() - server.app.core.env.now().into_inner()).whole_seconds()
    };
    assert!((3590..=3600).contains(&life(&shop.client, json!({})).await));
    assert!((604_790..=604_800).contains(&life(&shop.client, json!({"expiresIn": 604_800})).await));
    for wish in [json!(0), json!(59), json!(604_801), json!(-5), json!(9_223_372_036_854_775_807_i64)] {
        assert_eq!(shop.client.post(&at, json!({"expiresIn": wish})).await.fields(), ["expiresIn"], "{wish}");
    }
    assert_eq!(shop.client.post(&at, json!({"expiresIn": "soon"})).await.status.as_u16(), 422);
    assert_eq!(shop.client.post(&at, json!({"days": 1})).await.fields(), ["days"]);
    server.client().post_empty(&at).await.expect(401);
    let stranger = server.customer(server.email("somebody")).await;
    stranger.post_empty(&at).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_waits_for_nothing_that_deployments_calculate() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("waits")).await;
    let root = preview(&server, &shop).await;
    // One more than there are threads.
    let (ends, mut busy): (Vec<_>, Vec<_>) = (0..=available_parallelism().map_or(1, usize::from))
        .map(|_| {
            let (end, ended) = mpsc::channel::<()>();
            (end, Box::pin(server.app.sites.pools.deployments.run(move || ended.recv().is_ok())))
        })
        .unzip();
    for work in &mut busy {
        assert!(work.as_mut().now_or_never().is_none());
    }
    let shown = async {
        let anonymous = server.client();
        let home = anonymous.get(&root).await;
        assert_eq!(home.status.as_u16(), 200, "{}", home.text);
        let templates = anonymous.get("/api/v1/templates").await.expect(200);
        let template = templates["items"][0]["id"].as_str().unwrap();
        anonymous.get(&format!("/api/v1/templates/{template}/preview")).await.expect(200);
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("both are shown at once");
    drop(ends);
    assert!(join_all(busy).await.iter().all(|done| *done == Ok(false)));
}
