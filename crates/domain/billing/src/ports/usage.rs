//! The ports of what tenants use: meters, and uses of the text generator.

use async_trait::async_trait;
use portico_kernel::{GenerationId, Meter, StoreError, TenantId, Timestamp};
use time::Date;

use crate::{generation::Reservation, period::Period, plan::UNVERIFIED_STORAGE, thresholds::Notice};

/// What a tenant stores and what it may store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageRoom {
    /// Bytes of files that are stored: what [`MeterRepository::add`] has counted.
    pub files: u64,
    /// Bytes of texts that are stored, which the store counts by itself.
    pub texts: u64,
    /// Bytes that the plan in force includes, or that were agreed on instead; `None` is no limit. Zero without a plan.
    pub limit: Option<u64>,
    /// Whether an owner of the tenant has verified their address.
    pub verified: bool,
}

impl StorageRoom {
    /// Bytes that are stored.
    pub const fn used(&self) -> u64 {
        self.files.saturating_add(self.texts)
    }

    /// Bytes that are left, by the plan and as long as no address is verified.
    pub fn left(&self) -> u64 {
        let most = if self.verified { u64::MAX } else { UNVERIFIED_STORAGE };
        self.limit.unwrap_or(u64::MAX).min(most).saturating_sub(self.used())
    }
}

/// What a tenant has of a meter whose rows are the count, and what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCount {
    /// Rows that there are.
    pub used: u64,
    /// What the plan in force includes, or what was agreed on instead; `None` is no limit.
    pub limit: Option<u64>,
}

/// Counters of what tenants use.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MeterRepository: Send {
    /// Adds `amount` and answers `true`, unless that would go past `limit`: then changes nothing and answers `false`. MUST
    /// hold under concurrency: units of work that commit never overshoot together. `None` is no limit.
    async fn add(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// Adds `amount` to a meter without periods and answers `true`, where at least `margin` is left afterwards of what the plan in force
    /// includes, or of what was agreed on instead; otherwise changes nothing and answers `false`, also without a plan. In one statement.
    /// Storage is used by texts as well, and is only added to where an owner of the tenant has verified their address. MUST hold under
    /// concurrency, as [`add`](Self::add) does; texts that others store meanwhile are what the margin is for.
    async fn add_included(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        amount: u64,
        margin: u64,
    ) -> Result<bool, StoreError>;

    /// Like [`add`](Self::add), and counts `amount` on the day, too, in one statement. MUST leave the day as it is where it answers
    /// `false`.
    async fn add_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// Subtracts `amount`, down to zero.
    async fn subtract(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        amount: u64,
    ) -> Result<(), StoreError>;

    /// The same, in the period and on the day.
    async fn subtract_on_day(
        &mut self,
        tenant: TenantId,
        meter: Meter,
        period: Period,
        day: Date,
        amount: u64,
    ) -> Result<(), StoreError>;

    /// What the tenant stores and may store, including what the unit of work has stored itself. One statement while `margin`
    /// bytes are left: every change of a page asks. Where less is left, MUST wait for each other unit of work that has got such
    /// an answer about the tenant, until that ends, and count what it has stored: so no two get past the limit together.
    async fn storage(&mut self, tenant: TenantId, margin: u64) -> Result<StorageRoom, StoreError>;

    /// What the tenant has of a meter that [counts rows](Meter::counts_rows), including what the unit of work has added itself, and
    /// what it may have, in one statement; `None` without a plan in force. Only members whose account is not deleted are counted, and
    /// only keys that are not revoked. Does not wait for others: whoever adds a row holds the row of the tenant.
    async fn rows(&mut self, tenant: TenantId, meter: Meter) -> Result<Option<RowCount>, StoreError>;

    /// What was added in the period, without texts in the case of storage; for bandwidth, the bytes that the sites of the tenant
    /// sent in it, which the store counts by itself. MUST keep periods apart; a day belongs to the
    /// billing period that begins on it.
    async fn used(&mut self, tenant: TenantId, meter: Meter, period: Period) -> Result<u64, StoreError>;

    /// What was used of each of these meters in its period, in their order; storage with its texts. In one statement.
    async fn used_of_all(
        &mut self,
        tenant: TenantId,
        meters: &[(Meter, Period)],
    ) -> Result<Vec<u64>, StoreError>;

    /// What is known of the days from the first to the last, in any order: what was added on a day of a meter that counts by periods,
    /// and what there was at its end of another one. MUST leave out days on which nothing was added, and days of the others on which
    /// [`MeterRepository::record_day`] recorded no change; MUST answer the last record of each up to the first day with the first day.
    async fn days(
        &mut self,
        tenant: TenantId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, Meter, u64)>, StoreError>;

    /// Records for every tenant what there is now of each meter that does not count by periods as what there was at the end of this
    /// day, where it differs from what was recorded last or is the first record. MUST do it once for a day, also under concurrency;
    /// answers whether it was done now.
    async fn record_day(&mut self, day: Date) -> Result<bool, StoreError>;

    /// The thresholds that the tenant has been told about, see [`crate::thresholds`].
    async fn notices(&mut self, tenant: TenantId) -> Result<Vec<Notice>, StoreError>;

    /// Stores that the tenant is told about a threshold, instead of an earlier period; answers whether it was not yet told in this period.
    /// MUST answer `true` to one unit of work only, also under concurrency.
    async fn note(&mut self, tenant: TenantId, notice: &Notice) -> Result<bool, StoreError>;

    /// Forgets such a notice of this meter, threshold and period.
    async fn forget_notice(&mut self, tenant: TenantId, notice: &Notice) -> Result<(), StoreError>;
}

/// Uses of the text generator that are under way, and the tokens of all tenants together.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GenerationRepository: Send {
    /// Stores a reservation. MUST answer `Conflict` when the tenant has one of this id, also under concurrency.
    async fn insert(&mut self, reservation: &Reservation) -> Result<(), StoreError>;

    /// The reservation.
    async fn find(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError>;

    /// Deletes the reservation and answers it. MUST give it to one unit of work only, also under concurrency.
    async fn take(&mut self, tenant: TenantId, id: GenerationId) -> Result<Option<Reservation>, StoreError>;

    /// Deletes those of the tenant that expire before `now`, and answers them. MUST give each to one unit of work only.
    async fn take_expired(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<Reservation>, StoreError>;

    /// Adds tokens to what all tenants used up in the period and answers `true`, unless that would go past `limit`: then changes
    /// nothing and answers `false`. MUST hold under concurrency.
    async fn spend(&mut self, period: Period, tokens: u64, limit: Option<u64>) -> Result<bool, StoreError>;

    /// Subtracts tokens, down to zero.
    async fn unspend(&mut self, period: Period, tokens: u64) -> Result<(), StoreError>;

    /// Tokens that all tenants used up in the period.
    async fn spent(&mut self, period: Period) -> Result<u64, StoreError>;
}
