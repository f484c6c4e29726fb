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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for BillingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::NotFound(_) => Kind::NotFound,
            Self::QuotaExceeded { .. } => Kind::Quota,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::NotFound(_) => "not_found",
            Self::QuotaExceeded { .. } => "quota_exceeded",
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
            Self::Store(error) => error.detail(),
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::QuotaExceeded { meter, limit, used, plan } => vec![
                ("meter", meter.as_str().into()),
                ("limit", (*limit).into()),
                ("used", (*used).into()),
                ("plan", plan.clone().into()),
            ],
            _ => Vec::new(),
        }
    }
}
