//! Limits and revocations over several instances: with Redis, without, and with a Redis that dies in between.

use std::time::{Duration, Instant};

use portico_testkit::{
    database::tamper,
    redis::{TestRedis, free_port},
    server::{Answer, Client, Database, PASSWORD, TestServer, eventually},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::text;

/// How long an answer may take that found Redis gone.
const PATIENCE: Duration = Duration::from_millis(1500);

fn number(answer: &Answer, header: &str) -> u32 {
    answer.header(header).parse().unwrap_or_else(|_| panic!("{header}: {answer:?}"))
}

/// The same person at another instance.
fn at(server: &TestServer, client: &Client) -> Client {
    let mut other = server.client();
    other.headers.clone_from(&client.headers);
    other.tenant.clone_from(&client.tenant);
    other
}

/// Two instances that count for both: what is left at one is one less at the other.
async fn count_together(one: &Client, two: &Client) -> bool {
    let first = one.get("/api/v1/sites").await;
    let second = two.get("/api/v1/sites").await;
    let third = one.get("/api/v1/sites").await;
    let left = [first, second, third].map(|answer| number(&answer, "x-ratelimit-remaining"));
    left[0] == left[1] + 1 && left[1] == left[2] + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_limits_and_never_open_them_without_redis() {
    let port = free_port();
    let redis = TestRedis::start_at(port).await;
    let url = redis.url();
    let one = TestServer::start_with(Database::Sqlite, |settings| {
        settings.redis.url = Some(url.into());
        // However busy the machine is: a Redis that is gone refuses at once.
        settings.redis.timeout = Duration::from_secs(5);
        settings.rate_limit.enabled = true;
        // One comes back in a minute and a half, so none does meanwhile.
        settings.rate_limit.per_key = 40;
        settings.rate_limit.sensitive = 1000;
        settings.rate_limit.per_user = 1000;
        settings.rate_limit.per_address = 1000;
    })
    .await;
    let two = one.another_instance().await;
    let owner = one.customer("shared@example.com").await;
    let key = async |limit: u32| {
        let body = json!({"name": "Key", "permissions": ["sites:read"], "rateLimitPerMinute": limit});
        let made = owner.post(&owner.t("/api-keys"), body).await.expect(201);
        let client = one.client().with("x-api-key", &text(&made, "key"));
        (at(&two, &client), client)
    };
    let (there, here) = key(40).await;
    assert!(count_together(&here, &there).await);

    // Both together let through what the key may; one comes back in a second and a half.
    let (there, here) = key(40).await;
    let started = Instant::now();
    let mut allowed = 0;
    for round in 0..70 {
        let answer = if round % 2 == 0 { &here } else { &there }.get("/api/v1/sites").await;
        assert!([200, 429].contains(&answer.status.as_u16()), "{answer:?}");
        allowed += u32::from(answer.status.as_u16() == 200);
    }
    let back = started.elapsed().as_millis() as u32 / 1500 + 1;
    assert!((40..=40 + back).contains(&allowed), "{allowed} in {:?}", started.elapsed());

    // Redis dies: each counts for itself from what it let through, and does not wait for Redis.
    let (there, here) = key(30).await;
    for client in [&here, &there] {
        for _ in 0..10 {
            assert_eq!(client.get("/api/v1/sites").await.status.as_u16(), 200);
        }
    }
    drop(redis);
    let started = Instant::now();
    for client in [&here, &there] {
        let mut allowed = 0;
        for _ in 0..40 {
            let asked = Instant::now();
            let answer = client.get("/api/v1/sites").await;
            assert!([200, 429].contains(&answer.status.as_u16()), "{answer:?}");
            assert_eq!(number(&answer, "x-ratelimit-limit"), 30);
            assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
            allowed += u32::from(answer.status.as_u16() == 200);
        }
        let back = started.elapsed().as_millis() as u32 / 2000 + 6;
        assert!((20..=20 + back).contains(&allowed), "{allowed} in {:?}", started.elapsed());
    }

    let health = one.client().get("/api/health").await.expect(200);
    assert_eq!((&health["status"], &health["redis"]), (&json!("degraded"), &json!("unavailable")));

    // It comes back, and so does counting together, by itself.
    let _redis = TestRedis::start_at(port).await;
    let (there, here) = key(6000).await;
    let together = async || count_together(&here, &there).await.then_some(());
    eventually(Duration::from_secs(15), together).await.expect("instances count together again");
    let metrics = one.client().get("/api/metrics").await.text;
    assert!(metrics.contains("portico_redis_up 1"), "{metrics}");
    assert_eq!(one.client().get("/api/health").await.expect(200)["redis"], "ok");
    assert!(metrics.contains("portico_rate_limit_fallbacks_total"), "{metrics}");
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_has_limits_of_its_own_for_its_members_and_keys() {
    for database in [Database::Sqlite, Database::Postgres] {
        let server = TestServer::start_with(database, |settings| {
            settings.rate_limit.enabled = true;
            settings.rate_limit.per_user = 30;
            settings.rate_limit.per_key = 20;
            settings.rate_limit.sensitive = 1000;
            settings.rate_limit.per_address = 1000;
            let plan = serde_json::from_value(json!({"per_user": 70, "per_key": 60})).unwrap();
            settings.rate_limit.plans.insert("professional".to_owned(), plan);
        })
        .await;
        let (early, stranger) =
            (server.customer("paid@example.com").await, server.customer("free@example.com").await);
        let url = server.app.settings.database_url();
        let tenant: Uuid = early.tenant.parse().unwrap();
        let statement = "update subscriptions set plan_id = 'professional' where tenant_id = $1";
        assert_eq!(tamper(url.expose_secret(), statement, &[tenant]).await, 1);
        // A new session: the change was not announced.
        let login = json!({"email": "paid@example.com", "password": PASSWORD});
        let mut owner = server.client();
        owner.sign(&server.client().post("/api/v1/auth/login", login).await.expect(200));
        owner.tenant.clone_from(&early.tenant);
        let limit = async |client: &Client, path: &str| number(&client.get(path).await, "x-ratelimit-limit");
        assert_eq!(limit(&owner, &owner.t("/members")).await, 70, "the tenant in the path");
        assert_eq!(limit(&owner, "/api/v1/sites").await, 70, "the tenant of the token");

        // A stranger who names a tenant does not get its limit.
        assert_eq!(limit(&stranger, &owner.t("/members")).await, 30);
        assert_eq!(limit(&stranger.with("x-tenant-id", &owner.tenant), "/api/v1/sites").await, 30);
        assert_eq!(limit(&stranger.with("x-tenant-id", "nonsense"), "/api/v1/sites").await, 30);
        // Nor does the owner in another tenant; the count is one for both.
        let second = owner.post("/api/v1/tenants", json!({"name": "Second", "subdomain": "second"})).await;
        let second = second.expect(201);
        let elsewhere = owner.with("x-tenant-id", second["id"].as_str().unwrap());
        assert_eq!(limit(&elsewhere, "/api/v1/sites").await, 30);

        let key = async |more: Value| {
            let mut body = json!({"name": "Key", "permissions": ["sites:read"]});
            body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            let made = owner.post(&owner.t("/api-keys"), body).await.expect(201);
            server.client().with("x-api-key", &text(&made, "key"))
        };
        assert_eq!(limit(&key(json!({})).await, "/api/v1/sites").await, 60);
        assert_eq!(limit(&key(json!({"rateLimitPerMinute": 7})).await, "/api/v1/sites").await, 7);

        // A user who names tenants at random is limited like any other.
        let mut statuses = Vec::new();
        for _ in 0..40 {
            let somewhere = stranger.with("x-tenant-id", &server.app.core.env.random_uuid().to_string());
            statuses.push(somewhere.get("/api/v1/sites").await.status.as_u16());
        }
        assert!(statuses.iter().all(|status| [404, 429].contains(status)), "{statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 404).count() <= 35, "{statuses:?}");
        server.stop().await;
    }
}

/// How long a session is good at one instance after it was ended at the other.
async fn revocation(one: &TestServer, two: &TestServer, email: &str) -> Duration {
    let login = json!({"email": email, "password": PASSWORD});
    let mut client = one.client();
    client.sign(&client.post("/api/v1/auth/login", login).await.expect(200));
    let elsewhere = at(two, &client);
    for _ in 0..3 {
        elsewhere.get("/api/v1/profile").await.expect(200);
    }
    let current = client.get("/api/v1/auth/sessions").await.expect(200);
    let current = current["items"].as_array().or(current.as_array()).unwrap().clone();
    let id = current.iter().find(|session| session["current"] == true).unwrap()["id"].clone();
    client.delete(&format!("/api/v1/auth/sessions/{}", id.as_str().unwrap())).await.expect(204);
    let ended = Instant::now();
    let gone = async || (elsewhere.get("/api/v1/profile").await.status.as_u16() == 401).then_some(());
    eventually(Duration::from_secs(5), gone).await.expect("the session ends there, too");
    ended.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_heard_with_redis_without_and_when_it_dies() {
    let port = free_port();
    let mut redis = Some(TestRedis::start_at(port).await);
    let url = redis.as_ref().unwrap().url();
    let one =
        TestServer::start_with(Database::Postgres, |settings| settings.redis.url = Some(url.into())).await;
    let two = one.another_instance().await;
    one.customer("ends@example.com").await;
    for phase in ["with Redis", "while it is dead", "while it comes back"] {
        let mut slowest = Duration::ZERO;
        for _ in 0..3 {
            slowest = slowest.max(revocation(&one, &two, "ends@example.com").await);
        }
        eprintln!("revocation at the other instance, {phase}: {slowest:?}");
        assert!(slowest < Duration::from_secs(1), "{phase}: {slowest:?}");
        redis = match redis {
            Some(_) => None,
            None => Some(TestRedis::start_at(port).await),
        };
    }
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_alone_tells_another_process_what_was_committed() {
    let redis = TestRedis::start().await;
    let start = async || {
        let url = redis.url();
        TestServer::start_with(Database::Sqlite, |settings| settings.redis.url = Some(url.into())).await
    };
    // Not the same database: what one receives of the other comes through Redis.
    let (one, two) = (start().await, start().await);
    let client = one.customer("hint@example.com").await;
    let tenant = client.tenant.parse().unwrap();
    let received = async |name: &str| {
        let before =
            (two.app.core.signals.tenant_epoch(tenant), two.app.core.signals.content_epoch(tenant).1);
        client.put(&client.t(""), json!({ "name": name })).await.expect(200);
        let moved = async || {
            let now =
                (two.app.core.signals.tenant_epoch(tenant), two.app.core.signals.content_epoch(tenant).1);
            (now.0 > before.0 && now.1 > before.1).then_some(())
        };
        eventually(Duration::from_millis(900), moved).await
    };
    // The subscription may not be established yet.
    assert!(received("First").await.is_some() || received("Second").await.is_some());
    let started = Instant::now();
    assert!(received("Third").await.is_some());
    eprintln!("a hint took {:?}, with the request that caused it", started.elapsed());
    drop(redis);
    client.put(&client.t(""), json!({"name": "Nobody hears"})).await.expect(200);
    two.stop().await;
    one.stop().await;
}
