//! Scheduled work: one instance at a time, once in an interval.

use portico_kernel::schedule::Schedules;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::at_once;

const LEASE: Duration = Duration::seconds(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_for_one_and_comes_round_after_the_interval() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let take = async |schedule: &str, worker: &str| {
            store.acquire_lease(schedule, worker, LEASE, env.now()).await.unwrap()
        };
        assert!(take("sweep", "one").await, "what nobody did before is due");
        assert!(!take("sweep", "two").await);
        assert!(!take("sweep", "one").await, "not even again");
        assert!(take("other", "two").await, "schedules do not know each other");
        let due = env.now() + Duration::hours(1);
        assert!(!store.release_lease("sweep", "two", due).await.unwrap(), "not theirs to end");
        assert!(store.release_lease("sweep", "one", due).await.unwrap());
        assert!(!store.release_lease("sweep", "one", due).await.unwrap(), "it has ended");
        env.clock.set(due - Duration::microseconds(1));
        assert!(!take("sweep", "two").await, "not yet");
        env.clock.set(due);
        assert!(take("sweep", "two").await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_goes_to_one_of_many_that_ask_at_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        // The first time there is no row yet; the second time there is.
        for _ in 0..2 {
            let now = env.now();
            let took = at_once(store, 16, |store, number| async move {
                let worker = format!("worker-{number}");
                let took = store.acquire_lease("sweep", &worker, LEASE, now).await.unwrap();
                took.then_some(worker)
            })
            .await;
            let took: Vec<String> = took.into_iter().flatten().collect();
            assert_eq!(took.len(), 1, "{took:?}");
            let due = env.clock.advance(Duration::minutes(1));
            assert!(store.release_lease("sweep", &took[0], due).await.unwrap());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_turn_of_a_dead_worker_is_free_after_its_lease() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        assert!(store.acquire_lease("sweep", "dead", LEASE, env.now()).await.unwrap());
        env.clock.advance(LEASE - Duration::seconds(1));
        assert!(store.extend_lease("sweep", "dead", env.now() + LEASE).await.unwrap());
        env.clock.advance(LEASE - Duration::microseconds(1));
        assert!(!store.acquire_lease("sweep", "heir", LEASE, env.now()).await.unwrap(), "it was extended");
        env.clock.advance(Duration::microseconds(1));
        assert!(store.acquire_lease("sweep", "heir", LEASE, env.now()).await.unwrap());
        let later = env.now() + Duration::days(1);
        assert!(!store.extend_lease("sweep", "dead", later).await.unwrap());
        assert!(!store.release_lease("sweep", "dead", later).await.unwrap(), "the heir goes on undisturbed");
        assert!(store.release_lease("sweep", "heir", env.now()).await.unwrap());
    })
    .await;
}
