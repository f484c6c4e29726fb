//! How much text a tenant can store: what one page takes, and what counts against the plan.

use portico_billing::plan::{UNVERIFIED_STORAGE, catalogue};
use portico_kernel::Meter;
use portico_sites::page_version::MAX_PAGE_BYTES;
use portico_testkit::server::{Answer, Client, TestServer, at_once};
use serde_json::{Value, json};

use crate::fixture::text;

/// Bytes that count against the storage of the plan.
async fn used(client: &Client) -> u64 {
    let usage = client.get("/api/v1/billing/usage").await.expect(200);
    let items = usage["items"].as_array().unwrap();
    items.iter().find(|item| item["meter"] == "storage").unwrap()["used"].as_u64().unwrap()
}

/// A section of so many letters, in rich text of at most 50,000.
fn section(letters: usize) -> Value {
    json!({"type": "text", "content": {"html": format!("<p>{}</p>", "x".repeat(letters))}})
}

async fn site(client: &Client) -> String {
    text(&client.post("/api/v1/sites", json!({"name": "Texts"})).await.expect(201), "id")
}

async fn page(client: &Client, title: &str) -> Answer {
    client.post(&client.t("/pages"), json!({"title": title})).await
}

/// Gives the free plan so many bytes.
async fn plan_of(server: &TestServer, bytes: u64) {
    let mut plan = catalogue().remove(0);
    plan.limits.insert(Meter::Storage, bytes);
    let mut work = server.app.core.begin().await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    work.commit().await.unwrap();
    // That a tenant had plenty of room is believed for this long.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_so_many_bytes_and_no_more() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("page")).await;
        site(&client).await;
        let path = client.t(&format!("/pages/{}", text(&page(&client, "Long").await.expect(201), "id")));
        let sections = format!("{path}/sections");
        let mut made = 0;
        let refused = loop {
            let answer = client.post(&sections, section(45_000)).await;
            if answer.status != 201 {
                break answer;
            }
            made += 1;
        };
        assert_eq!((refused.status.as_u16(), refused.fields()), (422, vec!["sections".to_owned()]));
        assert_eq!(refused.json["errors"][0]["code"], "page_too_large");
        let most = usize::try_from(MAX_PAGE_BYTES).unwrap();
        assert!(made * 45_000 < most && (made + 1) * 46_000 > most, "{made} sections");
        let kept = client.get(&sections).await.expect(200);
        assert_eq!(kept["items"].as_array().unwrap().len(), made);
        // All at once, by a form that changes several, by copying: no way around it.
        let many: Vec<Value> = (0..20).map(|_| section(45_000)).collect();
        let bulk = client.post(&format!("{sections}/bulk"), json!({"create": many})).await;
        assert_eq!(bulk.json["errors"][0]["code"], "page_too_large", "{bulk:?}");
        // What makes it smaller is possible, and there is room again.
        let first = text(&kept["items"][0], "id");
        client.delete(&format!("{sections}/{first}")).await.expect(204);
        client.post(&sections, section(40_000)).await.expect(201);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_verified_address_little_is_stored() {
    TestServer::shared(async |server| {
        let client = server.unverified(server.email("flood")).await;
        site(&client).await;
        // Pages as large as they get, each with one request and its version.
        let many: Vec<Value> = (0..10).map(|_| section(49_000)).collect();
        let mut refused = None;
        for number in 0..200 {
            let made = page(&client, &format!("Page {number}")).await;
            let id = if made.status == 201 { text(&made.json, "id") } else { String::new() };
            let bulk = client.t(&format!("/pages/{id}/sections/bulk"));
            let answer = match id.is_empty() {
                true => made,
                false => client.post(&bulk, json!({"create": many})).await,
            };
            if !answer.status.is_success() {
                refused = Some((number, answer));
                break;
            }
        }
        let (pages, refused) = refused.expect("there is an end");
        assert!(pages < 80, "{pages} pages");
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (402, &json!("quota_exceeded")));
        assert_eq!(
            (&refused.json["meter"], &refused.json["limit"]),
            (&json!("storage"), &json!(UNVERIFIED_STORAGE))
        );
        let stored = used(&client).await;
        assert!(stored <= UNVERIFIED_STORAGE && stored > UNVERIFIED_STORAGE / 2, "{stored}");
        // The same for answers in the wizard, and nothing was kept of what was refused.
        let text_of =
            |letters: usize| json!({"businessInfo": {"name": "Shop", "description": "x".repeat(letters)}});
        let _ = client.post("/api/v1/wizard/start", text_of(2000)).await;
        assert!(used(&client).await <= UNVERIFIED_STORAGE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_count_against_the_plan_and_are_given_back() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("plan")).await;
        let site = site(&client).await;
        let nothing = used(&client).await;
        assert_eq!(nothing, 0);
        let first = text(&page(&client, "First").await.expect(201), "id");
        let small = used(&client).await;
        assert!(small > 100, "{small}");
        let path = client.t(&format!("/pages/{first}"));
        client.post(&format!("{path}/sections"), section(10_000)).await.expect(201);
        let large = used(&client).await;
        assert!(large - small > 10_000, "a version with the section");

        plan_of(server, large + 5_000).await;
        let refused = client.post(&format!("{path}/sections"), section(1)).await;
        assert_eq!((refused.status.as_u16(), &refused.json["meter"]), (402, &json!("storage")));
        assert_eq!(refused.json["limit"], large + 5_000);
        assert!(refused.json["used"].as_u64().unwrap() > large);
        assert_eq!(refused.json["plan"], "starter");
        assert_eq!(used(&client).await, large, "nothing of it was stored");
        let sections = client.get(&format!("{path}/sections")).await.expect(200);
        assert_eq!(sections["items"].as_array().unwrap().len(), 1);

        // With a key that makes it safe to send again, too.
        let keyed = client.with("idempotency-key", "once");
        let again = keyed.post(&format!("{path}/sections"), section(1)).await;
        assert_eq!(again.status, 402, "{again:?}");
        // With the page go its versions; the log keeps what was done.
        client.delete(&path).await.expect(204);
        let log = used(&client).await;
        assert!(log > 10_000 && log < large - 10_000, "{log} of {large}");
        page(&client, "Second").await.expect(201);
        assert_eq!(used(&client).await, log + small + 2, "a longer title and slug");
        client.delete(&format!("/api/v1/sites/{site}")).await.expect(204);
        assert_eq!(used(&client).await, log);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_do_not_get_past_the_plan_together() {
    TestServer::on_each_database(async |server| {
        let client = server.customer(server.email("together")).await;
        site(&client).await;
        let first = page(&client, "Page 00").await.expect(201);
        let one = used(&client).await;
        // Room for ten more of its kind.
        plan_of(server, one * 11).await;
        let answers = at_once(40, |number| {
            let client = client.clone();
            async move { page(&client, &format!("Page {}", number + 10)).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        for answer in &answers {
            assert!(matches!(answer.status.as_u16(), 201 | 402), "{answer:?}");
        }
        let stored = used(&client).await;
        assert!(stored <= one * 11, "{stored} of {}", one * 11);
        assert_eq!(made, 10, "{first}");
    })
    .await;
}
