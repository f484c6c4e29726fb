//! Customers' own domains, from the text record to the page, against a name server of the test's own.

mod certificates;
mod proofs;

use std::time::Duration;

use portico_billing::plan::catalogue;
use portico_kernel::{Meter, PlatformRole, TenantRole};
use portico_testkit::{
    dns::TestDns,
    server::{Answer, Client, Database, TestServer, at_once, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, text, unlimited},
    sites::site,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that asks `dns` and lets everybody connect domains.
async fn start(database: Database, dns: &TestDns) -> TestServer {
    let address = dns.address();
    let server = TestServer::start_with(database, |settings| {
        settings.dns.servers = vec![address];
        settings.sites.domain_target = vec!["edge.portico.example".into(), "192.0.2.1".into()];
        settings.sites.domain = "sites.example".into();
    })
    .await;
    unlimited(&server).await;
    server
}

async fn alone(database: Database, test: impl AsyncFn(&TestServer, &TestDns)) {
    let dns = TestDns::start().await;
    let server = start(database, &dns).await;
    test(&server, &dns).await;
    server.stop().await;
}

async fn on_each_database(test: impl AsyncFn(&TestServer, &TestDns)) {
    for database in [Database::Sqlite, Database::Postgres] {
        alone(database, &test).await;
    }
}

/// A customer with a site.
struct Shop {
    client: Client,
    /// `/api/v1/sites/{siteId}`.
    path: String,
    /// Host name of its subdomain, with the port.
    host: String,
}

impl Shop {
    async fn new(server: &TestServer, email: &str) -> Self {
        let client = server.customer(email).await;
        let site = site(&client, "Panadería Luz").await;
        let host = text(&site, "url").trim_start_matches("http://").to_owned();
        Self { path: format!("/api/v1/sites/{}", text(&site, "id")), client, host }
    }

    /// Publishes a page and waits until it answers.
    async fn deploy(&self) {
        let page = json!({"title": "Welcome", "status": "published", "isHome": true});
        self.client.post(&self.client.t("/pages"), page).await.expect(201);
        self.client.post_empty(&format!("{}/deploy", self.path)).await.expect(202);
        self.live().await;
    }

    async fn live(&self) {
        let live = eventually(PATIENCE, async || {
            let status = self.client.get(&format!("{}/status", self.path)).await.expect(200);
            assert_ne!(status["status"], "failed", "{status}");
            (status["status"] == "live").then_some(())
        });
        live.await.expect("the site is deployed");
    }

    async fn add(&self, body: Value) -> Answer {
        self.client.post(&format!("{}/domains", self.path), body).await
    }

    fn domain(&self, id: &str) -> String {
        format!("{}/domains/{id}", self.path)
    }

    async fn verify(&self, id: &str) -> Answer {
        self.client.post_empty(&format!("{}/verify", self.domain(id))).await
    }

    /// Adds a domain and publishes its proof; returns its id.
    async fn proven(&self, dns: &TestDns, body: Value) -> String {
        let domain = self.add(body).await.expect(201);
        prove(dns, &domain);
        let verified = self.verify(&text(&domain, "id")).await.expect(200);
        assert_eq!(verified["status"], "verified", "{verified}");
        text(&domain, "id")
    }
}

/// Publishes the text record that an answer asks for.
fn prove(dns: &TestDns, domain: &Value) {
    let record = &domain["records"][0];
    assert_eq!(record["type"], "TXT");
    dns.txt(record["name"].as_str().unwrap(), &["v=spf1 -all", record["expected"].as_str().unwrap()]);
}

/// What a visitor gets who comes to a host name.
async fn visit(server: &TestServer, host: &str, path: &str) -> Answer {
    server.client().with("host", host).get(path).await
}

fn is_page(answer: &Answer) -> bool {
    answer.status == 200 && answer.text.contains("<h1") && answer.text.contains("Welcome")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_serves_the_site_once_it_is_proven() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("domain")).await;
        shop.deploy().await;
        assert!(is_page(&visit(server, &shop.host, "/").await));
        let port = server.url.rsplit_once(':').unwrap().1;
        let host = format!("www.example.com:{port}");

        let added = shop.add(json!({"name": "WWW.Example.com"})).await;
        assert!(added.header("location").starts_with(&format!("{}/domains/", shop.path)), "{added:?}");
        let added = added.expect(201);
        assert_eq!((&added["name"], &added["mode"]), (&json!("www.example.com"), &json!("primary")));
        let [txt, cname] = added["records"].as_array().unwrap().as_slice() else { panic!("{added}") };
        assert_eq!(txt["name"], "_portico-challenge.www.example.com");
        assert!(text(txt, "expected").starts_with("portico-verify="), "{txt}");
        assert_eq!((&cname["type"], &cname["expected"]), (&json!("CNAME"), &json!("edge.portico.example")));
        let id = text(&added, "id");

        // No such name at all, another text, then the right one among others.
        let missing = shop.verify(&id).await.expect(200);
        assert_eq!((&missing["status"], &missing["reason"]), (&json!("pending"), &json!("txt_missing")));
        assert_eq!(missing["records"][0]["found"], json!([]));
        dns.txt("_portico-challenge.www.example.com", &["portico-verify=nonsense"]);
        let wrong = shop.verify(&id).await.expect(200);
        assert_eq!((&wrong["status"], &wrong["reason"]), (&json!("pending"), &json!("txt_wrong")));
        assert_eq!(wrong["records"][0]["found"], json!(["portico-verify=nonsense"]));
        assert_eq!(shop.client.get(&shop.domain(&id)).await.expect(200), wrong);
        for path in ["/", "/api/v1/sites"] {
            let early = visit(server, &host, path).await;
            assert!(!is_page(&early) && early.status != 200, "{path}: {early:?}");
        }
        assert_eq!(server.client().get("/api/tls/ask?domain=www.example.com").await.status, 404);

        prove(dns, &added);
        dns.cname("www.example.com", "edge.portico.example");
        dns.a("edge.portico.example", "192.0.2.1");
        let verified = shop.verify(&id).await.expect(200);
        assert_eq!((&verified["status"], &verified["reason"]), (&json!("verified"), &Value::Null));
        let oks: Vec<_> = verified["records"].as_array().unwrap().iter().map(|r| r["ok"].clone()).collect();
        assert_eq!(oks, [true, true], "{verified}");
        assert_eq!(verified["records"][1]["found"], json!(["edge.portico.example", "192.0.2.1"]));

        // At once, in any spelling; the subdomain leads there; nothing was restarted.
        let rooted = format!("www.example.com.:{port}");
        for host in [
            host.clone(),
            "www.example.com".into(),
            "WWW.EXAMPLE.COM".into(),
            "www.example.com.".into(),
            rooted,
        ] {
            assert!(is_page(&visit(server, &host, "/").await), "{host}");
        }
        let moved = visit(server, &shop.host, "/a%20b?c=d").await;
        assert_eq!(
            (moved.status.as_u16(), moved.header("location")),
            (308, format!("http://{host}/a%20b?c=d").as_str())
        );
        assert_eq!(moved.header("cache-control"), "no-cache");
        let site = shop.client.get(&shop.path).await.expect(200);
        assert_eq!(
            (&site["customDomain"], &site["url"]),
            (&json!("www.example.com"), &json!(format!("http://{host}")))
        );
        for domain in ["www.example.com", "www.example.com."] {
            let asked = server.client().get(&format!("/api/tls/ask?domain={domain}")).await;
            assert_eq!(asked.status, 200, "{domain}");
        }

        // The pages name their address, so they were built again.
        let canonical = format!("<link rel=\"canonical\" href=\"http://{host}/\"");
        let rebuilt = eventually(PATIENCE, async || {
            visit(server, &host, "/").await.text.contains(&canonical).then_some(())
        });
        rebuilt.await.expect("the canonical link is the domain");

        shop.client.delete(&shop.domain(&id)).await.expect(204);
        assert!(!is_page(&visit(server, &host, "/").await));
        assert!(is_page(&visit(server, &shop.host, "/").await));
        assert_eq!(server.client().get("/api/tls/ask?domain=www.example.com").await.status, 404);
        assert_eq!(shop.client.get(&shop.path).await.expect(200)["customDomain"], Value::Null);
        let audit = shop.client.get(&shop.client.t("/audit?limit=100")).await.expect(200).to_string();
        for kind in ["domain.added", "domain.verified", "domain.removed"] {
            assert!(audit.contains(kind), "{kind}");
        }
        assert!(
            !audit.contains("portico-verify") && !audit.contains(&text(txt, "expected")[15..]),
            "a proof is no news"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_domains_lead_to_the_main_one_or_serve_too() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("modes")).await;
        shop.deploy().await;
        let port = server.url.rsplit_once(':').unwrap().1;
        let main = shop.proven(dns, json!({"name": "main.example"})).await;
        let other = shop.proven(dns, json!({"name": "other.example"})).await;
        shop.proven(dns, json!({"name": "alias.example", "mode": "alias"})).await;
        let location = |answer: Answer| (answer.status.as_u16(), answer.header("location").to_owned());
        let to = |host: &str| (308, format!("http://{host}:{port}/x"));
        assert_eq!(location(visit(server, "other.example", "/x").await), to("main.example"));
        assert!(is_page(&visit(server, "alias.example", "/").await));
        assert!(is_page(&visit(server, "main.example", "/").await));

        // They swap.
        shop.client.put(&shop.domain(&other), json!({"mode": "primary"})).await.expect(200);
        assert_eq!(location(visit(server, "main.example", "/x").await), to("other.example"));
        assert_eq!(location(visit(server, &shop.host, "/x").await), to("other.example"));
        assert!(is_page(&visit(server, "other.example", "/").await));
        assert_eq!(shop.client.get(&shop.domain(&main)).await.expect(200)["mode"], "redirect");
        let list = shop.client.get(&format!("{}/domains", shop.path)).await.expect(200);
        let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|d| text(d, "name")).collect();
        assert_eq!(names, ["main.example", "other.example", "alias.example"]);

        // Without a primary domain the subdomain is the main address.
        shop.client.delete(&shop.domain(&other)).await.expect(204);
        let subdomain = shop.host.split(':').next().unwrap();
        assert_eq!(location(visit(server, "main.example", "/x").await), to(subdomain));
        assert!(is_page(&visit(server, &shop.host, "/").await));

        let version = shop.client.get(&shop.domain(&main)).await.header("etag").to_owned();
        let mine = shop.client.with("if-match", &version);
        mine.put(&shop.domain(&main), json!({"mode": "alias"})).await.expect(200);
        assert_eq!(mine.put(&shop.domain(&main), json!({"mode": "redirect"})).await.status, 412);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_decides_how_many_domains_also_at_once() {
    on_each_database(async |server, _| {
        let limit = async |domains: u64| {
            let mut work = server.app.core.begin().await.unwrap();
            for mut plan in catalogue() {
                plan.limits.clear();
                plan.limits.insert(Meter::CustomDomains, domains);
                work.plans().upsert(&plan).await.unwrap();
            }
            work.commit().await.unwrap();
        };
        let used = async |shop: &Shop| {
            let usage = shop.client.get("/api/v1/billing/usage").await.expect(200);
            let meters = usage.as_object().unwrap().values().find_map(Value::as_array).unwrap().clone();
            meters.iter().find(|usage| usage["meter"] == "custom_domains").unwrap()["used"].clone()
        };
        let shop = Shop::new(server, server.email("quota")).await;
        limit(0).await;
        let refused = shop.add(json!({"name": "one.example"})).await;
        assert_eq!((refused.status.as_u16(), &refused.json["meter"]), (402, &json!("custom_domains")));
        assert_eq!(shop.client.get(&format!("{}/domains", shop.path)).await.expect(200)["total"], 0);

        limit(2).await;
        let (client, path) = (shop.client.clone(), format!("{}/domains", shop.path));
        let answers = at_once(16, |number| {
            let (client, path) = (client.clone(), path.clone());
            async move { client.post(&path, json!({"name": format!("n{number}.example")})).await }
        })
        .await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
        assert_eq!((count(201), count(402)), (2, 14), "{answers:?}");
        assert_eq!(used(&shop).await, 2);

        let id = text(&shop.client.get(&path).await.expect(200)["items"][0], "id");
        let gone = at_once(4, |_| {
            let (client, path) = (shop.client.clone(), shop.domain(&id));
            async move { client.delete(&path).await.status.as_u16() }
        })
        .await;
        assert_eq!(gone.iter().filter(|status| **status == 204).count(), 1, "{gone:?}");
        assert_eq!(used(&shop).await, 1);
        shop.client.delete(&shop.path).await.expect(204);
        assert_eq!(used(&shop).await, 0, "the site took its domain along");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_and_strangers_are_refused() {
    alone(Database::Postgres, async |server, _| {
        let shop = Shop::new(server, server.email("names")).await;
        for (name, code) in [
            ("", "required"),
            ("localhost", "invalid_domain"),
            ("https://example.com", "invalid_domain"),
            ("127.0.0.1", "invalid_domain"),
            ("example.com.", "invalid_domain"),
            ("example.com:80", "invalid_domain"),
            ("exa mple.com", "invalid_domain"),
            ("xn--a.example", "invalid_domain"),
            ("co.uk", "public_suffix"),
            ("sites.example", "reserved_domain"),
            ("other.sites.example", "reserved_domain"),
            ("edge.portico.example", "reserved_domain"),
        ] {
            let answer = shop.add(json!({"name": name})).await;
            let error = &answer.json["errors"][0];
            assert_eq!(
                (answer.status.as_u16(), &error["field"], &error["code"]),
                (422, &json!("name"), &json!(code)),
                "{name}"
            );
        }
        assert_eq!(shop.add(json!({"name": "a.example", "mode": "main"})).await.status, 422);
        assert_eq!(shop.add(json!({"name": "a.example", "site": "x"})).await.status, 422);
        let domain = shop.add(json!({"name": "straße.example"})).await.expect(201);
        assert_eq!(domain["name"], "xn--strae-oqa.example");
        let again = shop.add(json!({"name": "XN--STRAE-OQA.example"})).await;
        assert_eq!((again.status.as_u16(), &again.json["code"]), (409, &json!("domain_exists")));

        let path = shop.domain(&text(&domain, "id"));
        let stranger = server.customer(server.email("stranger")).await;
        let viewer = Person::new(server, server.email("viewer"), |_| {}).await;
        viewer.join(server, &shop.client.tenant, TenantRole::Viewer).await;
        let viewer = viewer.client.with("x-tenant-id", &shop.client.tenant);
        viewer.get(&path).await.expect(200);
        for (client, status) in [(&stranger, 404), (&viewer, 403)] {
            let answers = [
                client.post_empty(&format!("{path}/verify")).await,
                client.put(&path, json!({"mode": "alias"})).await,
                client.delete(&path).await,
                client.post(&format!("{}/domains", shop.path), json!({"name": "b.example"})).await,
            ];
            for answer in answers {
                assert_eq!(answer.status.as_u16(), status, "{answer:?}");
            }
        }
        assert_eq!(stranger.get(&path).await.status, 404);
        assert_eq!(shop.client.get(&path.replace(&text(&domain, "id"), "nonsense")).await.status, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_paused_at_its_domain_too() {
    alone(Database::Postgres, async |server, dns| {
        let shop = Shop::new(server, server.email("paused")).await;
        shop.deploy().await;
        shop.proven(dns, json!({"name": "paused.example"})).await;
        let boss =
            Person::new(server, server.email("boss"), |user| user.role = PlatformRole::SuperAdmin).await;
        boss.client.post(&shop.client.t("/suspend"), json!({"reason": "test"})).await.expect(200);
        for host in ["paused.example", &shop.host] {
            let paused = visit(server, host, "/").await;
            assert!(
                paused.status == 503 && paused.text.contains("This site is paused"),
                "{host}: {paused:?}"
            );
        }
        assert_eq!(server.client().get("/api/tls/ask?domain=paused.example").await.status, 200);
        boss.client.post_empty(&shop.client.t("/reinstate")).await.expect(200);
        assert!(is_page(&visit(server, "paused.example", "/").await));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_knows_at_once() {
    let dns = TestDns::start().await;
    let server = start(Database::Postgres, &dns).await;
    let other = server.another_instance().await;
    unlimited(&server).await;
    let shop = Shop::new(&server, server.email("instances")).await;
    shop.deploy().await;
    assert!(!is_page(&visit(&other, "here.example", "/").await));
    let id = shop.proven(&dns, json!({"name": "here.example"})).await;
    let soon = Duration::from_secs(1);
    let served = async |wanted: bool| {
        let seen = async || (is_page(&visit(&other, "here.example", "/").await) == wanted).then_some(());
        eventually(soon, seen).await.unwrap_or_else(|| panic!("served there: {}", !wanted));
    };
    served(true).await;
    shop.client.delete(&shop.domain(&id)).await.expect(204);
    served(false).await;
    other.stop().await;
    server.stop().await;
}
