//! What billing needs from the outside.

use async_trait::async_trait;
use portico_kernel::{Outbox, StoreError, TenantId};

use crate::{
    plan::{Meter, Plan},
    subscription::Subscription,
};

/// The catalogue of plans.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PlanRepository: Send {
    /// Stores a plan, or replaces the one of the same id.
    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError>;

    /// All plans by position.
    async fn list(&mut self) -> Result<Vec<Plan>, StoreError>;
}

/// Subscriptions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SubscriptionRepository: Send {
    /// Stores the subscription of a new tenant.
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// The plan that is in force for the tenant.
    async fn plan_of(&mut self, tenant: TenantId) -> Result<Option<Plan>, StoreError>;
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
        amount: u64,
        limit: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// Takes `amount` off again, down to zero.
    async fn subtract(&mut self, tenant: TenantId, meter: Meter, amount: u64) -> Result<(), StoreError>;

    /// What is used now.
    async fn used(&mut self, tenant: TenantId, meter: Meter) -> Result<u64, StoreError>;
}

/// The repositories of billing, over one unit of work.
pub trait BillingRepositories: Outbox {
    /// The catalogue of plans.
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c>;
    /// Subscriptions.
    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c>;
    /// Counters.
    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c>;
}
