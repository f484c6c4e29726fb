//! The ports of the catalogue of products: products and their prices.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, Timestamp};

use crate::{product::Product, product_edit::ProductPrice};

/// The catalogue of products.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ProductRepository: Send {
    /// Stores a product unless there is one of this id, and answers whether it did. MUST leave one that is there as it is.
    async fn insert_missing(&mut self, product: &Product, now: Timestamp) -> Result<bool, StoreError>;

    /// Stores a new product. MUST answer `Conflict` when there is one of this id, also under concurrency.
    async fn insert(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError>;

    /// Those of these products that are on sale, by their ids.
    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError>;

    /// One page of the products on sale, in the order in which they were made.
    async fn on_sale(&mut self, page: PageRequest) -> Result<List<Product>, StoreError>;

    /// One page of all products, in the order in which they were made.
    async fn managed(&mut self, page: PageRequest) -> Result<List<Product>, StoreError>;

    /// A product, also one that is not on sale.
    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError>;

    /// The prices that a product has and had, the newest first; at most `limit`.
    async fn prices<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<ProductPrice>, StoreError>;

    /// Stores name, description, whether it is on sale, and its prices: a price that it no longer has MUST end at `now`, one that it did not
    /// have MUST be the next version in its currency, and one that it keeps MUST stay as it is.
    async fn update(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError>;
}
