//! The contracts of the ports, run against every implementation.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod broadcast;
mod cache;
mod limits;

use std::{sync::Arc, time::Duration};

use portico_cache::Redis;
use tokio::{
    sync::Barrier,
    time::{Instant, sleep},
};

/// The default timeout of servers.
const QUICK: Duration = Duration::from_millis(250);

/// A timeout for tests without failures, on a busy machine.
const PATIENT: Duration = Duration::from_secs(5);

async fn redis(address: &str, patience: Duration) -> Redis {
    Redis::open(address, patience).await.expect("an address")
}

/// Repeats `ask` until it returns a value or the time is up.
async fn eventually<T>(patience: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        sleep(Duration::from_millis(10)).await;
    }
    None
}

/// Runs several futures concurrently; their results in order.
async fn at_once<T: Send + 'static, F>(count: usize, make: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let (future, barrier) = (make(number), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                future.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.expect("no panic"));
    }
    answers
}
