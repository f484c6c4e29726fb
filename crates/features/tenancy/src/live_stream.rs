//! One stream: what one client is sent, for as long as it may hear it.

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
use portico_kernel::{Actor, EventId, Maker, Permission, Scope, TenantId, Timestamp, feed::Place};
use portico_runtime::{
    context::{self, CURRENT},
    live::{
        Live, Selection, Slot,
        feed::{Batch, Joined, PIECE},
        resume::{Start, position},
    },
};
use portico_web::{problem::Problem, standing::Standing};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use crate::state::App;

/// How often a stream looks whether it still may go on. What was revoked shows in the memory of the process.
const TICK: Duration = Duration::from_millis(500);

/// How often it asks, although nothing shows. So even what was changed in the database by hand ends it within 5 seconds.
const ASK_ANEW: Duration = Duration::from_secs(4);

/// Messages that wait to be written to the socket.
const WAITING: usize = 16;

/// Milliseconds after which a client that lost its stream had better come back.
const COME_BACK: u64 = 2000;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client has gone.
    Gone,
    /// The client does not read.
    Stalled,
    /// The caller may not hear it any more.
    Revoked,
    /// The access token or the key has expired.
    Expired,
    /// The database does not answer.
    Unavailable,
    /// This process is about to end.
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

/// What moves on when something about a caller changes: epochs of user or key, of the tenant, and of who acts as the user.
type Epochs = (u64, u64, u64);

struct Stream {
    app: Data<App>,
    standing: Standing,
    selection: Selection,
    tenant: TenantId,
    scope: Scope,
    /// As of when `scope` is.
    asked: Option<(Epochs, Instant)>,
    joined: Joined,
    /// Everything up to here was sent, or is not for this client.
    at: Place,
    /// The event there.
    newest: Option<EventId>,
    /// The event after which the client would take the stream up again.
    told: Option<EventId>,
    out: mpsc::Sender<Bytes>,
    /// When something was sent last.
    sent: Instant,
    closing: watch::Receiver<bool>,
    probes: watch::Receiver<Option<TenantId>>,
    expires_at: Option<Timestamp>,
    _slot: Slot,
}

/// Opens a stream for a caller: everything selected that happens in their tenant from now on, or since the event whose id
/// they name. What keeps it from being opened is a problem like any other; later, it just ends.
pub async fn open(
    app: Data<App>,
    scope: Scope,
    standing: Standing,
    selection: Selection,
    last: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let tenant = scope.require(Permission::TenantRead)?;
    selection.require(&scope)?;
    let live: &Live = &app.core.live;
    let slot = live.take_slot(tenant, caller_of(&scope)).await?;
    let joined = live.join(tenant).await?;
    let start = live.start(&*app.core.sealer, tenant, &joined, last).await?;
    let (out, waiting) = mpsc::channel(WAITING);
    let stream = Stream {
        closing: live.closing(),
        probes: live.probes(),
        expires_at: standing.expires_at(),
        at: start.at,
        newest: start.event,
        told: start.event,
        sent: Instant::now(),
        asked: None,
        app,
        standing,
        selection,
        tenant,
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

/// Waits until no stream is to go on. It is over, too, when nobody can say so any more.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Whose streams are counted together.
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
        metrics::counter!("live_streams_ended_total", "reason" => end.as_str()).increment(1);
        tracing::debug!(reason = end.as_str(), tenant = %self.tenant, "a live stream has ended");
        if end == End::Closing {
            // Not all at the same moment.
            let [jitter] = self.app.core.env.random_bytes::<1>();
            let later = format!("retry: {}\n\n", COME_BACK / 2 + u64::from(jitter) * COME_BACK / 256);
            let _ = self.out.try_send(later.into());
        }
    }

    /// Sends what comes until there is a reason to end.
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
                    // Too slow for what is kept in memory.
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(End::Unavailable),
                },
                _ = ticks.tick() => {
                    if self.expires_at.is_some_and(|at| at <= self.app.core.env.now()) {
                        return Err(End::Expired);
                    }
                    self.ask().await?;
                    if self.sent.elapsed() >= heartbeat {
                        self.beat().await?;
                    }
                }
                _ = self.probes.changed() => {
                    if *self.probes.borrow_and_update() == Some(self.tenant) {
                        self.send(Bytes::from_static(b": probe\n\n")).await?;
                    }
                }
                () = closed(&mut self.closing) => return Err(End::Closing),
                () = self.out.closed() => return Err(End::Gone),
            }
        }
    }

    /// The first message: when to come back, and after which event.
    async fn greet(&mut self, start: &Start) -> Result<(), End> {
        let mut text = format!("retry: {COME_BACK}\n");
        if !start.resumed {
            text.push_str(&self.position());
        }
        if let Some(reset) = start.reset {
            text.push_str(&format!("event: reset\ndata: {{\"reason\":\"{}\"}}\n", reset.as_str()));
        }
        text.push('\n');
        self.send(text.into()).await
    }

    /// A line with an id after which the stream can be taken up again.
    fn position(&self) -> String {
        let id = self.newest.and_then(|event| position(&*self.app.core.sealer, self.tenant, event));
        id.map(|id| format!("id: {id}\n")).unwrap_or_default()
    }

    /// Says that the stream is still there. An id without data is no message to the client, but remembered (WHATWG HTML,
    /// section 9.2.6): so what it did not want to hear of need not be gone through when it comes back.
    async fn beat(&mut self) -> Result<(), End> {
        let mut text = ": heartbeat\n".to_owned();
        if self.told != self.newest {
            text.push_str(&self.position());
            self.told = self.newest;
        }
        text.push('\n');
        self.send(text.into()).await
    }

    /// Sends what this stream has not been fed with, at the pace of the client.
    async fn catch_up(&mut self) -> Result<(), End> {
        loop {
            let piece = self.app.core.live.events.after(self.tenant, self.at, PIECE).await;
            let piece = piece.map_err(|_| End::Unavailable)?;
            let Some(batch) = Batch::of(&piece.events) else { return Ok(()) };
            self.deliver(&batch).await?;
            if piece.held_up || piece.events.len() < PIECE as usize {
                return Ok(());
            }
        }
    }

    /// Sends what the client wants of a batch and may hear of at the moment of sending.
    async fn deliver(&mut self, batch: &Batch) -> Result<(), End> {
        if batch.upto <= self.at {
            return Ok(());
        }
        let at = self.at;
        for update in batch.updates.iter().filter(|update| update.place > at) {
            self.ask().await?;
            if self.selection.lets(&update.published, &self.scope) {
                self.send(update.text.clone()).await?;
                self.told = Some(update.event);
                metrics::counter!("live_messages_total").increment(1);
            }
        }
        self.at = batch.upto;
        self.newest = Some(batch.newest);
        Ok(())
    }

    /// Hands a message on to the socket, which takes it as soon as the client has read others.
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

    /// Makes sure that the caller may still hear something, and that `scope` is what they may do now.
    async fn ask(&mut self) -> Result<(), End> {
        // Older than what is read next.
        let epochs = self.epochs();
        if self.asked.is_some_and(|(seen, at)| seen == epochs && at.elapsed() < ASK_ANEW) {
            return Ok(());
        }
        let began = Instant::now();
        let scope = self.standing.scope().await.map_err(|problem| match problem.status_code() {
            StatusCode::SERVICE_UNAVAILABLE => End::Unavailable,
            _ => End::Revoked,
        })?;
        let tenant = scope.require(Permission::TenantRead).map_err(|_| End::Revoked)?;
        self.selection.require(&scope).map_err(|_| End::Revoked)?;
        // Without a tenant of its own in the request it is that of the token, which stays.
        if tenant != self.tenant {
            return Err(End::Revoked);
        }
        self.scope = scope;
        self.asked = Some((epochs, began));
        Ok(())
    }

    fn epochs(&self) -> Epochs {
        let signals = &self.app.core.signals;
        let user = match self.scope.actor() {
            Actor::User { id, .. } | Actor::ApiKey { maker: Some(Maker { id, .. }), .. } => {
                signals.user_epoch(*id)
            }
            Actor::ApiKey { maker: None, .. } | Actor::System | Actor::Anonymous => 0,
        };
        let impersonator = self.scope.impersonator().map_or(0, |user| signals.user_epoch(user));
        (user, signals.tenant_epoch(self.tenant), impersonator)
    }
}
