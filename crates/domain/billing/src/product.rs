//! Products that are bought once.

use portico_kernel::{List, Money, PageRequest, Timestamp};
use serde::Serialize;

use crate::{BillingError, ports::BillingRepositories};

/// A product that is paid once. What it costs changes; a purchase keeps what it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Product {
    /// Stable word, by which orders and licenses name it.
    #[cfg_attr(feature = "openapi", schema(example = "base_product"))]
    pub id: String,
    /// Display name, also the description of an item of a purchase.
    #[cfg_attr(feature = "openapi", schema(example = "Base Software License"))]
    pub name: String,
    /// Who it is for, in a sentence; may be empty.
    pub description: String,
    /// What it costs now, once for each currency, and one or more: the first is taken where an order names no currency.
    pub prices: Vec<Money>,
    /// Whether it is on sale. What is not is kept: nothing that was bought is deleted.
    pub is_active: bool,
}

impl Product {
    /// What it costs in a currency; in its first one where none is named.
    pub fn price_in(&self, currency: Option<&str>) -> Option<&Money> {
        match currency {
            Some(currency) => self.prices.iter().find(|price| price.currency == currency),
            None => self.prices.first(),
        }
    }
}

/// The products of a new installation. Staff may have changed them since.
pub fn catalogue() -> Vec<Product> {
    vec![Product {
        id: "base_product".to_owned(),
        name: "Base Software License".to_owned(),
        description: String::new(),
        prices: vec![Money { amount: 35900, currency: "usd".to_owned() }],
        is_active: true,
    }]
}

/// Use cases around the catalogue of products.
pub struct Products<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> Products<'a> {
    /// Over repositories.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// A page of the products on sale, in the order in which they were made. For everybody.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Product>, BillingError> {
        Ok(self.repositories.products().on_sale(page).await?)
    }

    /// Stores the products of [`catalogue`] that are not there; part of starting. What staff have made of a product stays. Answers how many
    /// were written: none on a second run.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn seed(&mut self, now: Timestamp) -> Result<usize, BillingError> {
        let mut written = 0;
        for product in catalogue() {
            written += usize::from(self.repositories.products().insert_missing(&product, now).await?);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        money::Currency,
        testing::{Repositories, env},
    };

    #[test]
    fn every_product_can_be_charged() {
        for product in catalogue() {
            assert!(product.is_active && !product.name.is_empty() && !product.prices.is_empty());
            for price in &product.prices {
                let currency = Currency::parse(&price.currency).unwrap();
                assert!(price.amount > 0 && price.amount % currency.step() == 0, "{}", product.id);
            }
        }
    }

    #[test]
    fn the_first_price_is_taken_where_no_currency_is_named() {
        let mut product = catalogue().remove(0);
        product.prices.push(Money { amount: 279_000, currency: "gtq".to_owned() });
        let amount = |currency| product.price_in(currency).map(|price| price.amount);
        assert_eq!(
            (amount(None), amount(Some("gtq")), amount(Some("eur"))),
            (Some(35900), Some(279_000), None)
        );
    }

    #[tokio::test]
    async fn seeding_adds_only_what_is_missing() {
        let mut repositories = Repositories::default();
        let now = env().now();
        assert_eq!(Products::new(&mut repositories).seed(now).await.unwrap(), 1);
        repositories.shop.rows().products[0].name = "Ours".to_owned();
        assert_eq!(Products::new(&mut repositories).seed(now).await.unwrap(), 0);
        assert_eq!(repositories.shop.rows().products[0].name, "Ours");
        let page = PageRequest { page: 1, limit: 20 };
        assert_eq!(Products::new(&mut repositories).list(page).await.unwrap().total, 1);
        repositories.shop.rows().products[0].is_active = false;
        assert_eq!(Products::new(&mut repositories).list(page).await.unwrap().items, []);
    }
}
