//! The contract of every rate limiter, and behaviour while Redis is unavailable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portico_cache::{ProcessLimiter, SharedLimiter};
use portico_kernel::limits::{Quota, RateLimiter};
use portico_testkit::redis::{TestRedis, free_port};

use crate::{PATIENT, QUICK, at_once, eventually, redis};

/// How long a request may take when Redis is lost: its timeout, and a margin.
const PATIENCE: Duration = Duration::from_millis(450);

async fn shared(address: &str, patience: Duration) -> SharedLimiter {
    SharedLimiter::new(redis(address, patience).await)
}

/// How many of this number of consecutive requests are allowed.
async fn allowed(limiter: &dyn RateLimiter, name: &str, quota: Quota, tries: usize) -> usize {
    let mut count = 0;
    for _ in 0..tries {
        count += usize::from(limiter.count(name, quota).await.allowed);
    }
    count
}

async fn keeps_its_promises(limiter: Arc<dyn RateLimiter>) {
    let hourly = Quota::per_hour(5);
    let first = limiter.count("a", hourly).await;
    assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 5, 4, 720));
    assert_eq!(allowed(&*limiter, "a", hourly, 10).await, 4);
    let refused = limiter.count("a", hourly).await;
    assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
    assert!((700..=720).contains(&refused.reset), "{refused:?}");
    assert_eq!(allowed(&*limiter, "b", hourly, 10).await, 5, "another name has a quota of its own");

    // Regardless of concurrency.
    let answers = at_once(64, |_| {
        let limiter = limiter.clone();
        async move { limiter.count("crowd", Quota::per_hour(20)).await.allowed }
    })
    .await;
    assert_eq!(answers.into_iter().filter(|allowed| *allowed).count(), 20);

    // A refused request is not counted: one is available after a three-hundredth of a minute.
    let quick = Quota::per_minute(300);
    let taken = allowed(&*limiter, "quick", quick, 400).await;
    assert!((300..400).contains(&taken), "{taken}");
    let back = async || limiter.count("quick", quick).await.allowed.then_some(());
    eventually(Duration::from_secs(5), back).await.expect("one comes back");
    limiter.forget_idle();
    assert!(!limiter.count("a", hourly).await.allowed, "what is in use is not forgotten");
    // With a larger quota, used requests are restored at its rate.
    let larger = async || limiter.count("quick", Quota::per_minute(100_000)).await.allowed.then_some(());
    eventually(Duration::from_millis(150), larger).await.expect("a larger quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_process() {
    keeps_its_promises(Arc::new(ProcessLimiter::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_redis_for_everybody() {
    let server = TestRedis::start().await;
    let (one, two) = (shared(&server.url(), PATIENT).await, shared(&server.url(), PATIENT).await);
    let (one, two) = (Arc::new(one), Arc::new(two));
    keeps_its_promises(one.clone()).await;
    // Two processes together allow as many requests as one.
    let limiters = [one, two];
    let answers = at_once(100, |number| {
        let limiter = limiters[number % 2].clone();
        async move { limiter.count("both", Quota::per_hour(40)).await.allowed }
    })
    .await;
    assert_eq!(answers.into_iter().filter(|allowed| *allowed).count(), 40);
    // A reduced quota takes effect, and the debt never exceeds a period.
    let smaller = Quota::per_hour(2);
    let refused = limiters[0].count("both", smaller).await;
    assert!(!refused.allowed && refused.reset <= 1800, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_time_is_read_as_one() {
    let server = TestRedis::start().await;
    let limiter = shared(&server.url(), PATIENT).await;
    let quota = Quota::per_hour(3);
    // A clock that was set back, an arrival long ago, and values that are not numbers.
    for (name, value) in [("future", "9e15"), ("past", "-7"), ("word", "x"), ("nan", "nan"), ("empty", "")] {
        server.command(&["set", &format!("portico:limit:{name}"), value]);
        let taken = allowed(&limiter, name, quota, 10).await;
        let expected = if name == "future" { 0 } else { 3 };
        assert_eq!(taken, expected, "{name}");
        assert!(limiter.count(name, quota).await.reset <= 1200, "{name}");
    }
    // Values expire when they have no more effect.
    let lifetime: i64 = server.command(&["pttl", "portico:limit:word"]).trim().parse().unwrap();
    assert!((1..=3_600_000).contains(&lifetime), "{lifetime}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_process_counts_and_nobody_waits() {
    let port = free_port();
    let limiter = Arc::new(shared(&format!("redis://127.0.0.1:{port}/"), PATIENT).await);
    let started = Instant::now();
    assert_eq!(allowed(&*limiter, "early", Quota::per_hour(20), 50).await, 20);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());

    // Once it is available, it counts for all processes.
    let server = TestRedis::start_at(port).await;
    let other = shared(&server.url(), PATIENT).await;
    let quota = Quota::per_hour(10);
    let seen = async || {
        // A unique name, so that the process has not used up its quota before.
        let name = format!("probe {:?}", Instant::now());
        limiter.count(&name, quota).await;
        (other.count(&name, quota).await.remaining == 8).then_some(())
    };
    eventually(Duration::from_secs(10), seen).await.expect("Redis is used again");

    // It stops during use: no client gets a new quota, and none is allowed without one.
    assert_eq!(allowed(&*limiter, "later", quota, 6).await, 6);
    drop(server);
    let times = at_once(32, |_| {
        let limiter = limiter.clone();
        async move {
            let started = Instant::now();
            (limiter.count("later", quota).await.allowed, started.elapsed())
        }
    })
    .await;
    assert_eq!(times.iter().filter(|(allowed, _)| *allowed).count(), 4, "{times:?}");
    assert!(times.iter().all(|(_, time)| *time < PATIENCE), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_waited_for_by_one_a_second() {
    let server = TestRedis::start().await;
    let limiter = Arc::new(shared(&server.url(), QUICK).await);
    let quota = Quota::per_minute(1_000_000);
    assert!(limiter.count("a", quota).await.allowed);
    server.pause();
    let found_out = limiter.count("a", quota).await;
    assert!(found_out.allowed);
    // From now on one request per second waits; the others are answered at once.
    let started = Instant::now();
    let mut slow = 0;
    while started.elapsed() < Duration::from_millis(1600) {
        let one = Instant::now();
        assert!(limiter.count("a", quota).await.allowed);
        assert!(one.elapsed() < PATIENCE, "{:?}", one.elapsed());
        slow += u32::from(one.elapsed() > Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(slow <= 2, "{slow} waited");
    server.resume();
    let other = shared(&server.url(), PATIENT).await;
    let seen = async || {
        let name = format!("probe {:?}", Instant::now());
        limiter.count(&name, Quota::per_hour(10)).await;
        (other.count(&name, Quota::per_hour(10)).await.remaining == 8).then_some(())
    };
    eventually(Duration::from_secs(10), seen).await.expect("Redis is used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_does_not_open_the_limit() {
    let server = TestRedis::start().await;
    let limiter = shared(&server.url(), PATIENT).await;
    let quota = Quota::per_hour(6);
    assert_eq!(allowed(&limiter, "a", quota, 2).await, 2);
    // Out of memory: it answers, and refuses to count.
    server.command(&["config", "set", "maxmemory", "1"]);
    assert_eq!(allowed(&limiter, "a", quota, 20).await, 4);
    // The breaker stayed closed: the next request is counted in Redis at once.
    server.command(&["config", "set", "maxmemory", "0"]);
    let other = shared(&server.url(), PATIENT).await;
    assert_eq!(limiter.count("b", quota).await.remaining, 5);
    assert_eq!(other.count("b", quota).await.remaining, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_shown_and_a_wrong_one_costs_only_the_sharing() {
    let server = TestRedis::start().await;
    let with = |password: &str| server.url().replace("://", &format!("://:{password}@"));
    server.command(&["config", "set", "requirepass", "hunter2"]);
    let right = shared(&with("hunter2"), PATIENT).await;
    let other = shared(&with("hunter2"), PATIENT).await;
    let quota = Quota::per_hour(6);
    assert_eq!(right.count("a", quota).await.remaining, 5);
    assert_eq!(other.count("a", quota).await.remaining, 4);
    for address in [with("wrong"), server.url()] {
        let alone = shared(&address, PATIENT).await;
        assert_eq!(allowed(&alone, "a", quota, 20).await, 6, "it counts for itself");
    }
}
