//! Live updates: who receives what, where a stream resumes, and when it ends.

use std::time::{Duration, Instant};

use portico_identity::user::UserStatus;
use portico_kernel::{Event, EventId, PlatformRole, RequestInfo, Scope, TenantId, TenantRole};
use portico_testkit::{
    redis::TestRedis,
    server::{Client, Database, TestServer, eventually},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Person, change_user, text},
    listener::{Listener, ask},
    support,
};

/// Appends events to the log of a tenant, past every use case; returns their ids.
pub async fn append(
    server: &TestServer,
    tenant: &str,
    kind: &'static str,
    count: usize,
    after: &Value,
) -> Vec<EventId> {
    let mut work = server.app.core.begin().await.unwrap();
    let tenant: TenantId = tenant.parse().unwrap();
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let event = Event::new(
            &server.app.core.env,
            &scope,
            portico_runtime::events::catalogue().find(kind).unwrap(),
            server.app.core.env.random_uuid(),
        )
        .after(after);
        ids.push(event.id);
        work.events().append(event).await.unwrap();
    }
    work.commit().await.unwrap();
    ids
}

pub async fn one(server: &TestServer, tenant: &str, kind: &'static str) -> String {
    append(server, tenant, kind, 1, &json!({"title": "One"})).await[0].to_string()
}

async fn page(client: &Client, title: &str) -> Value {
    client.post(&client.t("/pages"), json!({"title": title})).await.expect(201)
}

async fn key(owner: &Client, permissions: &[&str]) -> (Value, Client) {
    let body = json!({"name": "Listener", "permissions": permissions});
    let key = owner.post(&owner.t("/api-keys"), body).await.expect(201);
    let mut client = owner.with("x-api-key", &text(&key, "key"));
    client.headers.remove("authorization");
    (key, client)
}

/// A user who is a member of a tenant and acts there.
pub async fn member(server: &TestServer, email: &str, tenant: &str, role: TenantRole) -> (Person, Client) {
    let person = Person::new(server, email, |_| {}).await;
    person.join(server, tenant, role).await;
    let client = person.client.with("x-tenant-id", tenant);
    (person, client)
}

pub async fn status(server: &TestServer, client: &Client, query: &str) -> (u16, Value) {
    let response = ask(server, client, query, None).await;
    let status = response.status().as_u16();
    (status, if status == 200 { Value::Null } else { response.json().await.unwrap() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_while_it_happens() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        owner.post("/api/v1/sites", json!({"name": "Mine"})).await.expect(201);
        let browser = owner.with("accept-encoding", "gzip, br");
        let mut listener = Listener::open(server, &browser, "").await;
        for (name, value) in [
            ("content-type", Some("text/event-stream")),
            ("cache-control", Some("no-store")),
            ("x-accel-buffering", Some("no")),
            ("content-encoding", None),
        ] {
            assert_eq!(listener.headers().get(name).map(|value| value.to_str().unwrap()), value, "{name}");
        }
        let asked = Instant::now();
        let made = page(&owner, "Héllo world").await;
        let message = listener.first("page.created").await;
        let took = asked.elapsed();
        assert_eq!(message.id, text(&message.data, "id"));
        assert_eq!(
            json!([message.data["type"], message.data["tenantId"], message.data["resource"]]),
            json!(["page.created", owner.tenant, {"type": "page", "id": made["id"]}])
        );
        assert_eq!(message.data["data"]["title"], made["title"]);
        let path = owner.t(&format!("/pages/{}", text(&made, "id")));
        owner.put(&path, json!({"title": "Bye"})).await.expect(200);
        let message = listener.expect("page.updated").await;
        assert_eq!(message.data["changes"]["title"], json!({"from": made["title"], "to": "Bye"}));
        // Signing in again is recorded in the audit trail only.
        let before = listener.last_id.clone();
        one(server, &owner.tenant, "session.started").await;
        owner.delete(&path).await.expect(204);
        let message = listener.expect("page.deleted").await;
        assert_eq!(message.data["data"], Value::Null);
        assert_ne!(message.id, before);
        assert!(took < Duration::from_millis(500), "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_what_they_may_not_read() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let tenant = owner.tenant.clone();
        let stranger = server.customer(server.email("stranger")).await;
        let (_, viewer) = member(server, server.email("viewer"), &tenant, TenantRole::Viewer).await;
        let (_, program) = key(&owner, &["tenant:read", "members:read"]).await;
        let (_, blind) = key(&owner, &["pages:read"]).await;

        let mut all = Listener::open(server, &owner, "?types=*").await;
        let mut as_viewer = Listener::open(server, &viewer, "").await;
        let mut as_program = Listener::open(server, &program, "").await;
        let mut some = Listener::open(server, &owner, "?types=page.*,member.created").await;
        let mut elsewhere = Listener::open(server, &stranger, "").await;
        let kinds =
            ["page.updated", "api_key.created", "member.created", "submission.received", "user.registered"];
        for kind in kinds {
            one(server, &tenant, kind).await;
        }
        one(server, &tenant, "tenant.updated").await;
        one(server, &stranger.tenant, "page.created").await;
        for kind in
            ["page.updated", "api_key.created", "member.created", "submission.received", "user.created"]
        {
            all.expect(kind).await;
        }
        for listener in [&mut all, &mut as_viewer, &mut as_program] {
            loop {
                let message = listener.next().await.unwrap();
                assert!(
                    !["api_key.created", "submission.received"].contains(&message.event.as_str()),
                    "{message:?}"
                );
                if message.event == "tenant.updated" {
                    break;
                }
            }
        }
        some.expect("page.updated").await;
        some.expect("member.created").await;
        let own = elsewhere.expect("page.created").await;
        assert_eq!(own.data["tenantId"], json!(stranger.tenant), "nothing of the other tenant came before");

        let unprivileged = viewer.with("x-tenant-id", &stranger.tenant);
        for (client, query, expected, code) in [
            (&server.client(), "", 401, "unauthenticated"),
            (&unprivileged, "", 404, "not_found"),
            (&blind, "", 403, "forbidden"),
            (&viewer, "?types=api_key.*,submission.received", 403, "forbidden"),
            (&program, "?types=page.created", 403, "forbidden"),
            (&owner, "?types=,", 422, "invalid"),
            (&owner, "?types=pages.*,session.started", 422, "invalid"),
            (&owner, "?since=now", 422, "invalid"),
        ] {
            let (status, problem) = status(server, client, query).await;
            assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{query}: {problem}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_of_tickets_hear_of_theirs_and_of_no_other() {
    TestServer::shared(async |server| {
        let owner = server.customer(server.email("owner")).await;
        let tenant = owner.tenant.clone();
        let (_, author) = member(server, server.email("author"), &tenant, TenantRole::Viewer).await;
        let (_, other) = member(server, server.email("other"), &tenant, TenantRole::Editor).await;
        let clerk =
            Person::new(server, server.email("clerk"), |user| user.role = PlatformRole::Staff).await.client;
        let mut as_author = Listener::open(server, &author, "?types=support_ticket.*").await;
        let mut as_other = Listener::open(server, &other, "?types=support_ticket.*,page.updated").await;
        let mut as_owner = Listener::open(server, &owner, "?types=support_ticket.*").await;
        let tickets = "/api/v1/support/tickets";
        let ticket = author.post(tickets, support::question()).await.expect(201);
        let foreign = owner.post(tickets, support::question()).await.expect(201);
        let desk = |ticket: &Value| {
            format!("/api/v1/admin/customers/{tenant}/tickets/{}/messages", text(ticket, "id"))
        };
        let note = json!({"body": "A zebra.", "internal": true});
        let note = clerk.post(&desk(&ticket), note).await.expect(201);
        clerk.post(&desk(&foreign), json!({"body": "Which version?"})).await.expect(201);
        let said = clerk.post(&desk(&ticket), json!({"body": "Which version?"})).await.expect(201);
        one(server, &tenant, "page.updated").await;
        let created = as_author.expect("support_ticket.created").await;
        assert_eq!(created.data["resource"]["id"], ticket["id"]);
        let answered = as_author.expect("support_ticket.answered").await;
        assert_eq!(
            (&answered.data["resource"]["id"], &answered.data["data"]["messageId"]),
            (&ticket["id"], &said["id"]),
            "nothing of the other ticket, and no note, came before"
        );
        for (kind, about) in
            [("created", &ticket), ("created", &foreign), ("answered", &foreign), ("answered", &ticket)]
        {
            let message = as_owner.expect(&format!("support_ticket.{kind}")).await;
            assert_eq!(message.data["resource"]["id"], about["id"]);
            assert!(!message.data.to_string().contains(&text(&note, "id")), "{}", message.data);
        }
        // Whoever sees neither hears of neither.
        as_other.expect("page.updated").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_left_off_on_any_instance() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let owner = here.customer("owner@example.com").await;
        let stranger = here.customer("stranger@example.com").await;
        let tenant = &owner.tenant;
        let mut listener = Listener::open(here, &owner, "?types=page.*").await;
        let begun = listener.last_id.clone();
        assert!(begun.starts_with("pos_"), "{begun}");
        let first = one(here, tenant, "page.created").await;
        assert_eq!(listener.expect("page.created").await.id, first);
        drop(listener);
        let mut missed = Vec::new();
        for kind in ["page.updated", "member.created", "page.deleted"] {
            missed.push(one(&there, tenant, kind).await);
        }
        let mut listener = Listener::after(&there, &owner, "?types=page.*", Some(&first)).await;
        assert_eq!(listener.expect("page.updated").await.id, missed[0]);
        assert_eq!(listener.expect("page.deleted").await.id, missed[2]);
        let live = one(here, tenant, "page.published").await;
        assert_eq!(listener.expect("page.published").await.id, live, "and on, once each");

        // From a position, and by clients that cannot send a header of their own. The header takes precedence over the query parameter.
        let mut listener = Listener::open(&there, &owner, &format!("?lastEventId={begun}")).await;
        let mut received = Vec::new();
        while received.last() != Some(&live) {
            received.push(listener.next().await.unwrap().id);
        }
        assert_eq!(received, [&first, &missed[0], &missed[1], &missed[2], &live].map(String::clone));
        let address = format!("?lastEventId={begun}&types=page.*");
        let mut listener = Listener::after(here, &owner, &address, Some(&format!("evt_{}", missed[0]))).await;
        assert_eq!(listener.expect("page.deleted").await.id, missed[2]);

        // An id of another tenant, or one that was never sent, leads to a reset.
        let foreign = one(here, &stranger.tenant, "page.created").await;
        let theirs = Listener::open(here, &stranger, "").await.last_id;
        let unknown = here.app.core.env.random_uuid().to_string();
        for wrong in [&foreign, &theirs, &unknown, "17", "pos_", &begun[..begun.len() - 2], "é"] {
            let mut listener = Listener::after(here, &owner, "?types=page.*", Some(wrong)).await;
            let reset = listener.expect("reset").await;
            assert_eq!(reset.data, json!({"reason": "unknown_id"}), "{wrong}");
            assert!(listener.last_id.starts_with("pos_"), "the next time it goes on from here");
            let next = one(here, tenant, "page.updated").await;
            assert_eq!(listener.expect("page.updated").await.id, next, "{wrong}");
        }
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_too_much_is_told_to_begin_anew() {
    let server = TestServer::start().await;
    let owner = server.customer(server.email("owner")).await;
    let first = one(&server, &owner.tenant, "page.created").await;
    let ids = append(&server, &owner.tenant, "page.updated", 5000, &json!({})).await;
    // As many as are sent again.
    let mut listener = Listener::after(&server, &owner, "", Some(&first)).await;
    for id in &ids {
        assert_eq!(listener.expect("page.updated").await.id, id.to_string());
    }
    let last = one(&server, &owner.tenant, "page.deleted").await;
    assert_eq!(listener.expect("page.deleted").await.id, last);
    let mut listener = Listener::after(&server, &owner, "", Some(&first)).await;
    assert_eq!(listener.expect("reset").await.data, json!({"reason": "too_many_events"}));
    let mut listener = Listener::after(&server, &owner, "", Some(&ids[0].to_string())).await;
    assert_eq!(listener.expect("page.updated").await.id, ids[1].to_string());
}

/// How long an event of one instance takes at most to the listeners at the other one.
async fn slowest_between(here: &TestServer, there: &TestServer) -> Duration {
    let owner = here.customer("owner@example.com").await;
    let mut listeners = [Listener::open(here, &owner, "").await, Listener::open(there, &owner, "").await];
    let mut slowest = Duration::ZERO;
    for writer in [here, there, here, there] {
        let id = one(writer, &owner.tenant, "page.updated").await;
        let written = Instant::now();
        for listener in &mut listeners {
            assert_eq!(listener.first("page.updated").await.id, id);
        }
        slowest = slowest.max(written.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_instance_arrive_within_a_second() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let slowest = slowest_between(here, &there).await;
        eprintln!("on the other instance after {slowest:?} at most");
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_events_of_another_instance_arrive_sooner_and_without_it_still() {
    let redis = TestRedis::start().await;
    let url = redis.url();
    let here =
        TestServer::start_with(Database::Postgres, |settings| settings.redis.url = Some(url.into())).await;
    let there = here.another_instance().await;
    let with = slowest_between(&here, &there).await;
    drop(redis);
    let owner = here.customer("again@example.com").await;
    let mut listener = Listener::open(&there, &owner, "").await;
    let written = Instant::now();
    let id = one(&here, &owner.tenant, "page.updated").await;
    assert_eq!(listener.first("page.updated").await.id, id);
    let without = written.elapsed();
    eprintln!("on the other instance after {with:?} with Redis at most, and {without:?} when it is gone");
    assert!(with < Duration::from_millis(500) && without < Duration::from_secs(2), "{with:?}, {without:?}");
    there.stop().await;
    here.stop().await;
}

/// SQLite has one writer at a time; only Postgres has transactions that overlap.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_not_missed() {
    let server = TestServer::start_with(Database::Postgres, |_| {}).await;
    let owner = server.customer(server.email("owner")).await;
    let tenant: TenantId = owner.tenant.parse().unwrap();
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let mut listener = Listener::open(&server, &owner, "").await;
    let mut slow = server.app.core.begin().await.unwrap();
    let late = Event::new(&server.app.core.env, &scope, &portico_sites::events::PAGE_CREATED, tenant.uuid());
    slow.events().append(late.clone()).await.unwrap();
    // Has it written before the commit.
    slow.readers().take(vec!["nobody"], 1).await.unwrap();
    let early = one(&server, &owner.tenant, "page.updated").await;
    // A listener that connects in between receives both, too.
    let mut second = Listener::open(&server, &owner, "").await;
    slow.commit().await.unwrap();
    for listener in [&mut listener, &mut second] {
        assert_eq!(listener.expect("page.created").await.id, late.id.to_string());
        assert_eq!(listener.expect("page.updated").await.id, early);
    }
}

/// Waits for the end of a stream, and checks that it came in time. What is promised is five seconds.
pub async fn ends(listener: &mut Listener, why: &str) {
    let (took, _) = listener.until_end().await;
    eprintln!("{why}: ended after {took:?}");
    assert!(took < Duration::from_millis(1500), "{why}: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_right_to_listen_on_every_instance() {
    TestServer::on_each_database(async |here| {
        let there = here.another_instance().await;
        let owner = here.customer("owner@example.com").await;
        let tenant = owner.tenant.clone();
        let (leaving, as_leaving) = member(here, "leaving@example.com", &tenant, TenantRole::Viewer).await;
        let (_, as_signed_out) = member(here, "out@example.com", &tenant, TenantRole::Viewer).await;
        let (barred, as_barred) = member(here, "barred@example.com", &tenant, TenantRole::Viewer).await;
        let (demoted, as_demoted) = member(here, "demoted@example.com", &tenant, TenantRole::Admin).await;
        let (revoked, program) = key(&owner, &["tenant:read", "pages:read"]).await;

        let mut all = Vec::new();
        for client in [&as_leaving, &as_signed_out, &as_barred, &program] {
            all.push(Listener::open(&there, client, "").await);
        }
        let mut keys_only = Listener::open(&there, &as_demoted, "?types=api_key.*").await;
        let mut less = Listener::open(&there, &as_demoted, "").await;

        owner.delete(&owner.t(&format!("/members/{}", leaving.claims.user))).await.expect(204);
        ends(&mut all[0], "left the tenant").await;
        as_signed_out.post_empty("/api/v1/auth/logout").await.expect(204);
        ends(&mut all[1], "signed out").await;
        change_user(here, &barred.claims, |user| user.status = UserStatus::Suspended).await;
        ends(&mut all[2], "account suspended").await;
        owner.delete(&owner.t(&format!("/api-keys/{}", text(&revoked, "id")))).await.expect(204);
        ends(&mut all[3], "key revoked").await;

        let role = owner.t(&format!("/members/{}", demoted.claims.user));
        owner.put(&role, json!({"role": "viewer"})).await.expect(200);
        ends(&mut keys_only, "nothing left that one may hear").await;
        one(here, &tenant, "api_key.created").await;
        let page = one(here, &tenant, "page.updated").await;
        loop {
            let message = less.next().await.unwrap();
            let known = ["member.deleted", "api_key.revoked", "member.updated", "page.updated"];
            assert!(known.contains(&message.event.as_str()), "{message:?}");
            if message.id == page {
                break;
            }
        }
        let mut whole = Listener::open(&there, &owner, "").await;
        let operator = Person::new(here, "operator@example.com", |user| {
            user.role = portico_kernel::PlatformRole::SuperAdmin;
        })
        .await;
        let reason = json!({"reason": "does not pay"});
        operator.client.post(&owner.t("/suspend"), reason).await.expect(200);
        ends(&mut whole, "tenant suspended").await;
        ends(&mut less, "tenant suspended").await;
        there.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_lives_no_longer_than_its_token() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.security.access_token_ttl = Duration::from_secs(2);
    })
    .await;
    let owner = Person::new(&server, server.email("owner"), |_| {}).await;
    let mut listener = Listener::open(&server, &owner.client, "").await;
    let before = one(&server, &owner.client.tenant, "page.created").await;
    assert_eq!(listener.expect("page.created").await.id, before);
    let (took, rest) = listener.until_end().await;
    assert!(took < Duration::from_secs(4) && rest.is_empty(), "{took:?}");
    // With a new token the stream resumes without a gap.
    let missed = one(&server, &owner.client.tenant, "page.updated").await;
    let mut again = owner.clone();
    again.sign_in(&server).await;
    let mut listener = Listener::after(&server, &again.client, "", Some(&before)).await;
    assert_eq!(listener.expect("page.updated").await.id, missed);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_streams_say_that_they_are_there_and_how_far_they_are() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.live.heartbeat = Duration::from_millis(150);
    })
    .await;
    let owner = server.customer(server.email("owner")).await;
    let mut listener = Listener::open(&server, &owner, "?types=page.deleted").await;
    let begun = listener.last_id.clone();
    assert!(listener.until_heartbeat().await.is_empty());
    assert_eq!(listener.last_id, begun, "nothing has happened");
    let unheard = one(&server, &owner.tenant, "page.created").await;
    let moved = async || {
        listener.until_heartbeat().await;
        (listener.last_id != begun).then(|| listener.last_id.clone())
    };
    let moved = eventually(Duration::from_secs(10), moved).await.unwrap();
    assert!(moved.starts_with("pos_") && !moved.contains(&unheard), "{moved}");
    drop(listener);
    let next = one(&server, &owner.tenant, "page.updated").await;
    let mut listener = Listener::after(&server, &owner, "", Some(&moved)).await;
    assert_eq!(listener.expect("page.updated").await.id, next, "what was passed does not come again");
}
