//! The audit trail as evidence: its export, its chain, and what expires.

use std::time::Duration;

use portico::background;
use portico_kernel::{Event, PlatformRole, RequestInfo, Scope, TenantId};
use portico_runtime::worker::retention;
use portico_testkit::{
    database::tamper,
    server::{Client, TestServer, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::tenancy::operator;

/// Appends entries with a text after them, past the API.
async fn append(server: &TestServer, tenant: TenantId, count: usize, text: &str, age: time::Duration) {
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let mut work = server.app.core.begin().await.unwrap();
    for number in 0..count {
        let mut event = Event::new(
            &server.app.core.env,
            &scope,
            &portico_sites::events::PAGE_CREATED,
            server.app.core.env.random_uuid(),
        )
        .after(&json!({"number": number, "text": text}));
        event.at = event.at - age;
        work.events().append(event).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// Waits until everything is sealed.
async fn verified(client: &Client, path: &str) -> Value {
    eventually(Duration::from_secs(20), async || {
        let found = client.get(path).await.expect(200);
        (found["unsealed"] == 0).then_some(found)
    })
    .await
    .expect("entries are sealed within seconds")
}

fn table(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_exported_as_a_table_without_formulas() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("ada")).await.with("user-agent", "=HYPERLINK(\"http://evil\")");
        let name = "Acme, \"the\" bakery\nand more";
        client.put("/api/v1/profile", json!({"notes": name})).await.expect(200);
        append(server, client.tenant.parse().unwrap(), 1100, "x", time::Duration::ZERO).await;
        let answer = client.get(&client.t("/audit/export?format=csv")).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"audit.csv\"");
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
        let lines = table(&answer.text);
        assert_eq!(
            lines[0].join(","),
            "id,time,type,actorKind,actorId,actorName,impersonatorId,resourceType,resourceId,requestId,address,userAgent,\
             before,after,method,path"
        );
        // The same as the list, over the borders of the pieces.
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.get(&client.t(&format!("/audit?limit=100{cursor}"))).await.expect(200);
            listed.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert!(listed.len() > 1100);
        let ids: Vec<&str> = listed.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        assert_eq!(lines[1..].iter().map(|line| line[0].as_str()).collect::<Vec<_>>(), ids);
        let updated = listed.iter().position(|entry| entry["type"] == "user.updated").unwrap();
        let (line, entry) = (&lines[updated + 1], &listed[updated]);
        for (at, field) in [(1, "/createdAt"), (3, "/actor/kind"), (4, "/actor/id"), (5, "/actor/name"), (7, "/resource/type")]
        {
            assert_eq!(line[at], entry.pointer(field).unwrap().as_str().unwrap());
        }
        assert_eq!(line[11], "'=HYPERLINK(\"http://evil\")");
        let after: Value = serde_json::from_str(&line[13]).unwrap();
        assert_eq!((&after, &after["notes"]), (&entry["after"], &json!(name)));

        let filtered = client.get(&client.t("/audit/export?type=user.updated&actorKind=user")).await;
        assert_eq!(table(&filtered.text).len(), 2);
        let none = client.get(&client.t("/audit/export?type=page.vanished")).await;
        assert_eq!(table(&none.text), lines[..1]);
        for (query, field) in
            [("format=xml", "format"), ("limit=5", "limit"), ("actorKind=robot", "actorKind"), ("from=x", "from")]
        {
            let answer = client.get(&client.t(&format!("/audit/export?{query}"))).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (422, vec![field.to_owned()]), "{query}");
        }
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let all = root.get("/api/v1/audit/export").await;
        assert_eq!(all.header("content-disposition"), "attachment; filename=\"platform-audit.csv\"");
        assert!(table(&all.text).len() > lines.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_with_the_session_and_does_not_pass_for_whole() {
    TestServer::shared(async |server| {
        let client = server.customer(server.email("ada")).await;
        // More than fits into the buffers towards a client that does not read.
        append(server, client.tenant.parse().unwrap(), 3000, &"x".repeat(10_000), time::Duration::ZERO).await;
        let request = reqwest::Client::new()
            .get(format!("{}{}", server.url, client.t("/audit/export")))
            .header("authorization", &client.headers["authorization"]);
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let mut read = answer.chunk().await.unwrap().expect("a beginning").len();
        client.post_empty("/api/v1/auth/logout").await.expect(204);
        let ended = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert!(ended.is_err() && read < 30_000_000, "{read} bytes, {ended:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_verified_and_shows_what_was_done_behind_it() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("ada")).await;
        client.put(&client.t(""), json!({"name": "Renamed"})).await.expect(200);
        let path = client.t("/audit/verify");
        let found = verified(&client, &path).await;
        assert_eq!(found["intact"], true, "{found}");
        let entries = client.get(&client.t("/audit?limit=100")).await.expect(200);
        let entries = entries["items"].as_array().unwrap();
        assert_eq!((&found["entries"], &found["redacted"]), (&json!(entries.len()), &json!(0)));
        assert_eq!(found["head"]["number"], found["entries"]);
        assert_eq!(found["head"]["hash"].as_str().unwrap().len(), 64);
        assert!(
            found["sealedUntil"].is_string()
                && found["firstProblem"].is_null()
                && found["checkpoint"].is_null()
        );

        let renamed = entries.iter().find(|entry| entry["type"] == "tenant.updated").unwrap();
        let id = renamed["id"].as_str().unwrap();
        let url = server.app.settings.database_url();
        let statement =
            "update events set before = '{\"name\": \"Another\"}' where tenant_id = $1 and id = $2";
        let ids = [client.tenant.parse().unwrap(), id.parse().unwrap()];
        assert_eq!(tamper(url.expose_secret(), statement, &ids).await, 1);
        let found = client.get(&path).await.expect(200);
        assert_eq!(found["intact"], false, "{found}");
        assert_eq!(
            (&found["firstProblem"]["kind"], &found["firstProblem"]["entryId"]),
            (&json!("edited"), &json!(id))
        );

        // Others are not concerned, and what belongs to no tenant has a chain of its own.
        let eve = server.customer(server.email("eve")).await;
        assert_eq!(verified(&eve, &eve.t("/audit/verify")).await["intact"], true);
        let login = json!({"email": server.email("eve"), "password": "Wrong-Horse-7"});
        server.client().post("/api/v1/auth/login", login).await.expect(401);
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let platform = verified(&root, "/api/v1/audit/verify").await;
        assert_eq!(platform["intact"], true, "{platform}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_cannot_go_on_keeps_nobody_from_getting_mail() {
    TestServer::alone(async |server| {
        let client = server.customer(server.email("ada")).await;
        let path = client.t("/audit/verify");
        verified(&client, &path).await;
        let (url, ids) = (server.app.settings.database_url(), [client.tenant.parse().unwrap()]);
        // The next seal gets a number that is there already, so that nothing is sealed any more.
        let shorter = "update audit_chains set length = length - 1 where tenant_id = $1";
        assert_eq!(tamper(url.expose_secret(), shorter, &ids).await, 1);
        client.put(&client.t(""), json!({"name": "Renamed"})).await.expect(200);
        server.customer(server.email("eve")).await;
        let found = client.get(&path).await.expect(200);
        assert!(found["unsealed"].as_u64().unwrap() > 0, "{found}");

        let repaired = "update audit_chains set length = length + 1 where tenant_id = $1";
        assert_eq!(tamper(url.expose_secret(), repaired, &ids).await, 1);
        assert_eq!(verified(&client, &path).await["intact"], true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_age_expires_and_the_chain_stays_whole() {
    TestServer::alone(async |server| {
        append(server, TenantId::PLATFORM, 1200, "old", time::Duration::days(400)).await;
        append(server, TenantId::PLATFORM, 3, "young", time::Duration::days(100)).await;
        let root = operator(server, server.email("root"), PlatformRole::SuperAdmin).await;
        let before = verified(&root, "/api/v1/audit/verify").await;
        assert_eq!((&before["intact"], &before["checkpoint"]), (&json!(true), &Value::Null), "{before}");
        // Another reader may be a moment behind.
        let found = eventually(Duration::from_secs(20), async || {
            retention::round(&server.app.core, &background::wire(&server.app).reader_names()).await.unwrap();
            let found = verified(&root, "/api/v1/audit/verify").await;
            (found["checkpoint"]["number"] == 1200).then_some(found)
        });
        let found = found.await.expect("what is old expires");
        assert_eq!(found["intact"], true, "{found}");
        let left = root.get("/api/v1/audit?type=page.created&limit=100").await.expect(200);
        assert_eq!(left["items"].as_array().unwrap().len(), 3);
        let expired = root.get("/api/v1/audit?type=audit.expired&limit=100").await.expect(200);
        let expired: u64 = expired["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["before"]["entries"].as_u64().unwrap())
            .sum();
        assert_eq!(expired, 1200);
    })
    .await;
}
