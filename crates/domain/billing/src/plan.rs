//! Plans, and what each includes.
//!
//! What is bought of a plan (prices, limits, features that are enforced, days of trial) never changes within a version. A change of
//! it makes the next version, which is then on offer; who has bought an earlier one keeps that.

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

/// How long a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BillingInterval {
    /// A month.
    Month,
    /// A year.
    Year,
}

impl BillingInterval {
    /// Every interval, the shortest first.
    pub const ALL: [Self; 2] = [Self::Month, Self::Year];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The interval of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.as_str() == text)
    }
}

/// What a plan costs for one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanPrice {
    /// How long a payment is for.
    pub interval: BillingInterval,
    /// Minor units of the currency, for instance cents.
    #[cfg_attr(feature = "openapi", schema(example = 12000))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(feature = "openapi", schema(example = "usd"))]
    pub currency: String,
}

/// One version of a plan that a tenant can subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Stable word, for instance `free`.
    pub id: String,
    /// From 1. Prices, limits, premium templates and days of trial are the same as long as this is.
    pub version: i32,
    /// Display name.
    pub name: String,
    /// Who it is for, in a sentence; may be empty.
    pub description: String,
    /// What it includes, in words to be shown. What is enforced is in `limits` and `premiumTemplates`.
    pub features: Vec<String>,
    /// Price of a month in minor units: the one of `prices`.
    pub amount: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// What it costs for each interval that it is sold for, the month first.
    pub prices: Vec<PlanPrice>,
    /// Limit of each meter; a meter that is not listed has none.
    #[cfg_attr(feature = "openapi", schema(example = json!({"sites": 3, "storage": 10_737_418_240_u64})))]
    pub limits: BTreeMap<Meter, u64>,
    /// Whether premium templates may be used.
    pub premium_templates: bool,
    /// Days that it can be tried before it is paid for; 0 for none.
    pub trial_days: u16,
    /// Whether it is on offer for everybody. Staff put tenants on the others.
    pub is_public: bool,
    /// Order in lists, cheapest first.
    pub position: i32,
}

impl Plan {
    /// Whether who buys one of the two has bought the same: prices, limits, premium templates and days of trial.
    pub fn sells_the_same_as(&self, other: &Self) -> bool {
        self.prices == other.prices
            && self.limits == other.limits
            && self.premium_templates == other.premium_templates
            && self.trial_days == other.trial_days
    }

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

/// The plans of a new installation, cheapest first. Staff may have changed them since.
pub fn catalogue() -> Vec<Plan> {
    let plan = |position, id: &str, name: &str, amount, limits: &[(Meter, u64)]| Plan {
        id: id.to_owned(),
        version: 1,
        name: name.to_owned(),
        description: String::new(),
        features: Vec::new(),
        amount,
        currency: "usd".to_owned(),
        prices: [(BillingInterval::Month, amount), (BillingInterval::Year, 10 * amount)]
            .map(|(interval, amount)| PlanPrice { interval, amount, currency: "usd".to_owned() })
            .to_vec(),
        limits: limits.iter().copied().collect(),
        premium_templates: false,
        trial_days: 0,
        is_public: true,
        position,
    };
    let limits = |sites, gigabytes, generations, domains, sent, people| {
        [
            (Meter::Sites, sites),
            (Meter::Storage, gigabytes * GIGABYTE),
            (Meter::AiGenerations, generations),
            (Meter::CustomDomains, domains),
            (Meter::Bandwidth, sent * GIGABYTE),
            (Meter::Members, people),
            (Meter::ApiKeys, people),
        ]
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        Plan {
            description: "To try everything out with one site.".to_owned(),
            features: words(&["1 site", "1 GB of storage", "10 AI generations a month"]),
            ..plan(1, FREE, "Free", 0, &limits(1, 1, 10, 0, 10, 5))
        },
        Plan {
            description: "For a business with its own domain.".to_owned(),
            features: words(&["3 sites", "10 GB of storage", "100 AI generations a month", "Custom domains"]),
            ..plan(2, "starter", "Starter", 1200, &limits(3, 10, 100, 3, 100, 10))
        },
        Plan {
            description: "For those who look after several sites.".to_owned(),
            features: words(&[
                "10 sites",
                "50 GB of storage",
                "1000 AI generations a month",
                "Custom domains",
                "Premium templates",
            ]),
            premium_templates: true,
            ..plan(3, "professional", "Professional", 2900, &limits(10, 50, 1000, 10, 500, 50))
        },
        Plan {
            description: "For organisations that want no limits.".to_owned(),
            features: words(&[
                "Unlimited sites",
                "Unlimited storage",
                "Unlimited AI generations",
                "Custom domains",
                "Premium templates",
            ]),
            premium_templates: true,
            ..plan(4, "enterprise", "Enterprise", 9900, &[])
        },
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

    /// The plans on offer for everybody in their current versions, cheapest first.
    pub async fn list(&mut self) -> Result<Vec<Plan>, BillingError> {
        Ok(self.repositories.plans().list().await?)
    }

    /// Stores the plans of [`catalogue`] that are not there in any version; part of starting. What staff have made of a plan stays.
    /// Answers how many plans were written: none on a second run.
    pub async fn seed(&mut self) -> Result<usize, BillingError> {
        let stored = self.repositories.plans().ids().await?;
        let mut written = 0;
        for plan in catalogue().iter().filter(|plan| !stored.contains(&plan.id)) {
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

    #[test]
    fn a_year_costs_ten_months_and_the_price_of_a_month_is_told_twice() {
        for plan in catalogue() {
            let prices =
                plan.prices.iter().map(|price| (price.interval, price.amount, price.currency.as_str()));
            let currency = plan.currency.as_str();
            assert_eq!(
                prices.collect::<Vec<_>>(),
                [
                    (BillingInterval::Month, plan.amount, currency),
                    (BillingInterval::Year, 10 * plan.amount, currency)
                ]
            );
            assert!(!plan.features.is_empty() && !plan.description.is_empty(), "{}", plan.id);
        }
    }

    #[test]
    fn words_and_places_are_not_what_is_sold() {
        let plan = catalogue().remove(1);
        let shown = Plan {
            name: "Beginner".to_owned(),
            description: "Other words".to_owned(),
            features: Vec::new(),
            is_public: false,
            position: 9,
            ..plan.clone()
        };
        assert!(plan.sells_the_same_as(&shown));
        let mut dearer = plan.clone();
        dearer.prices[1].amount += 1;
        let mut smaller = plan.clone();
        smaller.limits.insert(Meter::Sites, 2);
        let premium = Plan { premium_templates: true, ..plan.clone() };
        let tried = Plan { trial_days: 14, ..plan.clone() };
        for other in [dearer, smaller, premium, tried] {
            assert!(!plan.sells_the_same_as(&other));
        }
    }

    #[tokio::test]
    async fn seeding_writes_only_plans_that_are_not_there() {
        let mut stored = MockPlanRepository::new();
        let known = ["free", "professional", "enterprise", "of-staff"].map(str::to_owned).to_vec();
        stored.expect_ids().times(1).return_once(|| Ok(known));
        let mut writing = MockPlanRepository::new();
        writing
            .expect_upsert()
            .times(1)
            .withf(|plan| plan.id == "starter" && (plan.version, plan.amount) == (1, 1200))
            .return_once(|_| Ok(()));
        let mut repositories = Repositories::default();
        repositories.plans.extend([stored, writing]);
        assert_eq!(Plans::new(&mut repositories).seed().await.unwrap(), 1);
        assert!(repositories.plans.is_empty());
    }
}
