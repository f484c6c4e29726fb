//! What staff send to make or change a plan, and its rules.

use std::collections::BTreeMap;

use portico_kernel::{Meter, PRODUCT_ID_MAX, RuleMessage, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    limits::LIMIT_MAX,
    money::{AMOUNT_MAX, Currency},
    plan::{BillingInterval, FREE, Plan, PlanPrice},
};

/// Fewest and most characters of the id of a plan or a product.
const ID: (usize, usize) = (2, PRODUCT_ID_MAX);

/// Most characters of the name of a plan or a product.
pub(crate) const NAME_MAX: usize = 100;

/// Most characters of the description of a plan or a product.
pub(crate) const DESCRIPTION_MAX: usize = 500;

/// Most features that are listed, and most characters of each.
const FEATURES_MAX: usize = 30;
const FEATURE_MAX: usize = 100;

/// Most days of a trial: a year.
const TRIAL_MAX: u16 = 365;

/// The last place in lists.
const POSITION_MAX: i32 = 10_000;

/// A price of a plan to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PriceInput {
    /// How long a payment is for; each interval once.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = BillingInterval))]
    pub interval: Option<BillingInterval>,
    /// Minor units of the currency, for instance cents: 0 to 99,999,999.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, value_type = i64, minimum = 0, maximum = 99_999_999, example = 1500)
    )]
    pub amount: Option<i64>,
    /// Lower-case ISO 4217; the same for all prices of a plan.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "usd", min_length = 3, max_length = 3, pattern = "^[a-z]{3}$")
    )]
    pub currency: String,
}

/// A plan to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "agency", "name": "Agency", "description": "For those who build sites for others.", "features": ["50 sites"],
    "prices": [{"interval": "month", "amount": 4900, "currency": "usd"}], "limits": {"sites": 50}, "position": 5,
})))]
pub struct PlanInput {
    /// Stable word, which the plan keeps: a lower-case letter, then 1 to 49 lower-case letters, digits and underscores.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, min_length = 2, max_length = 50, pattern = "^[a-z][a-z0-9_]{1,49}$")
    )]
    pub id: String,
    /// Display name, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 100))]
    pub name: String,
    /// Who it is for, at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: Option<String>,
    /// What it includes, in words to be shown: at most 30 of 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(max_items = 30, min_length = 1, max_length = 100))]
    pub features: Option<Vec<String>>,
    /// What it costs for each interval that it is sold for. The price of a month must be there.
    #[cfg_attr(feature = "openapi", schema(required = true, min_items = 1, max_items = 2))]
    pub prices: Vec<PriceInput>,
    /// By meter: 0 to 9,007,199,254,740,991. A meter that is absent or null has no limit.
    pub limits: Option<BTreeMap<Meter, Option<u64>>>,
    /// Whether premium templates may be used; not, where absent.
    #[serde(alias = "premium_templates")]
    pub premium_templates: Option<bool>,
    /// Days that it can be tried before it is paid for, 0 to 365; none, where absent.
    #[serde(alias = "trial_days")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 365))]
    pub trial_days: Option<u16>,
    /// Whether it is on offer for everybody; so it is, where absent.
    #[serde(alias = "is_public")]
    pub is_public: Option<bool>,
    /// Order in lists, 0 to 10,000; the first, where absent.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub position: Option<i32>,
}

/// Changes a plan; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"limits": {"sites": 5}, "moveSubscribers": true})))]
pub struct PlanUpdate {
    /// Display name, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// Who it is for, at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: Option<String>,
    /// What it includes, in words to be shown, all of them: at most 30 of 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(max_items = 30, min_length = 1, max_length = 100))]
    pub features: Option<Vec<String>>,
    /// All of its prices. That of a month must be there.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 2))]
    pub prices: Option<Vec<PriceInput>>,
    /// By meter: 0 to 9,007,199,254,740,991; null for no limit. The limit of a meter that is absent stays.
    pub limits: Option<BTreeMap<Meter, Option<u64>>>,
    /// Whether premium templates may be used.
    #[serde(alias = "premium_templates")]
    pub premium_templates: Option<bool>,
    /// Days that it can be tried before it is paid for, 0 to 365.
    #[serde(alias = "trial_days")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 365))]
    pub trial_days: Option<u16>,
    /// Whether it is on offer for everybody.
    #[serde(alias = "is_public")]
    pub is_public: Option<bool>,
    /// Order in lists, 0 to 10,000.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 10_000))]
    pub position: Option<i32>,
    /// Whether those who are on an earlier version are put on the current one, that is the one which the change makes, if it makes
    /// one. Otherwise they keep what they bought.
    #[serde(alias = "move_subscribers")]
    pub move_subscribers: bool,
}

impl PlanInput {
    /// Version 1 of the plan. Broken rules are recorded by their fields.
    pub(crate) fn read(self, violations: &mut Violations) -> Plan {
        let mut plan = Plan {
            id: self.id,
            version: 1,
            name: String::new(),
            description: String::new(),
            features: Vec::new(),
            amount: 0,
            currency: String::new(),
            prices: Vec::new(),
            limits: BTreeMap::new(),
            premium_templates: false,
            trial_days: 0,
            is_public: true,
            position: 0,
        };
        check_id(&plan.id, violations);
        let update = PlanUpdate {
            name: Some(self.name),
            description: self.description,
            features: self.features,
            prices: Some(self.prices),
            limits: self.limits,
            premium_templates: self.premium_templates,
            trial_days: self.trial_days,
            is_public: self.is_public,
            position: self.position,
            move_subscribers: false,
        };
        update.apply(&mut plan, violations);
        plan
    }
}

/// Records what is wrong with the id of a new plan or product.
pub(crate) fn check_id(id: &str, violations: &mut Violations) {
    if id.is_empty() {
        violations.add("id", "required", "This field is required.");
        return;
    }
    let message = "Use 2 to 50 lower-case letters a to z, digits and underscores, with a letter first.";
    violations.check(is_id(id), "id", "invalid_word", RuleMessage::new(message).min(ID.0).max(ID.1));
}

/// Whether a word can be the id of a plan or a product.
pub(crate) fn is_id(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (ID.0..=ID.1).contains(&word.len())
        && word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.bytes().all(plain)
}

impl PlanUpdate {
    /// Changes the plan. Broken rules are recorded by their fields; what they are about may be changed all the same, so that the
    /// others are found.
    pub(crate) fn apply(self, plan: &mut Plan, violations: &mut Violations) {
        if let Some(name) = self.name {
            violations.name("name", &name, 1, NAME_MAX);
            plan.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            violations.text("description", &description, 0, DESCRIPTION_MAX);
            plan.description = description.trim().to_owned();
        }
        if let Some(features) = self.features {
            plan.features = read_features(features, violations);
        }
        if let Some(prices) = self.prices {
            let prices = read_prices(&plan.id, prices, violations);
            if let Some(month) = prices.iter().find(|price| price.interval == BillingInterval::Month) {
                (plan.amount, plan.currency) = (month.amount, month.currency.clone());
            }
            plan.prices = prices;
        }
        for (meter, limit) in self.limits.into_iter().flatten() {
            let Some(limit) = limit else {
                plan.limits.remove(&meter);
                continue;
            };
            let message = RuleMessage::new("A limit is 9,007,199,254,740,991 at most; null is no limit.");
            let message = message.min(0).max(LIMIT_MAX);
            violations.check(limit <= LIMIT_MAX, format!("limits.{}", meter.as_str()), "too_large", message);
            plan.limits.insert(meter, limit);
        }
        if let Some(days) = self.trial_days {
            let message = RuleMessage::number(0, i64::from(TRIAL_MAX));
            violations.check(days <= TRIAL_MAX, "trialDays", "out_of_range", message);
            plan.trial_days = days;
        }
        if let Some(position) = self.position {
            let message = RuleMessage::number(0, i64::from(POSITION_MAX));
            let fits = (0..=POSITION_MAX).contains(&position);
            violations.check(fits, "position", "out_of_range", message);
            plan.position = position;
        }
        plan.premium_templates = self.premium_templates.unwrap_or(plan.premium_templates);
        plan.is_public = self.is_public.unwrap_or(plan.is_public);
    }
}

fn read_features(features: Vec<String>, violations: &mut Violations) -> Vec<String> {
    if features.len() > FEATURES_MAX {
        let message = RuleMessage::new(format!("A plan lists at most {FEATURES_MAX} features."));
        violations.add("features", "too_many", message.max(FEATURES_MAX));
        return Vec::new();
    }
    for (index, feature) in features.iter().enumerate() {
        violations.line(format!("features[{index}]"), feature, 1, FEATURE_MAX);
    }
    features.into_iter().map(|feature| feature.trim().to_owned()).collect()
}

/// The prices in the order of their intervals.
fn read_prices(id: &str, inputs: Vec<PriceInput>, violations: &mut Violations) -> Vec<PlanPrice> {
    let most = BillingInterval::ALL.len();
    if inputs.len() > most {
        let message = RuleMessage::new(format!("A plan has at most {most} prices, one for each interval."));
        violations.add("prices", "too_many", message.max(most));
        return Vec::new();
    }
    let month = inputs.iter().any(|price| price.interval == Some(BillingInterval::Month));
    violations.check(month, "prices", "month_required", "The price of a month must be there.");
    let mut prices: Vec<PlanPrice> = Vec::with_capacity(inputs.len());
    let mut first: Option<Currency> = None;
    for (index, input) in inputs.into_iter().enumerate() {
        let field = |name: &str| format!("prices[{index}].{name}");
        match input.interval {
            None => violations.add(field("interval"), "required", "This field is required."),
            Some(interval) => {
                let once = prices.iter().all(|other| other.interval != interval);
                let message = "Another price of the plan has this interval.";
                violations.check(once, field("interval"), "duplicate", message);
            }
        }
        let currency = Currency::parse(&input.currency);
        let message =
            "Use the three lower-case letters of a currency of ISO 4217 that can be charged, such as usd.";
        violations.check(currency.is_some(), field("currency"), "invalid_currency", message);
        if let (Some(currency), Some(first)) = (currency, first) {
            let message = "All prices of a plan are in one currency.";
            violations.check(currency == first, field("currency"), "mixed_currencies", message);
        }
        first = first.or(currency);
        match input.amount {
            None => violations.add(field("amount"), "required", "This field is required."),
            Some(amount) => check_amount(id, field("amount"), amount, currency, violations),
        }
        if let (Some(interval), Some(amount)) = (input.interval, input.amount) {
            prices.push(PlanPrice { interval, amount, currency: input.currency });
        }
    }
    prices.sort_by_key(|price| price.interval);
    prices
}

fn check_amount(
    id: &str,
    field: String,
    amount: i64,
    currency: Option<Currency>,
    violations: &mut Violations,
) {
    if !(0..=AMOUNT_MAX).contains(&amount) {
        violations.add(field, "out_of_range", RuleMessage::number(0, AMOUNT_MAX));
        return;
    }
    if id == FREE && amount > 0 {
        violations.add(field, "must_be_free", "Every tenant begins with this plan, so it costs nothing.");
        return;
    }
    if let Some(currency) = currency {
        let message = format!("Amounts in {} are multiples of {}.", currency.as_str(), currency.step());
        violations.check(amount % currency.step() == 0, field, "invalid_amount", message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::catalogue;

    fn price(interval: BillingInterval, amount: i64, currency: &str) -> PriceInput {
        PriceInput { interval: Some(interval), amount: Some(amount), currency: currency.to_owned() }
    }

    fn input() -> PlanInput {
        PlanInput {
            id: "agency".to_owned(),
            name: " Agency ".to_owned(),
            prices: vec![
                price(BillingInterval::Year, 49000, "usd"),
                price(BillingInterval::Month, 4900, "usd"),
            ],
            limits: Some(BTreeMap::from([(Meter::Sites, Some(50)), (Meter::Storage, None)])),
            ..PlanInput::default()
        }
    }

    /// The broken rules: fields and codes.
    fn broken(read: impl FnOnce(&mut Violations)) -> Vec<(String, String)> {
        let mut violations = Violations::default();
        read(&mut violations);
        let errors = violations.into_result().err().unwrap_or_default();
        errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
    }

    fn named(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect()
    }

    #[test]
    fn a_new_plan_has_what_was_sent_and_nothing_else() {
        let mut violations = Violations::default();
        let plan = input().read(&mut violations);
        assert!(violations.is_empty(), "{violations:?}");
        assert_eq!(
            (plan.name.as_str(), plan.version, plan.amount, plan.currency.as_str()),
            ("Agency", 1, 4900, "usd")
        );
        let intervals: Vec<_> = plan.prices.iter().map(|price| (price.interval, price.amount)).collect();
        assert_eq!(intervals, [(BillingInterval::Month, 4900), (BillingInterval::Year, 49000)]);
        assert_eq!(plan.limits, BTreeMap::from([(Meter::Sites, 50)]));
        assert_eq!((plan.is_public, plan.premium_templates, plan.trial_days), (true, false, 0));
    }

    #[test]
    fn every_broken_rule_is_named() {
        let nothing = broken(|violations| drop(PlanInput::default().read(violations)));
        assert_eq!(nothing, named(&[("id", "required"), ("name", "required"), ("prices", "month_required")]));
        let wrong = PlanInput {
            id: "Über".to_owned(),
            name: "x".repeat(NAME_MAX + 1),
            description: Some("x".repeat(DESCRIPTION_MAX + 1)),
            features: Some(vec![" ".to_owned(), "x".repeat(FEATURE_MAX), "x".repeat(FEATURE_MAX + 1)]),
            prices: vec![
                PriceInput { currency: "usd".to_owned(), ..PriceInput::default() },
                price(BillingInterval::Year, AMOUNT_MAX + 1, "USD"),
            ],
            limits: Some(BTreeMap::from([(Meter::Sites, Some(LIMIT_MAX + 1))])),
            trial_days: Some(TRIAL_MAX + 1),
            position: Some(-1),
            ..PlanInput::default()
        };
        assert_eq!(
            broken(|violations| drop(wrong.read(violations))),
            named(&[
                ("id", "invalid_word"),
                ("name", "too_long"),
                ("description", "too_long"),
                ("features[0]", "required"),
                ("features[2]", "too_long"),
                ("prices", "month_required"),
                ("prices[0].interval", "required"),
                ("prices[0].amount", "required"),
                ("prices[1].currency", "invalid_currency"),
                ("prices[1].amount", "out_of_range"),
                ("limits.sites", "too_large"),
                ("trialDays", "out_of_range"),
                ("position", "out_of_range"),
            ])
        );
        let many = PlanUpdate {
            features: Some(vec!["x".to_owned(); FEATURES_MAX + 1]),
            prices: Some(vec![PriceInput::default(); 3]),
            ..PlanUpdate::default()
        };
        let mut plan = catalogue().remove(1);
        assert_eq!(
            broken(|violations| many.apply(&mut plan, violations)),
            named(&[("features", "too_many"), ("prices", "too_many")])
        );
    }

    #[test]
    fn ids_are_words() {
        for (id, fits) in [
            ("ab", true),
            ("a_1", true),
            (&*"a".repeat(50), true),
            ("a", false),
            ("1a", false),
            ("_a", false),
            ("a-b", false),
            ("aB", false),
            (&*"a".repeat(51), false),
        ] {
            assert_eq!(is_id(id), fits, "{id}");
        }
    }

    #[test]
    fn prices_are_of_one_currency_and_can_be_charged() {
        let month = |amount, currency: &str| price(BillingInterval::Month, amount, currency);
        let year = |amount, currency: &str| price(BillingInterval::Year, amount, currency);
        for (id, prices, fields) in [
            ("agency", vec![month(0, "gtq"), year(AMOUNT_MAX, "gtq")], vec![]),
            ("agency", vec![month(-1, "usd")], vec![("prices[0].amount", "out_of_range")]),
            ("agency", vec![month(150, "isk")], vec![("prices[0].amount", "invalid_amount")]),
            (
                "agency",
                vec![month(200, "isk"), year(1230, "isk")],
                vec![("prices[1].amount", "invalid_amount")],
            ),
            ("agency", vec![month(1990, "kwd")], vec![]),
            (
                "agency",
                vec![month(1, "usd"), year(1, "eur")],
                vec![("prices[1].currency", "mixed_currencies")],
            ),
            ("agency", vec![month(1, "usd"), month(2, "usd")], vec![("prices[1].interval", "duplicate")]),
            ("agency", vec![year(1, "usd")], vec![("prices", "month_required")]),
            ("free", vec![month(1, "usd")], vec![("prices[0].amount", "must_be_free")]),
            ("free", vec![month(0, "eur")], vec![]),
        ] {
            let mut plan = Plan { id: id.to_owned(), ..catalogue().remove(1) };
            let update = PlanUpdate { prices: Some(prices.clone()), ..PlanUpdate::default() };
            let found = broken(|violations| update.apply(&mut plan, violations));
            assert_eq!(found, named(&fields), "{id} {prices:?}");
        }
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let before = catalogue().remove(1);
        let mut plan = before.clone();
        let mut violations = Violations::default();
        PlanUpdate::default().apply(&mut plan, &mut violations);
        assert_eq!(plan, before);
        let update = PlanUpdate {
            limits: Some(BTreeMap::from([(Meter::Sites, Some(5)), (Meter::Storage, None)])),
            is_public: Some(false),
            ..PlanUpdate::default()
        };
        update.apply(&mut plan, &mut violations);
        assert!(violations.is_empty());
        let mut limits = before.limits.clone();
        limits.insert(Meter::Sites, 5);
        limits.remove(&Meter::Storage);
        assert_eq!(plan, Plan { limits, is_public: false, ..before });
    }
}
