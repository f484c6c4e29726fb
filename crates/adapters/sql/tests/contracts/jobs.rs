//! The job queue of the kernel.

use std::collections::BTreeSet;

use portico_kernel::{
    Env, Job, JobId, JobState, NewJob, Outbox, PageRequest, TenantId, WorkQueue, job::QueueFigures,
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::at_once;

const LEASE: Duration = Duration::seconds(30);

pub fn new_job(env: &Env, kind: &'static str) -> NewJob {
    NewJob {
        id: env.new_id(),
        kind,
        payload: serde_json::json!({"email": "ada@example.com", "count": 1}),
        tenant: TenantId::PLATFORM,
        run_at: env.now(),
        max_attempts: 5,
        request_id: "request-1".to_owned(),
    }
}

async fn enqueue(store: &SqlStore, job: NewJob) -> JobId {
    let id = job.id;
    let mut work = store.begin().await.unwrap();
    work.jobs().enqueue(job).await.unwrap();
    work.commit().await.unwrap();
    id
}

async fn claim_one(store: &SqlStore, env: &Env, worker: &str) -> Option<Job> {
    store.claim(worker, 1, LEASE, env.now()).await.unwrap().pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_claimed_when_due_with_all_it_carries() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let later = NewJob { run_at: env.now() + Duration::hours(1), ..new_job(&env, "email.welcome") };
        let later_id = enqueue(store, later).await;
        let new = new_job(&env, "email.verification");
        enqueue(store, new.clone()).await;
        let jobs = store.claim("worker", 10, LEASE, env.now()).await.unwrap();
        let expected = Job {
            id: new.id,
            kind: new.kind.to_owned(),
            payload: new.payload,
            tenant_id: new.tenant,
            state: JobState::Running,
            attempts: 1,
            max_attempts: 5,
            run_at: new.run_at,
            due_at: None,
            last_error: None,
            request_id: new.request_id,
            trace_parent: None,
            created_at: env.now(),
        };
        assert_eq!(jobs, [expected]);
        env.clock.advance(Duration::hours(1));
        let due = store.claim("other", 10, LEASE, env.now()).await.unwrap();
        assert!(due.iter().any(|job| job.id == later_id));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_goes_to_one_worker() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut ids = BTreeSet::new();
        for _ in 0..40 {
            ids.insert(enqueue(store, new_job(&env, "email.welcome")).await);
        }
        let now = env.now();
        let claimed = at_once(store, 16, |store, number| async move {
            let mut mine = Vec::new();
            loop {
                let jobs = store.claim(&format!("worker-{number}"), 3, LEASE, now).await.unwrap();
                if jobs.is_empty() {
                    return mine;
                }
                assert!(jobs.len() <= 3);
                mine.extend(jobs.into_iter().map(|job| job.id));
            }
        })
        .await
        .concat();
        assert_eq!(claimed.len(), 40, "none twice");
        assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), ids, "none forgotten");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_gives_the_job_to_another_worker() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let id = enqueue(store, new_job(&env, "email.welcome")).await;
        assert_eq!(claim_one(store, &env, "dead").await.unwrap().attempts, 1);
        env.clock.advance(LEASE - Duration::microseconds(1));
        assert_eq!(claim_one(store, &env, "heir").await, None, "still leased");
        assert!(store.extend("dead", id, env.now() + LEASE).await.unwrap());
        env.clock.advance(Duration::seconds(1));
        assert_eq!(claim_one(store, &env, "heir").await, None, "the lease was extended");
        env.clock.advance(LEASE);
        assert_eq!(claim_one(store, &env, "heir").await.unwrap().attempts, 2);

        let until = env.now() + LEASE;
        assert!(!store.extend("dead", id, until).await.unwrap());
        assert_eq!(store.complete("dead", &[id]).await.unwrap(), 0);
        assert!(!store.retry("dead", id, env.now(), "late").await.unwrap());
        assert!(!store.defer("dead", id, env.now(), "late").await.unwrap());
        assert_eq!(store.release("dead", &[id]).await.unwrap(), 0);
        assert!(!store.bury("dead", id, "late").await.unwrap());
        assert_eq!(store.complete("heir", &[id]).await.unwrap(), 1);
        assert_eq!(store.complete("heir", &[id]).await.unwrap(), 0, "done and gone");
        env.clock.advance(Duration::days(1));
        assert_eq!(claim_one(store, &env, "heir").await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_comes_again_and_a_released_one_uncounted() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let id = enqueue(store, new_job(&env, "email.welcome")).await;
        claim_one(store, &env, "one").await.unwrap();
        let again = env.now() + Duration::minutes(1);
        assert!(store.retry("one", id, again, "no route to host").await.unwrap());
        assert!(!store.extend("one", id, again).await.unwrap(), "no lease any more");
        assert_eq!(claim_one(store, &env, "one").await, None, "not before its time");
        env.clock.set(again);
        let job = claim_one(store, &env, "two").await.unwrap();
        assert_eq!((job.attempts, job.last_error.as_deref()), (2, Some("no route to host")));
        assert_eq!(store.release("two", &[id]).await.unwrap(), 1);
        assert_eq!(claim_one(store, &env, "three").await.unwrap().attempts, 2, "the release did not count");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_job_comes_later_and_uncounted() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let due = env.now();
        let id = enqueue(store, new_job(&env, "email.welcome")).await;
        assert_eq!(claim_one(store, &env, "old").await.unwrap().due_at, None);
        let later = env.now() + Duration::seconds(10);
        assert!(store.defer("old", id, later, "no handler").await.unwrap());
        assert!(!store.extend("old", id, later).await.unwrap(), "no lease any more");
        assert_eq!(claim_one(store, &env, "new").await, None, "not before its time");
        env.clock.set(later);
        let job = claim_one(store, &env, "new").await.unwrap();
        assert_eq!((job.attempts, job.run_at, job.last_error.as_deref()), (1, later, Some("no handler")));
        assert_eq!(job.due_at, Some(due));
        let last = later + Duration::seconds(10);
        assert!(store.defer("new", id, last, "no handler").await.unwrap());
        env.clock.set(last);
        assert_eq!(claim_one(store, &env, "new").await.unwrap().due_at, Some(due), "also when put off twice");
        assert!(store.retry("new", id, last, "no route to host").await.unwrap());
        assert_eq!(claim_one(store, &env, "new").await.unwrap().due_at, None, "somebody knows how to do it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_are_settled_at_once_and_only_those_that_the_worker_holds() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut ids = Vec::new();
        for _ in 0..37 {
            ids.push(enqueue(store, new_job(&env, "email.welcome")).await);
            env.clock.advance(Duration::milliseconds(1));
        }
        let claim = async |worker: &str, limit| {
            let jobs = store.claim(worker, limit, LEASE, env.now()).await.unwrap();
            jobs.into_iter().map(|job| (job.id, job.attempts)).collect::<Vec<_>>()
        };
        let (mine, theirs) = (claim("one", 20).await, claim("two", 100).await);
        assert_eq!((mine.len(), theirs.len()), (20, 17));
        assert_eq!(store.complete("one", &[]).await.unwrap(), 0);
        assert_eq!(store.release("one", &[]).await.unwrap(), 0);
        assert_eq!(store.complete("one", &ids).await.unwrap(), 20);
        assert_eq!(store.release("one", &ids).await.unwrap(), 0);
        assert_eq!(store.release("two", &ids[20..30]).await.unwrap(), 10);
        let again = claim("three", 100).await;
        let expected: Vec<_> = ids[20..30].iter().map(|id| (*id, 1)).collect();
        assert_eq!(again, expected, "in their old order, and the attempt did not count");
        assert_eq!(store.complete("two", &ids).await.unwrap(), 7);
        assert_eq!(store.complete("three", &ids).await.unwrap(), 10);
        assert_eq!(store.figures(env.now()).await.unwrap(), QueueFigures::default());
    })
    .await;
}

async fn replay(store: &SqlStore, env: &Env, id: JobId) -> Option<Job> {
    let mut work = store.begin().await.unwrap();
    let job = work.dead_letters().replay(id, env.now()).await.unwrap();
    work.commit().await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_waits_for_staff() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let id = enqueue(store, new_job(&env, "email.welcome")).await;
        assert_eq!(replay(store, &env, id).await, None, "not dead");
        claim_one(store, &env, "one").await.unwrap();
        assert!(store.bury("one", id, "no such mailbox").await.unwrap());
        env.clock.advance(Duration::days(1));
        assert_eq!(claim_one(store, &env, "one").await, None);
        let dead = store.list(Some(JobState::Dead), PageRequest::default()).await.unwrap();
        assert_eq!((dead.items[0].id, dead.total), (id, 1));
        assert_eq!(dead.items[0].last_error.as_deref(), Some("no such mailbox"));

        // Dropped without a commit, it stays dead.
        let mut work = store.begin().await.unwrap();
        assert!(work.dead_letters().replay(id, env.now()).await.unwrap().is_some());
        drop(work);
        let replayed = replay(store, &env, id).await.unwrap();
        assert_eq!((replayed.state, replayed.attempts), (JobState::Queued, 0));
        assert_eq!(replay(store, &env, id).await, None);
        assert_eq!(claim_one(store, &env, "one").await.unwrap().attempts, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_and_counted() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        assert_eq!(store.figures(env.now()).await.unwrap(), QueueFigures::default());
        let mut ids = Vec::new();
        for _ in 0..3 {
            env.clock.advance(Duration::seconds(1));
            ids.push(enqueue(store, new_job(&env, "email.welcome")).await);
        }
        claim_one(store, &env, "one").await.unwrap();
        let now = env.clock.advance(Duration::seconds(10));
        let figures = store.figures(now).await.unwrap();
        let expected = QueueFigures { queued: 2, running: 1, dead: 0, oldest_due: Duration::seconds(11) };
        assert_eq!(figures, expected, "the running one is not due");

        ids.reverse();
        let page = store.list(None, PageRequest { page: 1, limit: 2 }).await.unwrap();
        assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), ids[..2]);
        assert_eq!(page.total, 3);
        let queued = store.list(Some(JobState::Queued), PageRequest::default()).await.unwrap();
        assert_eq!(queued.items.iter().map(|job| job.id).collect::<Vec<_>>(), ids[..2]);
    })
    .await;
}
