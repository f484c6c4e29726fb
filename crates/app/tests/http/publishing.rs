//! From a draft to a page that is served, and back.

mod failures;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use portico_testkit::{
    jobs,
    server::{Answer, Client, TestServer, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::sites::{column, events, site};

pub const PATIENCE: Duration = Duration::from_secs(15);

/// A customer with a site that has a published home page.
pub struct Shop {
    pub client: Client,
    /// `/api/v1/sites/{siteId}`.
    pub path: String,
    /// A visitor at the site's host name.
    pub visitor: Client,
    pub home: String,
}

impl Shop {
    pub async fn open(server: &TestServer, email: &str) -> Self {
        let client = server.customer(email).await;
        Self::open_for(server, client).await
    }

    pub async fn open_for(server: &TestServer, client: Client) -> Self {
        let site = site(&client, "Panadería Luz").await;
        let host = site["url"].as_str().unwrap().trim_start_matches("http://");
        let visitor = server.client().with("host", host);
        let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
        let home = json!({"title": "Welcome", "status": "published", "isHome": true});
        let home = client.post(&client.t("/pages"), home).await.expect(201);
        let home = client.t(&format!("/pages/{}", home["id"].as_str().unwrap()));
        Self { client, path, visitor, home }
    }

    /// Adds a published page.
    pub async fn page(&self, title: &str) -> Value {
        let page = json!({"title": title, "status": "published"});
        self.client.post(&self.client.t("/pages"), page).await.expect(201)
    }

    /// Adds rich text to the home page.
    pub async fn write(&self, html: &str) -> Value {
        let section = json!({"type": "text", "content": {"html": html}});
        self.client.post(&format!("{}/sections", self.home), section).await.expect(201)
    }

    pub async fn request(&self) -> Answer {
        self.client.post_empty(&format!("{}/deploy", self.path)).await
    }

    pub async fn status(&self) -> Value {
        self.client.get(&format!("{}/status", self.path)).await.expect(200)
    }

    /// Deploys, waits until the site has switched over, and returns the deployment.
    pub async fn deploy(&self) -> Value {
        let queued = self.request().await.expect(202);
        let done = eventually(PATIENCE, async || {
            let status = self.status().await;
            assert_eq!(status["id"], queued["id"]);
            matches!(status["status"].as_str(), Some("live" | "failed")).then_some(status)
        })
        .await;
        let done = done.unwrap();
        assert_eq!(done["status"], "live", "{done}");
        done
    }

    pub async fn rollback(&self, deployment: &Value) -> Answer {
        let id = deployment["id"].as_str().unwrap();
        self.client.post_empty(&format!("{}/deployments/{id}/rollback", self.path)).await
    }

    /// Where the files of the site are.
    pub fn files(&self, server: &TestServer) -> PathBuf {
        let id = self.path.rsplit('/').next().unwrap();
        server.app.settings.data_dir.join("files/sites").join(&self.client.tenant).join(id)
    }
}

/// Where the style sheet of a page is.
pub fn stylesheet(page: &str) -> &str {
    let rest = page.split_once("<link rel=\"stylesheet\" href=\"").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once('"')).map(|(path, _)| path).unwrap_or_else(|| panic!("{page}"))
}

/// Does the jobs that are due in place of a worker, until one of this kind was among them.
pub async fn work(server: &TestServer, kind: &str) {
    let app = &server.app;
    let done = eventually(PATIENCE, async || {
        let mut found = None;
        for job in app.core.jobs.claim("test", 100, time::Duration::MINUTE, app.core.env.now()).await.unwrap()
        {
            jobs::handle(app, &job).await.unwrap();
            assert!(app.core.jobs.complete("test", &[job.id]).await.unwrap() == 1);
            found = found.or((job.kind == kind).then_some(()));
        }
        found
    })
    .await;
    assert!(done.is_some(), "there is a job {kind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_site_answers_at_its_host_name() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("deploy")).await;
        let client = &shop.client;
        let about = shop.page("About us").await;
        let draft = client.post(&client.t("/pages"), json!({"title": "Secret plans"})).await.expect(201);
        shop.write("<p onclick=\"steal()\">We bake<script>steal()</script> <a href=\"javascript:steal()\">bread</a></p>\
            <img src=\"/a.png\" alt=\"A loaf\" onerror=\"steal()\">").await;
        let hero = json!({"type": "hero", "content": {"heading": "Fresh <b> & warm"}, "position": 0});
        client.post(&format!("{}/sections", shop.home), hero).await.expect(201);
        let hidden = json!({"type": "html", "content": {"html": "not yet"}, "visible": false});
        client.post(&format!("{}/sections", shop.home), hidden).await.expect(201);
        for item in [
            json!({"label": "Who we are", "pageId": about["id"]}),
            json!({"label": "Plans", "pageId": draft["id"]}),
            json!({"label": "Map", "url": "https://example.com/map", "opensNewTab": true}),
        ] {
            client.post(&client.t("/navigation"), item).await.expect(201);
        }
        // Before the first deployment nothing answers.
        assert_eq!(shop.visitor.get("/").await.status.as_u16(), 404);
        let status = client.get(&format!("{}/status", shop.path)).await.expect(200);
        assert_eq!(status["status"], "not_deployed");

        let answer = shop.request().await;
        let location = answer.header("location").to_owned();
        let queued = answer.expect(202);
        assert_eq!((&queued["status"], &queued["progress"]), (&json!("queued"), &json!(0)));
        assert_eq!(location, format!("{}/deployments/{}", shop.path, queued["id"].as_str().unwrap()));
        let mut progress = 0;
        let live = eventually(PATIENCE, async || {
            let now = client.get(&location).await.expect(200);
            let percent = now["progress"].as_i64().unwrap();
            assert!((progress..=100).contains(&percent), "only forward: {now}");
            progress = percent;
            assert!(matches!(now["status"].as_str(), Some("queued" | "building" | "live")), "{now}");
            (now["status"] == "live").then_some(now)
        })
        .await
        .unwrap();
        assert_eq!((&live["progress"], &live["error"]), (&json!(100), &Value::Null));
        assert!(live["startedAt"].is_string() && live["finishedAt"].is_string(), "{live}");
        let now = client.get(&shop.path).await.expect(200);
        assert_eq!((&now["status"], &now["liveDeploymentId"]), (&json!("published"), &live["id"]));
        assert_eq!(events(client, "site.deployed").await, 1);

        let home = shop.visitor.get("/").await;
        assert_eq!((home.status.as_u16(), home.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!(home.header("cache-control"), "public, max-age=0, must-revalidate");
        assert!(home.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
        assert_eq!(home.header("x-content-type-options"), "nosniff");
        for there in ["<title>Panadería Luz</title>", "We bake", "alt=\"A loaf\"", "Fresh &lt;b&gt; &amp; warm", "Who we are", "href=\"/about-us/\"", "https://example.com/map", "rel=\"canonical\""] {
            assert!(home.text.contains(there), "{there} is in {}", home.text);
        }
        for absent in ["<script>", "steal", "javascript:", "onclick", "onerror", "not yet", "Plans", "Secret"] {
            assert!(!home.text.contains(absent), "{absent} is not in {}", home.text);
        }
        let hero = home.text.find("Fresh").unwrap();
        assert!(hero < home.text.find("We bake").unwrap(), "in the order of their positions");

        let page = shop.visitor.get("/about-us/").await;
        assert!(page.status.is_success() && page.text.contains("<title>About us · Panadería Luz</title>"), "{}", page.text);
        let moved = shop.visitor.get("/about-us").await;
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/about-us/"));
        for path in ["/secret-plans/", "/nothing", "/..%2f..%2fsecret.key", "/%00", "/about-us/index.html/", "/404.html/"] {
            let missing = shop.visitor.get(path).await;
            assert_eq!(missing.status.as_u16(), 404, "{path}");
            assert!(missing.text.contains("404") && missing.text.contains("Panadería Luz"), "{path}: {}", missing.text);
            assert_eq!(missing.header("content-type"), "text/html; charset=utf-8");
        }

        let css = shop.visitor.get(stylesheet(&home.text)).await;
        assert_eq!((css.status.as_u16(), css.header("content-type")), (200, "text/css; charset=utf-8"));
        assert_eq!(css.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(!css.text.contains("http") && !css.text.contains("@import"), "nothing from elsewhere");
        let sitemap = shop.visitor.get("/sitemap.xml").await;
        assert_eq!((sitemap.status.as_u16(), sitemap.header("content-type")), (200, "application/xml; charset=utf-8"));
        let url = now["url"].as_str().unwrap();
        for there in [format!("<loc>{url}/</loc>"), format!("<loc>{url}/about-us/</loc>")] {
            assert!(sitemap.text.contains(&there), "{there} is in {}", sitemap.text);
        }
        assert_eq!(sitemap.text.matches("<loc>").count(), 2);
        let robots = shop.visitor.get("/robots.txt").await;
        assert_eq!((robots.status.as_u16(), robots.header("content-type")), (200, "text/plain; charset=utf-8"));
        assert!(robots.text.contains(&format!("Sitemap: {url}/sitemap.xml")), "{}", robots.text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_get_what_http_promises() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("http")).await;
    // A page may be called like the folder of the assets.
    shop.page("Assets").await;
    let deployed = shop.deploy().await;
    let home = shop.visitor.get("/").await;
    let tag = home.header("etag").to_owned();
    for tags in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let same = shop.visitor.with("if-none-match", &tags).get("/").await;
        assert_eq!(
            (same.status.as_u16(), same.header("etag"), same.text.as_str()),
            (304, tag.as_str(), ""),
            "{tags}"
        );
        assert_eq!(same.header("cache-control"), home.header("cache-control"));
    }
    assert_eq!(shop.visitor.with("if-none-match", "\"other\"").get("/").await.status.as_u16(), 200);
    let head = shop.visitor.send(Method::HEAD, "/", None, "").await;
    assert_eq!((head.status.as_u16(), head.header("etag"), head.text.as_str()), (200, tag.as_str(), ""));
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let refused = shop.visitor.send(method, "/", None, "").await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD"));
    }
    assert_eq!(
        shop.visitor.with("accept-encoding", "gzip").get("/").await.header("content-encoding"),
        "gzip"
    );
    let page = shop.visitor.get("/assets/").await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, home.header("cache-control")));

    // The API is not on the site's host, and the other way round.
    for path in ["/api/v1/sites", "/api/health", "/api/docs/", "/dev/mailbox", "/api/v1/plans"] {
        let answer = shop.visitor.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(answer.text.contains("Panadería Luz"), "{path}: {}", answer.text);
    }
    let url = deployed["url"].as_str().unwrap();
    let host = url.trim_start_matches("http://");
    let port = host.rsplit_once(':').unwrap().1;
    let signed_in = shop.client.with("host", host).get("/api/v1/sites").await;
    assert_eq!(signed_in.status.as_u16(), 404, "{}", signed_in.text);
    for other in [format!("nobody.localhost:{port}"), format!("a.{host}"), "nobody.localhost".to_owned()] {
        let answer = server.client().with("host", &other).get("/").await;
        assert_eq!(answer.status.as_u16(), 404, "{other}");
        assert!(!answer.text.contains("Luz"), "{other}: {}", answer.text);
    }
    // Host names have no case (RFC 4343).
    let shouted = server.client().with("host", &host.to_uppercase()).get("/").await;
    assert_eq!((shouted.status.as_u16(), shouted.text), (200, home.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_show_with_the_next_deployment_and_go_with_a_rollback() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("again")).await;
        let client = &shop.client;
        shop.write("<p>First words</p>").await;
        let first = shop.deploy().await;
        let old = shop.visitor.get("/").await;
        assert!(old.text.contains("First words"));

        shop.write("<p>Second words</p>").await;
        let news = shop.page("News").await;
        assert_eq!(shop.visitor.get("/").await.text, old.text, "a draft is not visible");
        assert_eq!(shop.visitor.get("/news/").await.status.as_u16(), 404);
        let second = shop.deploy().await;
        let new = shop.visitor.get("/").await;
        assert!(new.text.contains("Second words"), "{}", new.text);
        assert_eq!(shop.visitor.get("/news/").await.status.as_u16(), 200);
        assert_eq!(
            shop.visitor.with("if-none-match", old.header("etag")).get("/").await.status.as_u16(),
            200
        );

        let list = client.get(&format!("{}/deployments", shop.path)).await.expect(200);
        assert_eq!(column(&list, "id"), [second["id"].as_str().unwrap(), first["id"].as_str().unwrap()]);
        assert_eq!(column(&list, "status"), ["live", "live"]);
        let page = client.get(&format!("{}/deployments?limit=1&page=2", shop.path)).await.expect(200);
        assert_eq!(
            (column(&page, "id"), &page["total"]),
            (vec![first["id"].as_str().unwrap().to_owned()], &json!(2))
        );

        let back = shop.rollback(&first).await.expect(200);
        assert_eq!(back["liveDeploymentId"], first["id"]);
        assert_eq!(shop.visitor.get("/").await.text, old.text, "at once");
        assert_eq!(shop.visitor.get("/news/").await.status.as_u16(), 404);
        assert_eq!(shop.visitor.get(stylesheet(&old.text)).await.status.as_u16(), 200);
        shop.rollback(&first).await.expect(200);
        assert_eq!(events(client, "site.rolled_back").await, 1, "again changes nothing");
        shop.rollback(&second).await.expect(200);
        assert_eq!(shop.visitor.get("/").await.text, new.text);
        shop.rollback(&json!({"id": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"})).await.expect(404);

        // A page that was unpublished is no longer deployed.
        let news = client.t(&format!("/pages/{}", news["id"].as_str().unwrap()));
        client.put(&news, json!({"status": "archived"})).await.expect(200);
        shop.deploy().await;
        assert_eq!(shop.visitor.get("/news/").await.status.as_u16(), 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_site_or_the_new_one_and_nothing_between() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("atomic")).await;
        let words = shop.write("<p>Old words</p>").await;
        let words = format!("{}/sections/{}", shop.home, words["id"].as_str().unwrap());
        for number in 0..12 {
            shop.page(&format!("Page {number}")).await;
        }
        shop.deploy().await;
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (visitor, stop, arrived) = (shop.visitor.clone(), stop.clone(), arrived.clone());
                tokio::spawn(async move {
                    let (mut old, mut new) = (0, 0);
                    while !stop.load(Ordering::Relaxed) {
                        let page = visitor.get("/").await;
                        assert_eq!(page.status.as_u16(), 200, "{}", page.text);
                        let (is_old, is_new) =
                            (page.text.contains("Old words"), page.text.contains("New words"));
                        assert_eq!(is_new, page.text.contains("New title"), "{}", page.text);
                        assert!(
                            is_old != is_new
                                && page.text.ends_with("</html>\n") | page.text.ends_with("</html>")
                        );
                        assert!(is_new || new == 0, "never back to the old site");
                        if is_new && new == 0 {
                            arrived.fetch_add(1, Ordering::Relaxed);
                        }
                        (old, new) = (old + i32::from(is_old), new + i32::from(is_new));
                        // A browser asks for the style sheet a moment later; the site may have switched by then.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        let css = visitor.get(stylesheet(&page.text)).await;
                        assert_eq!(
                            (css.status.as_u16(), css.header("content-type")),
                            (200, "text/css; charset=utf-8")
                        );
                    }
                    (old, new)
                })
            })
            .collect();
        let client = &shop.client;
        client.put(&client.t("/branding"), json!({"colors": {"primary": "#123456"}})).await.expect(200);
        client.put(&words, json!({"content": {"html": "<p>New words</p>"}})).await.expect(200);
        client.put(&shop.path, json!({"name": "New title"})).await.expect(200);
        shop.deploy().await;
        let everybody = async || (arrived.load(Ordering::Relaxed) == readers.len()).then_some(());
        assert!(eventually(PATIENCE, everybody).await.is_some(), "every reader comes to see the new site");
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            let (old, new) = reader.await.unwrap();
            assert!(old > 0 && new > 0, "read across the switch: {old} old, {new} new");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_site_and_a_deleted_tenant_answer_no_more() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("gone")).await;
        shop.deploy().await;
        assert!(shop.visitor.get("/").await.status.is_success());
        assert!(shop.files(server).is_dir());
        shop.client.delete(&shop.path).await.expect(204);
        assert_eq!(shop.visitor.get("/").await.status.as_u16(), 404, "at once");
        shop.client.get(&format!("{}/status", shop.path)).await.expect(404);
        let files = eventually(PATIENCE, async || {
            let left = walk(&shop.files(server));
            left.is_empty().then_some(())
        })
        .await;
        assert!(files.is_some(), "the files are gone: {:?}", walk(&shop.files(server)));

        let shop = Shop::open(server, server.email("closing")).await;
        shop.deploy().await;
        assert!(shop.visitor.get("/").await.status.is_success());
        shop.client.delete(&shop.client.t("")).await.expect(204);
        assert_eq!(shop.visitor.get("/").await.status.as_u16(), 404, "at once");
        assert_eq!(shop.visitor.get("/sitemap.xml").await.status.as_u16(), 404);
    })
    .await;
}

/// Every file below a folder.
pub fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] })
        .collect()
}
