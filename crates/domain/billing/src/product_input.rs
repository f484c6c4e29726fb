//! What staff send to make or change a product, and its rules.

use portico_kernel::{Money, RuleMessage, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    money::{AMOUNT_MAX, Currency},
    plan_input::{DESCRIPTION_MAX, NAME_MAX, check_id},
    product::Product,
};

/// Most prices of a product, each in a currency of its own.
const PRICES_MAX: usize = 10;

/// A price of a product to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProductPriceInput {
    /// Minor units of the currency, for instance cents: 1 to 99,999,999.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, value_type = i64, minimum = 1, maximum = 99_999_999, example = 35900)
    )]
    pub amount: Option<i64>,
    /// Lower-case ISO 4217; each once.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "usd", min_length = 3, max_length = 3, pattern = "^[a-z]{3}$")
    )]
    pub currency: String,
}

/// A product to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "id": "report_pack", "name": "Report Pack", "description": "Twenty more reports.",
    "prices": [{"amount": 4900, "currency": "usd"}, {"amount": 38000, "currency": "gtq"}],
})))]
pub struct ProductInput {
    /// Stable word, which the product keeps: a lower-case letter, then 1 to 49 lower-case letters, digits and underscores.
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
    /// What it costs, once for each currency. The first is taken where an order names no currency.
    #[cfg_attr(feature = "openapi", schema(required = true, min_items = 1, max_items = 10))]
    pub prices: Vec<ProductPriceInput>,
    /// Whether it is on sale; so it is, where absent.
    pub is_active: Option<bool>,
}

/// Changes a product; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"prices": [{"amount": 39900, "currency": "usd"}]})))]
pub struct ProductUpdate {
    /// Display name, 1 to 100 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    pub name: Option<String>,
    /// Who it is for, at most 500 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: Option<String>,
    /// All of its prices, once for each currency. The first is taken where an order names no currency.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 10))]
    pub prices: Option<Vec<ProductPriceInput>>,
    /// Whether it is on sale.
    pub is_active: Option<bool>,
}

impl ProductInput {
    /// The product. Broken rules are recorded by their fields.
    pub(crate) fn read(self, violations: &mut Violations) -> Product {
        check_id(&self.id, violations);
        let mut product = Product {
            id: self.id,
            name: String::new(),
            description: String::new(),
            prices: Vec::new(),
            is_active: true,
        };
        let update = ProductUpdate {
            name: Some(self.name),
            description: self.description,
            prices: Some(self.prices),
            is_active: self.is_active,
        };
        update.apply(&mut product, violations);
        product
    }
}

impl ProductUpdate {
    /// Changes the product. Broken rules are recorded by their fields; what they are about may be changed all the same, so that the
    /// others are found.
    pub(crate) fn apply(self, product: &mut Product, violations: &mut Violations) {
        if let Some(name) = self.name {
            violations.name("name", &name, 1, NAME_MAX);
            product.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            violations.text("description", &description, 0, DESCRIPTION_MAX);
            product.description = description.trim().to_owned();
        }
        if let Some(prices) = self.prices {
            product.prices = read_prices(prices, violations);
        }
        product.is_active = self.is_active.unwrap_or(product.is_active);
    }
}

/// The first as it was sent, the others by their currencies, as they are stored.
fn read_prices(inputs: Vec<ProductPriceInput>, violations: &mut Violations) -> Vec<Money> {
    if inputs.is_empty() {
        violations.add("prices", "required", "Name what it costs.");
    } else if inputs.len() > PRICES_MAX {
        let message = RuleMessage::new(format!("A product has at most {PRICES_MAX} prices."));
        violations.add("prices", "too_many", message.max(PRICES_MAX));
        return Vec::new();
    }
    let mut prices: Vec<Money> = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let field = |name: &str| format!("prices[{index}].{name}");
        let currency = Currency::parse(&input.currency);
        let message =
            "Use the three lower-case letters of a currency of ISO 4217 that can be charged, such as usd.";
        violations.check(currency.is_some(), field("currency"), "invalid_currency", message);
        let once = prices.iter().all(|other| other.currency != input.currency);
        let message = "Another price of the product is in this currency.";
        violations.check(once, field("currency"), "duplicate", message);
        match input.amount {
            None => violations.add(field("amount"), "required", "This field is required."),
            Some(amount) if !(1..=AMOUNT_MAX).contains(&amount) => {
                violations.add(field("amount"), "out_of_range", RuleMessage::number(1, AMOUNT_MAX));
            }
            Some(amount) => {
                let step = currency.map_or(1, Currency::step);
                let message = format!("Amounts in {} are multiples of {step}.", input.currency);
                violations.check(amount % step == 0, field("amount"), "invalid_amount", message);
                prices.push(Money { amount, currency: input.currency });
            }
        }
    }
    if let Some((_, others)) = prices.split_first_mut() {
        others.sort_by(|one, other| one.currency.cmp(&other.currency));
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::catalogue;

    fn price(amount: i64, currency: &str) -> ProductPriceInput {
        ProductPriceInput { amount: Some(amount), currency: currency.to_owned() }
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
    fn a_new_product_has_what_was_sent() {
        let mut violations = Violations::default();
        let input = ProductInput {
            id: "report_pack".to_owned(),
            name: " Report Pack ".to_owned(),
            prices: vec![price(4900, "usd"), price(38000, "gtq"), price(4500, "eur")],
            ..ProductInput::default()
        };
        let product = input.read(&mut violations);
        assert!(violations.is_empty(), "{violations:?}");
        let prices: Vec<_> =
            product.prices.iter().map(|price| (price.amount, price.currency.as_str())).collect();
        assert_eq!(prices, [(4900, "usd"), (4500, "eur"), (38000, "gtq")], "the first one stays the first");
        assert_eq!((product.name.as_str(), product.is_active), ("Report Pack", true));
    }

    #[test]
    fn every_broken_rule_is_named() {
        let nothing = broken(|violations| drop(ProductInput::default().read(violations)));
        assert_eq!(nothing, named(&[("id", "required"), ("name", "required"), ("prices", "required")]));
        let wrong = ProductInput {
            id: "Über".to_owned(),
            name: "x".repeat(NAME_MAX + 1),
            description: Some("x".repeat(DESCRIPTION_MAX + 1)),
            prices: vec![
                ProductPriceInput { currency: "usd".to_owned(), ..ProductPriceInput::default() },
                price(0, "USD"),
                price(AMOUNT_MAX + 1, "eur"),
                price(150, "isk"),
                price(200, "isk"),
            ],
            ..ProductInput::default()
        };
        assert_eq!(
            broken(|violations| drop(wrong.read(violations))),
            named(&[
                ("id", "invalid_word"),
                ("name", "too_long"),
                ("description", "too_long"),
                ("prices[0].amount", "required"),
                ("prices[1].currency", "invalid_currency"),
                ("prices[1].amount", "out_of_range"),
                ("prices[2].amount", "out_of_range"),
                ("prices[3].amount", "invalid_amount"),
                ("prices[4].currency", "duplicate"),
            ])
        );
        let many = ProductUpdate {
            prices: Some(vec![ProductPriceInput::default(); PRICES_MAX + 1]),
            ..ProductUpdate::default()
        };
        let mut product = catalogue().remove(0);
        assert_eq!(
            broken(|violations| many.apply(&mut product, violations)),
            named(&[("prices", "too_many")])
        );
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let before = catalogue().remove(0);
        let mut product = before.clone();
        let mut violations = Violations::default();
        ProductUpdate::default().apply(&mut product, &mut violations);
        assert_eq!(product, before);
        let update = ProductUpdate { is_active: Some(false), ..ProductUpdate::default() };
        update.apply(&mut product, &mut violations);
        assert!(violations.is_empty());
        assert_eq!(product, Product { is_active: false, ..before });
    }
}
