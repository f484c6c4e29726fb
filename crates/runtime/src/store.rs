//! All domains' repositories over one transaction, and the commit that ends it.

use std::sync::Arc;

use async_trait::async_trait;
use portico_billing::{
    ports::{BillingRepositories, PaymentInbox},
    quota::Quotas,
};
use portico_identity::ports::IdentityRepositories;
use portico_kernel::{
    AnnouncementListener, DeadLetters, EntitlementError, EventReaders, Permission, StoreError, Timestamp,
    event::ActorKind, idempotency::IdempotencyRecords,
};
use portico_licensing::ports::LicensingRepositories;
use portico_sites::{
    SitesError, page, page_version,
    ports::SiteRepositories,
    site::{self, RefusedChange},
    wizard,
};
use portico_sql::{SqlReader, SqlStore, SqlUnitOfWork};
use portico_support::ports::SupportRepositories;
use portico_tenancy::ports::TenancyRepositories;
use time::Duration;

/// Every repository over one connection, without a transaction: for reading.
pub trait Repositories:
    IdentityRepositories
    + TenancyRepositories
    + BillingRepositories
    + LicensingRepositories
    + SiteRepositories
    + SupportRepositories
{
}

/// An open transaction. If it is dropped without [`UnitOfWork::commit`], everything is rolled back.
#[must_use = "what is not committed is rolled back"]
#[async_trait]
pub trait UnitOfWork: Repositories {
    /// Readers of the event log.
    fn readers<'c>(&'c mut self) -> Box<dyn EventReaders + 'c>;

    /// Dead jobs.
    fn dead_letters<'c>(&'c mut self) -> Box<dyn DeadLetters + 'c>;

    /// Idempotent requests.
    fn idempotency<'c>(&'c mut self) -> Box<dyn IdempotencyRecords + 'c>;

    /// Commits all writes atomically, with a version of each page that was changed.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// The database.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens a transaction that may write.
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError>;

    /// Reads without a transaction.
    fn reader(&self) -> Box<dyn Repositories>;

    /// Events of payment providers. Each call is a transaction of its own.
    fn inbox(&self) -> Box<dyn PaymentInbox>;

    /// The same database for background work: with separate connections where there is a pool, and longer timeouts.
    fn for_background(&self) -> Arc<dyn Store>;

    /// Checks that the database answers within a second, and, as far as is known, accepts writes.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Passes the announcements of all processes' commits to `listener`, until the connection to the database is lost.
    async fn follow(&self, listener: &dyn AnnouncementListener) -> Result<(), StoreError>;

    /// Deletes expired rows, such as links. Returns how many.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// The latest time at which one of the newest events was appended, by the clock at that moment.
    async fn newest_event_at(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Makes rows due that lie too far in the future, because they were written while the clock was ahead. `soon` is the
    /// latest time at which a lease may end. Returns how many rows it changed.
    async fn repair_future_times(&self, now: Timestamp, soon: Timestamp) -> Result<u64, StoreError>;

    /// Whether there is an event that one of these readers of the event log was not given yet, also such as they cannot be given yet.
    async fn has_unread_events(&self, readers: &[&'static str]) -> Result<bool, StoreError>;

    /// Figures for metrics, including the lag of these readers of the event log.
    async fn figures(&self, readers: &[&'static str], now: Timestamp) -> Result<StoreFigures, StoreError>;

    /// Closes every connection as soon as it is unused.
    async fn close(&self);
}

/// Figures of the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreFigures {
    /// Open connections.
    pub open: u32,
    /// Idle connections.
    pub idle: u32,
    /// Maximum number of connections.
    pub max: u32,
    /// Age of the oldest event that a reader has not read, by reader.
    pub event_lag: Vec<(&'static str, Duration)>,
}

impl Repositories for SqlReader {}
impl Repositories for SqlUnitOfWork {}

#[async_trait]
impl UnitOfWork for SqlUnitOfWork {
    fn readers<'c>(&'c mut self) -> Box<dyn EventReaders + 'c> {
        Self::readers(self)
    }

    fn dead_letters<'c>(&'c mut self) -> Box<dyn DeadLetters + 'c> {
        Self::dead_letters(self)
    }

    fn idempotency<'c>(&'c mut self) -> Box<dyn IdempotencyRecords + 'c> {
        Self::idempotency(self)
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        finish(&mut self).await.map_err(late)?;
        Self::commit(*self).await.map_err(late)
    }
}

/// The error of what was added at the end: of a page, see [`PageRepository::insert_later`](portico_sites::ports::PageRepository::insert_later).
/// `SQLite` does not say which reference is missing; only pages are added like that to something that may not be there.
fn late(error: StoreError) -> StoreError {
    match &error {
        StoreError::Conflict(key) | StoreError::MissingReference(key)
            if key.starts_with("pages") || key.is_empty() =>
        {
            broken(page::refused(error, None))
        }
        _ => error,
    }
}

/// Checks the rules that hold for every change, at the end of its transaction. Here and not in each use case, so that none
/// can forget them: only staff may change a site that is for sale, sold, suspended or over the limit; each changed page gets a version; and
/// the tenant's storage is within its plan.
///
/// # Errors
/// `Refused` with the rule that was violated.
async fn finish(work: &mut SqlUnitOfWork) -> Result<(), StoreError> {
    let events = work.events_so_far();
    let (sites, pages) = (site::changes(events), page_version::changes(events));
    // Background work by Portico itself, such as writing requested texts, was authorised when it was requested.
    let asked_for = events.iter().find(|event| event.actor_kind != ActorKind::System);
    let storing =
        asked_for.map(|event| (event.tenant, wizard::STORING.iter().any(|storing| event.kind.is(storing))));

    let recorded = page_version::record(work, pages).await.map_err(broken)?;
    let stores_in = storing.filter(|(_, stores)| recorded || *stores).map(|(tenant, _)| tenant);
    let (mut room, mut is_roomy) = (None, false);
    for (tenant, changes) in &site::by_tenant(&sites) {
        let frozen = match stores_in {
            // What both checks need, in one statement: most changes are of pages.
            Some(storing) if storing == *tenant => {
                let (frozen, found) = work.frozen_and_room(*tenant, &changes.sites, &changes.pages).await?;
                (room, is_roomy) = (found, found.is_none());
                frozen
            }
            _ => work.sites().frozen_among(*tenant, &changes.sites, &changes.pages).await?,
        };
        for RefusedChange { person, error } in changes.refused(frozen) {
            let user = match person {
                Some(id) => work.users().find(id).await?,
                None => None,
            };
            if user.is_none_or(|user| !user.platform_permissions().contains(Permission::PlatformSites)) {
                return Err(broken(error));
            }
        }
    }
    if let Some(tenant) = stores_in
        && !is_roomy
    {
        let mut quotas = Quotas::new(work);
        let checked = match room {
            Some(room) => quotas.check_storage_of(tenant, room).await,
            None => quotas.check_storage(tenant).await,
        };
        checked.map_err(|error| match error {
            EntitlementError::Store(error) => error,
            rule => StoreError::Refused(Box::new(rule)),
        })?;
    }
    Ok(())
}

/// The error of a unit of work that breaks a rule of sites.
pub(crate) fn broken(error: SitesError) -> StoreError {
    match error {
        SitesError::Store(error) => error,
        rule => StoreError::Refused(Box::new(rule)),
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StoreError> {
        Ok(Box::new(Self::begin(self).await?))
    }

    fn reader(&self) -> Box<dyn Repositories> {
        Box::new(Self::reader(self))
    }

    fn inbox(&self) -> Box<dyn PaymentInbox> {
        Box::new(self.clone())
    }

    fn for_background(&self) -> Arc<dyn Store> {
        Arc::new(Self::for_background(self))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Self::ping(self).await
    }

    async fn follow(&self, listener: &dyn AnnouncementListener) -> Result<(), StoreError> {
        Self::follow(self, listener).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        Self::sweep(self, now).await
    }

    async fn newest_event_at(&self) -> Result<Option<Timestamp>, StoreError> {
        Self::newest_event_at(self).await
    }

    async fn repair_future_times(&self, now: Timestamp, soon: Timestamp) -> Result<u64, StoreError> {
        Self::repair_future_times(self, now, soon).await
    }

    async fn has_unread_events(&self, readers: &[&'static str]) -> Result<bool, StoreError> {
        Self::has_unread_events(self, readers).await
    }

    async fn figures(&self, readers: &[&'static str], now: Timestamp) -> Result<StoreFigures, StoreError> {
        let pool = self.pool_figures();
        let event_lag = self.event_lags(readers, now).await?;
        Ok(StoreFigures { open: pool.open, idle: pool.idle, max: pool.max, event_lag })
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}
