//! Databases that do not answer, and what is left of that when they do again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::{
    AnnouncementListener, CommitListener, Env, Event, EventId, Outbox, StoreError, TenantId,
};
use portico_sql::{PoolFigures, SqlStore, StoreOptions};
use portico_tenancy::ports::TenancyRepositories;
use portico_testkit::{TestDatabase, env, network::NetworkPath};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::fixtures::{event, stored_tenant};

/// Deadline of a statement in these tests. Longer than a busy machine takes for one.
const DEADLINE: Duration = Duration::from_secs(1);

/// What a busy machine may take on top.
const SLACK: Duration = Duration::from_secs(3);

async fn connect(url: &str) -> SqlStore {
    let options = StoreOptions {
        acquire_timeout: Duration::from_millis(900),
        statement_timeout: DEADLINE,
        ..StoreOptions::new(url)
    };
    SqlStore::connect(&options).await.unwrap()
}

async fn write(store: &SqlStore, env: &Env) -> Result<EventId, StoreError> {
    let event = event(env, TenantId::PLATFORM, "page.created");
    let id = event.id;
    let mut work = store.begin().await?;
    work.events().append(event).await?;
    work.commit().await?;
    Ok(id)
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Many who write without a pause until told to stop.
struct Writers {
    stopped: Arc<AtomicBool>,
    failures: Arc<AtomicU32>,
    latest: Arc<Mutex<Instant>>,
    tasks: JoinSet<Vec<EventId>>,
}

impl Writers {
    fn start(store: &SqlStore, env: &Env) -> Self {
        let mut writers = Self {
            stopped: Arc::default(),
            failures: Arc::default(),
            latest: Arc::new(Mutex::new(Instant::now())),
            tasks: JoinSet::new(),
        };
        for _ in 0..40 {
            let (store, env) = (store.clone(), env.clone());
            let (stopped, failures, latest) =
                (writers.stopped.clone(), writers.failures.clone(), writers.latest.clone());
            writers.tasks.spawn(async move {
                let mut acknowledged = Vec::new();
                while !stopped.load(Ordering::SeqCst) {
                    let begun = Instant::now();
                    match write(&store, &env).await {
                        Ok(id) => {
                            acknowledged.push(id);
                            *latest.lock().unwrap() = Instant::now();
                        }
                        Err(error) => {
                            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                            // A connection, BEGIN, two statements and COMMIT: only one of them is given up.
                            assert!(begun.elapsed() < DEADLINE * 2 + SLACK, "{:?}", begun.elapsed());
                            failures.fetch_add(1, Ordering::SeqCst);
                            sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
                acknowledged
            });
        }
        writers
    }

    fn failures(&self) -> u32 {
        self.failures.swap(0, Ordering::SeqCst)
    }

    /// Waits until something was written after now. Answers how long that took.
    async fn written(&self, patience: Duration) -> Duration {
        let since = Instant::now();
        while *self.latest.lock().unwrap() <= since {
            assert!(since.elapsed() < patience, "nothing is written {:?} later", since.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        since.elapsed()
    }

    /// Tells them to stop. Answers what was acknowledged.
    async fn stop(self) -> Vec<EventId> {
        self.stopped.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.concat()
    }
}

async fn count(connection: &mut PgConnection, sql: &'static str, ids: Vec<uuid::Uuid>) -> i64 {
    sqlx::query_scalar(sql).bind(ids).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_silent_under_load_is_left_behind() {
    let database = TestDatabase::postgres().await;
    let path = NetworkPath::to(database.url()).await;
    let (store, env) = (connect(path.url()).await, env());
    let writers = Writers::start(&store, &env);
    writers.written(SLACK).await;
    for silence in [Duration::from_millis(500), DEADLINE * 3] {
        path.set_silent(true);
        sleep(silence).await;
        path.set_silent(false);
        let took = writers.written(DEADLINE + SLACK).await;
        eprintln!("written {took:?} after {silence:?} of silence, {} failures", writers.failures());
        // What was under way when the network went silent ends at its deadline; then everything succeeds.
        let since = Instant::now();
        while writers.failures() > 0 {
            assert!(since.elapsed() < DEADLINE + SLACK, "still failing");
            sleep(Duration::from_millis(700)).await;
        }
    }
    let acknowledged = writers.stop().await;
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let ids: Vec<_> = acknowledged.iter().map(|id| id.uuid()).collect();
    let expected = ids.len() as i64;
    let stored =
        count(&mut connection, "select count(*) from events where id = any($1) /* by a test */", ids).await;
    assert_eq!(stored, expected, "every acknowledged event is there, once");
    let forgotten = count(
        &mut connection,
        "select count(*) from pg_stat_activity where datname = current_database() \
         and state like 'idle in transaction%' and $1 = '{}'::uuid[] /* by a test */",
        Vec::new(),
    )
    .await;
    assert_eq!(forgotten, 0, "no transaction is left open");
    connection.close().await.unwrap();
    store.close().await;
}

/// Listens, and counts the beats only.
#[derive(Default)]
struct Beats(AtomicU32);

impl AnnouncementListener for Beats {
    fn announced(&self, _: &str) {}
    fn appended(&self, _: TenantId, _: &str) {}
    fn announcements_lost(&self) {}
    fn caught_up(&self, _: Instant) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl CommitListener for Beats {
    fn committed(&self, _: &[Event], _: bool) {}
    fn announcement(&self, _: &[Event]) -> Option<String> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_is_answered_nobody_waits_for_the_whole_deadline() {
    let database = TestDatabase::postgres().await;
    let path = NetworkPath::to(database.url()).await;
    let options =
        StoreOptions { statement_timeout: Duration::from_secs(10), ..StoreOptions::new(path.url()) };
    let store = SqlStore::connect(&options).await.unwrap();
    let (following, beats) = (store.clone(), Arc::new(Beats::default()));
    let heard = beats.clone();
    let follower = tokio::spawn(async move { following.follow(&*heard).await });
    until("the first beats", || beats.0.load(Ordering::SeqCst) >= 3).await;
    let env = env();
    write(&store, &env).await.unwrap();
    let is_back = || {
        let figures = store.pool_figures();
        figures.idle > 0 && figures.idle == figures.open
    };
    until("its connection is back in the pool", is_back).await;
    path.set_silent(true);
    let begun = Instant::now();
    let given_up = write(&store, &env).await;
    assert!(matches!(given_up, Err(StoreError::Unavailable(_))), "{given_up:?}");
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(2) + SLACK).contains(&took),
        "a fifth of it, not {took:?}"
    );
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))), "not ready");
    assert!(begun.elapsed() - took < Duration::from_secs(1) + SLACK, "the probe does not wait for ever");
    path.set_silent(false);
    assert!(follower.await.unwrap().is_err(), "it hears nothing any more, and says so");
    write(&store, &env).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_a_lock_is_given_up_at_its_deadline() {
    let database = TestDatabase::postgres().await;
    let store = connect(database.url()).await;
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    other.execute("begin; lock table tenants in access exclusive mode /* by a test */").await.unwrap();
    let begun = Instant::now();
    let error = store.reader().tenants().find(env().new_id()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let took = begun.elapsed();
    assert!((DEADLINE * 9 / 10..DEADLINE + SLACK).contains(&took), "{took:?}");
    let background = store.for_background();
    let waiting = tokio::spawn(async move {
        let found = background.reader().tenants().find(env().new_id()).await;
        found.map(|tenant| tenant.is_none())
    });
    // It has connections of its own, which are in the same session: the lock is what it waits for.
    // One that begins later than this finds no lock, and an answer too.
    sleep(DEADLINE / 2).await;
    other.execute("rollback").await.unwrap();
    assert!(waiting.await.unwrap().unwrap(), "it waited for the lock, and got it");
    other.close().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_ended_to_break_a_deadlock_may_try_again() {
    let database = TestDatabase::postgres().await;
    let (env, store) = (env(), database.store());
    let (first, second) =
        (stored_tenant(store, &env, "first").await.id, stored_tenant(store, &env, "second").await.id);
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    // So it is not this side that is ended.
    let held = "set deadlock_timeout = '1min'; begin; \
         update tenants set name = name where subdomain = 'second' /* by a test */";
    other.execute(held).await.unwrap();
    let mut work = store.begin().await.unwrap();
    work.tenants().lock(first).await.unwrap();
    let waiting = tokio::spawn(async move {
        let wanted = "update tenants set name = name where subdomain = 'first' /* by a test */; rollback";
        other.execute(wanted).await.map(drop)
    });
    let error = work.tenants().lock(second).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    drop(work);
    waiting.await.unwrap().unwrap();
}

/// A store with one connection for requests.
async fn narrow(database: &TestDatabase) -> SqlStore {
    let options = StoreOptions { max_connections: 1, ..StoreOptions::new(database.url()) };
    SqlStore::connect(&options).await.unwrap()
}

/// Figures after a query that was answered.
async fn after_a_query(store: &SqlStore) -> PoolFigures {
    assert!(store.reader().tenants().find(env().new_id()).await.unwrap().is_none());
    store.pool_figures()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_alone_in_a_transaction_is_rolled_back_and_its_connection_used_again() {
    let database = TestDatabase::postgres().await;
    let (store, env) = (narrow(&database).await, env());
    let event = event(&env, TenantId::PLATFORM, "page.created");
    let id = event.id;
    for _ in 0..3 {
        let mut work = store.begin().await.unwrap();
        work.events().append(event.clone()).await.unwrap();
        // A lock, behind the row.
        work.tenants().lock(env.new_id()).await.unwrap();
        drop(work);
        assert_eq!(after_a_query(&store).await.open, 1);
    }
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let stored = count(
        &mut connection,
        "select count(*) from events where id = any($1) /* by a test */",
        vec![id.uuid()],
    )
    .await;
    assert_eq!(stored, 0);
    let sessions = count(
        &mut connection,
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'portico' \
         and state like 'idle%' and state <> 'idle' and $1 = '{}'::uuid[] /* by a test */",
        Vec::new(),
    )
    .await;
    assert_eq!(sessions, 0, "no transaction is open");
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_in_the_middle_of_a_statement_leaves_a_connection_that_works() {
    let database = TestDatabase::postgres().await;
    let store = narrow(&database).await;
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    // Shorter and longer than is waited for the answer.
    for held in [Duration::from_millis(300), Duration::from_secs(2)] {
        other.execute("begin; lock table tenants in access exclusive mode /* by a test */").await.unwrap();
        let mut reader = store.reader();
        let gone = timeout(Duration::from_millis(100), reader.tenants().find(env().new_id())).await.is_err();
        assert!(gone, "it waits for the lock");
        drop(reader);
        sleep(held).await;
        other.execute("rollback").await.unwrap();
        assert_eq!(after_a_query(&store).await.open, 1);
    }
    other.close().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_ends_is_not_used_again() {
    let database = TestDatabase::postgres().await;
    let store = narrow(&database).await;
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    other.execute("begin; lock table tenants in access exclusive mode /* by a test */").await.unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.reader().tenants().find(env().new_id()).await })
    };
    let ended = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity \
         where datname = current_database() and wait_event_type = 'Lock' and $1 = '{}'::uuid[] /* by a test */";
    // Not in the transaction, which would see the sessions as they were at first.
    let mut watching = PgConnection::connect(database.url()).await.unwrap();
    while count(&mut watching, ended, Vec::new()).await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    other.execute("rollback").await.unwrap();
    assert_eq!(after_a_query(&store).await.open, 1);
    watching.close().await.unwrap();
    other.close().await.unwrap();
    store.close().await;
}
