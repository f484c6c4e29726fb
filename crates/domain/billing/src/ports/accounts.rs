//! The ports of tenants at providers of subscriptions: accounts, calls, and events that come in.

use async_trait::async_trait;
use portico_kernel::{NewJob, StoreError, TenantId, Timestamp};

use crate::{
    inbound::{FoundEvent, InboundStatus, StoredEvent},
    paid::BillingAccount,
    payment::Provider,
    plan_call::PlanCall,
};

/// Tenants at their payment providers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AccountRepository: Send {
    /// Stores the account of a tenant unless it has one, and answers whether it did.
    async fn insert_missing(&mut self, account: &BillingAccount) -> Result<bool, StoreError>;

    /// The account of a tenant.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError>;

    /// The tenant that the provider knows by this id.
    async fn of_customer<'s>(
        &mut self,
        provider: Provider,
        customer: &'s str,
    ) -> Result<Option<TenantId>, StoreError>;

    /// Stores everything but provider, mode and time of creation. MUST answer `Conflict` when another account has the customer.
    async fn update(&mut self, account: &BillingAccount) -> Result<(), StoreError>;

    /// Accounts of all tenants about which the provider is to be asked by `now`, those first that have waited longest; at most `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<BillingAccount>, StoreError>;
}

/// Calls to providers of subscriptions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PlanCallRepository: Send {
    /// Stores a new call. MUST answer `Conflict` when one of the tenant is under way, also under concurrency.
    async fn insert(&mut self, call: &PlanCall) -> Result<(), StoreError>;

    /// The call of the tenant that has not ended.
    async fn under_way(&mut self, tenant: TenantId) -> Result<Option<PlanCall>, StoreError>;

    /// Stores stage, session, page, end and next check. MUST leave all else as it is: the call is to be the same at every try.
    async fn update(&mut self, call: &PlanCall) -> Result<(), StoreError>;

    /// Calls of all tenants that are to be looked after by `now`, those first that have waited longest; at most `limit`.
    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<PlanCall>, StoreError>;
}

/// Events of payment providers, as they are taken in and worked off. Each call is a transaction of its own: nothing else belongs to it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PaymentInbox: Send + Sync {
    /// Stores an event unless the provider has sent it before, together with the job that works it off, if there is any; answers whether it
    /// did. MUST store both or neither, the job with the current trace, MUST answer `true` once only, also under concurrency, and MUST wake the
    /// workers of the process.
    async fn receive(&self, event: &StoredEvent, job: Option<NewJob>) -> Result<bool, StoreError>;

    /// An event, with whom it is about.
    async fn find(&self, provider: Provider, id: &str) -> Result<Option<FoundEvent>, StoreError>;

    /// Notes what became of an event.
    async fn set_status(&self, provider: Provider, id: &str, status: InboundStatus)
    -> Result<(), StoreError>;
}
