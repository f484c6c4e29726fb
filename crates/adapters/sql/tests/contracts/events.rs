//! The event log of the kernel, and its readers.

mod unread;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use portico_kernel::{
    CommitListener, CursorRequest, Event, EventHead, EventId, Outbox, StoreError, TakenEvents, TenantId,
    WorkQueue,
};
use portico_sql::SqlStore;
use portico_tenancy::{audit::AuditFilter, ports::TenancyRepositories};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, event, stored_event, tenant},
    jobs::new_job,
    taking::{take_heads_soon, take_within_soon},
};

/// The ids that one unit of work takes and commits.
async fn take(store: &SqlStore, reader: &'static str, limit: u32) -> Vec<EventId> {
    let mut work = store.begin().await.unwrap();
    let taken = work.readers().take(vec![reader], limit).await.unwrap();
    work.commit().await.unwrap();
    taken.events.iter().map(|event| event.id).collect()
}

/// Takes once the reader is free: a unit of work that is dropped rolls back a moment later.
async fn take_soon(store: &SqlStore, reader: &'static str, limit: u32) -> Vec<EventId> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let ids = take(store, reader, limit).await;
        if !ids.is_empty() || tokio::time::Instant::now() > deadline {
            return ids;
        }
    }
}

/// What comes first to these readers together. A transaction of another test may hold it up for a moment, see [`take_all`].
async fn take_together_soon(store: &SqlStore, readers: &[&'static str], limit: u32) -> TakenEvents {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let mut work = store.begin().await.unwrap();
        let taken = work.readers().take(readers.to_vec(), limit).await.unwrap();
        work.commit().await.unwrap();
        if !taken.events.is_empty() || tokio::time::Instant::now() > deadline {
            return taken;
        }
    }
}

/// Takes, one unit of work after the other, until `count` events have come.
///
/// On Postgres a transaction of another test may hold events up for a moment: until it is over, it could be one that
/// writes here.
async fn take_all(store: &SqlStore, reader: &'static str, count: usize) -> Vec<EventId> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut ids = Vec::new();
    while ids.len() < count && tokio::time::Instant::now() < deadline {
        ids.extend(take(store, reader, 100).await);
    }
    assert_eq!(ids.len(), count, "events for {reader}");
    ids
}

/// Waits until the events that are committed, `count` in all, come to every reader at once.
async fn settle(store: &SqlStore, probe: &'static str, count: usize) {
    take_all(store, probe, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_unit_of_work_leaves_nothing() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = tenant(&env, "acme");
        let mut work = store.begin().await.unwrap();
        work.tenants().insert(&tenant).await.unwrap();
        work.events().append(event(&env, tenant.id, "tenant.created")).await.unwrap();
        work.jobs().enqueue(new_job(&env, "email.welcome")).await.unwrap();
        drop(work);
        assert_eq!(store.reader().tenants().find(tenant.id).await.unwrap(), None);
        let trail = store.reader().audit().list(None, AuditFilter::default(), CursorRequest::default()).await;
        assert!(trail.unwrap().items.is_empty());
        assert!(take(store, "test", 10).await.is_empty());
        assert!(store.claim("worker", 10, Duration::minutes(1), env.now()).await.unwrap().is_empty());
        // The name is free again.
        let mut work = store.begin().await.unwrap();
        work.tenants().insert(&tenant).await.unwrap();
        work.commit().await.unwrap();
    })
    .await;
}

#[derive(Default)]
struct Heard(Mutex<Vec<(Vec<EventId>, bool)>>);

impl CommitListener for Heard {
    fn committed(&self, events: &[Event], jobs: bool) {
        self.0.lock().unwrap().push((events.iter().map(|event| event.id).collect(), jobs));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_of_commits_only() {
    on_each_database(async |database| {
        let env = env();
        let heard = Arc::new(Heard::default());
        let store = database.store().clone().with_listener(heard.clone());
        let first = event(&env, TenantId::PLATFORM, "page.created");
        let second = event(&env, TenantId::PLATFORM, "page.updated");

        let mut dropped = store.begin().await.unwrap();
        dropped.events().append(event(&env, TenantId::PLATFORM, "page.deleted")).await.unwrap();
        drop(dropped);
        store.begin().await.unwrap().commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        work.events().append(first.clone()).await.unwrap();
        work.events().append(second.clone()).await.unwrap();
        assert!(heard.0.lock().unwrap().is_empty());
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        work.jobs().enqueue(new_job(&env, "email.welcome")).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(*heard.0.lock().unwrap(), [(vec![first.id, second.id], false), (vec![], true)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_gets_every_event_once_in_order() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = env.new_id();
        let mut events = Vec::new();
        for _ in 0..5 {
            events.push(stored_event(store, &env, tenant, "page.updated").await);
        }
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        settle(store, "probe", 5).await;

        let mut dropped = store.begin().await.unwrap();
        let taken = take_within_soon(&mut dropped, "one", 2).await;
        assert_eq!(taken.events, events[..2], "as they were appended");
        drop(dropped);
        assert_eq!(take_soon(store, "one", 3).await, ids[..3], "a drop moves no cursor");
        assert_eq!(take_all(store, "one", 2).await, ids[3..]);
        assert!(take(store, "one", 3).await.is_empty());
        assert_eq!(take_all(store, "two", 5).await, ids, "readers do not share a cursor");

        let late = stored_event(store, &env, tenant, "page.updated").await;
        assert_eq!(take_all(store, "one", 1).await, [late.id]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_the_age_of_the_oldest_unread_event() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let lag = async |now| store.event_lags(&["one", "probe", "new"], now).await.unwrap();
        let of = |one, probe, new| [("one", one), ("probe", probe), ("new", new)];
        let (none, long) = (Duration::ZERO, Duration::seconds(5));
        assert_eq!(lag(env.now()).await, of(none, none, none));
        stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
        env.clock.advance(Duration::seconds(2));
        stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
        let now = env.clock.advance(Duration::seconds(3));
        settle(store, "probe", 2).await;
        assert_eq!(lag(now).await, of(long, none, long));
        take_soon(store, "one", 1).await;
        assert_eq!(lag(now).await, of(Duration::seconds(3), none, long));
        take_soon(store, "one", 1).await;
        assert_eq!(lag(now).await, of(none, none, long));
    })
    .await;
}

/// SQLite has one writer at a time; only Postgres has transactions that overlap.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_not_skipped() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    for early_writes_first in [true, false] {
        let reader = if early_writes_first { "one" } else { "two" };
        take_all(store, reader, if early_writes_first { 0 } else { 3 }).await;
        let (in_slow, in_fast) = (
            event(&env, TenantId::PLATFORM, "page.created"),
            event(&env, TenantId::PLATFORM, "page.updated"),
        );
        // `slow` is held open while `fast` commits: once with the lower number in the log, once with the higher one.
        let mut slow = store.begin().await.unwrap();
        let mut fast = store.begin().await.unwrap();
        if early_writes_first {
            slow.events().append(in_slow.clone()).await.unwrap();
            fast.events().append(in_fast.clone()).await.unwrap();
        } else {
            fast.events().append(in_fast.clone()).await.unwrap();
            slow.events().append(in_slow.clone()).await.unwrap();
        }
        fast.commit().await.unwrap();
        let mut seen = take(store, reader, 100).await;
        assert!(!seen.contains(&in_slow.id), "it is not committed");
        stored_event(store, &env, TenantId::PLATFORM, "page.deleted").await;
        seen.extend(take(store, reader, 100).await);
        assert!(!seen.contains(&in_slow.id), "it is still not committed");
        slow.commit().await.unwrap();
        seen.extend(take_all(store, reader, 3 - seen.len()).await);
        assert!(take(store, reader, 100).await.is_empty(), "each once");
        assert!(seen.contains(&in_slow.id) && seen.contains(&in_fast.id), "none is skipped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_at_different_places_catch_up_and_are_read_for_together() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(stored_event(store, &env, TenantId::PLATFORM, "page.updated").await.id);
        }
        settle(store, "probe", 5).await;
        assert_eq!(take_soon(store, "ahead", 3).await, ids[..3]);
        assert_eq!(take_soon(store, "behind", 1).await, ids[..1]);

        let readers = ["ahead", "behind", "new"];
        let given = async |limit| {
            let taken = take_together_soon(store, &readers, limit).await;
            let new = ["ahead", "behind", "new", "probe"]
                .map(|reader| taken.new_to(reader).iter().map(|event| event.id).collect::<Vec<_>>());
            (new, taken.ahead())
        };
        let none: Vec<EventId> = Vec::new();
        let (first, ahead) = given(2).await;
        assert_eq!(
            first,
            [none.clone(), ids[1..2].to_vec(), ids[..2].to_vec(), none.clone()],
            "nobody moves back"
        );
        assert_eq!(ahead, ["ahead"]);
        let (second, ahead) = given(10).await;
        assert_eq!(second, [ids[3..].to_vec(), ids[2..].to_vec(), ids[2..].to_vec(), none]);
        assert!(ahead.is_empty());
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.readers().take(readers.to_vec(), 10).await.unwrap().events, []);
        work.commit().await.unwrap();
        for reader in readers {
            assert!(take(store, reader, 10).await.is_empty(), "{reader}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_taken_as_events_are() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut heads = Vec::new();
        for kind in ["page.created", "session.started", "page.deleted"] {
            heads.push(EventHead::from(&stored_event(store, &env, env.new_id(), kind).await));
        }
        settle(store, "probe", 3).await;
        let mut dropped = store.begin().await.unwrap();
        assert_eq!(take_heads_soon(&mut dropped, "heads", 2).await, heads[..2]);
        drop(dropped);
        assert_eq!(
            take_soon(store, "heads", 1).await,
            [heads[0].id],
            "the same cursor, and a drop did not move it"
        );
        let mut work = store.begin().await.unwrap();
        let rest = take_heads_soon(&mut work, "heads", 10).await;
        work.commit().await.unwrap();
        assert_eq!(rest, heads[1..]);
        assert_eq!(
            rest.iter().map(|head| head.kind.audit()).collect::<Vec<_>>(),
            [portico_kernel::event::AuditClass::Sealed; 2]
        );
        let mut work = store.begin().await.unwrap();
        assert!(work.readers().take_heads("heads", 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_held_gives_nothing_to_another_one() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let first = stored_event(store, &env, TenantId::PLATFORM, "page.created").await;
    assert_eq!(take_all(store, "one", 1).await, [first.id]);
    let second = stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
    settle(store, "probe", 2).await;
    let mut holder = store.begin().await.unwrap();
    let held = take_within_soon(&mut holder, "one", 10).await;
    assert_eq!(held.events, std::slice::from_ref(&second));
    assert!(take(store, "one", 10).await.is_empty(), "held");
    let taken = take_together_soon(store, &["one", "two", "three"], 10).await;
    let given = ["one", "two", "three"].map(|reader| taken.new_to(reader).len());
    assert_eq!(given, [0, 2, 2], "only that reader is held");
    assert!(store.has_unread_events(&["one", "two"]).await.unwrap(), "its holder may yet give it back");
    drop(holder);
    assert_eq!(take_soon(store, "one", 10).await, [second.id]);
}

async fn write_events(store: SqlStore, env: TestEnv, count: usize) -> Vec<EventId> {
    let mut written = Vec::new();
    for number in 0..count {
        let event = event(&env, TenantId::PLATFORM, "page.updated");
        let mut work = store.begin().await.unwrap();
        work.events().append(event.clone()).await.unwrap();
        if number % 3 == 0 {
            // Long enough for others to overtake.
            tokio::task::yield_now().await;
        }
        work.commit().await.unwrap();
        written.push(event.id);
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_many_write_and_read() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let writers = {
            let (store, env) = (store.clone(), env.clone());
            tokio::spawn(async move {
                at_once(&store, 8, |store, _| write_events(store, env.clone(), 25)).await.concat()
            })
        };
        let mut read = Vec::new();
        while !writers.is_finished() {
            read.extend(
                at_once(store, 4, |store, _| async move { take(&store, "one", 7).await }).await.concat(),
            );
        }
        let written: BTreeSet<_> = writers.await.unwrap().into_iter().collect();
        let missing = written.len().saturating_sub(read.len());
        read.extend(take_all(store, "one", missing).await);
        read.extend(take(store, "one", 100).await);
        assert_eq!(written.len(), 200);
        assert_eq!(read.len(), 200, "none twice");
        assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), written, "none lost");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cannot_write() {
    on_each_database(async |database| {
        let env = env();
        let mut reader = database.store().reader();
        let refused = reader.events().append(event(&env, TenantId::PLATFORM, "page.created")).await;
        assert!(matches!(refused, Err(StoreError::Internal(_))), "{refused:?}");
        assert!(reader.jobs().enqueue(new_job(&env, "email.welcome")).await.is_err());
    })
    .await;
}

/// As after a restore: the dump comes from a cluster whose transactions had far higher numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_from_another_cluster_is_read_on_where_each_reader_was() {
    let database = TestDatabase::postgres().await;
    let store = database.store();
    let env = env();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(stored_event(store, &env, TenantId::PLATFORM, "page.updated").await.id);
    }
    let before = take_all(store, "quick", 4).await;
    assert_eq!(before, ids);
    assert_eq!(take_soon(store, "slow", 2).await, ids[..2]);
    // The last two were written the other way round: the third one is in the later transaction.
    database
        .tamper(
            "update events set transaction_id = (1000000000 + case when id = $1 then 9 else sequence end)::text::xid8",
            &[ids[2].uuid()],
        )
        .await;
    database
        .tamper(
            "update event_cursors set transaction_id = '1000000009', sequence = 3 where reader = 'quick'",
            &[],
        )
        .await;
    database
        .tamper(
            "update event_cursors set transaction_id = (select transaction_id from events where id = $1) where reader = 'slow'",
            &[ids[1].uuid()],
        )
        .await;
    assert_eq!(take(store, "slow", 9).await, [], "as it is, nothing can be read");

    store.migrate().await.unwrap();
    assert_eq!(take_all(store, "slow", 2).await, ids[2..]);
    assert_eq!(take(store, "quick", 9).await, [], "it had read everything");
    let new = stored_event(store, &env, TenantId::PLATFORM, "page.updated").await.id;
    for reader in ["slow", "quick"] {
        assert_eq!(take_all(store, reader, 1).await, [new]);
    }
    store.migrate().await.unwrap();
    assert_eq!(take(store, "quick", 9).await, [], "a second start changes nothing");
}
