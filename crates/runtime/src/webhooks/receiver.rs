//! The task of one webhook: reads due deliveries, and calls the receiver.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::{DeliveryId, StoreError, Timestamp, http::HttpClient};
use portico_tenancy::{
    delivery::DeliveryStatus,
    dispatch::{DisableReason, Schedule},
    ports::{Due, DueDelivery},
    webhook::WebhookStatus,
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use super::{
    Key,
    attempt::{self, DeliveryTarget},
    pace::Pace,
    settler::{self, Ended},
};
use crate::{core::Core, logging};

/// Deliveries read at once.
const PIECE: u32 = 400;

/// Deliveries read at once for a failing or slow receiver, which gets few concurrent calls.
const STRAINED_PIECE: u32 = 10;

/// How long a failing or slow receiver is deferred when there are too many of them.
const PUT_OFF: Duration = Duration::from_secs(30);

/// Maximum number of attempts whose outcome is not recorded yet, running ones included.
const UNNOTED: usize = 400;

/// Polling interval while attempts are running: other processes may have planned deliveries.
const LOOK: Duration = Duration::from_millis(500);

/// Deliveries given up in one transaction.
const ABANDONED: u32 = 1000;

/// Why deliveries of a disabled webhook are given up.
const OFF: &str = "the webhook was switched off";

/// The longest pause that a receiver may request.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Shared by the tasks of all webhooks.
pub struct Shared {
    /// The services of the process.
    pub core: Core,
    /// HTTP client for receivers.
    pub client: Arc<dyn HttpClient>,
    /// Name of this process as a worker.
    pub worker: String,
    /// Permits for concurrent calls of healthy receivers.
    pub room: Arc<Semaphore>,
    /// Permits for concurrent calls of failing or slow receivers, which use none of those for healthy ones.
    pub strained_room: Arc<Semaphore>,
    /// Receives completed attempts.
    pub ended: mpsc::Sender<Ended>,
    /// Whether the process is shutting down, so that nothing new begins.
    pub stopping: watch::Receiver<bool>,
    /// Whether the number of webhooks handled is close to its limit.
    pub crowded: AtomicBool,
}

/// The result of a call, for the pace.
struct Called {
    /// Set if the call was skipped because of the shutdown.
    skipped: Option<DeliveryId>,
    succeeded: bool,
    took: Option<Duration>,
    gone: bool,
    pause: Option<Duration>,
}

/// The state of a webhook's task.
struct Receiver {
    shared: Arc<Shared>,
    key: Key,
    pace: Pace,
    target: Option<Arc<DeliveryTarget>>,
    /// Position after which to continue reading; `None` at the beginning.
    after: Option<(Timestamp, DeliveryId)>,
    waiting: VecDeque<DueDelivery>,
    unnoted: HashSet<DeliveryId>,
    calls: JoinSet<Called>,
    noted: (mpsc::UnboundedSender<DeliveryId>, mpsc::UnboundedReceiver<DeliveryId>),
    gone: bool,
    held_until: Option<Timestamp>,
    lost: bool,
}

/// The result of reading.
#[derive(PartialEq, Eq)]
enum Read {
    /// There are deliveries to send.
    Some,
    /// There is nothing more, as of this generation.
    Nothing(i64),
    /// Only deliveries in progress; or the database is unavailable.
    Later,
}

/// Handles a webhook until nothing more is due, its lease is lost, or the process shuts down.
pub async fn look_after(shared: Arc<Shared>, key: Key, nudge: Arc<Notify>) {
    let mut stopping = shared.stopping.clone();
    let most = shared.core.settings.webhooks.per_webhook;
    let mut receiver = Receiver {
        shared,
        key,
        pace: Pace::new(most, false),
        target: None,
        after: None,
        waiting: VecDeque::new(),
        unnoted: HashSet::new(),
        calls: JoinSet::new(),
        noted: mpsc::unbounded_channel(),
        gone: false,
        held_until: None,
        lost: false,
    };
    let mut look = true;
    loop {
        let ends = *stopping.borrow() || receiver.lost || receiver.gone || receiver.held_until.is_some();
        if ends {
            receiver.waiting.clear();
            if receiver.is_idle() {
                return receiver.end().await;
            }
        } else if receiver.waiting.is_empty() && look {
            match receiver.read().await {
                Read::Some => receiver.give_way(),
                Read::Nothing(generation) => {
                    if receiver.release(Some(generation)).await {
                        return;
                    }
                    continue;
                }
                Read::Later => look = false,
            }
            continue;
        }
        let wait = receiver.call();
        tokio::select! {
            Some(called) = receiver.calls.join_next() => {
                match called {
                    Ok(called) => receiver.note(&called),
                    // Which delivery panicked is unknown. Unrecorded ones are sent again, by the next process that claims
                    // the webhook.
                    Err(error) => {
                        tracing::error!(%error, webhook = %key.1, "a call panicked");
                        receiver.lost = true;
                        receiver.unnoted.clear();
                    }
                }
            }
            Some(id) = receiver.noted.1.recv() => {
                receiver.unnoted.remove(&id);
                look |= receiver.is_idle();
            }
            () = sleep(wait.unwrap_or(LOOK)) => look = true,
            () = nudge.notified() => look = true,
            _ = stopping.changed(), if !ends => {}
        }
    }
}

impl Receiver {
    fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.unnoted.is_empty()
    }

    /// Reads the next due deliveries, and the current configuration of the webhook.
    async fn read(&mut self) -> Read {
        let core = &self.shared.core;
        // Reading from the beginning returns deliveries in progress, too.
        let more = if self.after.is_none() { self.unnoted.len() as u32 } else { 0 };
        let piece = if self.pace.is_strained() { STRAINED_PIECE } else { PIECE };
        let due =
            core.deliveries.due(&self.shared.worker, self.key, self.after, piece + more, core.env.now());
        let due = match due.await {
            Ok(Some(due)) => due,
            Ok(None) => {
                self.lost = true;
                return Read::Later;
            }
            Err(error) => {
                self.failed(&error, "due deliveries cannot be read");
                return Read::Later;
            }
        };
        self.adapt(&due);
        if !due.active && due.webhook.status != WebhookStatus::Paused && !self.abandon().await {
            return Read::Later;
        }
        let last = due.deliveries.last().map(DueDelivery::place);
        let fresh = due.deliveries.into_iter().filter(|due| !self.unnoted.contains(&due.delivery.id));
        self.waiting.extend(fresh);
        match (self.waiting.is_empty(), self.after) {
            (false, _) => {
                self.after = last;
                Read::Some
            }
            // Deliveries planned meanwhile may be sorted before this position.
            (true, Some(_)) => {
                self.after = None;
                if self.is_idle() { Box::pin(self.read()).await } else { Read::Later }
            }
            (true, None) if self.is_idle() => Read::Nothing(due.generation),
            (true, None) => Read::Later,
        }
    }

    /// Applies the current configuration of the webhook.
    fn adapt(&mut self, due: &Due) {
        let (core, webhook) = (&self.shared.core, &due.webhook);
        let settings = &core.settings.webhooks;
        if self.target.is_none() && webhook.failures > 0 {
            self.pace = Pace::new(settings.per_webhook, true);
        }
        let allowed = Some(settings.rate_per_second).filter(|rate| *rate > 0);
        self.pace.set_rate(match (webhook.rate_per_second, allowed) {
            (Some(own), Some(allowed)) => Some(own.min(allowed)),
            (own, allowed) => own.or(allowed),
        });
        let delays = settings.retries.iter().map(|delay| (*delay).try_into().unwrap_or(time::Duration::MAX));
        self.target = Some(Arc::new(DeliveryTarget {
            url: webhook.url.clone(),
            keys: webhook.secrets.keys(&*core.sealer, webhook.id, core.env.now()),
            schedule: Schedule(delays.collect()),
            timeout: settings.timeout,
        }));
    }

    /// Defers the receiver if there are so many failing or slow ones that they would keep healthy ones from being handled.
    fn give_way(&mut self) {
        let full = self.shared.strained_room.available_permits() == 0;
        if self.pace.is_strained() && full && self.shared.crowded.load(Ordering::Relaxed) {
            self.hold(PUT_OFF);
        }
    }

    /// Pauses the calls to the receiver.
    fn hold(&mut self, pause: Duration) {
        let pause = time::Duration::try_from(pause).unwrap_or(time::Duration::ZERO);
        let until = self.shared.core.env.now() + pause;
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// Gives up the pending deliveries of a disabled webhook. Returns whether none are left.
    async fn abandon(&self) -> bool {
        let core = &self.shared.core;
        loop {
            match core.deliveries.abandon(self.key, OFF, ABANDONED, core.env.now()).await {
                Ok(abandoned) if abandoned < u64::from(ABANDONED) => return true,
                Ok(_) => {}
                Err(error) => {
                    self.failed(&error, "deliveries cannot be given up");
                    return false;
                }
            }
        }
    }

    /// Starts as many calls as are allowed now. Returns the time until the next one if the rate limits them.
    fn call(&mut self) -> Option<Duration> {
        let target = self.target.clone()?;
        while self.calls.len() < self.pace.width() && self.unnoted.len() < UNNOTED && !self.waiting.is_empty()
        {
            let wait = self.pace.turn(Instant::now());
            if !wait.is_zero() {
                return Some(wait);
            }
            let Some(due) = self.waiting.pop_front() else { break };
            self.unnoted.insert(due.delivery.id);
            let room = if self.pace.is_strained() { &self.shared.strained_room } else { &self.shared.room };
            let call = call(self.shared.clone(), room.clone(), target.clone(), due, self.noted.0.clone());
            self.calls.spawn(call);
        }
        None
    }

    fn note(&mut self, called: &Called) {
        if let Some(took) = called.took {
            self.pace.note(called.succeeded, took);
        }
        self.gone |= called.gone;
        if let Some(pause) = called.pause {
            self.hold(pause.min(LONGEST_PAUSE));
        }
        if let Some(id) = &called.skipped {
            self.unnoted.remove(id);
        }
    }

    /// Ends the task: no call is in progress, and nothing more is to be sent for now.
    async fn end(&self) {
        if self.lost {
            return;
        }
        if self.gone {
            settler::disable(&self.shared.core, self.key, DisableReason::Gone).await;
            self.abandon().await;
        }
        self.release(None).await;
    }

    /// Rate-limited log, because all of possibly thousands of tasks fail when the database does.
    fn failed(&self, error: &StoreError, what: &'static str) {
        logging::warn_about(what, self.key.1, error);
    }

    /// Releases the webhook. Returns `false` if deliveries were planned since `generation`.
    async fn release(&self, generation: Option<i64>) -> bool {
        let Shared { core, worker, .. } = &*self.shared;
        match core.deliveries.release(worker, self.key, generation, self.held_until).await {
            Ok(released) => released,
            Err(error) => {
                // The lease will expire: it is not renewed from now on.
                self.failed(&error, "a webhook cannot be given back");
                true
            }
        }
    }
}

/// Waits for a permit, calls the receiver, and passes on the outcome.
async fn call(
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    target: Arc<DeliveryTarget>,
    due: DueDelivery,
    noted: mpsc::UnboundedSender<DeliveryId>,
) -> Called {
    // The semaphore is never closed.
    let permit = room.acquire_owned().await.ok();
    if *shared.stopping.borrow() {
        let skipped = Some(due.delivery.id);
        return Called { skipped, succeeded: false, took: None, gone: false, pause: None };
    }
    let attempted = attempt::attempt(&shared.core, &*shared.client, &target, due).await;
    drop(permit);
    let called = Called {
        skipped: None,
        succeeded: attempted.outcome.status == DeliveryStatus::Succeeded,
        took: attempted.took,
        gone: attempted.gone,
        pause: attempted.pause,
    };
    // The channel is open until the last caller is gone.
    let _ = shared.ended.send(Ended { outcome: attempted.outcome, noted }).await;
    called
}
