//! The audit trail: its seals, what they show, and for how long it is kept.

use std::time::Duration as StdDuration;

use portico_identity::ports::IdentityRepositories;
use portico_kernel::{
    Env, Event, EventId, Outbox, RequestInfo, Scope, StoreError, TenantId, Timestamp, event::ActorKind,
};
use portico_sql::SqlStore;
use portico_tenancy::{
    chain::{ChainProblem, Chains, ProblemKind, SEALER, Verification, seal},
    ports::TenancyRepositories,
    seal::{ERASED, Opening},
};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixtures::{at_once, event, stored_tenant};

pub async fn append(store: &SqlStore, events: &[Event]) {
    let mut work = store.begin().await.unwrap();
    for event in events {
        work.events().append(event.clone()).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// Seals one batch; answers how many entries it had.
async fn seal_some(store: &SqlStore, env: &Env, limit: u32) -> usize {
    let mut work = store.begin().await.unwrap();
    let events = work.readers().take(vec![SEALER], limit).await.unwrap().events;
    seal(&mut work, env, &events).await.unwrap();
    work.commit().await.unwrap();
    events.len()
}

pub async fn verify(store: &SqlStore, tenant: TenantId) -> Verification {
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let mut reader = store.reader();
    Chains::new(&mut reader, &scope).verify().await.unwrap()
}

/// Seals until nothing of the tenant's waits. On Postgres a transaction of another test may hold events up for a moment.
pub async fn seal_all(store: &SqlStore, env: &Env, tenant: TenantId) -> Verification {
    let deadline = tokio::time::Instant::now() + StdDuration::from_secs(30);
    loop {
        while seal_some(store, env, 3).await > 0 {}
        let found = verify(store, tenant).await;
        if found.unsealed == 0 || tokio::time::Instant::now() > deadline {
            return found;
        }
    }
}

/// A tenant with `count` sealed entries, all in one transaction, so that their order is that of this list.
async fn sealed(store: &SqlStore, env: &Env, name: &str, count: usize) -> (TenantId, Vec<Event>) {
    let tenant = stored_tenant(store, env, name).await.id;
    let events: Vec<Event> = (0..count).map(|_| event(env, tenant, "page.updated")).collect();
    append(store, &events).await;
    let found = seal_all(store, env, tenant).await;
    assert!(found.intact, "{found:?}");
    assert_eq!(found.entries, count as u64);
    (tenant, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_sealed_once_in_the_chain_of_its_tenant() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, other) = (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "other").await.id);
        let values = json!({"z": 1, "a": {"ñ": [1.5, 1e16, -0.0, 9_007_199_254_740_993_i64, null, true]}, "e": {}, "l": []});
        let mut events = Vec::new();
        for number in 0..10 {
            let tenant = if number % 3 == 0 { other } else { one };
            let mut event = event(&env, tenant, "page.updated").before(&values);
            event.actor_kind = ActorKind::User;
            event.actor_id = Some(env.random_uuid());
            event.impersonator_id = (number == 4).then(|| env.random_uuid());
            event.address = (number != 5).then(|| "192.0.2.1".to_owned());
            events.push(event);
            env.clock.advance(Duration::seconds(1));
        }
        append(store, &events).await;
        let before = verify(store, one).await;
        assert_eq!((before.entries, before.unsealed, before.head.number), (0, 6, 0));
        let (first, second) = (seal_all(store, &env, one).await, seal_all(store, &env, other).await);
        for (found, tenant, count) in [(first, one, 6), (second, other, 4)] {
            assert!(found.intact, "{found:?}");
            assert_eq!((found.entries, found.head.number, found.redacted), (count, count, 0));
            let mine: Vec<_> = events.iter().filter(|event| event.tenant == tenant).collect();
            assert_eq!(found.sealed_until, mine.last().map(|event| event.at));
            let walked = store.reader().seals().walk(tenant, 0, 100).await.unwrap();
            assert_eq!(
                walked.iter().map(|entry| entry.event.as_ref().unwrap().event.id).collect::<Vec<_>>(),
                mine.iter().map(|event| event.id).collect::<Vec<_>>()
            );
            assert_eq!(store.reader().seals().walk(tenant, 1, 2).await.unwrap(), walked[1..3]);
            assert!(store.reader().seals().walk(tenant, count, 2).await.unwrap().is_empty());
        }
        // Internal can take a place in a chain, or an entry, twice.
        let walked = store.reader().seals().walk(one, 0, 100).await.unwrap();
        let chain = store.reader().seals().chains(vec![one]).await.unwrap();
        let again = walked[5].seal.clone();
        let mut elsewhere = again.clone();
        elsewhere.number = 7;
        for seal in [again, elsewhere] {
            let mut work = store.begin().await.unwrap();
            let result = work.seals().append(vec![seal], chain.clone()).await;
            assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_who_seal_at_once_make_one_chain() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let events: Vec<Event> = (0..40).map(|_| event(&env, tenant, "page.updated")).collect();
        append(store, &events).await;
        at_once(store, 4, |store, number| async move {
            let env = TestEnv::new(portico_testkit::env().now(), number as u64 + 10);
            for _ in 0..10 {
                seal_some(&store, &env, 3).await;
            }
        })
        .await;
        let found = seal_all(store, &env, tenant).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.head.number, found.unsealed), (40, 40, 0));
    })
    .await;
}

/// What somebody with a connection to the database does, and what is found.
const DAMAGES: [(&str, &[&str], ProblemKind); 17] = [
    (
        "before",
        &["update events set before = '{\"title\": \"forged\"}' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    ("after", &["update events set after = null where tenant_id = $1 and id = $2"], ProblemKind::Edited),
    (
        "kind",
        &["update events set kind = 'page.created' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    (
        "actor",
        &["update events set actor_kind = 'system' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    (
        "impersonator",
        &["update events set impersonator_id = id where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    (
        "request",
        &["update events set request_id = 'another' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    (
        "time",
        &["update events set created_at = '2026-01-01 00:00:01' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    (
        "address",
        &["update events set address = '203.0.113.9' where tenant_id = $1 and id = $2"],
        ProblemKind::Edited,
    ),
    ("agent", &["update events set user_agent = null where tenant_id = $1 and id = $2"], ProblemKind::Edited),
    (
        "passed off as erased",
        &[
            "update events set after = '{\"title\": \"forged\"}', redacted_at = created_at where tenant_id = $1 and id = $2",
        ],
        ProblemKind::Edited,
    ),
    ("deleted", &["delete from events where tenant_id = $1 and id = $2"], ProblemKind::Deleted),
    ("last deleted", &["delete from events where tenant_id = $1 and id = $3"], ProblemKind::Deleted),
    (
        "deleted with its seal",
        &[
            "delete from events where tenant_id = $1 and id = $2",
            "delete from audit_seals where tenant_id = $1 and event_id = $2",
        ],
        ProblemKind::SealMissing,
    ),
    (
        "last deleted with its seal",
        &[
            "delete from events where tenant_id = $1 and id = $3",
            "delete from audit_seals where tenant_id = $1 and event_id = $3",
        ],
        ProblemKind::SealMissing,
    ),
    (
        "seals swapped",
        &[
            "update audit_seals set number = -number where tenant_id = $1",
            "update audit_seals set number = case number when -3 then 4 when -4 then 3 else -number end where tenant_id = $1",
        ],
        ProblemKind::Reordered,
    ),
    (
        "seal edited",
        &["update audit_seals set hash = frame where tenant_id = $1 and event_id = $2"],
        ProblemKind::SealEdited,
    ),
    (
        "end cut off with its note",
        &[
            "update audit_chains set length = 3, hash = (select hash from audit_seals where number = 3 and audit_seals.tenant_id = $1) where tenant_id = $1",
        ],
        ProblemKind::HeadEdited,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_behind_the_servers_back_is_found() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        for (number, (what, statements, kind)) in DAMAGES.into_iter().enumerate() {
            let (tenant, events) = sealed(store, &env, &format!("tenant-{number}"), 5).await;
            for statement in statements {
                let mut ids = vec![tenant.uuid()];
                // Unused parameters are refused: `$3` is the last entry, and stands in for `$2` where that is not asked for.
                let (statement, entry) = match statement.replace("$3", "$2") {
                    changed if changed != *statement => (changed, Some(events[4].id)),
                    same => (same, statement.contains("$2").then_some(events[2].id)),
                };
                ids.extend(entry.map(EventId::uuid));
                assert!(database.tamper(&statement, &ids).await > 0, "{what}");
            }
            let found = verify(store, tenant).await;
            let problem = found.first_problem.unwrap_or_else(|| panic!("{what}: {found:?}"));
            assert_eq!((found.intact, problem.kind), (false, kind), "{what}: {problem:?}");
            let expected = match what {
                "deleted" | "before" => Some((Some(events[2].id), Some(3))),
                "last deleted" => Some((Some(events[4].id), Some(5))),
                "last deleted with its seal" => Some((None, Some(5))),
                _ => None,
            };
            if let Some((entry_id, number)) = expected {
                assert_eq!(problem, ChainProblem { kind, entry_id, number }, "{what}");
            }
        }
        // A chain is not touched by what is done to another one.
        let (tenant, _) = sealed(store, &env, "bystander", 3).await;
        assert!(verify(store, tenant).await.intact);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_put_in_afterwards_is_found() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        // Among those that were sealed long ago.
        let (tenant, events) = sealed(store, &env, "early", 4).await;
        let ids = [tenant.uuid(), events[3].id.uuid()];
        let gone = database.tamper("delete from audit_seals where tenant_id = $1 and event_id = $2", &ids);
        assert_eq!(gone.await, 1);
        database
            .tamper(
                "update audit_chains set length = 3, hash = \
                 (select hash from audit_seals where number = 3 and audit_seals.tenant_id = $1) where tenant_id = $1",
                &[tenant.uuid()],
            )
            .await;
        let found = verify(store, tenant).await.first_problem;
        let kind = ProblemKind::Inserted;
        assert_eq!(found, Some(ChainProblem { kind, entry_id: Some(events[3].id), number: None }));

        // Dated back: it gets a seal like any other, but not a place in the past.
        let (tenant, _) = sealed(store, &env, "late", 3).await;
        let mut forged = event(&env, tenant, "page.deleted");
        forged.at = env.now() - Duration::hours(1);
        append(store, &[forged.clone()]).await;
        let found = seal_all(store, &env, tenant).await.first_problem;
        assert_eq!(found, Some(ChainProblem { kind, entry_id: Some(forged.id), number: Some(4) }));

        // All seals taken away.
        let (tenant, _) = sealed(store, &env, "bare", 3).await;
        for table in ["audit_seals", "audit_chains"] {
            database.tamper(&format!("delete from {table} where tenant_id = $1"), &[tenant.uuid()]).await;
        }
        let found = verify(store, tenant).await.first_problem.unwrap();
        assert_eq!(found.kind, ProblemKind::SealMissing);
    })
    .await;
}

async fn redact(store: &SqlStore, event: &Event) -> Result<(), StoreError> {
    let mut work = store.begin().await.unwrap();
    work.personal_data().redact(event).await?;
    work.commit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_keeps_the_chain_and_covers_no_edit() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (tenant, events) = sealed(store, &env, "acme", 3).await;
        let unsealed = event(&env, tenant, "user.updated");
        append(store, std::slice::from_ref(&unsealed)).await;
        let erase = |event: &Event| {
            let mut erased = event.clone();
            erased.after = Some(json!({"title": ERASED, "count": 1}));
            erased.address = Some(ERASED.to_owned());
            erased
        };
        let erased = erase(&events[1]);
        redact(store, &erased).await.unwrap();
        redact(store, &erase(&unsealed)).await.unwrap();
        // Once more, with more of it.
        let twice = Event { user_agent: Some(ERASED.to_owned()), ..erased.clone() };
        redact(store, &twice).await.unwrap();
        let found = seal_all(store, &env, tenant).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.redacted), (4, 2));
        let walked = store.reader().seals().walk(tenant, 0, 10).await.unwrap();
        let entry = walked.iter().find(|entry| entry.seal.event == twice.id).unwrap();
        let stored = entry.event.as_ref().unwrap();
        assert_eq!((&stored.event, stored.redacted), (&twice, true));
        assert!(matches!(entry.seal.opening, Opening::Parts(_)), "the salt of the entry is gone");

        // Erasing is not editing.
        let edits: [fn(&mut Event); 3] = [
            |e| e.after = Some(json!({"title": "forged"})),
            |e| e.address = Some("203.0.113.9".to_owned()),
            |e| e.after = None,
        ];
        for edit in edits {
            let mut edited = events[0].clone();
            edit(&mut edited);
            assert!(redact(store, &edited).await.is_err());
        }
        assert_eq!(verify(store, tenant).await.redacted, 2);
        let forged = "update events set after = '{\"title\": \"[erased]\", \"count\": 2}' where tenant_id = $1 and id = $2";
        database.tamper(forged, &[tenant.uuid(), twice.id.uuid()]).await;
        let kind = ProblemKind::Edited;
        let problem = ChainProblem { kind, entry_id: Some(twice.id), number: Some(2) };
        assert_eq!(verify(store, tenant).await.first_problem, Some(problem));
        // What was edited can still be erased, and is still told of.
        let rest = Event { after: Some(json!({"title": ERASED, "count": ERASED})), ..twice };
        redact(store, &rest).await.unwrap();
        assert_eq!(verify(store, tenant).await.first_problem, Some(problem));
    })
    .await;
}

/// Erasing and sealing wait for each other: whichever is first, what is sealed is what stands there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_while_it_is_sealed_stays_intact() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        for _ in 0..5 {
            let events: Vec<Event> = (0..6).map(|_| event(&env, tenant, "user.updated")).collect();
            append(store, &events).await;
            let sealing = tokio::spawn({
                let store = store.clone();
                async move {
                    let env = portico_testkit::env();
                    for _ in 0..6 {
                        seal_some(&store, &env, 1).await;
                    }
                }
            });
            for event in &events {
                let erased = Event { after: Some(ERASED.into()), ..event.clone() };
                redact(store, &erased).await.unwrap();
            }
            sealing.await.unwrap();
        }
        let found = seal_all(store, &env, tenant).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.redacted), (30, 30));
    })
    .await;
}

pub async fn expire(
    store: &SqlStore,
    tenant: TenantId,
    readers: &[&'static str],
    before: Timestamp,
    limit: u32,
) -> Option<(u64, u64)> {
    let mut work = store.begin().await.unwrap();
    let expired = work.seals().expire(tenant, readers.to_vec(), before, limit).await.unwrap();
    work.commit().await.unwrap();
    expired.map(|expired| (expired.entries, expired.checkpoint))
}

/// Lets a reader read all there is for a tenant.
pub async fn read_all(database: &TestDatabase, reader: &'static str, count: usize) {
    let deadline = tokio::time::Instant::now() + StdDuration::from_secs(30);
    let mut read = 0;
    while read < count && tokio::time::Instant::now() < deadline {
        let mut work = database.store().begin().await.unwrap();
        read += work.readers().take(vec![reader], 100).await.unwrap().events.len();
        work.commit().await.unwrap();
    }
    assert_eq!(read, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_expires_once_it_is_sealed_and_read_by_all() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let begun = env.now();
        let mut events = Vec::new();
        for _ in 0..6 {
            let event = event(&env, tenant, "page.updated");
            append(store, std::slice::from_ref(&event)).await;
            events.push(event);
            env.clock.advance(Duration::days(1));
        }
        let cutoff = begun + Duration::days(4);
        let readers = &[SEALER, "mail"];
        assert_eq!(expire(store, tenant, readers, cutoff, 100).await, None, "nothing is sealed");
        let head = seal_all(store, &env, tenant).await.head;
        assert_eq!(expire(store, tenant, readers, cutoff, 100).await, None, "a reader was given nothing");
        let oldest = store.reader().seals().oldest(None, 10).await.unwrap();
        assert_eq!((oldest.len(), oldest[0].tenant, oldest[0].at), (1, tenant, Some(begun)));
        assert!(store.reader().seals().oldest(Some(tenant), 10).await.unwrap().is_empty());
        read_all(database, "mail", 6).await;

        assert_eq!(expire(store, tenant, readers, cutoff, 3).await, Some((3, 3)), "a batch");
        assert_eq!(expire(store, tenant, readers, cutoff, 3).await, Some((1, 4)));
        assert_eq!(expire(store, tenant, readers, cutoff, 3).await, None);
        let found = verify(store, tenant).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.head), (2, head));
        let checkpoint = found.checkpoint.unwrap();
        assert_eq!((checkpoint.number, checkpoint.until), (4, events[3].at));
        let oldest = store.reader().seals().oldest(None, 10).await.unwrap();
        assert_eq!(oldest[0].at, Some(events[4].at));
        let walked = store.reader().seals().walk(tenant, 0, 10).await.unwrap();
        let gone: Vec<bool> = walked.iter().map(|entry| entry.seal.opening == Opening::Gone).collect();
        assert_eq!(gone, [true, true, true, true, false, false], "no salt outlives its entry");

        // The chain goes on behind, and shows damage as before.
        append(store, &[event(&env, tenant, "page.updated")]).await;
        let found = seal_all(store, &env, tenant).await;
        assert!(found.intact && found.head.number == 7, "{found:?}");
        assert_eq!(store.reader().seals().chains(vec![tenant]).await.unwrap()[0].checkpoint, 4);
        database
            .tamper(
                "delete from events where tenant_id = $1 and id = $2",
                &[tenant.uuid(), events[4].id.uuid()],
            )
            .await;
        let found = verify(store, tenant).await.first_problem.unwrap();
        assert_eq!((found.kind, found.number), (ProblemKind::Deleted, Some(5)));
        // A young entry that is missing does not become one that has expired.
        assert_eq!(expire(store, tenant, readers, begun + Duration::days(5), 10).await, None);
        assert_eq!(verify(store, tenant).await.first_problem, Some(found));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_entry_behind_a_young_one_waits() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let young = event(&env, tenant, "page.updated");
        let mut old = event(&env, tenant, "page.updated");
        old.at = env.now() - Duration::minutes(1);
        append(store, &[young.clone(), old]).await;
        seal_all(store, &env, tenant).await;
        assert_eq!(expire(store, tenant, &[SEALER], young.at, 10).await, None);
        assert_eq!(expire(store, tenant, &[SEALER], young.at + Duration::seconds(1), 10).await, Some((2, 2)));
        assert!(verify(store, tenant).await.intact);
    })
    .await;
}
