//! Errors of billing.

use std::borrow::Cow;

use portico_kernel::{Denied, EntitlementError, Fault, FieldError, Kind, StoreError};

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
    /// The plan does not include it.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
    /// The installation has used up the tokens that its operator allows in a month.
    #[error("no tokens left in this month")]
    TokensUsedUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for BillingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NoTenant => Kind::NotFound,
            Self::Entitlement(error) => error.kind(),
            Self::TokensUsedUp => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NoTenant => "not_found",
            Self::Entitlement(error) => error.code(),
            Self::TokensUsedUp => "generator_unavailable",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NoTenant => "There is no such tenant.".into(),
            Self::Entitlement(error) => error.detail(),
            Self::TokensUsedUp => "No more texts can be written for now. Try again later.".into(),
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
            _ => Vec::new(),
        }
    }
}
