//! Products that are bought once.

use portico_kernel::Timestamp;
use serde::Serialize;

use crate::{BillingError, ports::BillingRepositories};

/// A product that is paid once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Product {
    /// Stable word, for instance `base_product`.
    pub id: String,
    /// Display name, also the description of an item of a purchase.
    pub name: String,
    /// Who it is for, in a sentence; may be empty.
    pub description: String,
    /// Price in minor units of the currency.
    pub amount: i64,
    /// Lower-case ISO 4217.
    pub currency: String,
    /// Whether it is on sale.
    pub is_active: bool,
}

/// The products of a new installation. Staff may have changed them since.
pub fn catalogue() -> Vec<Product> {
    vec![Product {
        id: "base_product".to_owned(),
        name: "Base Software License".to_owned(),
        description: String::new(),
        amount: 35900,
        currency: "usd".to_owned(),
        is_active: true,
    }]
}

/// Use cases around the catalogue of products.
pub struct Products<'a> {
    repositories: &'a mut dyn BillingRepositories,
}

impl<'a> Products<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn BillingRepositories) -> Self {
        Self { repositories }
    }

    /// Stores the products of [`catalogue`] that are not there; part of starting. What staff have made of a product stays. Answers how many
    /// were written: none on a second run.
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
            let currency = Currency::parse(&product.currency).unwrap();
            assert!(product.amount > 0 && product.amount % currency.step() == 0, "{}", product.id);
            assert!(product.is_active && !product.name.is_empty());
        }
    }

    #[tokio::test]
    async fn seeding_adds_only_what_is_missing() {
        let mut repositories = Repositories::default();
        let now = env().now();
        assert_eq!(Products::new(&mut repositories).seed(now).await.unwrap(), 1);
        repositories.shop.rows().products[0].amount = 100;
        assert_eq!(Products::new(&mut repositories).seed(now).await.unwrap(), 0);
        assert_eq!(repositories.shop.rows().products[0].amount, 100);
    }
}
