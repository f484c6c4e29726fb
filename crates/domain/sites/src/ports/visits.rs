//! Visits of published sites: the port.

use async_trait::async_trait;
use portico_kernel::{SiteId, StoreError, TenantId};
use time::Date;

use crate::analytics::{Dimension, Salt, VisitBatch};

/// Visits of published sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait VisitRepository: Send {
    /// The salt of a day, the same for every instance: `fresh` becomes it, unless the day has one. MUST answer the same to all
    /// concurrent calls, given that their units of work commit.
    async fn salt(&mut self, day: Date, fresh: Salt) -> Result<Salt, StoreError>;

    /// Adds a batch to the counts. Answers whether it did: MUST NOT add one of the same id again. MUST count a visitor hash once
    /// a day, whichever instances store it at the same moment. MUST NOT let a site have more than [`MAX_NAMES`] names of a
    /// dimension on a day: those that come later are counted as [`OTHER`]. Visits of a site that is gone are left out.
    ///
    /// [`MAX_NAMES`]: crate::analytics::MAX_NAMES
    /// [`OTHER`]: crate::analytics::OTHER
    async fn store(&mut self, batch: &VisitBatch) -> Result<bool, StoreError>;

    /// Visits and visitors of the site on the days that had any, both ends included.
    async fn days(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, u64, u64)>, StoreError>;

    /// The `most` most frequent names of each dimension, the most frequent first, with the visits on all these days.
    async fn names(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        from: Date,
        to: Date,
        most: u64,
    ) -> Result<Vec<(Dimension, String, u64)>, StoreError>;

    /// What the sites of the tenant sent, both ends included: answers and bytes.
    async fn traffic(&mut self, tenant: TenantId, from: Date, to: Date) -> Result<(u64, u64), StoreError>;

    /// Deletes the visits of days before `visits`, and the traffic of days before `traffic`, at most about `limit` rows of each
    /// kind. Answers how many.
    async fn forget(&mut self, visits: Date, traffic: Date, limit: u64) -> Result<u64, StoreError>;
}
