//! Dealers of tenants.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId, Timestamp};
use portico_tenancy::{dealer::Dealer, ports::DealerRepository};
use sea_orm::FromQueryResult;

use crate::{columns::Col, db::Db};

/// Dealers over one connection.
pub(crate) struct Dealers<'c> {
    pub db: Db<'c>,
}

#[derive(FromQueryResult)]
struct DealerRow {
    tenant_id: Col<TenantId>,
    name: String,
    email: Option<String>,
    phone: Option<String>,
    updated_at: Col<Timestamp>,
    version: i64,
}

impl From<DealerRow> for Dealer {
    fn from(row: DealerRow) -> Self {
        Self {
            tenant: row.tenant_id.0,
            name: row.name,
            email: row.email,
            phone: row.phone,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

#[async_trait]
impl DealerRepository for Dealers<'_> {
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Dealer>, StoreError> {
        let sql =
            "select tenant_id, name, email, phone, updated_at, version from dealers where tenant_id = $1";
        let found: Option<DealerRow> = self.db.model(sql, [tenant]).await?;
        Ok(found.map(Dealer::from))
    }

    async fn save(&mut self, dealer: &Dealer) -> Result<(), StoreError> {
        let row = (
            dealer.tenant,
            dealer.name.as_str(),
            &dealer.email,
            &dealer.phone,
            dealer.updated_at,
            dealer.version + 1,
        );
        let statement = if dealer.version == 0 {
            "insert into dealers (tenant_id, name, email, phone, updated_at, version) \
             values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id) do nothing"
        } else {
            "update dealers set name = $2, email = $3, phone = $4, updated_at = $5, version = $6 \
             where tenant_id = $1 and version = $6 - 1"
        };
        self.db.execute_one(statement, row).await
    }

    async fn remove(&mut self, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(self.db.execute("delete from dealers where tenant_id = $1", [tenant]).await? == 1)
    }
}
