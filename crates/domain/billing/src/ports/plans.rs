//! The ports of plans: the catalogue of plans, and who is subscribed to which.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, Timestamp};

use crate::{
    limits::{Allowance, Overrides},
    overage::Overage,
    paid::BillingAccount,
    plan::Plan,
    plan_edit::{ManagedPlan, PlanVersion},
    subscription::Subscription,
};

/// The catalogue of plans.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PlanRepository: Send {
    /// Stores version 1 of a new plan, which is the current one. MUST answer `Conflict` when there is a plan of this id, a retired one
    /// included, also under concurrency.
    async fn insert(&mut self, plan: &Plan) -> Result<(), StoreError>;

    /// Stores a version of a plan, or replaces the one of this number, and makes it the current one. MUST leave every other version as
    /// it is, but for no longer being current.
    async fn upsert(&mut self, plan: &Plan) -> Result<(), StoreError>;

    /// The plans on offer for everybody by position: current versions that are public and not retired.
    async fn list(&mut self) -> Result<Vec<Plan>, StoreError>;

    /// The ids of all plans, retired ones included.
    async fn ids(&mut self) -> Result<Vec<String>, StoreError>;

    /// The current version of a plan, public or not. `None` for one that is retired.
    async fn current<'s>(&mut self, id: &'s str) -> Result<Option<Plan>, StoreError>;

    /// One page of the current versions of all plans by position, with the number of tenants on each plan.
    async fn managed(&mut self, page: PageRequest) -> Result<List<ManagedPlan>, StoreError>;

    /// The current version of one plan, as [`PlanRepository::managed`] has it.
    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError>;

    /// The same, and keeps others from changing the plan until the unit of work ends. MUST wait for another unit of work that has
    /// locked the plan, and answer what that has stored.
    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<ManagedPlan>, StoreError>;

    /// The versions of a plan with the number of tenants on each, the newest first; at most `limit`.
    async fn versions<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<PlanVersion>, StoreError>;

    /// Takes a plan off the offer for good. MUST leave the subscriptions to it as they are.
    async fn retire<'s>(&mut self, id: &'s str, at: Timestamp) -> Result<(), StoreError>;
}

/// Subscriptions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SubscriptionRepository: Send {
    /// Stores the subscription of a new tenant, whose first billing period begins with it. MUST answer `MissingReference` for a version of a plan that does not exist.
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// The same with the current version of its plan, whichever version it names; answers that version. `None`, and nothing is
    /// stored, where there is no such plan.
    async fn insert_current(&mut self, subscription: &Subscription) -> Result<Option<i32>, StoreError>;

    /// The subscription of a tenant.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError>;

    /// The same with what its tenant has at the payment provider, in one statement.
    async fn with_account(
        &mut self,
        tenant: TenantId,
    ) -> Result<Option<(Subscription, Option<BillingAccount>)>, StoreError>;

    /// The subscription of a tenant that is not deleted, locked until the unit of work ends.
    async fn lock(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError>;

    /// Stores plan, version, status and time of the last change. MUST answer `MissingReference` for a version of a plan that does not
    /// exist.
    async fn update(&mut self, subscription: &Subscription) -> Result<(), StoreError>;

    /// Puts every tenant that is on an earlier version of the plan on this one, at the time `now`, and answers their subscriptions as
    /// they were. MUST answer those that were moved and no others, also under concurrency.
    async fn move_to<'s>(
        &mut self,
        plan: &'s str,
        version: i32,
        now: Timestamp,
    ) -> Result<Vec<Subscription>, StoreError>;

    /// The plan in force for the tenant in the version that it has bought, and what was agreed with it instead, in one statement.
    async fn allowance(&mut self, tenant: TenantId) -> Result<Option<Allowance>, StoreError>;

    /// Stores until when the bandwidth of the tenant is used up. MUST be told by the look-up of the site at a host name, too.
    async fn set_bandwidth_spent(
        &mut self,
        tenant: TenantId,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Stores whether the tenant has more sites than its limit, provided that what is stored is `before`, and answers whether it was. MUST
    /// answer `true` to one unit of work only, also under concurrency.
    async fn set_overage(
        &mut self,
        tenant: TenantId,
        before: Option<Overage>,
        after: Option<Overage>,
    ) -> Result<bool, StoreError>;

    /// Tenants of which that is stored, or that have sites which are read-only for it, in the order of their ids, those after one; at most
    /// `limit`.
    async fn over_limit(&mut self, after: Option<TenantId>, limit: u64) -> Result<Vec<TenantId>, StoreError>;

    /// Stores what was agreed with the tenant. MUST hold for [`MeterRepository::storage`](crate::ports::MeterRepository::storage),
    /// and for what callers and API keys of the tenant are looked up with, too.
    async fn set_overrides(&mut self, tenant: TenantId, overrides: &Overrides) -> Result<(), StoreError>;
}
