use std::sync::mpsc;

use futures_util::{future::join_all, poll};

use super::*;

/// A pool of this many threads, with room for as many that wait.
fn pool(threads: usize, waiting: usize) -> Pool {
    Pool::new("test", PoolSize { threads, waiting })
}

fn threads(pool: &Pool) -> usize {
    pool.shared.state().threads
}

/// Waits until a condition holds that threads bring about.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn work_is_done_in_order_and_more_than_may_wait_is_refused() {
    let pool = pool(1, 2);
    let (free, held) = mpsc::channel::<()>();
    let (done, order) = mpsc::channel();
    let mut holding = Box::pin(pool.run(move || held.recv().is_ok()));
    assert!(poll!(&mut holding).is_pending());
    let mut waiting: Vec<_> = (0..2)
        .map(|number| {
            let done = done.clone();
            Box::pin(pool.run(move || done.send(number).unwrap()))
        })
        .collect();
    for waiting in &mut waiting {
        assert!(poll!(waiting).is_pending());
    }
    assert_eq!(pool.run(|| ()).await, Err(PoolError::Overloaded));
    free.send(()).unwrap();
    assert_eq!(holding.await, Ok(true));
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(pool.run(|| 7).await, Ok(7), "and there is room again");
}

#[tokio::test]
async fn as_many_threads_work_at_once_as_there_may_be_and_no_more_are_started_than_are_needed() {
    let pool = pool(3, 9);
    for _ in 0..20 {
        pool.run(|| ()).await.unwrap();
    }
    assert_eq!(threads(&pool), 1, "one after the other is done by one");
    // Each waits for all three of them.
    let barrier = Arc::new(std::sync::Barrier::new(3));
    let together = (0..12).map(|_| {
        let barrier = barrier.clone();
        pool.run(move || barrier.wait().is_leader())
    });
    let done = tokio::time::timeout(Duration::from_secs(30), join_all(together)).await.unwrap();
    assert_eq!(done.iter().filter(|leads| **leads == Ok(true)).count(), 4);
    assert_eq!(threads(&pool), 3);
}

#[tokio::test]
async fn work_that_panics_is_an_error_and_its_thread_goes_on() {
    let pool = pool(1, 0);
    let thread = pool.run(|| thread::current().id()).await.unwrap();
    let failed: Result<(), _> = pool.run(|| panic!("on purpose")).await;
    assert_eq!(failed, Err(PoolError::Panicked));
    assert_eq!(pool.run(|| thread::current().id()).await, Ok(thread));
    assert_eq!(threads(&pool), 1);
}

#[tokio::test]
async fn who_gives_up_leaves_the_queue_and_what_is_under_way_keeps_its_thread() {
    let pool = pool(1, 1);
    let (free, held) = mpsc::channel::<()>();
    let mut holding = Box::pin(pool.run(move || held.recv().is_ok()));
    assert!(poll!(&mut holding).is_pending());
    until(|| pool.shared.state().busy == 1).await;
    let payload = Arc::new(());
    let kept = payload.clone();
    let mut waiting = Box::pin(pool.run(move || drop(kept)));
    assert!(poll!(&mut waiting).is_pending());
    drop(waiting);
    assert_eq!(Arc::strong_count(&payload), 1, "what it holds is freed");

    drop(holding);
    let mut next = Box::pin(pool.run(|| 1));
    assert!(poll!(&mut next).is_pending());
    assert_eq!(
        pool.run(|| 2).await,
        Err(PoolError::Overloaded),
        "the thread still works for the one that left"
    );
    free.send(()).unwrap();
    assert_eq!(next.await, Ok(1));
}

#[tokio::test]
async fn threads_end_without_work_and_with_the_pool() {
    let brief = Pool::with_idle("test", PoolSize { threads: 2, waiting: 0 }, Duration::from_millis(1));
    assert_eq!(threads(&brief), 0, "none before the first work");
    assert_eq!(brief.run(|| 1).await, Ok(1));
    until(|| threads(&brief) == 0).await;
    assert_eq!(brief.run(|| 2).await, Ok(2), "and start again");

    let long = pool(2, 0);
    assert!(join_all((0..2).map(|_| long.run(|| ()))).await.iter().all(Result::is_ok));
    let shared = Arc::downgrade(&long.shared);
    drop(long);
    until(|| shared.strong_count() == 0).await;
}

/// The niceness of the calling thread, see proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn niceness() -> i32 {
    let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name, the second field, may have any letters; the niceness is the 19th.
    let (_, fields) = line.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_of_the_pool_let_others_go_first() {
    let pool = pool(2, 0);
    let before = niceness();
    let lowered = (before + NICENESS).min(19);
    assert_eq!(join_all([pool.run(niceness), pool.run(niceness)]).await, [Ok(lowered), Ok(lowered)]);
    assert_eq!(niceness(), before, "of the other threads nothing changes");
}
