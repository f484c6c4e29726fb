//! Live updates: the events of a tenant as server-sent events (WHATWG HTML, section 9.2), while they happen.
//!
//! The event log is the truth, so a stream can be taken up again on any instance. While somebody listens, each process
//! reads a tenant's new events once ([`feed`]) for all of its streams, in the order in which every reader of the
//! log sees them: behind the oldest transaction that still runs, so that none is missed.

pub mod feed;
pub mod resume;
mod selection;
mod slots;

pub use self::selection::Selection;
pub use self::slots::{LiveError, Slot};

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use portico_kernel::{StoreError, TenantId, feed::EventFeed};
use tokio::{runtime::Handle, sync::watch, time::sleep};
use uuid::Uuid;

use self::{
    feed::{Feed, Joined},
    slots::Slots,
};
use crate::{settings, signals::Signals};

/// How often the streams of a tenant are written to before another one is refused, and how long each has to fail then.
const PROBES: usize = 3;
const PROBE_TIME: Duration = Duration::from_millis(120);

/// The streams of this process, and what they are fed by.
pub struct Live {
    /// The log.
    pub events: Arc<dyn EventFeed>,
    signals: Arc<Signals>,
    /// Feeds outlive the server thread on which somebody first asked for them.
    runtime: Handle,
    feeds: Mutex<HashMap<TenantId, Weak<Feed>>>,
    slots: Arc<Slots>,
    closing: watch::Sender<bool>,
    /// The tenant whose streams have to show that somebody is there.
    probes: watch::Sender<Option<TenantId>>,
}

impl Live {
    /// Nobody listens yet. Has to be called on the runtime that outlives the streams.
    pub fn new(events: Arc<dyn EventFeed>, signals: Arc<Signals>, settings: &settings::Live) -> Self {
        Self {
            events,
            signals,
            slots: Arc::new(Slots::new(settings)),
            runtime: Handle::current(),
            feeds: Mutex::default(),
            closing: watch::Sender::new(false),
            probes: watch::Sender::new(None),
        }
    }

    /// Ends every stream, and opens none any more: clients go on elsewhere, where they left off.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether [`Live::close`] was called.
    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Tells a stream when it has to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Tells a stream of which tenant it has to write something now.
    pub fn probes(&self) -> watch::Receiver<Option<TenantId>> {
        self.probes.subscribe()
    }

    /// Takes a place for a stream. Of a client that hung up one only learns by writing to it: twice, because the first time its
    /// system answers that nobody is there. So, before somebody is refused, all streams of the tenant are written to.
    pub async fn take_slot(&self, tenant: TenantId, caller: Uuid) -> Result<Slot, LiveError> {
        if self.is_closing() {
            return Err(LiveError::Closing);
        }
        let mut taken = self.slots.take(tenant, caller);
        for _ in 0..PROBES {
            if taken.is_ok() {
                break;
            }
            self.probes.send_replace(Some(tenant));
            sleep(PROBE_TIME).await;
            taken = self.slots.take(tenant, caller);
        }
        taken
    }

    /// Takes part in what is read of a tenant's events from now on.
    pub async fn join(&self, tenant: TenantId) -> Result<Joined, StoreError> {
        let feed = {
            let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
            match feeds.get(&tenant).and_then(Weak::upgrade) {
                Some(feed) => feed,
                None => {
                    feeds.retain(|_, feed| feed.strong_count() > 0);
                    let feed = Arc::new(Feed::new(tenant));
                    feeds.insert(tenant, Arc::downgrade(&feed));
                    feed
                }
            }
        };
        feed.join(&self.events, &self.signals, &self.runtime).await
    }
}
