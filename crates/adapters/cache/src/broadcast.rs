//! Messages to other processes through the publish/subscribe of Redis or Valkey.

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

/// Maximum number of messages queued for sending.
const WAITING: usize = 4096;

/// Maximum number of messages sent at once.
const BATCH: usize = 64;

/// Interval of checking an idle connection.
const BEAT: Duration = Duration::from_secs(1);

/// Timeout of that check, and of a subscription.
const PATIENCE: Duration = Duration::from_millis(500);

/// Publishes and subscribes on one channel.
pub struct RedisBroadcast {
    redis: Redis,
    queue: Sender<String>,
    waiting: Mutex<Receiver<String>>,
}

impl RedisBroadcast {
    /// Messages are published over the shared connection, and received by a separate one.
    pub fn new(redis: Redis) -> Self {
        let (queue, waiting) = channel(WAITING);
        Self { redis, queue, waiting: Mutex::new(waiting) }
    }

    /// Publishes queued messages, until Redis does not answer. Messages that could not be sent are lost.
    async fn send(&self) -> NoAnswer {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        // Never 0, because this value holds a sender.
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

/// Passes received messages to `hear`, until the connection ends.
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

/// Pings periodically, until there is no answer: a connection that is broken on the way is never closed.
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
    metrics::counter!("portico_broadcast_messages_total", "outcome" => outcome).increment(messages as u64);
}

#[async_trait]
impl Broadcast for RedisBroadcast {
    fn publish(&self, message: String) {
        if self.queue.try_send(message).is_err() {
            count("lost", 1);
        }
    }

    async fn run(&self, hear: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost {
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
