//! Claims webhooks with due deliveries, and runs a task for each.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::http::HttpClient;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::{interval_at, sleep},
};

use super::{
    Key, Nudges,
    receiver::{self, Shared},
    settler,
};
use crate::{backoff::Backoff, core::Core, logging::chain};

/// Maximum number of webhooks that one process handles concurrently.
const MOST: usize = 2000;

/// Webhooks claimed at once.
const BATCH: usize = 100;

/// Attempts queued to be recorded.
const BACKLOG: usize = 1000;

/// Pause between two claims, so that under load several are claimed at once.
const PAUSE: Duration = Duration::from_millis(5);

/// Claims webhooks until shutdown, then waits for running attempts.
pub async fn run(
    core: Core,
    client: Arc<dyn HttpClient>,
    nudges: Arc<Nudges>,
    mut stopping: watch::Receiver<bool>,
) {
    let settings = &core.settings.webhooks;
    let (ended, notes) = mpsc::channel(BACKLOG);
    let settling = tokio::spawn(settler::run(core.clone(), notes));
    let shared = Arc::new(Shared {
        worker: core.env.random_uuid().to_string(),
        room: Arc::new(Semaphore::new(settings.concurrency)),
        strained_room: Arc::new(Semaphore::new(settings.concurrency)),
        ended,
        stopping: stopping.clone(),
        crowded: AtomicBool::new(false),
        core: core.clone(),
        client,
    });
    let mut hands = Hands {
        shared,
        nudges,
        tasks: JoinSet::new(),
        keys: HashMap::new(),
        again: HashSet::new(),
        backoff: Backoff::new("webhooks cannot be taken"),
        resting_until: None,
    };
    let beat = settings.lease / 3;
    let mut heartbeat = interval_at((Instant::now() + beat).into(), beat);
    let poll = core.settings.worker.poll;
    loop {
        let stops = *stopping.borrow();
        if stops && hands.tasks.is_empty() {
            break;
        }
        if !stops && hands.take().await {
            continue;
        }
        tokio::select! {
            () = hands.nudges.ready.notified(), if !stops => sleep(PAUSE).await,
            () = sleep(poll), if !stops => {}
            Some(ended) = hands.tasks.join_next_with_id() => hands.ended(ended),
            _ = heartbeat.tick() => hands.keep().await,
            _ = stopping.changed(), if !stops => {}
        }
    }
    drop(hands);
    if settling.await.is_err() {
        tracing::error!("the task that notes deliveries panicked; they will be sent again");
    }
}

/// The webhooks that this process handles.
struct Hands {
    shared: Arc<Shared>,
    nudges: Arc<Nudges>,
    tasks: JoinSet<()>,
    keys: HashMap<Id, Key>,
    /// Claimed while their task still runs: it may have released them and be about to end.
    again: HashSet<Key>,
    backoff: Backoff,
    /// When to claim again, after a claim failed.
    resting_until: Option<Instant>,
}

impl Hands {
    /// Claims webhooks. Returns whether there may be more.
    async fn take(&mut self) -> bool {
        let limit = MOST.saturating_sub(self.tasks.len()).min(BATCH);
        if limit == 0 || self.resting_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        let core = &self.shared.core;
        let now = core.env.now();
        let until = now + lease(core);
        match core.deliveries.take(&self.shared.worker, limit as u32, until, now).await {
            Ok(taken) => {
                self.backoff.succeeded();
                self.resting_until = None;
                let full = taken.len() == limit;
                for key in taken {
                    self.look_after(key);
                }
                full
            }
            Err(error) => {
                self.resting_until = Some(Instant::now() + self.backoff.failed(&error));
                false
            }
        }
    }

    /// Starts a task for a webhook. An old one may still exist: it is about to end, and has released the webhook already;
    /// or its lease expired, and no other process claimed the webhook.
    fn look_after(&mut self, key: Key) {
        match self.nudges.hold(key) {
            Some(nudge) => {
                let task = self.tasks.spawn(receiver::look_after(self.shared.clone(), key, nudge));
                self.keys.insert(task.id(), key);
            }
            None => drop(self.again.insert(key)),
        }
        self.count();
    }

    fn count(&self) {
        self.shared.crowded.store(self.tasks.len() > MOST / 2, Ordering::Relaxed);
    }

    /// Renews the leases of the webhooks handled here.
    async fn keep(&self) {
        let core = &self.shared.core;
        let keys = self.nudges.keys();
        if keys.is_empty() {
            return;
        }
        if let Err(error) =
            core.deliveries.keep(&self.shared.worker, keys, core.env.now() + lease(core)).await
        {
            tracing::warn!(error = %chain(&error), "webhooks cannot be kept; others may send the same again");
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), true),
        };
        let Some(key) = self.keys.remove(&id) else { return };
        self.nudges.let_go(&key);
        if panicked {
            tracing::error!(tenant = %key.0, webhook = %key.1, "looking after a webhook panicked");
        }
        if self.again.remove(&key) {
            self.look_after(key);
        }
        self.count();
    }
}

fn lease(core: &Core) -> time::Duration {
    core.settings.webhooks.lease.try_into().unwrap_or(time::Duration::SECOND)
}
