//! Plans, and what each includes.

use std::collections::BTreeMap;

use portico_kernel::{Feature, Meter};
use serde::{Deserialize, Serialize};

use crate::{BillingError, ports::BillingRepositories};

/// The plan every tenant begins with.
pub const FREE: &str = "free";

/// The most bytes that a tenant stores, whatever its plan, while none of its owners has verified an address: a small site with
/// its history and some pictures.
pub const UNVERIFIED_STORAGE: u64 = 32 << 20;

/// A gigabyte as storage and bandwidth are sold here.
const GIGABYTE: u64 = 1 << 30;

/// A plan that a tenant can subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Stable word, for instance `free`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Price of a month in minor units.
    pub amount: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// Limit of each meter; a meter that is not listed has none.
    pub limits: BTreeMap<Meter, u64>,
    /// Whether premium templates may be used.
    pub premium_templates: bool,
    /// Order in lists, cheapest first.
    pub position: i32,
}

impl Plan {
    /// The limit of a meter; `None` is no limit.
    pub fn limit(&self, meter: Meter) -> Option<u64> {
        self.limits.get(&meter).copied()
    }

    /// Whether the plan has a feature.
    pub const fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::PremiumTemplates => self.premium_templates,
        }
    }

    /// Whether the plan includes so much of a meter.
    pub fn includes(&self, meter: Meter, amount: u64) -> bool {
        self.limit(meter).is_none_or(|limit| amount <= limit)
    }
}

/// The plans on offer, cheapest first.
pub fn catalogue() -> Vec<Plan> {
    let plan = |position, id: &str, name: &str, amount, premium_templates, limits: &[(Meter, u64)]| Plan {
        id: id.to_owned(),
        name: name.to_owned(),
        amount,
        currency: "usd".to_owned(),
        limits: limits.iter().copied().collect(),
        premium_templates,
        position,
    };
    let limits = |sites, gigabytes, generations, domains, sent| {
        [
            (Meter::Sites, sites),
            (Meter::Storage, gigabytes * GIGABYTE),
            (Meter::AiGenerations, generations),
            (Meter::CustomDomains, domains),
            (Meter::Bandwidth, sent * GIGABYTE),
        ]
    };
    vec![
        plan(1, FREE, "Free", 0, false, &limits(1, 1, 10, 0, 10)),
        plan(2, "starter", "Starter", 1200, false, &limits(3, 10, 100, 3, 100)),
        plan(3, "professional", "Professional", 2900, true, &limits(10, 50, 1000, 10, 500)),
        plan(4, "enterprise", "Enterprise", 9900, true, &[]),
    ]
}

/// Use cases around the catalogue. Every caller may read it, signed in or not.
pub struct Plans<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> Plans<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// The plans on offer, cheapest first.
    pub async fn list(&mut self) -> Result<Vec<Plan>, BillingError> {
        Ok(self.repositories.plans().list().await?)
    }

    /// Makes the stored catalogue equal to [`catalogue`]; part of starting. Answers how many plans were written: none
    /// on a second run.
    pub async fn seed(&mut self) -> Result<usize, BillingError> {
        let stored = self.repositories.plans().list().await?;
        let mut written = 0;
        for plan in catalogue().iter().filter(|plan| !stored.contains(plan)) {
            self.repositories.plans().upsert(plan).await?;
            written += 1;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::MockPlanRepository, testing::Repositories};

    #[test]
    fn each_plan_costs_more_and_includes_at_least_as_much_as_the_one_before() {
        let plans = catalogue();
        assert_eq!(
            plans.iter().map(|plan| plan.id.as_str()).collect::<Vec<_>>(),
            ["free", "starter", "professional", "enterprise"]
        );
        for pair in plans.windows(2) {
            assert!(pair[0].amount < pair[1].amount && pair[0].position < pair[1].position);
            for meter in Meter::ALL {
                assert!(
                    pair[0].limit(meter).is_some_and(|limit| pair[1].includes(meter, limit + 1)),
                    "{meter:?}"
                );
            }
        }
        assert!(plans[3].includes(Meter::Sites, u64::MAX));
    }

    #[tokio::test]
    async fn seeding_writes_only_what_differs() {
        let mut stored = catalogue();
        stored[1].amount = 1;
        let mut listing = MockPlanRepository::new();
        listing.expect_list().times(1).return_once(|| Ok(stored));
        let mut writing = MockPlanRepository::new();
        writing
            .expect_upsert()
            .times(1)
            .withf(|plan| plan.id == "starter" && plan.amount == 1200)
            .return_once(|_| Ok(()));
        let mut repositories = Repositories::default();
        repositories.plans.extend([listing, writing]);
        assert_eq!(Plans::new(&mut repositories).seed().await.unwrap(), 1);
    }
}
