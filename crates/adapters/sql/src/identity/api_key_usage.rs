//! How API keys are used.

use async_trait::async_trait;
use portico_identity::{
    api_key::usage::{AddressUsage, Endpoint, Recorded, Seen},
    ports::ApiKeyUsageRepository,
};
use portico_kernel::{ApiKeyId, StoreError, TenantId, Timestamp};
use sea_orm::Value;
use time::Date;

use crate::db::{Db, Param};

/// Usage over one connection.
pub(crate) struct ApiKeyUsage<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl ApiKeyUsageRepository for ApiKeyUsage<'_> {
    async fn begin(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        last_used_at: Option<Timestamp>,
    ) -> Result<Option<Recorded>, StoreError> {
        // An update even where nothing changes: it holds the row until the transaction ends.
        let sql = "update api_keys set last_used_at = case when $3 > coalesce(last_used_at, '1970-01-01') then $3 \
             else last_used_at end where tenant_id = $1 and id = $2 returning name, refusals_noticed_at";
        let found = self.db.row(sql, (tenant, key, last_used_at)).await?;
        Ok(found.map(|(name, refusals_noticed_at)| Recorded { name, refusals_noticed_at }))
    }

    async fn add<'e>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        endpoint: &'e Endpoint,
        requests: u64,
    ) -> Result<(), StoreError> {
        let sql = "insert into api_key_usage (tenant_id, key_id, day, method, path, status, requests) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, key_id, day, method, path, status) \
             do update set requests = api_key_usage.requests + excluded.requests";
        let values = (
            tenant,
            key,
            endpoint.day,
            endpoint.method.as_str(),
            endpoint.path.as_str(),
            endpoint.status,
            requests,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn see_address<'a>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        address: &'a str,
        at: Timestamp,
        most: u64,
    ) -> Result<Seen, StoreError> {
        let sql = "update api_key_addresses set \
             first_seen_at = case when $4 < first_seen_at then $4 else first_seen_at end, \
             last_seen_at = case when $4 > last_seen_at then $4 else last_seen_at end \
             where tenant_id = $1 and key_id = $2 and address = $3";
        let widened = self.db.execute(sql, (tenant, key, address, at)).await?;
        if widened > 0 {
            return Ok(Seen::Known);
        }
        let sql = "select count(*) as held from api_key_addresses where tenant_id = $1 and key_id = $2";
        let held = self.db.total(sql, (tenant, key)).await?;
        if held >= most {
            return Ok(Seen::Known);
        }
        let sql = "insert into api_key_addresses (tenant_id, key_id, address, first_seen_at, last_seen_at) \
             values ($1, $2, $3, $4, $4)";
        self.db.execute(sql, (tenant, key, address, at)).await?;
        Ok(if held == 0 { Seen::First } else { Seen::New })
    }

    async fn add_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
        refusals: u64,
    ) -> Result<(), StoreError> {
        let sql = "insert into api_key_refusals (tenant_id, key_id, minute, refusals) values ($1, $2, $3, $4) \
             on conflict (tenant_id, key_id, minute) \
             do update set refusals = api_key_refusals.refusals + excluded.refusals";
        self.db.execute(sql, (tenant, key, minute, refusals)).await.map(drop)
    }

    async fn refusals_since(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
    ) -> Result<u64, StoreError> {
        let sql = "select cast(coalesce(sum(refusals), 0) as bigint) as refusals from api_key_refusals \
             where tenant_id = $1 and key_id = $2 and minute >= $3";
        // A sum of `bigint` is `numeric` on Postgres, so statements cast it back.
        self.db.total(sql, (tenant, key, minute)).await
    }

    async fn notice_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "update api_keys set refusals_noticed_at = $3 where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, key, at)).await.map(drop)
    }

    async fn days(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, u64)>, StoreError> {
        let sql = "select day, cast(sum(requests) as bigint) as requests from api_key_usage \
             where tenant_id = $1 and key_id = $2 and day between $3 and $4 group by day order by day";
        self.db.rows(sql, (tenant, key, from, to)).await
    }

    async fn endpoints(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(String, String, u16, u64)>, StoreError> {
        let sql = "select method, path, status, cast(sum(requests) as bigint) as requests from api_key_usage \
             where tenant_id = $1 and key_id = $2 and day between $3 and $4 group by method, path, status";
        self.db.rows(sql, (tenant, key, from, to)).await
    }

    async fn addresses(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        most: u64,
    ) -> Result<Vec<AddressUsage>, StoreError> {
        let sql = "select address, first_seen_at, last_seen_at from api_key_addresses \
             where tenant_id = $1 and key_id = $2 order by last_seen_at desc, address limit $3";
        let usage =
            |(address, first_seen_at, last_seen_at)| AddressUsage { address, first_seen_at, last_seen_at };
        Ok(self.db.rows(sql, (tenant, key, most)).await?.into_iter().map(usage).collect())
    }

    async fn forget(&mut self, day: Date, address: Timestamp, minute: i64) -> Result<(), StoreError> {
        let statements: [(&str, Value); 3] = [
            ("delete from api_key_usage where day < $1", day.value()),
            ("delete from api_key_addresses where last_seen_at < $1", address.value()),
            ("delete from api_key_refusals where minute < $1", minute.value()),
        ];
        for (statement, value) in statements {
            self.db.execute(statement, [value]).await?;
        }
        Ok(())
    }
}
