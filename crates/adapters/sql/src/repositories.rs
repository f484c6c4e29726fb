//! The repositories over one connection: an open transaction, or a pool to read from.

use std::{sync::Arc, time::Instant};

use portico_kernel::{
    CommitListener, Event, SiteId, StoreError, TenantId, TraceParent, trace::StoreObserver,
};
use sea_orm::DbBackend;

use crate::{
    connection::{Connection, Connections, Transaction, notification},
    db::{Db, StatementConnection},
    remembered::Remembered,
};

/// The channel of `NOTIFY`.
pub(crate) const CHANNEL: &str = "portico";

/// Every repository, over one connection.
///
/// Implements the `…Repositories` trait of each domain, and [`portico_kernel::Outbox`].
pub struct Repositories<C> {
    pub(crate) connection: C,
    pub(crate) written: Written,
    /// Of the whole process.
    pub(crate) remembered: Arc<Remembered>,
    listener: Option<Arc<dyn CommitListener>>,
    observer: Option<Arc<dyn StoreObserver>>,
}

/// What has been done: for the listener, who is told after the commit, and for what is done before it.
#[derive(Default)]
pub(crate) struct Written {
    pub events: Vec<Event>,
    pub jobs: bool,
    /// Whether the repositories of sections or search engine texts were asked for.
    pub content: bool,
    /// Sites that not only staff may change, by what was read here.
    pub unfrozen: Vec<(TenantId, SiteId)>,
    /// Tenants whose sites were changed.
    pub changed_sites: Vec<TenantId>,
}

/// The repositories over an open transaction. Dropped without [`SqlUnitOfWork::commit`], it rolls back.
pub type SqlUnitOfWork = Repositories<Transaction>;

/// The repositories for reading, without a transaction: each statement sees what is committed when it runs.
pub type SqlReader = Repositories<ReadConnection>;

impl<C> Repositories<C> {
    pub(crate) fn new(
        connection: C,
        remembered: Arc<Remembered>,
        listener: Option<Arc<dyn CommitListener>>,
        observer: Option<Arc<dyn StoreObserver>>,
    ) -> Self {
        Self { connection, written: Written::default(), remembered, listener, observer }
    }

    /// The trace of the work at hand.
    pub(crate) fn trace(&self) -> Option<TraceParent> {
        self.observer.as_ref()?.trace_parent()
    }
}

impl SqlUnitOfWork {
    /// The events that were appended so far.
    pub fn events_so_far(&self) -> &[Event] {
        &self.written.events
    }

    /// Commits, then tells the listener what was written. An error means that nothing was, unless the connection broke
    /// at that very moment ([`StoreError::Unavailable`]): then nobody can know.
    pub async fn commit(self) -> Result<(), StoreError> {
        // A part of the transaction: others hear it if and only if it commits. Only what must act at once is announced,
        // because commits that notify wait for each other.
        let listener = self.listener.as_ref();
        let announcement = listener
            .filter(|_| self.connection.backend() == DbBackend::Postgres)
            .and_then(|listener| listener.announcement(&self.written.events));
        self.connection.commit_with(announcement.map(|text| notification(CHANNEL, text))).await?;
        self.remembered.forget(&self.written.events, &self.written.changed_sites, Instant::now());
        if let Some(listener) = self.listener
            && (self.written.jobs || !self.written.events.is_empty())
        {
            listener.committed(&self.written.events, self.written.jobs);
        }
        Ok(())
    }
}

/// A connection that refuses to write, so that a use case that was handed a reader by mistake fails at once.
pub struct ReadConnection(pub(crate) Connections);

impl StatementConnection for ReadConnection {
    fn db(&self) -> Db<'_> {
        Db(Connection::ReadOnly(&self.0))
    }
}
