//! Messages to other processes: delivery, and automatic reconnection.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portico_cache::RedisBroadcast;
use portico_kernel::broadcast::{Broadcast, BroadcastLost};
use portico_testkit::redis::{TestRedis, free_port};
use tokio::task::JoinHandle;

use crate::{PATIENT, eventually, redis};

type Received = Arc<Mutex<Vec<String>>>;

async fn open(address: &str) -> Arc<RedisBroadcast> {
    Arc::new(RedisBroadcast::new(redis(address, PATIENT).await))
}

/// Carries messages until the connection is lost; returns the cause.
fn run(broadcast: &Arc<RedisBroadcast>, received: &Received) -> JoinHandle<BroadcastLost> {
    let (broadcast, received) = (broadcast.clone(), received.clone());
    tokio::spawn(
        async move { broadcast.run(&|message| received.lock().unwrap().push(message.to_owned())).await },
    )
}

/// Sends a message repeatedly until it is received.
async fn until_received(from: &RedisBroadcast, received: &Received, message: &str) {
    let came = async || {
        from.publish(message.to_owned());
        received.lock().unwrap().iter().any(|text| text == message).then_some(())
    };
    eventually(Duration::from_secs(10), came).await.unwrap_or_else(|| panic!("{message} is not heard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tells_all_hear() {
    let server = TestRedis::start().await;
    let (one, two) = (open(&server.url()).await, open(&server.url()).await);
    let (received_by_one, received_by_two) = (Received::default(), Received::default());
    let tasks = [run(&one, &received_by_one), run(&two, &received_by_two)];
    until_received(&one, &received_by_two, "hello").await;
    until_received(&two, &received_by_one, "and back").await;

    // In order, none lost without failures, and within milliseconds.
    let mut times = Vec::new();
    for number in 0..200 {
        let (message, sent_at) = (format!("number {number}"), Instant::now());
        one.publish(message.clone());
        while !received_by_two.lock().unwrap().contains(&message) {
            assert!(sent_at.elapsed() < Duration::from_secs(5), "{message} is not heard");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push(sent_at.elapsed());
    }
    times.sort();
    assert!(times[100] < Duration::from_millis(50), "{:?}", times[100]);
    for number in 0..2000 {
        one.publish(format!("burst {number}"));
    }
    let all = async || {
        let received = received_by_two.lock().unwrap();
        let burst: Vec<_> = received.iter().filter(|text| text.starts_with("burst")).cloned().collect();
        (burst.len() == 2000).then_some(burst)
    };
    let burst = eventually(Duration::from_secs(10), all).await.expect("all are heard");
    assert!(burst.iter().enumerate().all(|(number, text)| *text == format!("burst {number}")));
    for task in tasks {
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_way_is_noticed_and_telling_never_waits() {
    let port = free_port();
    let broadcast = open(&format!("redis://127.0.0.1:{port}/")).await;
    let received = Received::default();
    let BroadcastLost(why) = run(&broadcast, &received).await.unwrap();
    assert!(!why.is_empty());
    // Not carried: messages beyond the queue are dropped.
    let started = Instant::now();
    for _ in 0..100_000 {
        broadcast.publish("into the void".to_owned());
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let server = TestRedis::start_at(port).await;
    // The pause after the failure may not be over yet.
    let carrying = async {
        loop {
            run(&broadcast, &received).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = until_received(&broadcast, &received, "again") => {}
        () = carrying => {}
    }
    // A hanging server is noticed, too: no messages are sent or received, and the connection stays open.
    let task = run(&broadcast, &received);
    until_received(&broadcast, &received, "before it hangs").await;
    server.pause();
    let lost = tokio::time::timeout(Duration::from_secs(5), task).await.expect("it is noticed").unwrap();
    assert!(!lost.0.is_empty());
    server.resume();
}
