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
            Self::NoTenant | Self::NoPlan | Self::NoProduct | Self::NoPurchase | Self::NoCheckout => {
                Kind::NotFound
            }
            Self::PlanExists
            | Self::PlanRetired
            | Self::PlanNeeded
            | Self::ProductExists
            | Self::SiteReserved
            | Self::SiteSold
            | Self::OwnSite => Kind::Conflict,
            Self::Entitlement(error) => error.kind(),
            Self::TokensUsedUp => Kind::Unavailable,
            Self::Payment(error) => error.kind(),
            Self::Signature(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NoTenant | Self::NoPlan | Self::NoProduct | Self::NoPurchase | Self::NoCheckout => {
                "not_found"
            }
            Self::PlanExists => "plan_exists",
            Self::PlanRetired => "plan_retired",
            Self::PlanNeeded => "plan_needed",
            Self::ProductExists => "product_exists",
            Self::Entitlement(error) => error.code(),
            Self::TokensUsedUp => "generator_unavailable",
            Self::SiteReserved => "site_reserved",
            Self::SiteSold => "site_sold",
            Self::OwnSite => "own_site",
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
            Self::NoProduct => "There is no such product.".into(),
            Self::ProductExists => "Another product has this id.".into(),
            Self::NoPurchase => "There is no such purchase.".into(),
            Self::NoCheckout => "There is no such checkout session.".into(),
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
            _ => Vec::new(),
        }
    }
}
