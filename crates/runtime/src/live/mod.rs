//! Live updates: the events of a tenant, or about the tickets of all, as server-sent events (WHATWG HTML, section 9.2), as
//! they happen.
//!
//! The event log is authoritative, so a stream can be resumed on any instance. While something is followed, each process
//! reads its new events once ([`feed`]) for all of them, in the order in which every reader of the log sees them: behind
//! the oldest transaction that still runs, so that none is missed.

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

use portico_kernel::{
    StoreError,
    feed::{EventFeed, Followed},
};
use tokio::{runtime::Handle, sync::watch, time::sleep};
use uuid::Uuid;

use self::{
    feed::{Feed, Joined},
    slots::Slots,
};
use crate::{settings, signals::Signals};

/// How often streams are probed before another one is refused, and how long each probe waits for failed
/// streams.
const PROBES: usize = 3;
const PROBE_TIME: Duration = Duration::from_millis(120);

/// The live streams of this process, and their feeds.
pub struct Live {
    /// The event log.
    pub events: Arc<dyn EventFeed>,
    signals: Arc<Signals>,
    /// Feeds must outlive the server thread that created them.
    runtime: Handle,
    feeds: Mutex<HashMap<Followed, Weak<Feed>>>,
    slots: Arc<Slots>,
    closing: watch::Sender<bool>,
    /// Those whose streams must write something, which reveals disconnected clients.
    probes: watch::Sender<Option<Followed>>,
}

impl Live {
    /// Without streams. Must be called on the runtime that outlives the streams.
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

    /// Ends every stream and refuses new ones; clients resume on another instance.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether [`Live::close`] was called.
    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Notifies a stream that it has to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Notifies streams of what is followed by those whose connections are probed.
    pub fn probes(&self) -> watch::Receiver<Option<Followed>> {
        self.probes.subscribe()
    }

    /// Takes a slot for a stream. A disconnected client is only noticed by writing to it: twice, because its system answers
    /// the first write with a reset. So, before a stream is refused, all streams of the same events are written to.
    pub async fn take_slot(&self, followed: Followed, caller: Uuid) -> Result<Slot, LiveError> {
        if self.is_closing() {
            return Err(LiveError::Closing);
        }
        let mut taken = self.slots.take(followed, caller);
        for _ in 0..PROBES {
            if taken.is_ok() {
                break;
            }
            self.probes.send_replace(Some(followed));
            sleep(PROBE_TIME).await;
            taken = self.slots.take(followed, caller);
        }
        taken
    }

    /// Joins a feed from now on.
    pub async fn join(&self, followed: Followed) -> Result<Joined, StoreError> {
        let feed = {
            let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
            match feeds.get(&followed).and_then(Weak::upgrade) {
                Some(feed) => feed,
                None => {
                    feeds.retain(|_, feed| feed.strong_count() > 0);
                    let feed = Arc::new(Feed::new(followed));
                    feeds.insert(followed, Arc::downgrade(&feed));
                    feed
                }
            }
        };
        feed.join(&self.events, &self.signals, &self.runtime).await
    }
}
