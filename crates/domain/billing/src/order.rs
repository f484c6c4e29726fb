//! What a buyer sends to buy something, and its rules.

use portico_kernel::{Money, RuleMessage, Violations};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    money::{AMOUNT_MAX, Currency},
    product::Product,
    purchase::PurchaseItem,
};

/// Most items of an order.
const ITEMS_MAX: usize = 20;

/// Most of one product.
const QUANTITY_MAX: i64 = 100;

/// Most characters of a return address.
const URL_MAX: usize = 2000;

/// An item to be bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrderItem {
    /// Id of the product; each once in an order.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, min_length = 1, max_length = 50, example = "base_product")
    )]
    pub product_type: String,
    /// How many, 1 to 100; 1 where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>, minimum = 1, maximum = 100))]
    pub quantity: Option<i64>,
}

/// What is to be bought. There is no price in it: prices are those of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "items": [{"productType": "base_product"}],
    "successUrl": "http://127.0.0.1:7600/paid?session={CHECKOUT_SESSION_ID}",
    "cancelUrl": "http://127.0.0.1:7600/cart"
})))]
pub struct Order {
    /// What to buy, 1 to 20 items.
    #[cfg_attr(feature = "openapi", schema(required = true, min_items = 1, max_items = 20))]
    pub items: Vec<OrderItem>,
    /// Lower-case ISO 4217, in which every product has a price; that of the first price of each product where absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "usd", min_length = 3, max_length = 3, pattern = "^[a-z]{3}$")
    )]
    pub currency: Option<String>,
    /// Where the buyer comes to after the payment, at an origin that the operator allows. `{CHECKOUT_SESSION_ID}` in it is replaced by the
    /// id of the session.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 2000))]
    pub success_url: String,
    /// Where the buyer comes to without having paid.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 2000))]
    pub cancel_url: String,
    /// Code of a coupon, in any case; none where it is absent or empty.
    #[cfg_attr(feature = "openapi", schema(max_length = 40, example = "SUMMER25"))]
    pub coupon: Option<String>,
}

/// Where buyers may be sent after a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnRule {
    /// To any address: on a machine of a developer, who has set none.
    Anywhere,
    /// To these origins, as the browser writes them: `https://app.example.com`.
    Origins(Vec<String>),
}

impl ReturnRule {
    /// Records what is wrong with a return address.
    pub(crate) fn check(&self, field: &str, address: &str, violations: &mut Violations) {
        if address.trim().is_empty() {
            return violations.add(field, "required", "This field is required.");
        }
        if address.chars().count() > URL_MAX {
            return violations.add(field, "too_long", RuleMessage::at_most_characters(URL_MAX));
        }
        // White space and control characters are refused and not dropped: the address is passed on as it was sent.
        let parsed = match address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            true => None,
            false => Url::parse(address).ok(),
        };
        let parsed = parsed.filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        });
        let Some(url) = parsed else {
            return violations.add(field, "invalid_url", "Use an absolute http or https address.");
        };
        if let Self::Origins(origins) = self {
            let origin = url.origin().ascii_serialization();
            violations.check(
                origins.contains(&origin),
                field,
                "origin_not_allowed",
                "Buyers may not be sent there. Use an address of the application, or have its origin added to payments.return_origins.",
            );
        }
    }
}

/// An order that keeps the rules, with its prices.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Priced {
    pub items: Vec<PurchaseItem>,
    pub price: Money,
}

impl Order {
    /// The ids of the products that it names, each once, as far as they may be looked up.
    pub(crate) fn products(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.items.iter().take(ITEMS_MAX).map(|item| item.product_type.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Its items with the prices of `products`, the active ones among those that it names; all that is wrong with it is recorded.
    pub(crate) fn price(
        &self,
        products: &[Product],
        rule: &ReturnRule,
        violations: &mut Violations,
    ) -> Option<Priced> {
        if self.items.is_empty() {
            violations.add("items", "required", "Name what to buy.");
        } else if self.items.len() > ITEMS_MAX {
            let message = RuleMessage::new(format!("Use at most {ITEMS_MAX} items.")).max(ITEMS_MAX);
            violations.add("items", "too_many", message);
        }
        let known = self.currency.as_deref().is_none_or(|code| Currency::parse(code).is_some());
        let message = "Use the three lower-case letters of a currency of ISO 4217, such as usd.";
        violations.check(known, "currency", "invalid_currency", message);
        let mut items: Vec<PurchaseItem> = Vec::new();
        let mut currency: Option<&str> = None;
        for (index, item) in self.items.iter().take(ITEMS_MAX).enumerate() {
            let quantity = item.quantity.unwrap_or(1);
            violations.check(
                (1..=QUANTITY_MAX).contains(&quantity),
                format!("items[{index}].quantity"),
                "out_of_range",
                RuleMessage::number(1, QUANTITY_MAX),
            );
            let field = format!("items[{index}].productType");
            if item.product_type.trim().is_empty() {
                violations.add(field, "required", "This field is required.");
                continue;
            }
            let Some(product) = products.iter().find(|product| product.id == item.product_type) else {
                violations.add(field, "unknown_product", "There is no such product on sale.");
                continue;
            };
            if items.iter().any(|earlier| earlier.product_type == product.id) {
                violations.add(field, "duplicate", "Name each product once, with a quantity.");
                continue;
            }
            let Some(price) = product.price_in(self.currency.as_deref()) else {
                violations.add(field, "no_price", "There is no price of this product in the currency.");
                continue;
            };
            match currency {
                Some(currency) if currency != price.currency => {
                    let message = "All products of an order have prices in the same currency.";
                    violations.add(field, "mixed_currencies", message);
                }
                _ => currency = Some(&price.currency),
            }
            items.push(PurchaseItem {
                product_type: product.id.clone(),
                description: product.name.clone(),
                amount: price.amount,
                quantity: u32::try_from(quantity).unwrap_or_default(),
                discount: 0,
            });
        }
        let amount = items.iter().map(PurchaseItem::total).fold(0, i64::saturating_add);
        if amount > AMOUNT_MAX {
            let message = "This costs more than can be charged at once. Buy it in several orders.";
            violations.add("items", "amount_too_large", message);
        }
        rule.check("successUrl", &self.success_url, violations);
        rule.check("cancelUrl", &self.cancel_url, violations);
        let price = Money { amount, currency: currency?.to_owned() };
        Some(Priced { items, price })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::catalogue;

    fn product(id: &str, amount: i64, currency: &str) -> Product {
        let prices = vec![Money { amount, currency: currency.to_owned() }];
        Product { id: id.to_owned(), prices, ..catalogue().remove(0) }
    }

    fn order(items: &[(&str, Option<i64>)]) -> Order {
        let item = |(id, quantity): &(&str, Option<i64>)| OrderItem {
            product_type: (*id).to_owned(),
            quantity: *quantity,
        };
        Order {
            items: items.iter().map(item).collect(),
            currency: None,
            success_url: "https://app.example.com/paid?session={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://app.example.com/".to_owned(),
            coupon: None,
        }
    }

    fn errors(order: &Order, rule: &ReturnRule) -> Vec<(String, String)> {
        let products = [
            product("base_product", 35900, "usd"),
            product("jet", 99_999_999, "usd"),
            product("libro", 100, "gtq"),
        ];
        let mut violations = Violations::default();
        order.price(&products, rule, &mut violations);
        let found = violations.into_result().err().unwrap_or_default();
        found.into_iter().map(|error| (error.field, error.code.into_owned())).collect()
    }

    fn error(field: &str, code: &str) -> Vec<(String, String)> {
        vec![(field.to_owned(), code.to_owned())]
    }

    #[test]
    fn the_price_is_that_of_the_catalogue() {
        let products = [product("base_product", 35900, "usd")];
        let mut violations = Violations::default();
        let priced = order(&[("base_product", Some(3))])
            .price(&products, &ReturnRule::Anywhere, &mut violations)
            .unwrap();
        assert!(violations.is_empty());
        assert_eq!(priced.price, Money { amount: 107_700, currency: "usd".to_owned() });
        assert_eq!((priced.items[0].amount, priced.items[0].quantity), (35900, 3));
        assert_eq!(order(&[("base_product", None), ("base_product", None)]).products(), ["base_product"]);
    }

    #[test]
    fn a_buyer_may_name_the_currency() {
        let mut both = product("base_product", 35900, "usd");
        both.prices.push(Money { amount: 279_000, currency: "gtq".to_owned() });
        let products = [both, product("libro", 100, "gtq")];
        let asked = |currency: &str| {
            let wanted = order(&[("base_product", Some(2)), ("libro", None)]);
            let mut violations = Violations::default();
            let priced = Order { currency: Some(currency.to_owned()), ..wanted }.price(
                &products,
                &ReturnRule::Anywhere,
                &mut violations,
            );
            let errors = violations.into_result().err().unwrap_or_default();
            let errors: Vec<_> =
                errors.into_iter().map(|error| (error.field, error.code.into_owned())).collect();
            (priced.map(|priced| priced.price), errors)
        };
        let price = Money { amount: 558_100, currency: "gtq".to_owned() };
        assert_eq!(asked("gtq"), (Some(price), vec![]));
        assert_eq!(asked("usd").1, error("items[1].productType", "no_price"));
        let neither: Vec<_> = asked("eur").1.into_iter().map(|(_, code)| code).collect();
        assert_eq!(neither, ["no_price", "no_price"]);
        assert_eq!(asked("USD").1[0], error("currency", "invalid_currency")[0]);
    }

    #[test]
    fn each_rule_about_items() {
        let anywhere = ReturnRule::Anywhere;
        let errors = |items: &[(&str, Option<i64>)]| errors(&order(items), &anywhere);
        assert_eq!(errors(&[("base_product", None)]), []);
        assert_eq!(errors(&[]), error("items", "required"));
        assert_eq!(errors(&[("nothing", None)]), error("items[0].productType", "unknown_product"));
        assert_eq!(errors(&[(" ", None)]), error("items[0].productType", "required"));
        for quantity in [0, -1, 101, i64::MAX] {
            assert_eq!(
                errors(&[("libro", Some(quantity))]),
                error("items[0].quantity", "out_of_range"),
                "{quantity}"
            );
        }
        assert_eq!(
            errors(&[("libro", None), ("libro", Some(2))]),
            error("items[1].productType", "duplicate")
        );
        assert_eq!(
            errors(&[("base_product", None), ("libro", None)]),
            error("items[1].productType", "mixed_currencies")
        );
        assert_eq!(errors(&[("jet", Some(2))]), error("items", "amount_too_large"));
        let many: Vec<(&str, Option<i64>)> = vec![("libro", None); 21];
        assert_eq!(errors(&many)[0], error("items", "too_many")[0]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let wrong = Order {
            success_url: String::new(),
            cancel_url: "ftp://x".to_owned(),
            ..order(&[("nothing", Some(0))])
        };
        let fields: Vec<String> =
            errors(&wrong, &ReturnRule::Anywhere).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["items[0].quantity", "items[0].productType", "successUrl", "cancelUrl"]);
    }

    #[test]
    fn buyers_are_sent_to_known_origins_only() {
        let rule = ReturnRule::Origins(vec!["https://app.example.com".to_owned()]);
        let to = |address: &str| {
            let order = Order { cancel_url: address.to_owned(), ..order(&[("base_product", None)]) };
            errors(&order, &rule)
        };
        for good in
            ["https://app.example.com", "https://app.example.com:443/cart?a=b#c", "https://APP.example.com/"]
        {
            assert_eq!(to(good), [], "{good}");
        }
        for elsewhere in [
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "https://app.example.com.evil.org/",
            "https://evil.org/https://app.example.com/",
        ] {
            assert_eq!(to(elsewhere), error("cancelUrl", "origin_not_allowed"), "{elsewhere}");
        }
        for invalid in [
            "/cart",
            "javascript:alert(1)",
            "https://",
            "https://app.example.com@evil.org/",
            "https://user:secret@app.example.com/",
            " https://app.example.com/",
            "https://app.example.com/\n",
        ] {
            assert_eq!(to(invalid), error("cancelUrl", "invalid_url"), "{invalid}");
        }
        let long = format!("https://app.example.com/{}", "a".repeat(2000));
        assert_eq!(to(&long), error("cancelUrl", "too_long"));
    }
}
