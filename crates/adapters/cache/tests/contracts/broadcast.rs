//! Messages to other processes: they come, and the way comes back by itself.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portico_cache::RedisBroadcast;
use portico_kernel::broadcast::{Broadcast, BroadcastLost};
use portico_testkit::redis::{TestRedis, free_port};
use tokio::task::JoinHandle;

use crate::{PATIENT, eventually, redis};

type Heard = Arc<Mutex<Vec<String>>>;

async fn open(address: &str) -> Arc<RedisBroadcast> {
    Arc::new(RedisBroadcast::new(redis(address, PATIENT).await))
}

/// Carries until the way is lost; answers how that came about.
fn carry(broadcast: &Arc<RedisBroadcast>, heard: &Heard) -> JoinHandle<BroadcastLost> {
    let (broadcast, heard) = (broadcast.clone(), heard.clone());
    tokio::spawn(
        async move { broadcast.carry(&|message| heard.lock().unwrap().push(message.to_owned())).await },
    )
}

/// Tells until it is heard.
async fn until_heard(from: &RedisBroadcast, heard: &Heard, message: &str) {
    let came = async || {
        from.tell(message.to_owned());
        heard.lock().unwrap().iter().any(|text| text == message).then_some(())
    };
    eventually(Duration::from_secs(10), came).await.unwrap_or_else(|| panic!("{message} is not heard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tells_all_hear() {
    let server = TestRedis::start().await;
    let (one, two) = (open(&server.url()).await, open(&server.url()).await);
    let (heard_by_one, heard_by_two) = (Heard::default(), Heard::default());
    let tasks = [carry(&one, &heard_by_one), carry(&two, &heard_by_two)];
    until_heard(&one, &heard_by_two, "hello").await;
    until_heard(&two, &heard_by_one, "and back").await;

    // In order, none lost while all is well, and within milliseconds.
    let mut times = Vec::new();
    for number in 0..200 {
        let (message, told) = (format!("number {number}"), Instant::now());
        one.tell(message.clone());
        while !heard_by_two.lock().unwrap().contains(&message) {
            assert!(told.elapsed() < Duration::from_secs(5), "{message} is not heard");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push(told.elapsed());
    }
    times.sort();
    assert!(times[100] < Duration::from_millis(50), "{:?}", times[100]);
    for number in 0..2000 {
        one.tell(format!("burst {number}"));
    }
    let all = async || {
        let heard = heard_by_two.lock().unwrap();
        let burst: Vec<_> = heard.iter().filter(|text| text.starts_with("burst")).cloned().collect();
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
    let heard = Heard::default();
    let BroadcastLost(why) = carry(&broadcast, &heard).await.unwrap();
    assert!(!why.is_empty());
    // Nobody carries: what is too much is dropped.
    let started = Instant::now();
    for _ in 0..100_000 {
        broadcast.tell("into the void".to_owned());
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let server = TestRedis::start_at(port).await;
    // The pause after the failure may not be over yet.
    let carrying = async {
        loop {
            carry(&broadcast, &heard).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = until_heard(&broadcast, &heard, "again") => {}
        () = carrying => {}
    }
    // One that hangs is noticed, too: nothing is told, nothing comes, the connection stands.
    let task = carry(&broadcast, &heard);
    until_heard(&broadcast, &heard, "before it hangs").await;
    server.pause();
    let lost = tokio::time::timeout(Duration::from_secs(5), task).await.expect("it is noticed").unwrap();
    assert!(!lost.0.is_empty());
    server.resume();
}
