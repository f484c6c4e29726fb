//! The catalogue of products.

use async_trait::async_trait;
use portico_billing::{ports::ProductRepository, product::Product};
use portico_kernel::{StoreError, Timestamp};
use sea_orm::{ConnectionTrait, Value};

use crate::db::{Db, Param, placeholders};

/// The catalogue over one connection.
pub(crate) struct Products<'c, C> {
    pub db: Db<'c, C>,
}

const COLUMNS: &str = "id, name, description, amount, currency, is_active";

/// A row of [`COLUMNS`].
type Row = (String, String, String, i64, String, bool);

fn product((id, name, description, amount, currency, is_active): Row) -> Product {
    Product { id, name, description, amount, currency, is_active }
}

#[async_trait]
impl<C: ConnectionTrait + Send> ProductRepository for Products<'_, C> {
    async fn insert_missing(&mut self, product: &Product, now: Timestamp) -> Result<bool, StoreError> {
        let sql = format!(
            "insert into products ({COLUMNS}, created_at) values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict (id) do nothing"
        );
        let values = (
            &product.id,
            &product.name,
            &product.description,
            product.amount,
            &product.currency,
            product.is_active,
            now,
        );
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn active(&mut self, ids: &[String]) -> Result<Vec<Product>, StoreError> {
        if ids.is_empty() {
            // A list without an item is none to SQL.
            return Ok(Vec::new());
        }
        let sql = format!(
            "select {COLUMNS} from products where is_active and id in ({}) order by id",
            placeholders(1, ids.len())
        );
        let values: Vec<Value> = ids.iter().map(|id| id.value()).collect();
        let rows: Vec<Row> = self.db.rows(&sql, values).await?;
        Ok(rows.into_iter().map(product).collect())
    }
}
