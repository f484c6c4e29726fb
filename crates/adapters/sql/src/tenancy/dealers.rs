//! Dealers of tenants.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId};
use portico_tenancy::{dealer::Dealer, ports::DealerRepository};
use sea_orm::{ConnectionTrait, FromQueryResult};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Dealers over one connection.
pub(crate) struct Dealers<'c, C> {
    pub connection: &'c C,
}

#[derive(FromQueryResult)]
struct DealerRow {
    tenant_id: Uuid,
    name: String,
    email: Option<String>,
    phone: Option<String>,
    updated_at: PrimitiveDateTime,
    version: i64,
}

impl From<DealerRow> for Dealer {
    fn from(row: DealerRow) -> Self {
        Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            name: row.name,
            email: row.email,
            phone: row.phone,
            updated_at: from_row(row.updated_at),
            version: row.version,
        }
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> DealerRepository for Dealers<'_, C> {
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Dealer>, StoreError> {
        let rows = query(
            self.connection,
            "select tenant_id, name, email, phone, updated_at, version from dealers where tenant_id = $1",
            [tenant.uuid().into()],
        )
        .await?;
        rows.first()
            .map(|row| DealerRow::from_query_result(row, "").map(Into::into).map_err(store_error))
            .transpose()
    }

    async fn save(&mut self, dealer: &Dealer) -> Result<(), StoreError> {
        let row = [
            dealer.tenant.uuid().into(),
            dealer.name.as_str().into(),
            dealer.email.clone().into(),
            dealer.phone.clone().into(),
            to_row(dealer.updated_at).into(),
            (dealer.version + 1).into(),
        ];
        let statement = if dealer.version == 0 {
            "insert into dealers (tenant_id, name, email, phone, updated_at, version) \
             values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id) do nothing"
        } else {
            "update dealers set name = $2, email = $3, phone = $4, updated_at = $5, version = $6 \
             where tenant_id = $1 and version = $6 - 1"
        };
        if execute(self.connection, statement, row).await? == 1 { Ok(()) } else { Err(StoreError::Stale) }
    }

    async fn remove(&mut self, tenant: TenantId) -> Result<bool, StoreError> {
        let removed =
            execute(self.connection, "delete from dealers where tenant_id = $1", [tenant.uuid().into()])
                .await?;
        Ok(removed == 1)
    }
}
