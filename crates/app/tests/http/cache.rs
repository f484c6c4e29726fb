//! Cached answers: quick while nothing changes, never old once something did.

use std::time::{Duration, Instant};

use portico_testkit::{
    database::tamper,
    redis::TestRedis,
    server::{Client, Database, TestServer, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::sites::site;

/// Changes the title of the page in the database without an event, so that only a cache still has the old one.
async fn change_secretly(server: &TestServer, client: &Client, page: &Value) {
    let url = server.app.settings.database_url();
    let ids = [client.tenant.parse().unwrap(), page["id"].as_str().unwrap().parse().unwrap()];
    let statement = "update pages set title = 'Secret' where tenant_id = $1 and id = $2";
    assert_eq!(tamper(url.expose_secret(), statement, &ids).await, 1);
}

/// Waits until the server caches answers: it does while it receives what other processes announce.
async fn hearing(server: &TestServer) {
    let is_connected = async || server.app.core.signals.is_connected().then_some(());
    eventually(Duration::from_secs(10), is_connected).await.expect("the server hears");
}

/// Waits until the server has received what was announced until now, which drops what is cached about it.
///
/// It counts as one that hears for 800 ms after it has last proven to have received everything: where it does after a longer pause, the
/// proof is younger than this call.
async fn up_to_date(server: &TestServer) {
    tokio::time::sleep(Duration::from_millis(850)).await;
    hearing(server).await;
}

async fn title(client: &Client, path: &str) -> String {
    client.get(path).await.expect(200)["title"].as_str().unwrap().to_owned()
}

/// Asks again until the answer is made anew; how long that took.
async fn until_title(client: &Client, path: &str, wanted: &str) -> Duration {
    let started = Instant::now();
    let seen = async || (title(client, path).await == wanted).then_some(());
    eventually(Duration::from_secs(10), seen).await.expect("the change is seen");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_until_something_changes() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("kept")).await;
        site(&client, "Kept").await;
        let page = client.post(&client.t("/pages"), json!({"title": "First"})).await.expect(201);
        let path = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
        let (list, by_slug) = (client.t("/pages"), client.t("/pages/slug/first"));
        // An event that was appended a moment ago may be announced once more.
        up_to_date(server).await;
        let tag = client.get(&list).await.header("etag").to_owned();
        assert_eq!(
            (title(&client, &path).await, title(&client, &by_slug).await),
            ("First".into(), "First".into())
        );

        change_secretly(server, &client, &page).await;
        assert_eq!(
            (title(&client, &path).await, title(&client, &by_slug).await),
            ("First".into(), "First".into())
        );
        assert_eq!(client.with("if-none-match", &tag).get(&list).await.status.as_u16(), 304);
        // A search is not cached.
        let found = client.get(&format!("{list}?q=secret")).await.expect(200);
        assert_eq!(found["total"], 1);

        // Any change in the tenant drops what is kept, at once.
        client.put(&client.t("/branding"), json!({"colors": {"primary": "#123456"}})).await.expect(200);
        assert_eq!(title(&client, &path).await, "Secret");
        let list = client.with("if-none-match", &tag).get(&list).await;
        assert_eq!(list.expect(200)["items"][0]["title"], "Secret");
        assert_eq!(client.get(&client.t("/branding")).await.expect(200)["colors"]["primary"], "#123456");

        let metrics = server.client().get("/api/metrics").await.text;
        assert!(
            metrics.contains("portico_cache_requests_total{about=\"page\",outcome=\"hit\"}"),
            "{metrics}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_for_those_who_may_see_it() {
    TestServer::shared(async |server| {
        let (ours, theirs) =
            (server.customer(server.email("o")).await, server.customer(server.email("t")).await);
        site(&ours, "Ours").await;
        let page = ours.post(&ours.t("/pages"), json!({"title": "Mine"})).await.expect(201);
        let path = ours.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
        hearing(server).await;
        for _ in 0..3 {
            ours.get(&path).await.expect(200);
            theirs.get(&path).await.expect(404);
            server.client().get(&path).await.expect(401);
        }
        ours.delete(&path).await.expect(204);
        ours.get(&path).await.expect(404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_agree_within_a_second() {
    for redis in [None, Some(TestRedis::start().await)] {
        let url = redis.as_ref().map(|redis| redis.url().into());
        let one = TestServer::start_with(Database::Postgres, |settings| settings.redis.url = url).await;
        let two = one.another_instance().await;
        let client = one.customer("two@example.com").await;
        let elsewhere = two.client().with("authorization", &client.headers["authorization"]);
        site(&client, "Two").await;
        let page = client.post(&client.t("/pages"), json!({"title": "First"})).await.expect(201);
        let path = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
        tokio::join!(up_to_date(&one), up_to_date(&two));
        assert_eq!(
            (title(&client, &path).await, title(&elsewhere, &path).await),
            ("First".into(), "First".into())
        );
        let mut slowest = Duration::ZERO;
        for round in 0..4 {
            let (writer, reader) = if round % 2 == 0 { (&client, &elsewhere) } else { (&elsewhere, &client) };
            let wanted = format!("Title {round}");
            writer.put(&path, json!({"title": wanted})).await.expect(200);
            // Who changed it sees it at once.
            assert_eq!(title(writer, &path).await, wanted);
            slowest = slowest.max(until_title(reader, &path, &wanted).await);
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        two.stop().await;
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_what_redis_keeps_and_go_on_without_it() {
    let redis = TestRedis::start().await;
    let url = redis.url();
    let one =
        TestServer::start_with(Database::Postgres, |settings| settings.redis.url = Some(url.into())).await;
    let two = one.another_instance().await;
    let client = one.customer("share@example.com").await;
    let elsewhere = two.client().with("authorization", &client.headers["authorization"]);
    site(&client, "Share").await;
    let page = client.post(&client.t("/pages"), json!({"title": "First"})).await.expect(201);
    let path = client.t(&format!("/pages/{}", page["id"].as_str().unwrap()));
    tokio::join!(up_to_date(&one), up_to_date(&two));
    // Both have dropped what was cached before they started; then one caches, and the other one finds it.
    title(&client, &path).await;
    title(&elsewhere, &path).await;
    title(&client, &path).await;
    change_secretly(&one, &client, &page).await;
    assert_eq!(
        (title(&client, &path).await, title(&elsewhere, &path).await),
        ("First".into(), "First".into())
    );

    drop(redis);
    let started = Instant::now();
    assert_eq!(
        (title(&client, &path).await, title(&elsewhere, &path).await),
        ("Secret".into(), "Secret".into())
    );
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    client.put(&path, json!({"title": "Second"})).await.expect(200);
    assert_eq!(title(&client, &path).await, "Second");
    assert_eq!(title(&elsewhere, &path).await, "Second");
    two.stop().await;
    one.stop().await;
}
