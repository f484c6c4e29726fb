//! How deployments are stored and sent: what did not change is not written again, what is sent is compressed already, and
//! what is old goes.

use std::{collections::BTreeMap, io::Read, time::Instant};

use portico_testkit::server::{Database, TestServer, at_once, eventually};
use serde_json::{Value, json};

use crate::{
    publishing::{PATIENCE, Shop, stylesheet, walk},
    sites::{column, events},
};

/// The contents that a site has, by name, and when each was written.
fn blobs(server: &TestServer, shop: &Shop) -> BTreeMap<String, std::time::SystemTime> {
    let files = walk(&shop.files(server).join("blobs"));
    let written = |path: &std::path::Path| std::fs::metadata(path).unwrap().modified().unwrap();
    files.iter().map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), written(path))).collect()
}

fn manifests(server: &TestServer, shop: &Shop) -> usize {
    walk(&shop.files(server).join("manifests")).len()
}

/// An answer with its bytes as they come.
struct Raw {
    status: u16,
    headers: BTreeMap<String, String>,
    bytes: Vec<u8>,
}

async fn raw(server: &TestServer, shop: &Shop, path: &str, headers: &[(&str, &str)]) -> Raw {
    let http = reqwest::Client::builder().build().unwrap();
    let mut request = http.get(format!("{}{path}", server.url)).header("host", &shop.visitor.headers["host"]);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    Raw { status, headers: headers.collect(), bytes: response.bytes().await.unwrap().to_vec() }
}

fn decoded(answer: &Raw) -> Vec<u8> {
    let mut read = Vec::new();
    match answer.headers.get("content-encoding").map(String::as_str) {
        Some("br") => {
            brotli::BrotliDecompress(&mut &*answer.bytes, &mut read).unwrap();
        }
        Some("gzip") => {
            flate2::read::GzDecoder::new(&*answer.bytes).read_to_end(&mut read).unwrap();
        }
        None => read.clone_from(&answer.bytes),
        other => panic!("{other:?}"),
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_not_written_again() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("incremental")).await;
        let news = shop.page("News").await;
        for number in 0..6 {
            shop.page(&format!("Page {number}")).await;
        }
        shop.deploy().await;
        let first = blobs(server, &shop);
        assert!(first.len() > 20, "pages, each plain and compressed twice: {}", first.len());
        for name in first.keys() {
            let hash = name.split('.').next().unwrap();
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        }

        // Only a sentence on one page.
        let section = json!({"type": "text", "content": {"html": "<p>Another sentence</p>"}});
        let at = shop.client.t(&format!("/pages/{}/sections", news["id"].as_str().unwrap()));
        shop.client.post(&at, section).await.expect(201);
        shop.deploy().await;
        let second = blobs(server, &shop);
        let new: Vec<_> = second.keys().filter(|name| !first.contains_key(*name)).collect();
        // The page and the sitemap, which has the time of the change, each in three forms at most.
        assert!((3..=6).contains(&new.len()), "{new:?}");
        for (name, written) in &first {
            assert_eq!(second.get(name), Some(written), "{name} was written again");
        }
        assert!(shop.visitor.get("/news/").await.text.contains("Another sentence"));
        // Nothing at all.
        shop.deploy().await;
        assert_eq!(blobs(server, &shop), second);
        assert_eq!(manifests(server, &shop), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_brings_back_every_byte() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("bytes")).await;
        shop.page("News").await;
        shop.write("<p>First words</p>").await;
        let first = shop.deploy().await;
        let paths = ["/", "/news/", "/sitemap.xml", "/robots.txt", "/404.html"];
        let look = async || {
            let mut seen = Vec::new();
            for path in paths {
                let answer = raw(server, &shop, path, &[("accept-encoding", "br")]).await;
                seen.push((path, answer.status, answer.headers.get("etag").cloned(), answer.bytes));
            }
            seen
        };
        let before = look().await;
        let old_style = stylesheet(&shop.visitor.get("/").await.text).to_owned();

        shop.client
            .put(&shop.client.t("/branding"), json!({"colors": {"primary": "#123456"}}))
            .await
            .expect(200);
        shop.write("<p>Second words</p>").await;
        let second = shop.deploy().await;
        assert_ne!(look().await, before);
        let new_style = stylesheet(&shop.visitor.get("/").await.text).to_owned();
        assert_ne!(new_style, old_style);
        // A browser that got a page just before finds its files, in either direction.
        let style = shop.visitor.get(&old_style).await;
        assert_eq!((style.status.as_u16(), style.header("content-type")), (200, "text/css; charset=utf-8"));
        assert_eq!(style.header("cache-control"), "public, max-age=31536000, immutable");
        shop.rollback(&first).await.expect(200);
        assert_eq!(look().await, before);
        assert_eq!(shop.visitor.get(&new_style).await.status.as_u16(), 200);
        assert_eq!(shop.visitor.get("/assets/site.0000000000000000.css").await.status.as_u16(), 404);
        shop.rollback(&second).await.expect(200);
        assert_eq!(shop.visitor.get(&old_style).await.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_in_the_form_that_the_client_prefers() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("forms")).await;
    shop.write(&"<p>Fresh bread, every morning, for everybody.</p>".repeat(40)).await;
    shop.deploy().await;
    let plain = raw(&server, &shop, "/", &[]).await;
    assert_eq!((plain.status, plain.headers.get("content-encoding")), (200, None));
    assert!(plain.headers["vary"].starts_with("accept-encoding"), "{}", plain.headers["vary"]);
    let css = stylesheet(std::str::from_utf8(&plain.bytes).unwrap()).to_owned();
    let mut tags = vec![plain.headers["etag"].clone()];
    for (accepted, encoding) in [("gzip, deflate, br", "br"), ("gzip", "gzip")] {
        for path in ["/", css.as_str()] {
            let identity = raw(&server, &shop, path, &[]).await;
            let answer = raw(&server, &shop, path, &[("accept-encoding", accepted)]).await;
            assert_eq!(answer.headers["content-encoding"], encoding);
            assert_eq!(answer.headers["vary"], plain.headers["vary"]);
            assert_eq!(answer.headers["content-length"], answer.bytes.len().to_string());
            assert!(answer.bytes.len() * 2 < identity.bytes.len());
            assert!(decoded(&answer) == identity.bytes, "compressed once");
            assert_eq!(answer.headers["content-type"], identity.headers["content-type"]);
            assert_ne!(answer.headers["etag"], identity.headers["etag"], "another representation");
            tags.push(answer.headers["etag"].clone());
            let same = [("accept-encoding", accepted), ("if-none-match", answer.headers["etag"].as_str())];
            let same = raw(&server, &shop, path, &same).await;
            assert_eq!((same.status, same.bytes.len()), (304, 0));
            assert_eq!(
                (&same.headers["etag"], &same.headers["vary"]),
                (&answer.headers["etag"], &answer.headers["vary"])
            );
            // The tag of another form is not that of this one.
            let other = [("accept-encoding", accepted), ("if-none-match", identity.headers["etag"].as_str())];
            assert_eq!(raw(&server, &shop, path, &other).await.status, 200);
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5, "each form of each file its own");
    for accepted in ["identity", "zstd", "deflate", "br;q=0, gzip;q=0", ""] {
        let answer = raw(&server, &shop, "/", &[("accept-encoding", accepted)]).await;
        assert_eq!((answer.status, answer.headers.get("content-encoding")), (200, None), "{accepted:?}");
        assert!(answer.bytes == plain.bytes, "{accepted:?}");
    }
    let missing = raw(&server, &shop, "/nothing", &[("accept-encoding", "br")]).await;
    assert_eq!((missing.status, missing.headers["content-encoding"].as_str()), (404, "br"));
    assert!(String::from_utf8(decoded(&missing)).unwrap().contains("404"));
    // Small files are not worth it.
    let small = raw(&server, &shop, "/robots.txt", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!((small.status, small.headers.get("content-encoding")), (200, None));
    assert!(!small.headers.get("vary").is_some_and(|vary| vary.contains("accept-encoding")));
    let head = shop.visitor.with("accept-encoding", "br").send(reqwest::Method::HEAD, "/", None, "").await;
    assert_eq!((head.status.as_u16(), head.header("content-encoding")), (200, "br"));
    assert_eq!(
        head.header("content-length"),
        raw(&server, &shop, "/", &[("accept-encoding", "br")]).await.bytes.len().to_string()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_deployments_go_with_what_only_they_needed() {
    let database = Database::Postgres;
    let server = TestServer::start_with(database, |settings| settings.sites.keep_deployments = 2).await;
    let shop = Shop::open(&server, server.email("cleaning")).await;
    shop.page("Constant").await;
    let mut made = Vec::new();
    for number in 0..3 {
        let section = shop.write(&format!("<p>{number}: {}</p>", "words ".repeat(60))).await;
        made.push(shop.deploy().await);
        let section = format!("{}/sections/{}", shop.home, section["id"].as_str().unwrap());
        shop.client.delete(&section).await.expect(204);
    }
    assert_eq!(manifests(&server, &shop), 2);
    let refused = shop.rollback(&made[0]).await.expect(409);
    assert_eq!(refused["code"], "deployment_cleaned");
    let list = shop.client.get(&format!("{}/deployments", shop.path)).await.expect(200);
    let cleaned: Vec<bool> =
        list["items"].as_array().unwrap().iter().map(|d| d["cleanedAt"].is_string()).collect();
    assert_eq!(cleaned, [false, false, true]);
    assert_eq!(events(&shop.client, "deployment.cleaned").await, 1);
    let with_all = blobs(&server, &shop).len();

    // One that was rolled back to stays, however old it gets.
    shop.rollback(&made[1]).await.expect(200);
    let page = shop.visitor.get("/").await.text;
    assert!(page.contains("1: words"), "{page}");
    shop.write("<p>Never mind</p>").await;
    // A build that fails half-way leaves something; the next one tidies it away.
    std::fs::write(shop.files(&server).join("blobs").join("0".repeat(64)), "left over").unwrap();
    std::fs::write(shop.files(&server).join("manifests").join("left-over.json"), "{}").unwrap();
    made.push(shop.deploy().await);
    assert!(!blobs(&server, &shop).contains_key(&"0".repeat(64)));
    assert!(shop.visitor.get("/").await.text.contains("Never mind"));
    shop.rollback(&made[1]).await.expect(200);
    assert_eq!(shop.visitor.get("/").await.text, page, "with every file of it");
    assert_eq!(shop.visitor.get("/constant/").await.status.as_u16(), 200);
    shop.rollback(&made[3]).await.expect(200);
    // Once it does not answer any more, its age counts.
    made.push(shop.deploy().await);
    for old in &made[..3] {
        assert_eq!(shop.rollback(old).await.expect(409)["code"], "deployment_cleaned");
    }
    shop.rollback(&made[3]).await.expect(200);
    assert!(shop.visitor.get("/").await.text.contains("Never mind"));
    assert_eq!(manifests(&server, &shop), 2);
    assert!(blobs(&server, &shop).len() <= with_all, "{} {with_all}", blobs(&server, &shop).len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_deployments_end_in_one_that_is_whole() {
    TestServer::on_each_database(async |server| {
        let shop = Shop::open(server, server.email("crowd")).await;
        for number in 0..5 {
            shop.page(&format!("Page {number}")).await;
        }
        for round in 0..3 {
            shop.write(&format!("<p>Round {round}</p>")).await;
            let answers = at_once(6, |_| {
                let (client, path) = (shop.client.clone(), format!("{}/deploy", shop.path));
                async move { client.post_empty(&path).await.status.as_u16() }
            })
            .await;
            assert!(answers.iter().all(|status| matches!(status, 202 | 409)), "{answers:?}");
            assert!(answers.contains(&202), "{answers:?}");
            let settled =
                eventually(PATIENCE, async || (shop.status().await["status"] == "live").then_some(())).await;
            assert!(settled.is_some());
            // One may have been asked for just after the first one had ended.
            assert!(shop.visitor.get("/").await.text.contains(&format!("Round {round}")));
            for number in 0..5 {
                assert_eq!(shop.visitor.get(&format!("/page-{number}/")).await.status.as_u16(), 200);
            }
        }
        let list = shop.client.get(&format!("{}/deployments?limit=100", shop.path)).await.expect(200);
        assert!(column(&list, "status").iter().all(|status| status == "live"), "{list}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_somebody_deleted_comes_back_with_the_next_deployment() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("healing")).await;
    shop.deploy().await;
    let all = blobs(&server, &shop);
    for name in all.keys() {
        std::fs::remove_file(shop.files(&server).join("blobs").join(name)).unwrap();
    }
    shop.deploy().await;
    assert_eq!(blobs(&server, &shop).keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
    assert_eq!(shop.visitor.get("/").await.status.as_u16(), 200);
}

/// Not a promise about other machines and builds: the figures are printed, and the bound is only there to notice when it
/// gets out of hand.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_pages_are_deployed_in_a_moment() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("fifty")).await;
    let paragraph =
        "<p>Every morning at five we light the oven, and at seven the first loaves are on the shelf.</p>";
    for number in 1..50 {
        let page = shop.page(&format!("Page {number}")).await;
        let at = shop.client.t(&format!("/pages/{}/sections", page["id"].as_str().unwrap()));
        let words = format!("<h2>About number {number}</h2>{}", paragraph.repeat(20 + number % 7));
        let section = json!({"type": "text", "content": {"html": words}});
        shop.client.post(&at, section).await.expect(201);
    }
    let mut times = Vec::new();
    for _ in 0..2 {
        let started = Instant::now();
        shop.deploy().await;
        times.push(started.elapsed());
    }
    let bytes: u64 =
        walk(&shop.files(&server)).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    eprintln!(
        "50 pages: {} ms, unchanged {} ms, {} KiB kept",
        times[0].as_millis(),
        times[1].as_millis(),
        bytes / 1024
    );
    assert!(times.iter().all(|time| time.as_secs() < 15), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_published_at_its_time_and_the_site_deployed() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("later")).await;
        shop.deploy().await;
        let client = &shop.client;
        let draft = async |title: &str| {
            let page = client.post(&client.t("/pages"), json!({"title": title})).await.expect(201);
            client.t(&format!("/pages/{}", page["id"].as_str().unwrap()))
        };
        let soon = || json!((server.app.core.env.now() + time::Duration::milliseconds(1500)).to_string());
        let (news, changed) = (draft("News").await, draft("Changed my mind").await);
        let at = soon();
        let set = client.put(&news, json!({"publishAt": at})).await.expect(200);
        assert_eq!((&set["publishAt"], &set["status"]), (&at, &json!("draft")));
        client.put(&changed, json!({"publishAt": soon()})).await.expect(200);
        let cleared = client.put(&changed, json!({"publishAt": null})).await.expect(200);
        assert_eq!(cleared["publishAt"], Value::Null);

        let there =
            eventually(PATIENCE, async || shop.visitor.get("/news/").await.status.is_success().then_some(()))
                .await;
        assert!(there.is_some(), "it is on the site: {}", client.get(&news).await.text);
        let now = client.get(&news).await.expect(200);
        assert_eq!((&now["status"], &now["publishAt"]), (&json!("published"), &Value::Null));
        assert!(now["publishedAt"].is_string());
        let list = client
            .get(&client.t(&format!("/audit?type=page.published&resourceId={}", now["id"].as_str().unwrap())))
            .await
            .expect(200);
        assert_eq!(column(&list, "type"), ["page.published"]);
        assert_eq!(list["items"][0]["actor"]["kind"], "system");
        let versions = client.get(&format!("{news}/versions")).await.expect(200);
        assert_eq!(
            (&versions["items"][0]["summary"], &versions["items"][0]["author"]["kind"]),
            (&json!("Published"), &json!("system"))
        );
        assert_eq!(client.get(&changed).await.expect(200)["status"], "draft");
        assert_eq!(shop.visitor.get("/changed-my-mind/").await.status.as_u16(), 404);

        for wish in [json!("2020-01-01T00:00:00Z"), json!("2199-01-01T00:00:00Z")] {
            assert_eq!(client.put(&changed, json!({"publishAt": wish})).await.fields(), ["publishAt"]);
        }
        assert_eq!(client.put(&changed, json!({"publishAt": "tomorrow"})).await.status.as_u16(), 422);
        assert_eq!(
            client.put(&news, json!({"publishAt": soon()})).await.fields(),
            ["publishAt"],
            "it is published already"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_sent_while_it_is_read() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("large")).await;
    let deployment = shop.deploy().await;
    // Written past the program: no page of the test has a picture of this size.
    let (hash, bytes) = ("f".repeat(64), (0..3_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    std::fs::write(shop.files(&server).join("blobs").join(&hash), &bytes).unwrap();
    let path = shop.files(&server).join(format!("manifests/{}.json", deployment["id"].as_str().unwrap()));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["files"]["assets/large.webp"] =
        json!({"hash": hash, "size": bytes.len(), "contentType": "image/webp"});
    std::fs::write(&path, manifest.to_string()).unwrap();

    for _ in 0..2 {
        let answer = raw(&server, &shop, "/assets/large.webp", &[]).await;
        assert_eq!((answer.status, answer.headers["content-length"].as_str()), (200, "3000000"));
        assert!(answer.bytes == bytes);
        let tag = answer.headers["etag"].as_str();
        let kept = raw(&server, &shop, "/assets/large.webp", &[("if-none-match", tag)]).await;
        assert_eq!(kept.status, 304);
    }
    let head = shop.visitor.send(reqwest::Method::HEAD, "/assets/large.webp", None, "").await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length"), head.text.as_str()),
        (200, "3000000", "")
    );
    // A file that is missing: noticed before a byte is sent.
    std::fs::remove_file(shop.files(&server).join("blobs").join(&hash)).unwrap();
    assert_eq!(raw(&server, &shop, "/assets/large.webp", &[]).await.status, 503);
    server.stop().await;
}
