//! Events and jobs belong to the trace of the work that wrote them, and what is run is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portico_billing::ports::PaymentInbox;
use portico_kernel::{Outbox, TenantId, TraceParent, WorkQueue, trace::StoreObserver};
use portico_tenancy::ports::TenancyRepositories;
use portico_testkit::{TestDatabase, env, on_each_database};

use crate::{fixtures::event, inbound_events, jobs::new_job, taking::take_within_soon};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Works for a trace, or for none, and keeps what it is told.
#[derive(Default)]
struct Watch {
    parent: Mutex<Option<TraceParent>>,
    statements: Mutex<Vec<(String, Duration, bool)>>,
}

impl StoreObserver for Watch {
    fn trace_parent(&self) -> Option<TraceParent> {
        *self.parent.lock().unwrap()
    }

    fn statement(&self, sql: &str, took: Duration, failed: bool) {
        self.statements.lock().unwrap().push((sql.to_owned(), took, failed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_belongs_to_the_trace_of_the_work_at_hand() {
    on_each_database(async |database| {
        let (env, watch) = (env(), Arc::new(Watch::default()));
        let store = database.store().clone().with_observer(watch.clone());
        let (first, other): (TraceParent, TraceParent) =
            (PARENT.parse().unwrap(), PARENT.replace("-01", "-00").parse().unwrap());
        let tenant = TenantId::PLATFORM;
        let mut work = store.begin().await.unwrap();
        let mut ids = Vec::new();
        for parent in [None, Some(first), Some(other)] {
            *watch.parent.lock().unwrap() = parent;
            work.events().append(event(&env, tenant, "page.updated")).await.unwrap();
            let job = new_job(&env, "email.welcome");
            ids.push((job.id, parent));
            work.jobs().enqueue(job).await.unwrap();
        }
        // An event that names its trace keeps it.
        let mut named = event(&env, tenant, "page.deleted");
        named.trace_parent = Some(first);
        work.events().append(named).await.unwrap();
        let parents = [None, Some(first), Some(other), Some(first)];
        let told: Vec<_> = work.events_so_far().iter().map(|event| event.trace_parent).collect();
        assert_eq!(told, parents);
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        let taken = take_within_soon(&mut work, "traces", 10).await;
        assert_eq!(taken.events.iter().map(|event| event.trace_parent).collect::<Vec<_>>(), parents);
        drop(work);
        let jobs = store.claim("worker", 10, time::Duration::MINUTE, env.now()).await.unwrap();
        for (id, parent) in ids {
            let job = jobs.iter().find(|job| job.id == id).unwrap();
            assert_eq!(job.trace_parent, parent);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_payment_event_belongs_to_the_trace_of_what_brought_it() {
    on_each_database(async |database| {
        let (env, watch) = (env(), Arc::new(Watch::default()));
        let store = database.store().clone().with_observer(watch.clone());
        let parent: TraceParent = PARENT.parse().unwrap();
        let again: TraceParent = PARENT.replace("-01", "-00").parse().unwrap();
        // One that comes again changes nothing.
        for (name, trace, is_new) in
            [("evt_1", None, true), ("evt_2", Some(parent), true), ("evt_2", Some(again), false)]
        {
            *watch.parent.lock().unwrap() = trace;
            let job = new_job(&env, "payment.event");
            let stored = store.receive(&inbound_events::event(&env, name), Some(job)).await;
            assert_eq!(stored.unwrap(), is_new, "{name}");
            env.clock.advance(time::Duration::MILLISECOND);
        }
        let jobs = store.claim("worker", 10, time::Duration::MINUTE, env.now()).await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.trace_parent).collect::<Vec<_>>(), [None, Some(parent)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_trace_is_none() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut work = store.begin().await.unwrap();
        work.jobs().enqueue(new_job(&env, "email.welcome")).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(database.tamper("update jobs set trace_parent = 'gibberish'", &[]).await, 1);
        let jobs = store.claim("worker", 10, time::Duration::MINUTE, env.now()).await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.trace_parent).collect::<Vec<_>>(), [None]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_told_without_their_values() {
    on_each_database(async |database| {
        let (env, watch) = (env(), Arc::new(Watch::default()));
        let store = database.store().clone().with_observer(watch.clone());
        let secret = event(&env, TenantId::PLATFORM, "page.updated").after(&"a-value-of-the-customer");
        let mut work = store.begin().await.unwrap();
        work.events().append(secret.clone()).await.unwrap();
        work.events().append(secret).await.unwrap();
        assert!(work.commit().await.is_err(), "the same event again");
        store.begin().await.unwrap().commit().await.unwrap();
        store.figures(env.now()).await.unwrap();
        let statements = watch.statements.lock().unwrap().clone();
        let of = |part: &str| statements.iter().filter(|(sql, ..)| sql.to_lowercase().contains(part)).count();
        // On Postgres what writes with one statement or none needs no transaction.
        let commits = usize::from(database.url().starts_with("sqlite"));
        assert_eq!(
            (of("insert into"), of("begin"), of("commit")),
            (1, 2 * commits, commits),
            "{statements:?}"
        );
        assert!(of("select") >= 2, "the pool for reading is watched too: {statements:?}");
        assert_eq!(statements.iter().filter(|(_, _, failed)| *failed).count(), 1);
        assert!(
            statements
                .iter()
                .all(|(sql, took, _)| { !sql.contains("a-value-of-the-customer") && !took.is_zero() })
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_begins_with_what_writes_and_one_of_a_single_statement_is_that_statement() {
    let database = TestDatabase::postgres().await;
    let (env, watch) = (env(), Arc::new(Watch::default()));
    let store = database.store().clone().with_observer(watch.clone());
    let seen = || -> Vec<String> {
        let statements = std::mem::take(&mut *watch.statements.lock().unwrap());
        let word = |sql: &String| sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        statements.iter().map(|(sql, ..)| word(sql)).collect()
    };
    let tenant = env.new_id();
    let mut work = store.begin().await.unwrap();
    assert!(work.tenants().find(tenant).await.unwrap().is_none());
    work.events().append(event(&env, TenantId::PLATFORM, "page.updated")).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(seen(), ["select", "insert"]);

    // A lock begins one, and so does what is written before something else is read.
    let mut work = store.begin().await.unwrap();
    work.tenants().lock(tenant).await.unwrap();
    assert!(work.tenants().find(tenant).await.unwrap().is_none());
    work.events().append(event(&env, TenantId::PLATFORM, "page.updated")).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(seen(), ["begin", "select", "select", "insert", "commit"]);

    // What only reads has nothing to commit.
    let mut work = store.begin().await.unwrap();
    assert!(work.tenants().find(tenant).await.unwrap().is_none());
    work.commit().await.unwrap();
    assert_eq!(seen(), ["select"]);
}
