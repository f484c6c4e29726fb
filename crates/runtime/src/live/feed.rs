//! Reads the new events of a tenant, or about the tickets of all, once for all streams of them in this process.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use portico_kernel::{
    Event, EventId, Permission, StoreError, UserId,
    catalogue::Published,
    feed::{EventFeed, Followed, LogPosition, PositionedEvent},
    message::EventMessage,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, OnceCell, broadcast, watch},
    task::AbortHandle,
    time::sleep,
};

use crate::{events::catalogue, logging::chain, signals::Signals};

/// Events read at once.
pub const PIECE: u32 = 100;

/// Batches that are kept for slow streams. A stream that needs an older one reads the event log itself.
const KEPT: usize = 16;

/// Minimum time between two reads, so that the events of a busy tenant are read in batches and not one by one.
const GATHER: Duration = Duration::from_millis(10);

/// First and longest pause while an event waits for a transaction that is still running.
const HELD_UP: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// How often to check whether announcements of other processes still arrive. While they do not, events are polled at this
/// interval.
const BEAT: Duration = Duration::from_millis(500);

/// A published event, as it is sent.
pub struct Update {
    /// Its position in the log.
    pub place: LogPosition,
    /// Id of the event.
    pub event: EventId,
    /// Type of the event.
    pub published: Published,
    /// The author that it names, where authors receive it.
    pub author: Option<UserId>,
    /// The whole message.
    pub text: Bytes,
}

/// Events of one read.
pub struct Batch {
    /// Position of the last event, published or not.
    pub upto: LogPosition,
    /// Id of the last event.
    pub newest: EventId,
    /// The published events.
    pub updates: Vec<Update>,
}

/// How an event is told to those who follow these; `None` for one that they are not told of.
fn told(followed: Followed, event: &Event) -> Option<Published> {
    match followed {
        Followed::Tenant(_) => catalogue().published(&event.kind),
        // Notes of staff, too.
        Followed::Tickets { .. } => {
            Some(catalogue().find(&event.kind)?.published_to(Permission::PlatformSupport))
        }
    }
}

impl Batch {
    /// `None` if there are no events.
    pub fn new(followed: Followed, events: &[PositionedEvent]) -> Option<Self> {
        let last = events.last()?;
        let updates = events.iter().filter_map(|PositionedEvent { place, event }| {
            let published = told(followed, event)?;
            let data = serde_json::to_string(&EventMessage::new(event, published.name, None)).ok()?;
            let text = format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, published.name);
            let author = published.author(event);
            Some(Update { place: *place, event: event.id, published, author, text: text.into() })
        });
        Some(Self { upto: last.place, newest: last.event.id, updates: updates.collect() })
    }
}

/// Reads the followed events while there are streams. Reading stops when it is dropped.
pub struct Feed {
    followed: Followed,
    batches: broadcast::Sender<Arc<Batch>>,
    newest: watch::Sender<Option<(LogPosition, EventId)>>,
    reading: OnceCell<Reading>,
}

struct Reading(AbortHandle);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Participation of a stream in a feed.
pub struct Joined {
    /// Keeps the feed running.
    _feed: Arc<Feed>,
    /// Every batch after `newest`, and possibly events before it.
    pub batches: broadcast::Receiver<Arc<Batch>>,
    /// The newest event when the stream joined.
    pub newest: Option<(LogPosition, EventId)>,
}

impl Feed {
    /// Without reading yet.
    pub fn new(followed: Followed) -> Self {
        Self {
            followed,
            batches: broadcast::Sender::new(KEPT),
            newest: watch::Sender::new(None),
            reading: OnceCell::new(),
        }
    }

    /// Joins the feed. The first call starts reading.
    pub async fn join(
        self: Arc<Self>,
        events: &Arc<dyn EventFeed>,
        signals: &Arc<Signals>,
        runtime: &Handle,
    ) -> Result<Joined, StoreError> {
        self.reading
            .get_or_try_init(async || {
                // Registered before the first read, so that no event in between is missed.
                let wake = signals.live.subscribe(self.followed);
                let newest = events.newest(self.followed).await?;
                self.newest.send_replace(newest);
                let feeder = Feeder {
                    followed: self.followed,
                    at: newest.map_or(LogPosition::default(), |(at, _)| at),
                    events: events.clone(),
                    signals: signals.clone(),
                    wake,
                    batches: self.batches.clone(),
                    newest: self.newest.clone(),
                };
                Ok::<_, StoreError>(Reading(runtime.spawn(feeder.run()).abort_handle()))
            })
            .await?;
        // In this order: a batch that arrives in between is received, and recognised as old.
        let batches = self.batches.subscribe();
        let newest = *self.newest.borrow();
        Ok(Joined { batches, newest, _feed: self })
    }
}

/// The reading task.
struct Feeder {
    followed: Followed,
    at: LogPosition,
    events: Arc<dyn EventFeed>,
    signals: Arc<Signals>,
    wake: Arc<Notify>,
    batches: broadcast::Sender<Arc<Batch>>,
    newest: watch::Sender<Option<(LogPosition, EventId)>>,
}

impl Feeder {
    /// Reads whenever there may be new events, until aborted.
    async fn run(mut self) {
        let mut pause = HELD_UP.0;
        loop {
            metrics::counter!("portico_live_reads_total").increment(1);
            let piece = match self.events.after(self.followed, self.at, PIECE).await {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "events could not be read for live updates");
                    sleep(AFTER_FAILURE).await;
                    continue;
                }
            };
            if let Some(batch) = Batch::new(self.followed, &piece.events) {
                self.at = batch.upto;
                self.newest.send_replace(Some((batch.upto, batch.newest)));
                // There may be no receivers at this moment.
                let _ = self.batches.send(Arc::new(batch));
                pause = HELD_UP.0;
            }
            if piece.held_up {
                sleep(pause).await;
                pause = (pause * 2).min(HELD_UP.1);
            } else if piece.events.len() < PIECE as usize {
                sleep(GATHER).await;
                self.signals.wait(&self.wake, BEAT).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use portico_kernel::{Env, RequestInfo, Scope, TenantId, feed::EventBatch};
    use portico_security::system_env;
    use tokio::time::timeout;

    use super::*;

    /// An event log of one tenant. As many reads fail as configured.
    #[derive(Default)]
    struct Log {
        events: Mutex<Vec<PositionedEvent>>,
        failures: AtomicUsize,
        reads: AtomicUsize,
        /// Number of last events that are held up.
        held_up: AtomicUsize,
    }

    #[async_trait]
    impl EventFeed for Log {
        async fn newest(&self, _: Followed) -> Result<Option<(LogPosition, EventId)>, StoreError> {
            Ok(self.events.lock().unwrap().last().map(|placed| (placed.place, placed.event.id)))
        }

        async fn find(&self, _: Followed, _: EventId) -> Result<Option<LogPosition>, StoreError> {
            Ok(None)
        }

        async fn after(&self, _: Followed, place: LogPosition, limit: u32) -> Result<EventBatch, StoreError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let less = |failures: usize| failures.checked_sub(1);
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                return Err(StoreError::Unavailable("away".into()));
            }
            let events = self.events.lock().unwrap();
            let held_up = self.held_up.load(Ordering::SeqCst);
            let settled = &events[..events.len() - held_up];
            let after = settled.iter().filter(|placed| placed.place > place).take(limit as usize);
            Ok(EventBatch { events: after.cloned().collect(), held_up: held_up > 0 })
        }

        async fn count_after(&self, _: Followed, _: LogPosition, _: u32) -> Result<u32, StoreError> {
            Ok(0)
        }
    }

    fn of_a_tenant() -> Followed {
        Followed::Tenant(TenantId::from_uuid(uuid::Uuid::from_u128(1)))
    }

    async fn joined(log: &Arc<Log>, signals: &Arc<Signals>) -> Joined {
        let events: Arc<dyn EventFeed> = log.clone();
        let feed = Arc::new(Feed::new(of_a_tenant()));
        feed.join(&events, signals, &Handle::current()).await.unwrap()
    }

    fn append(log: &Log, env: &Env, sequence: i64) -> EventId {
        let placed = placed(env, "page.updated", sequence);
        let id = placed.event.id;
        log.events.lock().unwrap().push(placed);
        id
    }

    #[tokio::test]
    async fn what_nobody_tells_of_is_found_all_the_same() {
        let (log, signals, env) = (Arc::new(Log::default()), Arc::new(Signals::default()), system_env());
        append(&log, &env, 1);
        let mut joined = joined(&log, &signals).await;
        let asked = tokio::time::Instant::now();
        let second = append(&log, &env, 2);
        let batch = joined.batches.recv().await.unwrap();
        assert_eq!((batch.newest, batch.updates.len()), (second, 1), "what was there before is not told");
        assert!(asked.elapsed() < Duration::from_secs(1));
        // Nor is it lost while the database is unavailable, or while it is held up by a transaction.
        log.failures.store(1, Ordering::SeqCst);
        log.held_up.store(1, Ordering::SeqCst);
        let third = append(&log, &env, 3);
        let early = timeout(Duration::from_millis(1300), joined.batches.recv()).await;
        assert!(early.is_err() && log.failures.load(Ordering::SeqCst) == 0);
        log.held_up.store(0, Ordering::SeqCst);
        assert_eq!(joined.batches.recv().await.unwrap().newest, third);
    }

    #[tokio::test]
    async fn nothing_is_read_of_a_tenant_to_whom_nobody_listens() {
        let (log, signals) = (Arc::new(Log::default()), Arc::new(Signals::default()));
        let joined = joined(&log, &signals).await;
        sleep(Duration::from_millis(1200)).await;
        let reads = log.reads.load(Ordering::SeqCst);
        assert!((2..=4).contains(&reads), "twice a second while others are not heard: {reads}");
        drop(joined);
        sleep(Duration::from_millis(1200)).await;
        assert!(log.reads.load(Ordering::SeqCst) <= reads + 1);
    }

    fn placed(env: &Env, kind: &str, sequence: i64) -> PositionedEvent {
        let scope = Scope::system(Some(env.new_id()), RequestInfo::default());
        let event = Event::new(env, &scope, catalogue().find(kind).unwrap(), env.random_uuid())
            .after(&"two\nlines\r\u{2028}");
        PositionedEvent { place: LogPosition { transaction: 7, sequence }, event }
    }

    #[test]
    fn authors_are_read_where_they_count() {
        let env = system_env();
        let ada: UserId = env.new_id();
        let of = |kind: &str, after: serde_json::Value| {
            let mut placed = placed(&env, kind, 1);
            placed.event.after = Some(after);
            Batch::new(of_a_tenant(), &[placed]).unwrap().updates[0].author
        };
        let named = serde_json::json!({"authorId": ada});
        assert_eq!(of("support_ticket.answered", named.clone()), Some(ada));
        assert_eq!(of("page.updated", named), None);
        for other in [serde_json::json!({}), serde_json::json!({"authorId": 7}), serde_json::json!("x")] {
            assert_eq!(of("support_ticket.answered", other), None);
        }
    }

    #[test]
    fn the_desk_is_told_of_notes_and_tenants_are_not() {
        let env = system_env();
        let noted = [placed(&env, "support_ticket.noted", 1)];
        assert!(Batch::new(of_a_tenant(), &noted).unwrap().updates.is_empty());
        let batch = Batch::new(Followed::Tickets { all: false }, &noted).unwrap();
        let published = batch.updates[0].published;
        assert_eq!(
            (published.name, published.permission, published.author_permission),
            ("support_ticket.noted", Permission::PlatformSupport, None)
        );
        let told = |kind| {
            Batch::new(Followed::Tickets { all: true }, &[placed(&env, kind, 2)]).unwrap().updates.len()
        };
        assert_eq!(told("support_ticket.answered"), 1);
    }

    #[test]
    fn what_stays_inside_is_passed_and_not_told() {
        let env = system_env();
        assert!(Batch::new(of_a_tenant(), &[]).is_none());
        let events = [placed(&env, "user.registered", 1), placed(&env, "session.started", 2)];
        let batch = Batch::new(of_a_tenant(), &events).unwrap();
        assert_eq!((batch.upto, batch.newest), (events[1].place, events[1].event.id));
        assert_eq!(batch.updates.len(), 1);
        let update = &batch.updates[0];
        assert_eq!((update.event, update.place), (events[0].event.id, events[0].place));
        let text = std::str::from_utf8(&update.text).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[0], format!("id: {}", update.event));
        assert_eq!(lines[1], "event: user.created");
        let data: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["data"], "two\nlines\r\u{2028}");
        assert_eq!(lines[3..], ["", ""], "whatever is in it, a message has one line of data");
        assert!(!text.contains('\r'));
    }
}
