//! One live stream: the events sent to one client, for as long as the caller is authorised.

use std::{
    convert::Infallible,
    future::poll_fn,
    time::{Duration, Instant},
};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
    },
    rt,
    web::{Bytes, Data},
};
use futures_util::stream;
use portico_kernel::{
    Actor, Denied, EventId, KeyMaker, Permission, Scope, Timestamp,
    feed::{Followed, LogPosition},
};
use portico_runtime::{
    context::{self, CURRENT},
    live::{
        Live, Selection, Slot,
        feed::{Batch, Joined, PIECE, Update},
        resume::{Start, position},
    },
};
use portico_web::{live_caller::LiveCaller, problem::Problem};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use crate::state::App;

/// How often a stream checks its authorisation. Revocations are visible in this process's memory.
const TICK: Duration = Duration::from_millis(500);

/// Interval of checks against the database, even if memory shows no change. So a change made directly in the database ends
/// the stream within 5 seconds.
const RECHECK_EVERY: Duration = Duration::from_secs(4);

/// Messages queued for the socket.
const WAITING: usize = 16;

/// Reconnection delay sent to clients, in milliseconds.
const RECONNECT_MS: u64 = 2000;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has disconnected.
    Gone,
    /// The client does not read.
    Stalled,
    /// The caller is no longer authorised.
    Revoked,
    /// The access token or the key has expired.
    Expired,
    /// The database does not answer.
    Unavailable,
    /// The process is shutting down.
    Closing,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stalled => "stalled",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
            Self::Closing => "closing",
        }
    }
}

/// What a stream sends.
pub enum Topic {
    /// Selected events of the caller's tenant.
    Tenant(Selection),
    /// What happens to the support tickets of all customers. Tenants of the operator's own people are none, except to super admins.
    Tickets,
}

impl Topic {
    /// Requires that the caller may listen; answers what is followed for them.
    fn require(&self, scope: &Scope) -> Result<Followed, Denied> {
        match self {
            Self::Tenant(selection) => {
                let tenant = scope.require(Permission::TenantRead)?;
                selection.require(scope)?;
                Ok(Followed::Tenant(tenant))
            }
            Self::Tickets => {
                scope.require_platform(Permission::PlatformSupport)?;
                Ok(Followed::Tickets { all: scope.crosses_tenants() })
            }
        }
    }

    /// Whether an event is sent to the caller.
    fn lets(&self, update: &Update, scope: &Scope) -> bool {
        match self {
            Self::Tenant(selection) => selection.lets(&update.published, update.author, scope),
            Self::Tickets => update.published.is_for(scope, None),
        }
    }
}

/// Counters that increase when something about a caller changes: epochs of user or key, of the tenant where one is followed, and of the
/// impersonator.
type Epochs = (u64, u64, u64);

struct Stream {
    app: Data<App>,
    live_caller: LiveCaller,
    topic: Topic,
    followed: Followed,
    scope: Scope,
    /// The epochs and the time at which `scope` was read.
    authorised: Option<(Epochs, Instant)>,
    joined: Joined,
    /// Everything up to here was sent, or filtered out for this client.
    at: LogPosition,
    /// The event at this position.
    newest: Option<EventId>,
    /// The event after which the client would resume the stream.
    resume_after: Option<EventId>,
    out: mpsc::Sender<Bytes>,
    /// When the last message was sent.
    sent: Instant,
    closing: watch::Receiver<bool>,
    probes: watch::Receiver<Option<Followed>>,
    expires_at: Option<Timestamp>,
    _slot: Slot,
}

/// Opens a stream for a caller: the events of a topic from now on, or after the event with the given id. An
/// error before the stream is open is answered as a problem; a later one just ends the stream.
pub async fn open(
    app: Data<App>,
    scope: Scope,
    live_caller: LiveCaller,
    topic: Topic,
    last: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let followed = topic.require(&scope)?;
    let live: &Live = &app.core.live;
    let slot = live.take_slot(followed, caller_of(&scope)).await?;
    let joined = live.join(followed).await?;
    let start = live.start(&*app.core.sealer, followed, &joined, last).await?;
    let (out, waiting) = mpsc::channel(WAITING);
    let stream = Stream {
        closing: live.closing(),
        probes: live.probes(),
        expires_at: live_caller.expires_at(),
        at: start.at,
        newest: start.event,
        resume_after: start.event,
        sent: Instant::now(),
        authorised: None,
        app,
        live_caller,
        topic,
        followed,
        scope,
        joined,
        out,
        _slot: slot,
    };
    rt::spawn(CURRENT.scope(context::current(), stream.run(start)));
    let body = stream::unfold(waiting, |mut waiting| async move {
        let bytes = poll_fn(|context| waiting.poll_recv(context)).await?;
        Some((Ok::<_, Infallible>(bytes), waiting))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Neither we nor a proxy (nginx) may keep a message until there are more.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(body))
}

/// Waits until streams are to be closed, which includes that the sender is dropped.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The id by which a caller's streams are counted.
fn caller_of(scope: &Scope) -> Uuid {
    match scope.actor() {
        Actor::User { id, .. } => id.uuid(),
        Actor::ApiKey { id, .. } => id.uuid(),
        Actor::Anonymous | Actor::System => Uuid::nil(),
    }
}

impl Stream {
    async fn run(mut self, start: Start) {
        let Err(end) = self.serve(start).await;
        metrics::counter!("portico_live_streams_ended_total", "reason" => end.as_str()).increment(1);
        tracing::debug!(reason = end.as_str(), followed = ?self.followed, "a live stream has ended");
        if end == End::Closing {
            // With jitter, so that clients do not all reconnect at the same moment.
            let [jitter] = self.app.core.env.random_bytes::<1>();
            let later = format!("retry: {}\n\n", RECONNECT_MS / 2 + u64::from(jitter) * RECONNECT_MS / 256);
            let _ = self.out.try_send(later.into());
        }
    }

    /// Sends events until there is a reason to end.
    async fn serve(&mut self, start: Start) -> Result<Infallible, End> {
        self.greet(&start).await?;
        if start.resumed {
            self.catch_up().await?;
        }
        let heartbeat = self.app.core.settings.live.heartbeat;
        let mut ticks = interval(TICK.min(heartbeat));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = self.joined.batches.recv() => match batch {
                    Ok(batch) => self.deliver(&batch).await?,
                    // The stream fell behind what is kept in memory.
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(End::Unavailable),
                },
                _ = ticks.tick() => {
                    if self.expires_at.is_some_and(|at| at <= self.app.core.env.now()) {
                        return Err(End::Expired);
                    }
                    self.authorise().await?;
                    if self.sent.elapsed() >= heartbeat {
                        self.beat().await?;
                    }
                }
                _ = self.probes.changed() => {
                    if *self.probes.borrow_and_update() == Some(self.followed) {
                        self.send(Bytes::from_static(b": probe\n\n")).await?;
                    }
                }
                () = closed(&mut self.closing) => return Err(End::Closing),
                () = self.out.closed() => return Err(End::Gone),
            }
        }
    }

    /// Sends the first message: the reconnection delay, and the position to resume from.
    async fn greet(&mut self, start: &Start) -> Result<(), End> {
        let mut text = format!("retry: {RECONNECT_MS}\n");
        if !start.resumed {
            text.push_str(&self.position());
        }
        if let Some(reset) = start.reset {
            text.push_str(&format!("event: reset\ndata: {{\"reason\":\"{}\"}}\n", reset.as_str()));
        }
        text.push('\n');
        self.send(text.into()).await
    }

    /// A line with an id from which the stream can be resumed.
    fn position(&self) -> String {
        let id = self.newest.and_then(|event| position(&*self.app.core.sealer, self.followed, event));
        id.map(|id| format!("id: {id}\n")).unwrap_or_default()
    }

    /// Sends a heartbeat. An id without data dispatches no event in the client, but is remembered (WHATWG HTML, section
    /// 9.2.6): so after a reconnection, events that were filtered out need not be read again.
    async fn beat(&mut self) -> Result<(), End> {
        let mut text = ": heartbeat\n".to_owned();
        if self.resume_after != self.newest {
            text.push_str(&self.position());
            self.resume_after = self.newest;
        }
        text.push('\n');
        self.send(text.into()).await
    }

    /// Reads the events that this stream has missed from the database, and sends them, at the pace of the client.
    async fn catch_up(&mut self) -> Result<(), End> {
        loop {
            let piece = self.app.core.live.events.after(self.followed, self.at, PIECE).await;
            let piece = piece.map_err(|_| End::Unavailable)?;
            let Some(batch) = Batch::new(self.followed, &piece.events) else { return Ok(()) };
            self.deliver(&batch).await?;
            if piece.held_up || piece.events.len() < PIECE as usize {
                return Ok(());
            }
        }
    }

    /// Sends those events of a batch that the client has selected and may read at the moment of sending.
    async fn deliver(&mut self, batch: &Batch) -> Result<(), End> {
        if batch.upto <= self.at {
            return Ok(());
        }
        let at = self.at;
        for update in batch.updates.iter().filter(|update| update.place > at) {
            self.authorise().await?;
            if self.topic.lets(update, &self.scope) {
                self.send(update.text.clone()).await?;
                self.resume_after = Some(update.event);
                metrics::counter!("portico_live_messages_total").increment(1);
            }
        }
        self.at = batch.upto;
        self.newest = Some(batch.newest);
        Ok(())
    }

    /// Queues a message for the socket; waits while the queue is full.
    async fn send(&mut self, text: Bytes) -> Result<(), End> {
        let patience = self.app.api.settings.write_timeout;
        tokio::select! {
            sent = timeout(patience, self.out.send(text)) => match sent {
                Ok(Ok(())) => {
                    self.sent = Instant::now();
                    Ok(())
                }
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => Err(End::Stalled),
            },
            () = closed(&mut self.closing) => Err(End::Closing),
        }
    }

    /// Checks that the caller is still authorised, and refreshes `scope`.
    async fn authorise(&mut self) -> Result<(), End> {
        // Read first, so that a change during the check is noticed by the next one.
        let epochs = self.epochs();
        if self.authorised.is_some_and(|(seen, at)| seen == epochs && at.elapsed() < RECHECK_EVERY) {
            return Ok(());
        }
        let began = Instant::now();
        let scope = self.live_caller.scope().await.map_err(|problem| match problem.status_code() {
            StatusCode::SERVICE_UNAVAILABLE => End::Unavailable,
            _ => End::Revoked,
        })?;
        let followed = self.topic.require(&scope).map_err(|_| End::Revoked)?;
        // If the request names no tenant, the scope takes that of the token, which must stay the same.
        if followed != self.followed {
            return Err(End::Revoked);
        }
        self.scope = scope;
        self.authorised = Some((epochs, began));
        Ok(())
    }

    fn epochs(&self) -> Epochs {
        let signals = &self.app.core.signals;
        let user = match self.scope.actor() {
            Actor::User { id, .. } | Actor::ApiKey { maker: Some(KeyMaker { id, .. }), .. } => {
                signals.user_epoch(*id)
            }
            Actor::ApiKey { maker: None, .. } | Actor::System | Actor::Anonymous => 0,
        };
        let impersonator = self.scope.impersonator().map_or(0, |user| signals.user_epoch(user));
        let tenant = match self.followed {
            Followed::Tenant(tenant) => signals.tenant_epoch(tenant),
            Followed::Tickets { .. } => 0,
        };
        (user, tenant, impersonator)
    }
}
