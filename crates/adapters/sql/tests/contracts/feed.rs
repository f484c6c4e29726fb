//! Following the event log of one tenant.

use std::collections::BTreeSet;

use portico_kernel::{
    EventId, Outbox, TenantId,
    feed::{EventBatch, EventFeed, Followed, LogPosition},
};
use portico_sql::{SqlStore, SqlUnitOfWork};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};

use crate::fixtures::{at_once, event, stored_event};

/// Everything after a place that can be told of, and where the last of it stands.
async fn read_on(store: &SqlStore, tenant: TenantId, place: &mut LogPosition, limit: u32) -> Vec<EventId> {
    let piece = store.after(tenant.into(), *place, limit).await.unwrap();
    assert!(piece.events.len() <= limit as usize);
    if let Some(last) = piece.events.last() {
        *place = last.place;
    }
    piece.events.iter().map(|placed| placed.event.id).collect()
}

/// Reads on until so many events have come. Transactions of other tests may hold them up for a moment.
async fn read_all(store: &SqlStore, tenant: TenantId, place: &mut LogPosition, count: usize) -> Vec<EventId> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut ids = Vec::new();
    while ids.len() < count && tokio::time::Instant::now() < deadline {
        ids.extend(read_on(store, tenant, place, 3).await);
    }
    assert_eq!(ids.len(), count);
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_followed_from_any_place_and_apart_from_others() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (tenant, other): (TenantId, TenantId) = (env.new_id(), env.new_id());
        assert_eq!(store.newest(tenant.into()).await.unwrap(), None);
        assert_eq!(
            store.after(tenant.into(), LogPosition::default(), 10).await.unwrap(),
            EventBatch::default()
        );
        let mut ids = Vec::new();
        for number in 0..7 {
            ids.push(stored_event(store, &env, tenant, "page.updated").await.id);
            if number % 2 == 0 {
                stored_event(store, &env, other, "page.updated").await;
            }
        }
        let mut place = LogPosition::default();
        assert_eq!(
            read_all(store, tenant, &mut place, 7).await,
            ids,
            "in the order of the log, none of others"
        );
        assert_eq!(store.newest(tenant.into()).await.unwrap(), Some((place, ids[6])));
        assert_eq!(store.after(tenant.into(), place, 10).await.unwrap(), EventBatch::default());

        let mut third = store.find(tenant.into(), ids[2]).await.unwrap().unwrap();
        assert_eq!(store.count_after(tenant.into(), third, 100).await.unwrap(), 4);
        assert_eq!(store.count_after(tenant.into(), third, 3).await.unwrap(), 3, "no further than asked");
        assert_eq!(store.count_after(other.into(), third, 100).await.unwrap(), 3);
        assert_eq!(read_all(store, tenant, &mut third, 4).await, ids[3..]);
        assert_eq!(store.find(other.into(), ids[2]).await.unwrap(), None, "an event of another tenant");
        assert_eq!(store.find(tenant.into(), env.new_id()).await.unwrap(), None);
        // As it was appended, with everything in it.
        let stored = stored_event(store, &env, tenant, "page.deleted").await;
        let piece = loop {
            let piece = store.after(tenant.into(), place, 10).await.unwrap();
            if !piece.held_up {
                break piece;
            }
        };
        assert_eq!(piece.events[0].event, stored);
    })
    .await;
}

const DESK: Followed = Followed::Tickets { all: false };

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_followed_across_tenants_and_apart_from_other_events() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (one, other): (TenantId, TenantId) = (env.new_id(), env.new_id());
        let before = stored_event(store, &env, one, "page.updated").await;
        let mut ids = Vec::new();
        for tenant in [one, other, TenantId::PLATFORM, one] {
            ids.push(stored_event(store, &env, tenant, "support_ticket.answered").await.id);
            stored_event(store, &env, tenant, "page.updated").await;
        }
        let (mut place, mut found) = (LogPosition::default(), Vec::new());
        while found.len() < ids.len() {
            let piece = store.after(DESK, place, 3).await.unwrap();
            place = piece.events.last().map_or(place, |placed| placed.place);
            found.extend(piece.events.iter().map(|placed| placed.event.id));
        }
        assert_eq!(found, ids);
        assert_eq!(store.newest(DESK).await.unwrap(), Some((place, ids[3])));
        let first = store.find(DESK, ids[0]).await.unwrap().unwrap();
        assert_eq!(store.find(DESK, before.id).await.unwrap(), None, "about a page");
        assert_eq!(store.count_after(DESK, first, 100).await.unwrap(), 3);
        assert_eq!(store.count_after(DESK, first, 2).await.unwrap(), 2);
    })
    .await;
}

/// Has the events of a unit of work written before it commits.
async fn write_now(work: &mut SqlUnitOfWork) {
    work.readers().take(vec!["nobody"], 1).await.unwrap();
}

/// SQLite has one writer at a time; only Postgres has transactions that overlap.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_holds_up_those_after_it() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let tenant: TenantId = env.new_id();
    let first = stored_event(store, &env, tenant, "page.created").await;
    let mut place = LogPosition::default();
    assert_eq!(read_all(store, tenant, &mut place, 1).await, [first.id]);

    let (in_slow, in_fast) = (event(&env, tenant, "page.updated"), event(&env, tenant, "page.updated"));
    let mut slow = store.begin().await.unwrap();
    slow.events().append(in_slow.clone()).await.unwrap();
    write_now(&mut slow).await;
    let mut fast = store.begin().await.unwrap();
    fast.events().append(in_fast.clone()).await.unwrap();
    fast.commit().await.unwrap();
    let piece = store.after(tenant.into(), place, 10).await.unwrap();
    assert_eq!(piece, EventBatch { events: Vec::new(), held_up: true }, "the earlier one may still come");
    assert_eq!(
        store.newest(tenant.into()).await.unwrap(),
        Some((place, first.id)),
        "who begins now, begins before both"
    );
    slow.commit().await.unwrap();
    assert_eq!(read_all(store, tenant, &mut place, 2).await, [in_slow.id, in_fast.id]);

    // One that is given up holds nobody up for long.
    let mut dropped = store.begin().await.unwrap();
    dropped.events().append(event(&env, tenant, "page.updated")).await.unwrap();
    write_now(&mut dropped).await;
    let last = stored_event(store, &env, tenant, "page.deleted").await;
    assert!(store.after(tenant.into(), place, 10).await.unwrap().held_up);
    drop(dropped);
    assert_eq!(read_all(store, tenant, &mut place, 1).await, [last.id]);
}

async fn write(store: SqlStore, env: TestEnv, tenant: TenantId, count: usize) -> Vec<EventId> {
    let mut written = Vec::new();
    for number in 0..count {
        let (one, two) = (event(&env, tenant, "page.updated"), event(&env, tenant, "section.updated"));
        let mut work = store.begin().await.unwrap();
        written.extend([one.id, two.id]);
        work.events().append(one).await.unwrap();
        if number % 3 == 0 {
            // Long enough for others to overtake.
            tokio::task::yield_now().await;
        }
        work.events().append(two).await.unwrap();
        work.commit().await.unwrap();
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_follows_sees_the_same_while_many_write() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant: TenantId = env.new_id();
        let writers = {
            let (store, env) = (store.clone(), env.clone());
            tokio::spawn(async move {
                at_once(&store, 6, |store, _| write(store, env.clone(), tenant, 15)).await.concat()
            })
        };
        let (mut eager, mut place) = (Vec::new(), LogPosition::default());
        while !writers.is_finished() {
            eager.extend(read_on(store, tenant, &mut place, 7).await);
        }
        let written: BTreeSet<_> = writers.await.unwrap().into_iter().collect();
        let missing = written.len().saturating_sub(eager.len());
        eager.extend(read_all(store, tenant, &mut place, missing).await);
        assert_eq!(eager.len(), 180, "none twice");
        assert_eq!(eager.iter().copied().collect::<BTreeSet<_>>(), written, "none lost");
        let late = read_all(store, tenant, &mut LogPosition::default(), 180).await;
        assert_eq!(late, eager, "in the same order, whenever one comes");
    })
    .await;
}
