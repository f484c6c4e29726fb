//! Several instances on one database, as far as one process can show: scheduled work, and orderly shutdown.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use portico::{background, server};
use portico_kernel::StoreError;
use portico_runtime::{
    core::Core,
    worker::schedules::{self, Schedule},
};
use portico_testkit::server::{Database, TestServer, at_once};

/// Long enough that the schedule is due only once in a test.
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_work_is_done_once_by_all_instances_together() {
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    fn count<'a>((): &'a ()) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            ROUNDS.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
    }
    let counted = &Schedule::new("counted", HOUR, &(), count);
    TestServer::on_each_database(async |one| {
        let other = one.another_instance().await;
        let before = ROUNDS.load(Ordering::SeqCst);
        let apps = [one.app.clone(), other.app.clone()];
        let turns = at_once(12, |number| {
            let (app, counted) = (apps[number % 2].clone(), counted.clone());
            async move { schedules::turn(&app.core, &format!("worker-{number}"), &counted).await }
        })
        .await;
        assert_eq!(turns.into_iter().filter(|turn| *turn).count(), 1);
        assert_eq!(ROUNDS.load(Ordering::SeqCst) - before, 1);
        assert!(!schedules::turn(&other.app.core, "late", counted).await, "not before the interval is over");
        other.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_work_that_fails_or_panics_gives_its_turn_back() {
    fn fail<'a>((): &'a ()) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Err(StoreError::Internal("no luck".into())) })
    }
    fn panic<'a>((): &'a ()) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { panic!("oh") })
    }
    let server = TestServer::start().await;
    let core = &server.app.core;
    for schedule in [
        &Schedule::new("fails", Duration::ZERO, &(), fail),
        &Schedule::new("panics", Duration::ZERO, &(), panic),
    ] {
        // Were the lease still held, the second one would have to wait for its end.
        assert!(schedules::turn(core, "one", schedule).await, "{}", schedule.name);
        assert!(schedules::turn(core, "two", schedule).await, "{}", schedule.name);
    }
    let background = background::wire(&server.app);
    for schedule in &schedules::all(core, background.reader_names(), &background.schedules) {
        assert!(schedules::turn(core, "one", schedule).await, "{}", schedule.name);
        assert!(!schedules::turn(core, "two", schedule).await, "{}", schedule.name);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_work_that_writes_is_not_held_up_by_the_extension_of_its_lease() {
    // Thirty transactions that each hold the only connection that writes to SQLite for two thirds of a beat.
    fn write<'a>(core: &'a Core) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            for _ in 0..30 {
                let mut work = core.begin().await?;
                work.users().find(core.env.new_id()).await?;
                tokio::time::sleep(Duration::from_millis(66)).await;
                work.commit().await?;
            }
            Ok(())
        })
    }
    let lease = Duration::from_millis(300);
    let server = TestServer::start_with(Database::Sqlite, |settings| settings.worker.lease = lease).await;
    let core = &server.app.core;
    let began = Instant::now();
    assert!(schedules::turn(core, "one", &Schedule::new("writes", HOUR, core, write)).await);
    // Each extension waits for the connection for up to two seconds.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_about_to_stop_says_so_and_still_answers() {
    let server = TestServer::start().await;
    let client = server.customer("last@example.com").await;
    let before = client.get("/api/health/ready").await;
    assert_eq!((before.status.as_u16(), before.header("connection")), (200, ""));
    server::retire(&server.app);
    let ready = client.get("/api/health/ready").await;
    assert_eq!((ready.status.as_u16(), ready.header("connection")), (503, "close"));
    assert_eq!(client.get("/api/health/live").await.status.as_u16(), 204, "it is not to be killed");
    let answered = client.get("/api/v1/profile").await;
    assert_eq!((answered.status.as_u16(), answered.header("connection")), (200, "close"));
    let refused = client.get("/api/v1/nothing/here").await;
    assert_eq!((refused.status.as_u16(), refused.header("connection")), (404, "close"));
    server.stop().await;
}
