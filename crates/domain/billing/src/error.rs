//! How billing fails.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, Kind, StoreError};

use crate::plan::Meter;

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not there, or not to be seen by this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The plan does not include more.
    #[error("quota exceeded: {} {used} of {limit}", meter.as_str())]
    QuotaExceeded {
        /// What is used up.
        meter: Meter,
        /// What the plan includes.
        limit: u64,
        /// What is used now.
        used: u64,
        /// Id of the cheapest plan that would do.
        plan: Option<String>,
    },
    /// There is room for so much only once somebody who owns the tenant has verified their address.
    #[error("storage of an unverified tenant: {used} of {limit}")]
    UnverifiedStorage {
        /// Bytes that there are until then.
        limit: u64,
        /// Bytes that are used now.
        used: u64,
    },
    /// The installation has used up the tokens that its operator allows in a month.
    #[error("no tokens left in this month")]
    TokensUsedUp,
    /// The plan does not have a feature at all, however little is used of it.
    #[error("plan required: {feature}")]
    PlanRequired {
        /// What is missing, for instance `premium_templates`.
        feature: &'static str,
        /// Id of the cheapest plan that has it.
        plan: Option<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for BillingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NotFound(_) => Kind::NotFound,
            Self::QuotaExceeded { .. } | Self::UnverifiedStorage { .. } | Self::PlanRequired { .. } => {
                Kind::Quota
            }
            Self::TokensUsedUp => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::NotFound(_) => "not_found",
            Self::QuotaExceeded { .. } | Self::UnverifiedStorage { .. } => "quota_exceeded",
            Self::PlanRequired { .. } => "plan_required",
            Self::TokensUsedUp => "generator_unavailable",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::QuotaExceeded { meter, limit, used, plan } => {
                let remedy = match plan {
                    Some(plan) => format!("Upgrade to the plan {plan} to go on."),
                    None => "Contact us to go on.".to_owned(),
                };
                format!("Your plan includes {limit} {}, and {used} are used. {remedy}", meter.as_str()).into()
            }
            Self::UnverifiedStorage { limit, used } => format!(
                "Until an email address of an owner is verified there is room for {limit} bytes, and {used} are used."
            )
            .into(),
            Self::TokensUsedUp => "No more texts can be written for now. Try again later.".into(),
            Self::PlanRequired { feature, plan } => {
                let remedy = match plan {
                    Some(plan) => format!("Upgrade to the plan {plan} to go on."),
                    None => "Contact us to go on.".to_owned(),
                };
                format!("Your plan does not have {}. {remedy}", feature.replace('_', " ")).into()
            }
            Self::Store(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        // The operator may raise the limit before the month is over.
        matches!(self, Self::TokensUsedUp).then_some(3600)
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::QuotaExceeded { meter, limit, used, plan } => vec![
                ("meter", meter.as_str().into()),
                ("limit", (*limit).into()),
                ("used", (*used).into()),
                ("plan", plan.clone().into()),
            ],
            Self::UnverifiedStorage { limit, used } => vec![
                ("meter", Meter::Storage.as_str().into()),
                ("limit", (*limit).into()),
                ("used", (*used).into()),
                ("plan", serde_json::Value::Null),
            ],
            Self::PlanRequired { feature, plan } => {
                vec![("feature", (*feature).into()), ("plan", plan.clone().into())]
            }
            _ => Vec::new(),
        }
    }
}
