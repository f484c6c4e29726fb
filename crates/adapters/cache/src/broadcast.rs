//! Messages to other processes through the publishing of Redis or Valkey.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use portico_kernel::broadcast::{Broadcast, BroadcastLost};
use redis::{
    Pipeline,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{interval, timeout},
};

use crate::link::{NoAnswer, Redis};

/// The channel.
const CHANNEL: &str = "portico:committed";

/// Messages that wait to be sent, at most.
const WAITING: usize = 4096;

/// Messages sent at once, at most.
const BATCH: usize = 64;

/// How often a connection that is quiet proves that it still hears.
const BEAT: Duration = Duration::from_secs(1);

/// How long the proof, and a subscription, may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Publishes and listens on one channel.
pub struct RedisBroadcast {
    redis: Redis,
    told: Sender<String>,
    waiting: Mutex<Receiver<String>>,
}

impl RedisBroadcast {
    /// Over a server: what is told goes over the connection that all share, and what is heard comes by one of its own.
    pub fn new(redis: Redis) -> Self {
        let (told, waiting) = channel(WAITING);
        Self { redis, told, waiting: Mutex::new(waiting) }
    }

    /// Sends what is told, until Redis does not answer. What could not be sent is lost.
    async fn send(&self) -> NoAnswer {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        // Never 0: this value holds a sender.
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let mut pipeline = Pipeline::with_capacity(batch.len());
            for message in &batch {
                pipeline.publish(CHANNEL, message).ignore();
            }
            let sent = async {
                let mut link = self.redis.link().await?;
                self.redis.within(link.number, pipeline.exec_async(&mut link.connection)).await
            };
            let sent = sent.await;
            count(if sent.is_ok() { "sent" } else { "lost" }, batch.len());
            batch.clear();
            if let Err(error) = sent {
                return error;
            }
        }
        NoAnswer("nobody tells anything any more".to_owned())
    }
}

/// Hands what is heard to `hear`, until the connection ends.
async fn listen(mut messages: PubSubStream, hear: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> NoAnswer {
    while let Some(message) = messages.next().await {
        count("heard", 1);
        match std::str::from_utf8(message.get_payload_bytes()) {
            Ok(text) => hear(text),
            Err(_) => tracing::debug!("a message of somebody else"),
        }
    }
    NoAnswer("the connection ended".to_owned())
}

/// Asks now and then, until there is no answer: a connection that broke somewhere on the way is never closed.
async fn watch(mut sink: PubSubSink) -> NoAnswer {
    let mut beat = interval(BEAT);
    loop {
        beat.tick().await;
        match timeout(PATIENCE, sink.ping::<redis::Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return NoAnswer("no answer in time".to_owned()),
        }
    }
}

fn count(outcome: &'static str, messages: usize) {
    metrics::counter!("broadcast_messages_total", "outcome" => outcome).increment(messages as u64);
}

#[async_trait]
impl Broadcast for RedisBroadcast {
    fn tell(&self, message: String) {
        if self.told.try_send(message).is_err() {
            count("lost", 1);
        }
    }

    async fn carry(&self, hear: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost {
        let subscribed = async {
            let mut listening = self.redis.listening().await?;
            match timeout(PATIENCE, listening.subscribe(CHANNEL)).await {
                Ok(Ok(())) => Ok(listening.split()),
                Ok(Err(error)) => Err(NoAnswer::from(error)),
                Err(_) => Err(NoAnswer("no subscription in time".to_owned())),
            }
        };
        let NoAnswer(why) = match subscribed.await {
            Err(error) => error,
            Ok((sink, messages)) => tokio::select! {
                error = listen(messages, hear) => error,
                error = watch(sink) => error,
                error = self.send() => error,
            },
        };
        BroadcastLost(why)
    }
}
