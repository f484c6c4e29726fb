//! Whether there is something to read is known without reading.

use portico_kernel::{Outbox, TenantId};
use portico_sql::SqlStore;
use portico_testkit::{TestDatabase, env, on_each_database};

use super::{take, take_all};
use crate::{
    fixtures::{event, stored_event},
    taking::take_within_soon,
};

#[tokio::test(flavor = "multi_thread")]
async fn whether_there_is_something_to_read_is_known_without_reading() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        assert!(!unread(store, &["one", "two"]).await, "an empty log");
        stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
        assert!(
            !unread(store, &[]).await && unread(store, &["one", "two"]).await,
            "also by those who never read"
        );
        take_all(store, "one", 1).await;
        assert!(!unread(store, &["one"]).await);
        assert!(
            unread(store, &["one", "two"]).await && unread(store, &["two", "one"]).await,
            "by one of them"
        );
        let mut work = store.begin().await.unwrap();
        take_within_soon(&mut work, "two", 1).await;
        assert!(unread(store, &["two"]).await, "it may yet be dropped");
        work.commit().await.unwrap();
        assert!(!unread(store, &["one", "two"]).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_nothing_to_read_is_known_without_reading_the_log() {
    /// More often than Postgres plans a statement for the values at hand.
    const ASKED: i64 = 50;
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
    let more = "insert into events \
         (tenant_id, id, kind, resource_type, resource_id, actor_kind, request_id, audit, created_at) \
         select tenant_id, gen_random_uuid(), kind, resource_type, resource_id, actor_kind, request_id, audit, created_at \
         from events cross join generate_series(1, 20000)";
    assert_eq!(database.tamper(more, &[]).await, 20_000);
    let read = "insert into event_cursors (reader, transaction_id, sequence) \
         select 'one', transaction_id, sequence from events order by transaction_id desc, sequence desc limit 1";
    assert_eq!(database.tamper(read, &[]).await, 1);
    database.tamper("vacuum analyze events", &[]).await;
    for _ in 0..ASKED {
        assert!(!unread(store, &["one"]).await);
    }

    let statement = "%from events where (transaction_id, sequence) >%";
    let (calls, pages) = database.calls_and_pages(statement).await;
    assert_eq!(calls, ASKED);
    assert!(pages <= ASKED * 10, "{pages} pages are read to answer {calls} times");
}

async fn unread(store: &SqlStore, readers: &[&'static str]) -> bool {
    store.has_unread_events(readers).await.unwrap()
}

/// SQLite has one writer at a time; only Postgres has transactions that overlap.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_held_up_is_one_to_be_read() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let mut slow = store.begin().await.unwrap();
    slow.events().append(event(&env, TenantId::PLATFORM, "page.created")).await.unwrap();
    // Has it written.
    assert_eq!(slow.readers().take(vec!["nobody"], 10).await.unwrap().events, []);
    assert!(!store.has_unread_events(&["one"]).await.unwrap(), "not committed");
    let fast = stored_event(store, &env, TenantId::PLATFORM, "page.updated").await;
    assert!(take(store, "one", 10).await.is_empty(), "the earlier one may still come");
    assert!(store.has_unread_events(&["one"]).await.unwrap());
    drop(slow);
    assert_eq!(take_all(store, "one", 1).await, [fast.id]);
    assert!(!store.has_unread_events(&["one"]).await.unwrap());
}
