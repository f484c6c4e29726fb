//! Products as staff make and change them.
//!
//! A price never changes: another amount is its next version, and the one before has an end. Purchases keep the amounts that they were made
//! with, so nobody who has bought pays another price. A product is taken off sale and not deleted.

use portico_kernel::{
    Env, Event, List, Money, PageRequest, Permission, Scope, StoreError, TenantId, Timestamp, Violations,
    event::id_of_word,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    BillingError, events,
    plan_input::is_id,
    ports::BillingRepositories,
    product::Product,
    product_input::{ProductInput, ProductUpdate},
};

/// How many prices of a product are shown, the newest ones.
const PRICES_SHOWN: u64 = 100;

/// A price that is in force, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProductPrice {
    /// Counts from 1 in each currency.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub version: u32,
    /// How much.
    #[serde(flatten)]
    pub price: Money,
    /// From when on it was asked for.
    pub created_at: Timestamp,
    /// Until when; null for one that is in force.
    pub replaced_at: Option<Timestamp>,
}

/// A product with the prices that it ever had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProductHistory {
    /// As it is now.
    #[serde(flatten)]
    pub current: Product,
    /// Its prices, the newest first; of more than 100 the newest ones.
    pub price_versions: Vec<ProductPrice>,
}

/// The id of a product in the event log.
pub fn resource_id(product: &str) -> Uuid {
    id_of_word("product", product)
}

/// Use cases around products, for staff.
pub struct ProductAdministration<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> ProductAdministration<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// All products in the order in which they were made, also those that are not on sale.
    ///
    /// # Errors
    /// `Denied` without `platform:products`.
    pub async fn list(&mut self, page: PageRequest) -> Result<List<Product>, BillingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        Ok(self.repositories.products().managed(page).await?)
    }

    /// A product with the prices that it ever had.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `NoProduct`.
    pub async fn get(&mut self, id: &str) -> Result<ProductHistory, BillingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        check_id(id)?;
        let current = self.repositories.products().find(id).await?.ok_or(BillingError::NoProduct)?;
        let price_versions = self.repositories.products().prices(id, PRICES_SHOWN).await?;
        Ok(ProductHistory { current, price_versions })
    }

    /// Checks that there is such a product, for what else staff set up for it.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `NoProduct`.
    pub async fn check(&mut self, id: &str) -> Result<(), BillingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        check_id(id)?;
        self.repositories.products().find(id).await?.ok_or(BillingError::NoProduct).map(drop)
    }

    /// Makes a product, which is on sale at once unless it is said otherwise.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `Invalid`; `ProductExists`.
    pub async fn create(&mut self, input: ProductInput) -> Result<Product, BillingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        let mut violations = Violations::default();
        let product = input.read(&mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        let stored = self.repositories.products().insert(&product, self.env.now()).await;
        stored.map_err(|error| match error {
            StoreError::Conflict(_) => BillingError::ProductExists,
            error => BillingError::Store(error),
        })?;
        let event = Event::new(self.env, self.scope, &events::PRODUCT_CREATED, resource_id(&product.id));
        self.repositories.events().append(event.in_tenant(TenantId::PLATFORM).after(&product)).await?;
        Ok(product)
    }

    /// Changes a product. The same as before changes nothing.
    ///
    /// # Errors
    /// `Denied` without `platform:products`; `Invalid`; `NoProduct`.
    pub async fn update(&mut self, id: &str, update: ProductUpdate) -> Result<Product, BillingError> {
        self.scope.require_platform(Permission::PlatformProducts)?;
        check_id(id)?;
        let before = self.repositories.products().lock(id).await?.ok_or(BillingError::NoProduct)?;
        let mut product = before.clone();
        let mut violations = Violations::default();
        update.apply(&mut product, &mut violations);
        violations.into_result().map_err(BillingError::Invalid)?;
        if product == before {
            return Ok(product);
        }
        self.repositories.products().update(&product, self.env.now()).await?;
        let event = Event::new(self.env, self.scope, &events::PRODUCT_UPDATED, resource_id(id));
        let event = event.in_tenant(TenantId::PLATFORM).before(&before).after(&product);
        self.repositories.events().append(event).await?;
        Ok(product)
    }
}

/// What cannot be the id of a product is that of none. Not every text can be sent to a store.
fn check_id(id: &str) -> Result<(), BillingError> {
    if is_id(id) { Ok(()) } else { Err(BillingError::NoProduct) }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Fault, Kind, RequestInfo};

    use super::*;
    use crate::{
        product::Products,
        product_input::ProductPriceInput,
        testing::{Repositories, env},
    };

    fn staff() -> Scope {
        Scope::system(None, RequestInfo::default())
    }

    fn input(id: &str) -> ProductInput {
        let price = ProductPriceInput { amount: Some(4900), currency: "usd".to_owned() };
        ProductInput {
            id: id.to_owned(),
            name: "Report Pack".to_owned(),
            prices: vec![price],
            ..ProductInput::default()
        }
    }

    #[tokio::test]
    async fn a_product_is_made_once() {
        let (env, scope) = (env(), staff());
        let mut repositories = Repositories::default();
        let mut administration = ProductAdministration::new(&mut repositories, &scope, &env);
        let made = administration.create(input("report_pack")).await.unwrap();
        assert!(made.is_active);
        let again = administration.create(input("report_pack")).await.unwrap_err();
        assert_eq!((again.kind(), again.code()), (Kind::Conflict, "product_exists"));
        assert!(matches!(administration.create(input("")).await, Err(BillingError::Invalid(_))));
        assert_eq!(administration.list(PageRequest::default()).await.unwrap().items, [made]);
        let events = repositories.events();
        assert_eq!((events.len(), events[0].kind.as_ref()), (1, "product.created"));
        assert_eq!(
            (events[0].tenant, events[0].resource.id),
            (TenantId::PLATFORM, resource_id("report_pack"))
        );
    }

    #[tokio::test]
    async fn another_amount_is_another_version_of_the_price() {
        let (env, scope) = (env(), staff());
        let mut repositories = Repositories::default();
        Products::new(&mut repositories).seed(env.now()).await.unwrap();
        let mut administration = ProductAdministration::new(&mut repositories, &scope, &env);
        let price = |amount, currency: &str| ProductPriceInput {
            amount: Some(amount),
            currency: currency.to_owned(),
        };
        let update = ProductUpdate {
            prices: Some(vec![price(39900, "usd"), price(310_000, "gtq")]),
            ..ProductUpdate::default()
        };
        for _ in 0..2 {
            let updated = administration.update("base_product", update.clone()).await.unwrap();
            assert_eq!(updated.price_in(None).unwrap().amount, 39900);
        }
        let history = administration.get("base_product").await.unwrap();
        let versions: Vec<_> = history
            .price_versions
            .iter()
            .map(|price| (price.price.currency.as_str(), price.version, price.replaced_at.is_some()))
            .collect();
        assert_eq!(versions, [("gtq", 1, false), ("usd", 2, false), ("usd", 1, true)]);
        let off = ProductUpdate { is_active: Some(false), ..ProductUpdate::default() };
        assert!(!administration.update("base_product", off).await.unwrap().is_active);
        for unknown in ["gold", "a\0b", "", "Base"] {
            assert!(matches!(administration.get(unknown).await, Err(BillingError::NoProduct)), "{unknown}");
            assert!(matches!(administration.check(unknown).await, Err(BillingError::NoProduct)), "{unknown}");
        }
        administration.check("base_product").await.unwrap();
        let missing = administration.update("gold", ProductUpdate::default()).await.unwrap_err();
        assert_eq!((missing.kind(), missing.code()), (Kind::NotFound, "not_found"));
        let events = repositories.events();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_ref()).collect();
        assert_eq!(kinds, ["product.updated"; 2], "and none for the same again");
        assert_eq!(events[0].before.as_ref().unwrap()["prices"][0]["amount"], 35900);
    }

    #[tokio::test]
    async fn others_may_not() {
        let env = env();
        let anonymous = Scope::anonymous(RequestInfo::default());
        let mut repositories = Repositories::default();
        let mut administration = ProductAdministration::new(&mut repositories, &anonymous, &env);
        assert!(matches!(administration.list(PageRequest::default()).await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.get("base_product").await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.check("base_product").await, Err(BillingError::Denied(_))));
        assert!(matches!(administration.create(input("")).await, Err(BillingError::Denied(_))));
        let updated = administration.update("base_product", ProductUpdate::default()).await;
        assert!(matches!(updated, Err(BillingError::Denied(_))));
    }
}
