//! What is due, after the clock was set back.

use portico_kernel::{Env, NewJob, Outbox, TenantId, Timestamp, WorkQueue, schedule::Schedules};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixtures::stored_event;

const LEASE: Duration = Duration::seconds(20);

async fn enqueued(store: &SqlStore, env: &Env, kind: &'static str, run_at: Timestamp) {
    let job = NewJob {
        id: env.new_id(),
        kind,
        payload: json!({}),
        tenant: TenantId::PLATFORM,
        run_at,
        max_attempts: 9,
        request_id: "r".to_owned(),
    };
    let mut work = store.begin().await.unwrap();
    work.jobs().enqueue(job).await.unwrap();
    work.commit().await.unwrap();
}

async fn claimed(store: &SqlStore, now: Timestamp) -> Vec<String> {
    let jobs = store.claim("other", 10, LEASE, now).await.unwrap();
    let mut kinds: Vec<String> = jobs.into_iter().map(|job| job.kind).collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_wrong_clock_made_wait_is_due_and_what_was_wished_for_later_is_not() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        assert_eq!(store.newest_event_at().await.unwrap(), None);
        let right = env.now();
        // An hour ahead.
        let wrong = env.clock.advance(Duration::HOUR);
        enqueued(store, &env, "running", wrong).await;
        enqueued(store, &env, "failed", wrong).await;
        let jobs = store.claim("worker", 10, LEASE, wrong).await.unwrap();
        let failed = jobs.iter().find(|job| job.kind == "failed").unwrap();
        assert!(store.retry("worker", failed.id, wrong + Duration::seconds(1), "no").await.unwrap());
        enqueued(store, &env, "at_once", env.now()).await;
        enqueued(store, &env, "later", wrong + Duration::minutes(10)).await;
        assert!(store.acquire_lease("sweep", "worker", LEASE, wrong).await.unwrap());
        assert!(store.acquire_lease("other", "worker", LEASE, wrong).await.unwrap());
        assert!(store.release_lease("other", "worker", wrong + Duration::minutes(30)).await.unwrap());
        stored_event(store, &env, TenantId::PLATFORM, "page.created").await;
        assert!(store.newest_event_at().await.unwrap() >= Some(wrong));

        env.clock.set(right);
        stored_event(store, &env, TenantId::PLATFORM, "page.created").await;
        assert!(store.newest_event_at().await.unwrap() >= Some(wrong), "also after the next event");
        let soon = right + Duration::minutes(1);
        enqueued(store, &env, "patient", right + Duration::days(1)).await;
        assert_eq!(claimed(store, right).await, [""; 0], "they would wait for an hour");
        assert!(store.repair_future_times(right, soon).await.unwrap() >= 4);
        assert_eq!(store.repair_future_times(right, soon).await.unwrap(), 0, "nothing is left");
        assert_eq!(claimed(store, right).await, ["at_once", "failed"]);
        assert_eq!(claimed(store, soon).await, ["at_once", "failed", "running"], "leases have ended");
        assert!(!store.acquire_lease("sweep", "new", LEASE, right).await.unwrap(), "it may be under way");
        assert!(store.acquire_lease("sweep", "new", LEASE, soon).await.unwrap());
        assert!(store.acquire_lease("other", "new", LEASE, right).await.unwrap());
        assert_eq!(
            claimed(store, wrong + Duration::minutes(10))
                .await
                .iter()
                .filter(|kind| *kind == "later")
                .count(),
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_clock_is_right_nothing_changes() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let now = env.now();
        enqueued(store, &env, "running", now).await;
        enqueued(store, &env, "failed", now).await;
        let jobs = store.claim("worker", 10, LEASE, now).await.unwrap();
        let failed = jobs.iter().find(|job| job.kind == "failed").unwrap();
        assert!(store.retry("worker", failed.id, now + Duration::milliseconds(1250), "no").await.unwrap());
        enqueued(store, &env, "at_once", now).await;
        enqueued(store, &env, "tomorrow", now + Duration::DAY).await;
        let changed = store.repair_future_times(now, now + Duration::minutes(1)).await.unwrap();
        assert_eq!(changed, 0);
    })
    .await;
}
