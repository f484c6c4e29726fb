//! Analytics of published sites: visits are counted without cookies, outside of requests.

use std::time::Duration;

use portico_feature_sites::flows::visits::forget;
use portico_sites::analytics::Seen;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::sites::site;

pub const PATIENCE: Duration = Duration::from_secs(15);

pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// A customer with a site that is live.
pub struct Shop {
    pub client: Client,
    /// `/api/v1/sites/{siteId}`.
    pub path: String,
    /// Host name of the site, with the port.
    pub host: String,
    /// The home page, as `/api/v1/tenants/{tenantId}/pages/{pageId}`.
    pub home: String,
}

impl Shop {
    /// Opens and deploys one with two pages, the first of which has these sections.
    pub async fn open(server: &TestServer, email: &str, sections: &[Value]) -> Self {
        let client = server.customer(email).await;
        let site = site(&client, "Panadería Luz").await;
        let host = site["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let path = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
        let home = json!({"title": "Welcome", "status": "published", "isHome": true});
        let home = client.post(&client.t("/pages"), home).await.expect(201);
        let home = client.t(&format!("/pages/{}", home["id"].as_str().unwrap()));
        client
            .post(&client.t("/pages"), json!({"title": "About us", "status": "published"}))
            .await
            .expect(201);
        for section in sections {
            client.post(&format!("{home}/sections"), section.clone()).await.expect(201);
        }
        let shop = Self { client, path, host, home };
        shop.deploy().await;
        shop
    }

    pub async fn deploy(&self) {
        let queued = self.client.post_empty(&format!("{}/deploy", self.path)).await.expect(202);
        let done = eventually(PATIENCE, async || {
            let status = self.client.get(&format!("{}/status", self.path)).await.expect(200);
            assert_ne!(status["status"], "failed", "{status}");
            (status["id"] == queued["id"] && status["status"] == "live").then_some(())
        });
        assert!(done.await.is_some(), "the site is deployed");
    }

    /// A visitor of the site on an instance.
    pub fn visitor(&self, server: &TestServer, agent: &str) -> Client {
        server.client().with("host", &self.host).with("user-agent", agent)
    }

    pub async fn analytics(&self, query: &str) -> Value {
        self.client.get(&format!("{}/analytics{query}", self.path)).await.expect(200)
    }
}

/// Visits and visitors of all days.
fn totals(analytics: &Value) -> (u64, u64) {
    (analytics["totals"]["visits"].as_u64().unwrap(), analytics["totals"]["visitors"].as_u64().unwrap())
}

fn ok(answer: Answer) {
    assert!(answer.status.is_success(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_by_several_people_over_two_instances_are_counted_right() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |settings| {
            settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            settings.sites.country_header = Some("CF-IPCountry".to_owned());
        })
        .await;
        let shop = Shop::open(&server, server.email("counted"), &[]).await;
        let other = server.another_instance().await;
        // Seven people, each of whom looks at both pages on both instances, all at the same time.
        let visits = at_once(28, |number| {
            let on = if number % 2 == 0 { &server } else { &other };
            let person = number / 4;
            let agent = if person < 2 { PHONE } else { FIREFOX };
            let client = shop
                .visitor(on, agent)
                .with("x-forwarded-for", &format!("192.0.2.{person}"))
                .with("cf-ipcountry", if person == 0 { "MX" } else { "gt" })
                .with("referer", "https://www.search.example/?q=bread");
            let path = if number % 4 < 2 { "/" } else { "/about-us/" };
            async move { client.get(path).await }
        })
        .await;
        visits.into_iter().for_each(ok);
        // Instances store at the same moment, and more than once.
        let flush = async |of: &TestServer| of.app.sites.hosting.visits.flush(&of.app.core).await;
        tokio::join!(flush(&server), flush(&other), flush(&server), flush(&other));

        let read = shop.analytics("").await;
        assert_eq!(totals(&read), (28, 7), "{read}");
        assert_eq!(read["days"].as_array().unwrap().len(), 30);
        let days: u64 =
            read["days"].as_array().unwrap().iter().map(|day| day["visits"].as_u64().unwrap()).sum();
        assert_eq!((days, &read["days"][29]["date"]), (28, &read["to"]));
        let pages = json!([{"path": "/", "visits": 14}, {"path": "/about-us/", "visits": 14}]);
        assert_eq!(read["pages"], pages);
        assert_eq!(read["referrers"], json!([{"source": "search.example", "visits": 28}]));
        assert_eq!(
            read["countries"],
            json!([{"country": "GT", "visits": 24}, {"country": "MX", "visits": 4}])
        );
        let devices = json!([{"device": "desktop", "visits": 20}, {"device": "mobile", "visits": 8}]);
        assert_eq!(read["devices"], devices);
        // Once more the same people: the same day has the same visitors.
        ok(shop.visitor(&other, PHONE).with("x-forwarded-for", "192.0.2.0").get("/").await);
        flush(&other).await;
        assert_eq!(totals(&shop.analytics("").await), (29, 7));

        let tenant = shop.client.tenant.parse().unwrap();
        let today = server.app.core.env.now().into_inner().date();
        let (answers, bytes) = server.app.core.reader().visits().traffic(tenant, today, today).await.unwrap();
        assert!(answers >= 29 && bytes > 29 * 500, "{answers} answers of {bytes} bytes");
        let usage = shop.client.get("/api/v1/billing/usage").await.expect(200);
        let meter =
            usage["items"].as_array().unwrap().iter().find(|item| item["meter"] == "bandwidth").unwrap();
        assert_eq!((&meter["used"], &meter["limit"]), (&json!(bytes), &json!(10_u64 << 30)));
        assert!(meter["resetsAt"].is_string(), "{meter}");
        // What is served until the end is counted by a graceful stop.
        ok(shop.visitor(&other, FIREFOX).get("/about-us/").await);
        other.stop().await;
        let (after, more) = server.app.core.reader().visits().traffic(tenant, today, today).await.unwrap();
        assert!(after == answers + 1 && more > bytes + 500, "{after} answers of {more} bytes");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_visit_is_not_counted() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("no-visit"), &[]).await;
        let person = shop.visitor(server, FIREFOX);
        ok(person.get("/").await);
        let tag = person.get("/about-us/").await.header("etag").to_owned();
        assert_eq!(person.with("if-none-match", &tag).get("/about-us/").await.status.as_u16(), 304);
        // Three visits by one person so far. Nothing of this adds one:
        assert_eq!(person.get("/nothing/").await.status.as_u16(), 404);
        assert_eq!(person.get("/about-us").await.status.as_u16(), 308);
        for file in ["/sitemap.xml", "/robots.txt", "/404.html"] {
            ok(person.get(file).await);
        }
        ok(person.send(Method::HEAD, "/", None, "").await);
        ok(person.with("sec-purpose", "prefetch;prerender").get("/").await);
        ok(person.with("sec-fetch-dest", "image").get("/").await);
        ok(shop.visitor(server, ROBOT).get("/").await);
        ok(shop.visitor(server, "curl/8.5.0").get("/").await);
        // The country is taken from a trusted proxy only, and there is none.
        ok(person.with("cf-ipcountry", "GT").with("x-forwarded-for", "192.0.2.1").get("/").await);
        // A visitor who opts out of tracking counts as a visit, and nothing else is kept.
        let shy =
            person.with("sec-gpc", "1").with("referer", "https://secret.example/").with("user-agent", PHONE);
        ok(shy.get("/").await);
        // One's own pages are no referrer.
        ok(person
            .with("referer", &format!("http://{}/about-us/", shop.host))
            .get("/?utm_source=Letter")
            .await);

        server.app.sites.hosting.visits.flush(&server.app.core).await;
        let read = shop.analytics("").await;
        assert_eq!(totals(&read), (6, 1), "{read}");
        assert_eq!(
            (&read["countries"], &read["referrers"]),
            (&json!([]), &json!([{"source": "letter", "visits": 1}]))
        );
        assert_eq!(read["devices"], json!([{"device": "desktop", "visits": 5}]));
        // No cookie was set on the way.
        assert_eq!(person.get("/").await.header("set-cookie"), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_midnight_the_salt_changes_and_visitors_are_new() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("midnight"), &[]).await;
        let app = &server.app;
        let today = app.core.env.now().into_inner().replace_time(time::Time::MIDNIGHT);
        let seen = |seconds: i64| Seen {
            tenant: shop.client.tenant.parse().unwrap(),
            site: shop.path.rsplit('/').next().unwrap().parse().unwrap(),
            at: (today + time::Duration::seconds(seconds)).into(),
            path: "/".to_owned(),
            query: String::new(),
            host: shop.host.clone(),
            referrer: None,
            user_agent: FIREFOX.to_owned(),
            mobile: None,
            country: None,
            address: [192, 0, 2, 1].into(),
            private: false,
        };
        for seconds in [-2, -1, 0, 1, 2] {
            assert!(app.sites.hosting.visits.note(seen(seconds)));
        }
        app.sites.hosting.visits.flush(&app.core).await;
        let read = shop.analytics("?from=&to=").await;
        let days = read["days"].as_array().unwrap();
        let counts = |day: &Value| (day["visits"].as_u64().unwrap(), day["visitors"].as_u64().unwrap());
        assert_eq!((counts(&days[28]), counts(&days[29])), ((2, 1), (3, 1)), "{read}");
        // One salt for each day, and they differ.
        let mut work = app.core.begin().await.unwrap();
        let yesterday = work.visits().salt(today.date().previous_day().unwrap(), [0; 32]).await.unwrap();
        let now = work.visits().salt(today.date(), [0; 32]).await.unwrap();
        assert!(yesterday != now && yesterday != [0; 32] && now != [0; 32]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_wait_for_a_database_that_is_down() {
    let server = TestServer::start().await;
    let shop = Shop::open(&server, server.email("down"), &[]).await;
    let visitor = shop.visitor(&server, FIREFOX);
    ok(visitor.get("/").await);
    server.app.sites.hosting.visits.flush(&server.app.core).await;
    // Another transaction holds the one writer of SQLite, for longer than any request waits.
    let held = server.app.core.begin().await.unwrap();
    for _ in 0..3 {
        ok(visitor.get("/").await);
    }
    let began = std::time::Instant::now();
    ok(visitor.get("/about-us/").await);
    assert!(began.elapsed() < Duration::from_millis(500), "pages do not wait for it: {:?}", began.elapsed());
    server.app.sites.hosting.visits.flush(&server.app.core).await;
    assert_eq!(totals(&shop.analytics("").await), (1, 1), "not yet");
    drop(held);
    server.app.sites.hosting.visits.flush(&server.app.core).await;
    assert_eq!(totals(&shop.analytics("").await), (5, 1), "and none is lost");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_last_is_stored_when_the_server_stops() {
    let server = TestServer::start_with(Database::Postgres, |_| {}).await;
    let shop = Shop::open(&server, server.email("stopping"), &[]).await;
    ok(shop.visitor(&server, FIREFOX).get("/").await);
    let app = server.app.clone();
    let store = app.core.store.clone();
    let (tenant, site) =
        (shop.client.tenant.parse().unwrap(), shop.path.rsplit('/').next().unwrap().parse().unwrap());
    let today = app.core.env.now().into_inner().date();
    let other = server.another_instance().await;
    ok(shop.visitor(&other, FIREFOX).get("/").await);
    other.stop().await;
    let days = eventually(PATIENCE, async || {
        let days = store.reader().visits().days(tenant, site, today, today).await.unwrap();
        days.first().filter(|(_, visits, _)| *visits == 2).copied()
    });
    assert_eq!(days.await, Some((today, 2, 1)), "within seconds, or at the end");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_are_for_members_and_within_bounds() {
    TestServer::shared(async |server| {
        let shop = Shop::open(server, server.email("bounds"), &[]).await;
        let path = format!("{}/analytics", shop.path);
        let stranger = server.customer(server.email("stranger")).await;
        stranger.get(&path).await.expect(404);
        server.client().get(&path).await.expect(401);
        for (query, fields) in [
            ("?from=2026-11-21&to=2026-11-20", vec!["to"]),
            ("?from=2020-01-01&to=2026-11-20", vec!["to"]),
            ("?from=yesterday&to=2026-13-01", vec!["from", "to"]),
            ("?since=2026-11-20", vec!["since"]),
            ("?timeZone=UTC", vec!["timeZone"]),
        ] {
            let answer = shop.client.get(&format!("{path}{query}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.fields()),
                (422, fields.iter().map(|f| (*f).to_owned()).collect()),
                "{query}"
            );
        }
        let read = shop.analytics("?from=2026-02-27&to=2026-03-01").await;
        let dates: Vec<_> =
            read["days"].as_array().unwrap().iter().map(|day| day["date"].as_str().unwrap()).collect();
        assert_eq!(dates, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!((totals(&read), &read["pages"]), ((0, 0), &json!([])));
        shop.analytics("?from=9999-12-31").await;

        // Kept as long as the settings say: nothing of today goes.
        ok(shop.visitor(server, FIREFOX).get("/").await);
        server.app.sites.hosting.visits.flush(&server.app.core).await;
        forget(&server.app.sites).await.unwrap();
        assert_eq!(totals(&shop.analytics("").await), (1, 1));
    })
    .await;
}
