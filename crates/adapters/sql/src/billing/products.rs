//! The catalogue of products.

use async_trait::async_trait;
use portico_billing::{ports::ProductRepository, product::Product, product_edit::ProductPrice};
use portico_kernel::{List, Money, PageRequest, StoreError, Timestamp};
use sea_orm::Value;

use crate::db::{Db, Param, Params, in_pages, placeholders};

/// The catalogue over one connection.
pub(crate) struct Products<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "id, name, description, currency, is_active, created_at";

/// Products with their prices, a row for each price. The price in the currency of the product is the first one.
const PRICED: &str = "select p.id, p.name, p.description, p.is_active, r.amount, r.currency from products p \
     join product_prices r on r.product_id = p.id and r.replaced_at is null";

/// A row of [`PRICED`].
type Row = (String, String, String, bool, i64, String);

/// The order of the rows of [`PRICED`].
const ORDER: &str =
    "order by p.created_at, p.id, case when r.currency = p.currency then 0 else 1 end, r.currency";

/// Puts the prices of each product together.
fn products(rows: Vec<Row>) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::new();
    for (id, name, description, is_active, amount, currency) in rows {
        let price = Money { amount, currency };
        match products.last_mut() {
            Some(product) if product.id == id => product.prices.push(price),
            _ => products.push(Product { id, name, description, prices: vec![price], is_active }),
        }
    }
    products
}

/// The currency of a product: that of its first price.
fn currency(product: &Product) -> &str {
    product.prices.first().map_or("", |price| &price.currency)
}

impl Products<'_> {
    async fn priced(&self, conditions: &str, values: impl Params) -> Result<Vec<Product>, StoreError> {
        let rows = self.db.rows(&format!("{PRICED} {conditions} {ORDER}"), values).await?;
        Ok(products(rows))
    }

    /// One page of the products that fulfil a condition.
    async fn listed(&self, condition: &str, page: PageRequest) -> Result<List<Product>, StoreError> {
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let of_page = format!(
            "where p.id in (select id from products {condition} order by created_at, id limit $1 offset $2)"
        );
        let count = format!("select count(*) from products {condition}");
        let rows = self.priced(&of_page, (limit, offset));
        in_pages(page, self.db.total(&count, ()), rows).await
    }

    async fn add_price(&self, id: &str, price: &Money, now: Timestamp) -> Result<(), StoreError> {
        let last = "select max(version) from product_prices where product_id = $1 and currency = $2";
        let last: Option<Option<u32>> = self.db.row(last, (id, &price.currency)).await?;
        let version = last.flatten().unwrap_or(0) + 1;
        let sql = "insert into product_prices (product_id, currency, version, amount, created_at) values ($1, $2, $3, $4, $5)";
        let values = (id, &price.currency, version, price.amount, now);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn store(&self, product: &Product, rest: &str, now: Timestamp) -> Result<bool, StoreError> {
        let sql = format!("insert into products ({COLUMNS}) values ($1, $2, $3, $4, $5, $6) {rest}");
        let values =
            (&product.id, &product.name, &product.description, currency(product), product.is_active, now);
        if self.db.execute(&sql, values).await? == 0 {
            return Ok(false);
        }
        for price in &product.prices {
            self.add_price(&product.id, price, now).await?;
        }
        Ok(true)
    }
}

#[async_trait]
impl ProductRepository for Products<'_> {
    async fn insert_missing(&mut self, product: &Product, now: Timestamp) -> Result<bool, StoreError> {
        self.store(product, "on conflict (id) do nothing", now).await
    }

    async fn insert(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError> {
        self.store(product, "", now).await.map(drop)
    }

    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError> {
        if ids.is_empty() {
            // A list without an item is none to SQL.
            return Ok(Vec::new());
        }
        let values: Vec<Value> = ids.iter().map(|id| id.value()).collect();
        let mut found = self
            .priced(&format!("where p.is_active and p.id in ({})", placeholders(1, ids.len())), values)
            .await?;
        found.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }

    async fn on_sale(&mut self, page: PageRequest) -> Result<List<Product>, StoreError> {
        self.listed("where is_active", page).await
    }

    async fn managed(&mut self, page: PageRequest) -> Result<List<Product>, StoreError> {
        self.listed("", page).await
    }

    async fn find<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError> {
        Ok(self.priced("where p.id = $1", [id]).await?.into_iter().next())
    }

    async fn lock<'s>(&mut self, id: &'s str) -> Result<Option<Product>, StoreError> {
        // What the other unit of work has stored is seen by the statement after this one only.
        let lock = self.db.dialect().for_update;
        self.db.exists(&format!("select 1 from products where id = $1 {lock}"), [id]).await?;
        self.find(id).await
    }

    async fn prices<'s>(&mut self, id: &'s str, limit: u64) -> Result<Vec<ProductPrice>, StoreError> {
        let sql = "select version, amount, currency, created_at, replaced_at from product_prices where product_id = $1 \
             order by created_at desc, currency, version desc limit $2";
        let rows: Vec<(u32, i64, String, Timestamp, Option<Timestamp>)> =
            self.db.rows(sql, (id, limit)).await?;
        let price = |(version, amount, currency, created_at, replaced_at)| ProductPrice {
            version,
            price: Money { amount, currency },
            created_at,
            replaced_at,
        };
        Ok(rows.into_iter().map(price).collect())
    }

    async fn update(&mut self, product: &Product, now: Timestamp) -> Result<(), StoreError> {
        let sql =
            "update products set name = $2, description = $3, currency = $4, is_active = $5 where id = $1";
        let values = (&product.id, &product.name, &product.description, currency(product), product.is_active);
        self.db.execute(sql, values).await?;
        let sql = "select amount, currency from product_prices where product_id = $1 and replaced_at is null";
        let stored: Vec<(i64, String)> = self.db.rows(sql, [&product.id]).await?;
        let stored: Vec<Money> =
            stored.into_iter().map(|(amount, currency)| Money { amount, currency }).collect();
        let ended: Vec<&Money> = stored.iter().filter(|price| !product.prices.contains(price)).collect();
        for ended in ended {
            let sql = "update product_prices set replaced_at = $3 where product_id = $1 and currency = $2 and replaced_at is null";
            self.db.execute(sql, (&product.id, &ended.currency, now)).await?;
        }
        let added: Vec<&Money> = product.prices.iter().filter(|price| !stored.contains(price)).collect();
        for added in added {
            self.add_price(&product.id, added, now).await?;
        }
        Ok(())
    }
}
