//! What the deliveries are compared with: the same HTTP client, posting the same bytes to the same sink, and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use super::sink::Inbox;

/// Requests at once. More do not make it faster where client and sink share two cores.
const AT_ONCE: usize = 64;

/// Posts `number` messages with this body, one after the other in each of 64 tasks. Returns how long it took.
pub async fn post(inbox: &Inbox, number: usize, body: &str, round: usize) -> anyhow::Result<Duration> {
    let http = Client::builder().no_proxy().pool_max_idle_per_host(AT_ONCE).build()?;
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (http, next, url, body) = (http.clone(), next.clone(), inbox.url.clone(), body.to_owned());
        tasks.spawn(async move {
            loop {
                let message = next.fetch_add(1, Ordering::Relaxed);
                if message >= number {
                    return anyhow::Ok(());
                }
                let answer = http
                    .post(&url)
                    .header("content-type", "application/json")
                    .header("webhook-id", format!("evt_{round}_{message}"))
                    .header("webhook-timestamp", "1790000000")
                    .header("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
                    .body(body.clone())
                    .send()
                    .await?;
                ensure!(answer.status() == StatusCode::NO_CONTENT, "the sink answered {}", answer.status());
                answer.bytes().await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?.context("the bare client")?;
    }
    Ok(begin.elapsed())
}
