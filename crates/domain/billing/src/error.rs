//! Errors of billing.

use std::borrow::Cow;

use portico_kernel::{Denied, EntitlementError, Fault, FieldError, Kind, StoreError};

use crate::payment::{PaymentError, SignatureError};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What was sent breaks rules.
    #[error("invalid input")]
    Invalid(Vec<FieldError>),
    /// There is no such tenant, or it is deleted.
    #[error("no such tenant")]
    NoTenant,
    /// There is no such plan.
    #[error("no such plan")]
    NoPlan,
    /// There is a plan of this id already, maybe a retired one.
    #[error("a plan has this id")]
    PlanExists,
    /// The plan was taken off the offer, and is not changed any more.
    #[error("the plan is retired")]
    PlanRetired,
    /// There is no such coupon.
    #[error("no such coupon")]
    NoCoupon,
    /// Another coupon has the code, or had it.
    #[error("a coupon has this code")]
    CouponExists,
    /// The coupon is archived, and is not changed any more.
    #[error("the coupon is archived")]
    CouponArchived,
    /// Every tenant begins with this plan.
    #[error("the plan of new tenants")]
    PlanNeeded,
    /// There is no such product.
    #[error("no such product")]
    NoProduct,
    /// There is a product of this id already, maybe one that is not on sale.
    #[error("a product has this id")]
    ProductExists,
    /// The plan does not include it.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
    /// The installation has used up the tokens that its operator allows in a month.
    #[error("no tokens left in this month")]
    TokensUsedUp,
    /// There is no such purchase in the tenant.
    #[error("no such purchase")]
    NoPurchase,
    /// There is no such checkout in the tenant.
    #[error("no such checkout")]
    NoCheckout,
    /// Somebody else is paying for the site.
    #[error("the site is reserved")]
    SiteReserved,
    /// The site was sold.
    #[error("the site is sold")]
    SiteSold,
    /// A tenant buys what it has.
    #[error("the site is the buyer's own")]
    OwnSite,
    /// The purchase is not paid, or staff have to look after its payment at the provider.
    #[error("the purchase is not paid")]
    NotPaid,
    /// The bank of the buyer has taken the money back, or decides about it.
    #[error("the purchase is disputed")]
    PurchaseDisputed,
    /// Another refund of the purchase is to be made first.
    #[error("another refund of the purchase is being made")]
    RefundInProgress,
    /// All of the purchase was given back.
    #[error("nothing is left to give back")]
    NothingToRefund,
    /// More than is left of the purchase.
    #[error("only {left} are left to give back")]
    RefundTooLarge {
        /// What is left, in minor units.
        left: i64,
    },
    /// There is no such invoice in the tenant.
    #[error("no such invoice")]
    NoInvoice,
    /// The tenant was never at the payment provider.
    #[error("no account at the payment provider")]
    NoAccount,
    /// The tenant pays for no plan.
    #[error("no subscription that is paid")]
    NoPaidSubscription,
    /// The tenant has another plan than the free one already.
    #[error("a subscription exists")]
    SubscriptionExists,
    /// The tenant is on this plan.
    #[error("already on this plan")]
    AlreadyOnPlan,
    /// The plan costs less.
    #[error("not an upgrade")]
    NotAnUpgrade,
    /// The plan costs more, or is the free one.
    #[error("not a downgrade")]
    NotADowngrade,
    /// The subscription ends or changes at the end of the period.
    #[error("a change is scheduled")]
    ChangeScheduled,
    /// The provider is being asked for another change.
    #[error("another change is under way")]
    ChangeInProgress,
    /// A payment is missing.
    #[error("a payment is missing")]
    PaymentOverdue,
    /// The subscription neither ends nor changes.
    #[error("nothing to take back")]
    NothingToResume,
    /// The subscription is paid with it.
    #[error("the payment method is in use")]
    PaymentMethodNeeded,
    /// The payment provider did not answer whether it has changed the plan.
    #[error("unknown what came of a change: {0}")]
    OutcomeUnknown(#[source] PaymentError),
    /// The payment provider did not do it.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// A webhook of a payment provider that is not believed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for BillingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NoTenant
            | Self::NoPlan
            | Self::NoCoupon
            | Self::NoProduct
            | Self::NoPurchase
            | Self::NoCheckout
            | Self::NoInvoice
            | Self::NoAccount => Kind::NotFound,
            Self::PlanExists
            | Self::PlanRetired
            | Self::PlanNeeded
            | Self::CouponExists
            | Self::CouponArchived
            | Self::ProductExists
            | Self::SiteReserved
            | Self::SiteSold
            | Self::OwnSite
            | Self::NotPaid
            | Self::PurchaseDisputed
            | Self::RefundInProgress
            | Self::NothingToRefund
            | Self::RefundTooLarge { .. }
            | Self::NoPaidSubscription
            | Self::SubscriptionExists
            | Self::AlreadyOnPlan
            | Self::NotAnUpgrade
            | Self::NotADowngrade
            | Self::ChangeScheduled
            | Self::ChangeInProgress
            | Self::PaymentOverdue
            | Self::NothingToResume
            | Self::PaymentMethodNeeded => Kind::Conflict,
            Self::Entitlement(error) => error.kind(),
            Self::TokensUsedUp | Self::OutcomeUnknown(_) => Kind::Unavailable,
            Self::Payment(error) => error.kind(),
            Self::Signature(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NoTenant
            | Self::NoPlan
            | Self::NoCoupon
            | Self::NoProduct
            | Self::NoPurchase
            | Self::NoCheckout
            | Self::NoInvoice
            | Self::NoAccount => "not_found",
            Self::CouponExists => "coupon_exists",
            Self::CouponArchived => "coupon_archived",
            Self::NoPaidSubscription => "no_subscription",
            Self::SubscriptionExists => "subscription_exists",
            Self::AlreadyOnPlan => "already_on_plan",
            Self::NotAnUpgrade => "not_an_upgrade",
            Self::NotADowngrade => "not_a_downgrade",
            Self::ChangeScheduled => "change_scheduled",
            Self::ChangeInProgress => "change_in_progress",
            Self::PaymentOverdue => "payment_overdue",
            Self::NothingToResume => "nothing_to_resume",
            Self::PaymentMethodNeeded => "payment_method_needed",
            Self::PlanExists => "plan_exists",
            Self::PlanRetired => "plan_retired",
            Self::PlanNeeded => "plan_needed",
            Self::ProductExists => "product_exists",
            Self::Entitlement(error) => error.code(),
            Self::TokensUsedUp => "generator_unavailable",
            Self::SiteReserved => "site_reserved",
            Self::SiteSold => "site_sold",
            Self::OwnSite => "own_site",
            Self::NotPaid => "purchase_not_paid",
            Self::PurchaseDisputed => "purchase_disputed",
            Self::RefundInProgress => "refund_in_progress",
            Self::NothingToRefund => "nothing_to_refund",
            Self::RefundTooLarge { .. } => "refund_too_large",
            Self::OutcomeUnknown(_) => "payment_provider_unavailable",
            Self::Payment(error) => error.code(),
            Self::Signature(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NoTenant => "There is no such tenant.".into(),
            Self::NoPlan => "There is no such plan.".into(),
            Self::PlanExists => "Another plan has this id, or had it.".into(),
            Self::PlanRetired => "The plan was taken off the offer and cannot be changed any more.".into(),
            Self::PlanNeeded => {
                "Every tenant begins with this plan, so it cannot be taken off the offer.".into()
            }
            Self::NoCoupon => "There is no such coupon.".into(),
            Self::CouponExists => "Another coupon has this code, or had it.".into(),
            Self::CouponArchived => "The coupon is archived and cannot be changed any more.".into(),
            Self::NoProduct => "There is no such product.".into(),
            Self::ProductExists => "Another product has this id.".into(),
            Self::NoPurchase => "There is no such purchase.".into(),
            Self::NoCheckout => "There is no such checkout session.".into(),
            Self::NotPaid => "The purchase is not paid, so there is nothing to give back.".into(),
            Self::PurchaseDisputed => {
                "The buyer's bank has taken the money back. Answer the dispute, or accept it, at the payment provider.".into()
            }
            Self::RefundInProgress => "Another refund of this purchase is being made. Try again shortly.".into(),
            Self::NothingToRefund => "All of this purchase was given back.".into(),
            Self::RefundTooLarge { .. } => "This is more than is left of the purchase.".into(),
            Self::OutcomeUnknown(_) => {
                "The payment provider has not answered whether it has changed the plan. Send the same again, or look at the subscription in some minutes.".into()
            }
            Self::NoInvoice => "There is no such invoice.".into(),
            Self::NoAccount => "There is no such customer.".into(),
            Self::NoPaidSubscription => "Nothing is paid for a plan. Use an upgrade to begin.".into(),
            Self::SubscriptionExists => "There is a subscription already. Change that one.".into(),
            Self::AlreadyOnPlan => "This plan is in force already.".into(),
            Self::NotAnUpgrade => "The plan costs less than the one in force. Use a downgrade.".into(),
            Self::NotADowngrade => "The plan costs more than the one in force, or nothing. Use an upgrade, or cancel.".into(),
            Self::ChangeScheduled => {
                "The subscription ends or changes at the end of its period. Take that back first (POST /api/v1/billing/resume).".into()
            }
            Self::ChangeInProgress => "Another change is being made. Try again in some minutes.".into(),
            Self::PaymentOverdue => "A payment is missing. Pay the open invoice first.".into(),
            Self::NothingToResume => "The subscription goes on as it is.".into(),
            Self::PaymentMethodNeeded => "The subscription is paid with it. Make another one the default first.".into(),
            Self::Entitlement(error) => error.detail(),
            Self::TokensUsedUp => "No more texts can be written for now. Try again later.".into(),
            Self::SiteReserved => "Somebody else is paying for this site. Try again in half an hour.".into(),
            Self::SiteSold => "This site was sold.".into(),
            Self::OwnSite => "Your tenant has this site already.".into(),
            Self::Payment(error) => error.detail(),
            Self::Signature(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }

    fn retry_after(&self) -> Option<u64> {
        // The operator may raise the limit before the month is over.
        matches!(self, Self::TokensUsedUp).then_some(3600)
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::Entitlement(error) => error.members(),
            Self::Payment(error) => error.members(),
            Self::RefundTooLarge { left } => vec![("left", (*left).into())],
            _ => Vec::new(),
        }
    }
}
