//! The events of plans. The only place that defines who receives each, which caches it invalidates and how it is audited.

use portico_kernel::{
    Permission::BillingRead,
    declare_events,
    event::{
        Audience::{Holders, Internal},
        AuditClass::Sealed,
        CacheTopic::{Responses, Tenant},
    },
};

declare_events! {
    "A plan was made."
    PLAN_CREATED { name: "plan.created", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A plan was taken off the offer."
    PLAN_RETIRED { name: "plan.retired", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A plan was changed, or those on its earlier versions were moved to the current one."
    PLAN_UPDATED { name: "plan.updated", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "The tenant got its plan."
    SUBSCRIPTION_CREATED { name: "subscription.created", audience: Holders(BillingRead), invalidates: &[Responses], audit: Sealed }
    "Other limits than those of its plan were set for the tenant, or taken back."
    SUBSCRIPTION_LIMITS_UPDATED { name: "subscription.limits_updated", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "The tenant was put on another plan, or on another version of its plan."
    SUBSCRIPTION_UPDATED { name: "subscription.updated", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
}
