//! API keys over HTTP: making, using, rotating and revoking them, their limits, and what is known of their use.

use std::time::Duration;

use portico_identity::api_key::KeyText;
use portico_kernel::{Env, Event, Permission, Permissions, RequestInfo, Scope, Timestamp};
use portico_tenancy::tenant::TenantStatus;
use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::fixture::text;

pub const READS: &[&str] = &["pages:read", "sites:read", "tenant:read"];

/// Makes a key with some permissions and what `more` says.
pub async fn make(owner: &Client, permissions: &[&str], more: Value) -> Value {
    let mut body = json!({"name": "Shop import", "permissions": permissions});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    owner.post(&owner.t("/api-keys"), body).await.expect(201)
}

/// A client that shows a key and nothing else.
pub fn with_key(server: &TestServer, owner: &Client, key: &str) -> Client {
    let mut client = server.client().with("x-api-key", key);
    client.tenant = owner.tenant.clone();
    client
}

/// An owner, a key with [`READS`], and a client that shows it.
pub async fn keyed(server: &TestServer) -> (Client, Value, Client) {
    let owner = server.customer(server.email("owner")).await;
    let key = make(&owner, READS, json!({})).await;
    let client = with_key(server, &owner, &text(&key, "key"));
    (owner, key, client)
}

pub fn key_path(owner: &Client, key: &Value, rest: &str) -> String {
    owner.t(&format!("/api-keys/{}{rest}", text(key, "id")))
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.json["code"].as_str()),
        (status, Some(code)),
        "{}",
        answer.text
    );
}

/// Asks until the answer has a status, for as long as the API promises.
pub async fn within_a_second(status: u16, mut ask: impl AsyncFnMut() -> Answer) {
    let found =
        eventually(Duration::from_secs(1), async || (ask().await.status.as_u16() == status).then_some(()));
    assert!(found.await.is_some(), "no {status} within a second");
}

/// The usage of a key once it satisfies `until`.
pub async fn usage(owner: &Client, key: &Value, until: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = eventually(Duration::from_secs(10), async || {
        last = owner.get(&key_path(owner, key, "/usage")).await.expect(200);
        until(&last).then(|| last.clone())
    });
    match found.await {
        Some(report) => report,
        None => panic!("{last}"),
    }
}

pub async fn trail(owner: &Client, kind: &str) -> Vec<Value> {
    let page = owner.get(&owner.t(&format!("/audit?type={kind}&limit=100"))).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_lets_in_by_either_header() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let answer = owner
            .post(
                &owner.t("/api-keys"),
                json!({"name": " Shop import ", "permissions": READS, "mode": "test", "rateLimitPerMinute": 50,
                       "allowedAddresses": ["127.0.0.1/32"], "expiresAt": "2999-01-01T00:00:00Z"}),
            )
            .await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("etag"), "\"v1\"");
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        let full = text(&made, "key");
        assert!(full.starts_with("sn_test_") && full.starts_with(&text(&made, "prefix")), "{full}");
        assert_eq!(location, key_path(&owner, &made, ""));

        let read = owner.get(&location).await.expect(200);
        let mut expected = made.clone();
        expected.as_object_mut().unwrap().remove("key");
        assert_eq!(read, expected);
        assert_eq!(read["permissions"], json!(["tenant:read", "sites:read", "pages:read"]));
        assert_eq!(
            json!([read["name"], read["mode"], read["active"], read["allowedAddresses"], read["rateLimitPerMinute"]]),
            json!(["Shop import", "test", true, ["127.0.0.1"], 50])
        );
        let list = owner.get(&owner.t("/api-keys")).await.expect(200);
        assert_eq!((&list["items"], &list["total"]), (&json!([expected]), &json!(1)));

        let bearer = server.client().with("authorization", &format!("Bearer {full}"));
        let header = server.client().with("x-api-key", &full);
        let both = bearer.with("x-api-key", &full);
        for client in [&bearer, &header, &both] {
            client.get(&owner.t("/pages")).await.expect(409);
            // Without a tenant in the path or a header it acts in its own.
            assert_eq!(client.get("/api/v1/sites").await.expect(200)["total"], 0);
        }
        refused(&header.get("/api/v1/profile").await, 403, "person_required");
        refused(&header.post("/api/v1/sites", json!({"name": "Mine"})).await, 403, "forbidden");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_of_field_by_field() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let path = owner.t("/api-keys");
        let body = json!({
            "name": "", "permissions": ["pages:read", "pages:fly", "tenant:delete", "members:write", "platform:users"],
            "allowedAddresses": ["10.0.0.0/33"], "rateLimitPerMinute": 6001, "expiresAt": "2020-01-01T00:00:00Z",
        });
        let answer = owner.post(&path, body).await;
        let expected = [
            "allowedAddresses[0]", "expiresAt", "name", "permissions[1]", "permissions[2]", "permissions[3]",
            "permissions[4]", "rateLimitPerMinute",
        ];
        assert_eq!(answer.fields(), expected, "{}", answer.text);
        let answer = owner.post(&path, json!({"name": "x", "permissions": [], "mode": "life", "colour": 1})).await;
        assert_eq!(answer.fields(), ["colour", "mode"]);
        assert_eq!(owner.post(&path, json!({"name": "x"})).await.fields(), ["permissions"]);
        let key = make(&owner, READS, json!({})).await;
        let answer = owner.put(&key_path(&owner, &key, ""), json!({"permissions": ["api_keys:write"], "name": " "})).await;
        assert_eq!(answer.fields(), ["name", "permissions[0]"]);
        let answer = owner.post(&key_path(&owner, &key, "/rotate"), json!({"overlapSeconds": 604_801})).await;
        assert_eq!(answer.fields(), ["overlapSeconds"]);
        for (query, field) in [
            ("?from=2026-01-02&to=2026-01-01", "to"),
            ("?from=2026-01-01&to=2026-04-01", "to"),
            ("?from=yesterday", "from"),
            ("?day=1", "day"),
        ] {
            let answer = owner.get(&key_path(&owner, &key, &format!("/usage{query}"))).await;
            assert_eq!(answer.fields(), [field], "{query}: {}", answer.text);
        }
        assert_eq!(owner.get(&path).await.expect(200)["total"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_key_is_401() {
    TestServer::shared(async |server| {
        let (owner, key, client) = keyed(server).await;
        let full = text(&key, "key");
        let path = owner.t("");
        client.get(&path).await.expect(200);
        let mut mistyped = full.clone();
        let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
        mistyped.push(last);
        // Well formed, and never made; the prefix of a real key with another secret.
        let invented =
            KeyText::new(Default::default(), &server.app.core.env).full().expose_secret().to_owned();
        let guessed =
            KeyText::renewed(text(&key, "prefix"), &server.app.core.env).full().expose_secret().to_owned();
        for bad in [mistyped.as_str(), &invented, &guessed, "sn_live_", "", "x", &full[..full.len() - 1]] {
            let answer = server.client().with("x-api-key", bad).get(&path).await;
            refused(&answer, 401, "unauthenticated");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            let bearer = server.client().with("authorization", &format!("Bearer {bad}"));
            refused(&bearer.get(&path).await, 401, "unauthenticated");
        }
        // Two credentials in one request, each of which is good.
        let other = text(&make(&owner, READS, json!({})).await, "key");
        for authorization in
            [format!("Bearer {other}"), owner.headers["authorization"].clone(), "Basic eA==".into()]
        {
            refused(&client.with("authorization", &authorization).get(&path).await, 401, "unauthenticated");
        }
        // On public routes credentials are ignored.
        server.client().with("x-api-key", &invented).get("/api/v1/billing/plans").await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_acts_in_its_own_tenant_only() {
    TestServer::shared(async |server| {
        let (owner, _, client) = keyed(server).await;
        let other = server.customer(server.email("other")).await;
        client.get(&owner.t("")).await.expect(200);
        client.with("x-tenant-id", &owner.tenant).get("/api/v1/sites").await.expect(200);
        refused(&client.get(&other.t("")).await, 404, "not_found");
        refused(&client.with("x-tenant-id", &other.tenant).get("/api/v1/sites").await, 404, "not_found");
        refused(&client.with("x-tenant-id", "nonsense").get("/api/v1/sites").await, 404, "not_found");
        let key = make(&other, READS, json!({})).await;
        refused(&owner.get(&owner.t(&format!("/api-keys/{}", text(&key, "id")))).await, 404, "not_found");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_and_switching_off_act_at_once() {
    TestServer::shared(async |server| {
        let (owner, key, client) = keyed(server).await;
        let path = owner.t("");
        client.get(&path).await.expect(200);
        owner.put(&key_path(&owner, &key, ""), json!({"active": false})).await.expect(200);
        refused(&client.get(&path).await, 401, "unauthenticated");
        owner.put(&key_path(&owner, &key, ""), json!({"active": true})).await.expect(200);
        client.get(&path).await.expect(200);
        owner.put(&key_path(&owner, &key, ""), json!({"permissions": ["pages:read"]})).await.expect(200);
        refused(&client.get(&path).await, 403, "forbidden");
        let stale = owner.with("if-match", "\"v1\"").delete(&key_path(&owner, &key, "")).await;
        refused(&stale, 412, "precondition_failed");
        owner.with("if-match", "\"v4\"").delete(&key_path(&owner, &key, "")).await.expect(204);
        refused(&client.get(&path).await, 401, "unauthenticated");
        for answer in [
            owner.get(&key_path(&owner, &key, "")).await,
            owner.put(&key_path(&owner, &key, ""), json!({"active": true})).await,
            owner.post_empty(&key_path(&owner, &key, "/rotate")).await,
            owner.get(&key_path(&owner, &key, "/usage")).await,
            owner.delete(&key_path(&owner, &key, "")).await,
        ] {
            refused(&answer, 404, "not_found");
        }
    })
    .await;
}

/// The event is what notifies other processes; here it is appended without the use case, as another process would.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_has_no_keys_within_a_second() {
    TestServer::shared(async |server| {
        let (owner, _, client) = keyed(server).await;
        client.get("/api/v1/sites").await.expect(200);
        let id = owner.tenant.parse().unwrap();
        let set = async |status, kind| {
            let mut work = server.app.core.begin().await.unwrap();
            let mut tenant = work.tenants().find(id).await.unwrap().unwrap();
            tenant.status = status;
            work.tenants().update(&tenant).await.unwrap();
            let scope = Scope::system(Some(id), RequestInfo::default());
            work.events()
                .append(Event::new(
                    &server.app.core.env,
                    &scope,
                    portico_runtime::events::catalogue().find(kind).unwrap(),
                    id.uuid(),
                ))
                .await
                .unwrap();
            work.commit().await.unwrap();
        };
        set(TenantStatus::Suspended, "tenant.suspended").await;
        within_a_second(401, async || client.get("/api/v1/sites").await).await;
        set(TenantStatus::Active, "tenant.reinstated").await;
        within_a_second(200, async || client.get("/api/v1/sites").await).await;
        owner.delete(&owner.t("")).await;
        set(TenantStatus::Deleted, "tenant.deleted").await;
        within_a_second(401, async || client.get("/api/v1/sites").await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_both_secrets_are_good_until_the_overlap_ends() {
    TestServer::shared(async |server| {
        let (owner, key, old) = keyed(server).await;
        let path = owner.t("");
        let answer = owner.post(&key_path(&owner, &key, "/rotate"), json!({"overlapSeconds": 2})).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let rotated = answer.expect(200);
        assert_eq!((&rotated["prefix"], &rotated["id"]), (&key["prefix"], &key["id"]));
        assert_ne!(rotated["key"], key["key"]);
        let new = with_key(server, &owner, &text(&rotated, "key"));
        old.get(&path).await.expect(200);
        new.get(&path).await.expect(200);
        let end = eventually(Duration::from_secs(4), async || {
            (old.get(&path).await.status.as_u16() == 401).then_some(())
        });
        assert!(end.await.is_some(), "the old secret goes on");
        new.get(&path).await.expect(200);

        // At once, and by default after a day.
        let newer =
            owner.post(&key_path(&owner, &key, "/rotate"), json!({"overlapSeconds": 0})).await.expect(200);
        refused(&new.get(&path).await, 401, "unauthenticated");
        let newest = owner.post_empty(&key_path(&owner, &key, "/rotate")).await.expect(200);
        for key in [&newer, &newest] {
            with_key(server, &owner, &text(key, "key")).get(&path).await.expect(200);
        }
        let until: Timestamp = serde_json::from_value(newest["previousSecretExpiresAt"].clone()).unwrap();
        let left = until - server.app.core.env.now();
        assert!(left > time::Duration::hours(23) && left <= time::Duration::DAY, "{left}");
        // A third secret ends the first of the two.
        owner.post_empty(&key_path(&owner, &key, "/rotate")).await.expect(200);
        refused(&with_key(server, &owner, &text(&newer, "key")).get(&path).await, 401, "unauthenticated");
        with_key(server, &owner, &text(&newest, "key")).get(&path).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rotations_at_once_one_is_late() {
    TestServer::on_each_database(async |server| {
        let (owner, key, _) = keyed(server).await;
        let path = key_path(&owner, &key, "/rotate");
        let answers = at_once(6, |_| {
            let (owner, path) = (owner.clone(), path.clone());
            async move { owner.with("if-match", "\"v1\"").post_empty(&path).await }
        })
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
        let won = answers.iter().find(|answer| answer.status.as_u16() == 200).unwrap();
        with_key(server, &owner, &text(&won.json, "key")).get(&owner.t("")).await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_expires_by_itself() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let end = server.app.core.env.now() + time::Duration::seconds(2);
        let key = make(&owner, READS, json!({ "expiresAt": end })).await;
        let client = with_key(server, &owner, &text(&key, "key"));
        client.get("/api/v1/sites").await.expect(200);
        let gone = eventually(Duration::from_secs(4), async || {
            (client.get("/api/v1/sites").await.status.as_u16() == 401).then_some(())
        });
        assert!(gone.await.is_some());
        assert!(server.app.core.env.now() >= end);
        owner.put(&key_path(&owner, &key, ""), json!({ "expiresAt": null })).await.expect(200);
        client.get("/api/v1/sites").await.expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_from_its_addresses_only() {
    let database = Database::Postgres;
    let server = TestServer::start_with(database, |settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let owner = server.customer(server.email("owner")).await;
    let allowed = json!({"allowedAddresses": ["203.0.113.0/24", "2001:db8:1::/48", "::ffff:198.51.100.7"]});
    let key = make(&owner, READS, allowed).await;
    assert_eq!(key["allowedAddresses"], json!(["203.0.113.0/24", "2001:db8:1::/48", "198.51.100.7"]));
    let client = with_key(&server, &owner, &text(&key, "key"));
    for (address, good) in [
        ("203.0.113.9", true),
        ("::ffff:203.0.113.9", true),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
        ("2001:db8:1:2::3", true),
        ("2001:db8:2::3", false),
        ("127.0.0.1", false),
    ] {
        let answer = client.with("x-forwarded-for", address).get("/api/v1/sites").await;
        if good {
            assert_eq!(answer.status.as_u16(), 200, "{address}: {}", answer.text);
        } else {
            refused(&answer, 403, "address_not_allowed");
        }
    }
    let report = usage(&owner, &key, |report| report["total"] == 7).await;
    let addresses: Vec<_> =
        report["addresses"].as_array().unwrap().iter().map(|a| text(a, "address")).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    assert!(addresses.contains(&"2001:db8:1:2::/64".to_owned()), "{addresses:?}");
    // The two that came after the first one, whichever was first.
    let events = trail(&owner, "api_key.new_address").await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["after"]["name"], "Shop import");
    owner.put(&key_path(&owner, &key, ""), json!({"allowedAddresses": []})).await.expect(200);
    client.with("x-forwarded-for", "2001:db8:2::3").get("/api/v1/sites").await.expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_has_a_limit_of_its_own() {
    let database = Database::Postgres;
    let server = TestServer::start_with(database, |settings| {
        settings.rate_limit.enabled = true;
        settings.rate_limit.per_key = 7;
        settings.rate_limit.per_address = 30;
    })
    .await;
    let owner = server.customer(server.email("owner")).await;
    let plain = with_key(&server, &owner, &text(&make(&owner, READS, json!({})).await, "key"));
    let own = make(&owner, READS, json!({"rateLimitPerMinute": 3})).await;
    let small = with_key(&server, &owner, &text(&own, "key"));
    for (client, limit) in [(&small, 3), (&plain, 7)] {
        for number in 1..=limit {
            let answer = client.get("/api/v1/sites").await;
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
            assert_eq!(answer.header("x-ratelimit-limit"), limit.to_string());
            assert_eq!(answer.header("x-ratelimit-remaining"), (limit - number).to_string());
        }
        let answer = client.get("/api/v1/sites").await;
        refused(&answer, 429, "rate_limited");
        assert_eq!(answer.header("x-ratelimit-remaining"), "0");
        assert_eq!(answer.header("retry-after"), answer.header("x-ratelimit-reset"));
    }
    owner.put(&key_path(&owner, &own, ""), json!({"rateLimitPerMinute": 100})).await.expect(200);
    assert_eq!(small.get("/api/v1/sites").await.header("x-ratelimit-limit"), "100");
    let report = usage(&owner, &own, |report| report["total"] == 5).await;
    assert_eq!(
        report["endpoints"][0]["statuses"],
        json!([{"status": 200, "requests": 4}, {"status": 429, "requests": 1}])
    );

    // Made-up keys are held against the address, each of them before it is looked for.
    let answers: Vec<_> = futures(&server, 40, |env| KeyText::new(Default::default(), env)).await;
    assert!(
        answers.contains(&429) && answers.iter().all(|status| [401, 429].contains(status)),
        "{answers:?}"
    );
    let good = small.get("/api/v1/sites").await;
    assert_eq!(good.status.as_u16(), 200, "a key that is in use does not suffer: {}", good.text);
    server.stop().await;
}

/// The statuses of requests with keys of `make`, one after the other.
pub async fn futures(server: &TestServer, count: usize, make: impl Fn(&Env) -> KeyText) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let key = make(&server.app.core.env).full().expose_secret().to_owned();
        statuses.push(server.client().with("x-api-key", &key).get("/api/v1/sites").await.status.as_u16());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_on_one_instance_is_refused_by_the_other_within_a_second() {
    TestServer::on_each_database(async |server| {
        let (owner, key, _) = keyed(server).await;
        let elsewhere = server.another_instance().await;
        let client = with_key(&elsewhere, &owner, &text(&key, "key"));
        let path = owner.t("");
        client.get(&path).await.expect(200);
        owner.delete(&key_path(&owner, &key, "")).await.expect(204);
        within_a_second(401, async || client.get(&path).await).await;
        elsewhere.stop().await;
    })
    .await;
}

/// A change in the database without an event, as no process makes one: it shows that requests do not ask the database, and for how long.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_looked_up_once_in_a_few_seconds() {
    TestServer::shared(async |server| {
        let (owner, key, client) = keyed(server).await;
        let (tenant, id) = (owner.tenant.parse().unwrap(), text(&key, "id").parse().unwrap());
        let set = async |permissions| {
            let mut work = server.app.core.begin().await.unwrap();
            let mut key = work.api_keys().find(tenant, id).await.unwrap().unwrap();
            key.permissions = permissions;
            work.api_keys().update(&key).await.unwrap();
            work.commit().await.unwrap();
        };
        let status = async || client.get("/api/v1/sites").await.status.as_u16();
        let mut cached = false;
        // Again when the key was looked up anew at that very moment.
        for _ in 0..5 {
            set(Permissions::from_list(&[Permission::SitesRead])).await;
            let granted = eventually(Duration::from_secs(8), async || (status().await == 200).then_some(()));
            assert!(granted.await.is_some(), "found out too late");
            set(Permissions::NONE).await;
            cached = status().await == 200;
            let withdrawn =
                eventually(Duration::from_secs(8), async || (status().await == 403).then_some(()));
            assert!(withdrawn.await.is_some(), "found out too late");
            if cached {
                break;
            }
        }
        assert!(cached, "every request asks the database");
    })
    .await;
}
