//! The events of plans, subscriptions and purchases. The only place that defines who receives each, which caches it invalidates and how
//! it is audited.

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
    "A coupon was archived: it cannot be used any more."
    COUPON_ARCHIVED { name: "coupon.archived", audience: Internal, invalidates: &[], audit: Sealed }
    "A coupon was made."
    COUPON_CREATED { name: "coupon.created", audience: Internal, invalidates: &[], audit: Sealed }
    "The terms of a coupon were changed."
    COUPON_UPDATED { name: "coupon.updated", audience: Internal, invalidates: &[], audit: Sealed }
    "A dispute about an invoice was decided: for us, or for the customer."
    INVOICE_DISPUTE_CLOSED { name: "invoice.dispute_closed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A bank has taken money of an invoice back, because the customer disputes the payment."
    INVOICE_DISPUTED { name: "invoice.disputed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "An invoice of the subscription was paid."
    INVOICE_PAID { name: "invoice.paid", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Money of an invoice was given back."
    INVOICE_REFUNDED { name: "invoice.refunded", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A payment is not what was asked for: nothing was granted for it."
    PAYMENT_MISMATCH { name: "payment.mismatch", audience: Internal, invalidates: &[], audit: Sealed }
    "Something to pay with was chosen for the subscription."
    PAYMENT_METHOD_CHOSEN { name: "payment_method.chosen", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Something to pay with was taken off the file."
    PAYMENT_METHOD_REMOVED { name: "payment_method.removed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A plan was made."
    PLAN_CREATED { name: "plan.created", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A plan was taken off the offer."
    PLAN_RETIRED { name: "plan.retired", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A plan was changed, or those on its earlier versions were moved to the current one."
    PLAN_UPDATED { name: "plan.updated", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A product was made."
    PRODUCT_CREATED { name: "product.created", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A product was changed, for instance what it costs."
    PRODUCT_UPDATED { name: "product.updated", audience: Internal, invalidates: &[Responses], audit: Sealed }
    "A purchase was paid."
    PURCHASE_COMPLETED { name: "purchase.completed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Something was ordered, and is to be paid."
    PURCHASE_CREATED { name: "purchase.created", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A dispute about a purchase was decided: for us, or for the buyer."
    PURCHASE_DISPUTE_CLOSED { name: "purchase.dispute_closed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A bank has taken money of a purchase back, because the buyer disputes the payment."
    PURCHASE_DISPUTED { name: "purchase.disputed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A purchase was not paid in time, or its payment has failed for good."
    PURCHASE_FAILED { name: "purchase.failed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A refund of a purchase did not reach the buyer."
    PURCHASE_REFUND_FAILED { name: "purchase.refund_failed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Money of a purchase was given back."
    PURCHASE_REFUNDED { name: "purchase.refunded", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Staff want money of a purchase, or of a site that was sold, given back; the payment provider is being asked."
    REFUND_CREATED { name: "refund.created", audience: Internal, invalidates: &[], audit: Sealed }
    "The payment provider does not give back money of a purchase, or of a site that was sold."
    REFUND_FAILED { name: "refund.failed", audience: Internal, invalidates: &[], audit: Sealed }
    "The owner of the buyer's address claimed a site that waited; it is to be handed over."
    SITE_SALE_CLAIMED { name: "site_sale.claimed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A site that was sold is its buyer's now."
    SITE_SALE_COMPLETED { name: "site_sale.completed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Somebody began to pay for a site; it is reserved for them."
    SITE_SALE_CREATED { name: "site_sale.created", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A site was not paid in time; others can buy it again."
    SITE_SALE_FAILED { name: "site_sale.failed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A site was paid, and is to be handed over."
    SITE_SALE_PAID { name: "site_sale.paid", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A refund of a site that was sold did not reach the buyer, though it was told before that the money was given back."
    SITE_SALE_REFUND_FAILED { name: "site_sale.refund_failed", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "Money of a site that was sold was given back."
    SITE_SALE_REFUNDED { name: "site_sale.refunded", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A site was paid, and waits until the owner of the buyer's address claims it."
    SITE_SALE_WAITING { name: "site_sale.waiting", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "The payment provider is asked for a change of what is paid for, or for its end."
    SUBSCRIPTION_CHANGE_REQUESTED { name: "subscription.change_requested", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "The tenant got its plan."
    SUBSCRIPTION_CREATED { name: "subscription.created", audience: Holders(BillingRead), invalidates: &[Responses], audit: Sealed }
    "What was paid for is not in force any more: the free plan follows."
    SUBSCRIPTION_ENDED { name: "subscription.ended", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "Other limits than those of its plan were set for the tenant, or taken back."
    SUBSCRIPTION_LIMITS_UPDATED { name: "subscription.limits_updated", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "A payment for the plan has failed. It is tried again."
    SUBSCRIPTION_PAYMENT_FAILED { name: "subscription.payment_failed", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "A payment for the plan is still missing."
    SUBSCRIPTION_PAYMENT_OVERDUE { name: "subscription.payment_overdue", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "A missing payment has come."
    SUBSCRIPTION_RECOVERED { name: "subscription.recovered", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "A plan that is paid for has come into force, or its trial has begun."
    SUBSCRIPTION_STARTED { name: "subscription.started", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "A trial is over: the plan is paid for now, or the free one follows."
    SUBSCRIPTION_TRIAL_ENDED { name: "subscription.trial_ended", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "The tenant was put on another plan, or on another version of its plan."
    SUBSCRIPTION_UPDATED { name: "subscription.updated", audience: Holders(BillingRead), invalidates: &[Tenant, Responses], audit: Sealed }
    "All that the limit of a meter allows is used."
    USAGE_EXHAUSTED { name: "usage.exhausted", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "There are more sites than the limit: after 30 days the newest ones become read-only."
    USAGE_OVER_LIMIT { name: "usage.over_limit", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
    "80 % of what the limit of a meter allows is used."
    USAGE_WARNING { name: "usage.warning", audience: Holders(BillingRead), invalidates: &[], audit: Sealed }
}
