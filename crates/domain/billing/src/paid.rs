//! What of a tenant's subscription is at the payment provider.

use std::fmt;

use crate::plan::{BillingInterval, Plan};

/// Between the parts of a reference. No part has it in it.
const SEPARATOR: char = '-';

/// The name under which the provider knows what a version of a plan costs for an interval. Written `starter-1-month`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceReference {
    /// Id of the plan.
    pub plan: String,
    /// Its version.
    pub version: i32,
    /// How long a payment is for.
    pub interval: BillingInterval,
}

impl PriceReference {
    /// Of what a plan costs for an interval.
    pub fn new(plan: &Plan, interval: BillingInterval) -> Self {
        Self { plan: plan.id.clone(), version: plan.version, interval }
    }

    /// Reads a reference; `None` for one that was not made here.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let (plan, version, interval) = (parts.next()?, parts.next()?, parts.next()?);
        let read = Self {
            plan: plan.to_owned(),
            version: version.parse().ok()?,
            interval: BillingInterval::parse(interval)?,
        };
        // Each has one spelling.
        (read.version > 0 && read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for PriceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}{SEPARATOR}{}", self.plan, self.version, self.interval.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::catalogue;

    #[test]
    fn a_reference_is_read_back_and_has_one_spelling() {
        for plan in catalogue() {
            for interval in BillingInterval::ALL {
                let reference = PriceReference::new(&plan, interval);
                assert_eq!(PriceReference::parse(&reference.to_string()), Some(reference));
            }
        }
        let starter = PriceReference::new(&catalogue().remove(1), BillingInterval::Month);
        assert_eq!(starter.to_string(), "starter-1-month");
        for foreign in [
            "",
            "starter",
            "starter-1",
            "starter-01-month",
            "starter-0-month",
            "starter-1-week",
            "starter-1-month-x",
        ] {
            assert_eq!(PriceReference::parse(foreign), None, "{foreign}");
        }
    }
}
