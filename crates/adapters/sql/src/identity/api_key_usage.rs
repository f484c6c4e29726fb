//! How API keys are used.

use async_trait::async_trait;
use portico_identity::{
    api_key::usage::{AddressUsage, Endpoint, Recorded, Seen},
    ports::ApiKeyUsageRepository,
};
use portico_kernel::{ApiKeyId, StoreError, TenantId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult, TryGetable, Value};
use time::{Date, PrimitiveDateTime, macros::format_description};

use super::api_keys::time_value;
use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Usage over one connection.
pub(crate) struct ApiKeyUsage<'c, C> {
    pub connection: &'c C,
}

fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    row.try_get("", column).map_err(store_error)
}

/// A sum of `bigint` is `numeric` on Postgres, so statements cast it back.
fn count(row: &QueryResult, column: &str) -> Result<u64, StoreError> {
    get::<i64>(row, column).map(i64::unsigned_abs)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn ids(tenant: TenantId, key: ApiKeyId) -> [Value; 2] {
    [tenant.uuid().into(), key.uuid().into()]
}

#[async_trait]
impl<C: ConnectionTrait + Send> ApiKeyUsageRepository for ApiKeyUsage<'_, C> {
    async fn begin(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        last_used_at: Option<Timestamp>,
    ) -> Result<Option<Recorded>, StoreError> {
        // An update even where nothing changes: it holds the row until the transaction ends.
        let [tenant, key] = ids(tenant, key);
        let rows = query(
            self.connection,
            "update api_keys set last_used_at = case when $3 > coalesce(last_used_at, '1970-01-01') then $3 \
             else last_used_at end where tenant_id = $1 and id = $2 returning name, refusals_noticed_at",
            [tenant, key, time_value(last_used_at)],
        )
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let noticed: Option<PrimitiveDateTime> = get(row, "refusals_noticed_at")?;
        Ok(Some(Recorded { name: get(row, "name")?, refusals_noticed_at: noticed.map(from_row) }))
    }

    async fn add<'e>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        endpoint: &'e Endpoint,
        requests: u64,
    ) -> Result<(), StoreError> {
        let [tenant, key] = ids(tenant, key);
        execute(
            self.connection,
            "insert into api_key_usage (tenant_id, key_id, day, method, path, status, requests) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, key_id, day, method, path, status) \
             do update set requests = api_key_usage.requests + excluded.requests",
            [
                tenant,
                key,
                endpoint.day.to_string().into(),
                endpoint.method.as_str().into(),
                endpoint.path.as_str().into(),
                i32::from(endpoint.status).into(),
                signed(requests).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn see_address<'a>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        address: &'a str,
        at: Timestamp,
        most: u64,
    ) -> Result<Seen, StoreError> {
        let [tenant, key] = ids(tenant, key);
        let widened = execute(
            self.connection,
            "update api_key_addresses set \
             first_seen_at = case when $4 < first_seen_at then $4 else first_seen_at end, \
             last_seen_at = case when $4 > last_seen_at then $4 else last_seen_at end \
             where tenant_id = $1 and key_id = $2 and address = $3",
            [tenant.clone(), key.clone(), address.into(), to_row(at).into()],
        )
        .await?;
        if widened > 0 {
            return Ok(Seen::Known);
        }
        let held = query(
            self.connection,
            "select count(*) as held from api_key_addresses where tenant_id = $1 and key_id = $2",
            [tenant.clone(), key.clone()],
        )
        .await?;
        let held = held.first().map_or(Ok(0), |row| count(row, "held"))?;
        if held >= most {
            return Ok(Seen::Known);
        }
        execute(
            self.connection,
            "insert into api_key_addresses (tenant_id, key_id, address, first_seen_at, last_seen_at) \
             values ($1, $2, $3, $4, $4)",
            [tenant, key, address.into(), to_row(at).into()],
        )
        .await?;
        Ok(if held == 0 { Seen::First } else { Seen::New })
    }

    async fn add_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
        refusals: u64,
    ) -> Result<(), StoreError> {
        let [tenant, key] = ids(tenant, key);
        execute(
            self.connection,
            "insert into api_key_refusals (tenant_id, key_id, minute, refusals) values ($1, $2, $3, $4) \
             on conflict (tenant_id, key_id, minute) \
             do update set refusals = api_key_refusals.refusals + excluded.refusals",
            [tenant, key, minute.into(), signed(refusals).into()],
        )
        .await?;
        Ok(())
    }

    async fn refusals_since(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
    ) -> Result<u64, StoreError> {
        let [tenant, key] = ids(tenant, key);
        let rows = query(
            self.connection,
            "select cast(coalesce(sum(refusals), 0) as bigint) as refusals from api_key_refusals \
             where tenant_id = $1 and key_id = $2 and minute >= $3",
            [tenant, key, minute.into()],
        )
        .await?;
        rows.first().map_or(Ok(0), |row| count(row, "refusals"))
    }

    async fn notice_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let [tenant, key] = ids(tenant, key);
        execute(
            self.connection,
            "update api_keys set refusals_noticed_at = $3 where tenant_id = $1 and id = $2",
            [tenant, key, to_row(at).into()],
        )
        .await?;
        Ok(())
    }

    async fn days(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, u64)>, StoreError> {
        let [tenant, key] = ids(tenant, key);
        let rows = query(
            self.connection,
            "select day, cast(sum(requests) as bigint) as requests from api_key_usage \
             where tenant_id = $1 and key_id = $2 and day between $3 and $4 group by day order by day",
            [tenant, key, from.to_string().into(), to.to_string().into()],
        )
        .await?;
        let day = |text: String| {
            Date::parse(&text, format_description!("[year]-[month]-[day]"))
                .map_err(|_| unreadable("api_key_usage.day", &text))
        };
        rows.iter().map(|row| Ok((day(get(row, "day")?)?, count(row, "requests")?))).collect()
    }

    async fn endpoints(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(String, String, u16, u64)>, StoreError> {
        let [tenant, key] = ids(tenant, key);
        let rows = query(
            self.connection,
            "select method, path, status, cast(sum(requests) as bigint) as requests from api_key_usage \
             where tenant_id = $1 and key_id = $2 and day between $3 and $4 group by method, path, status",
            [tenant, key, from.to_string().into(), to.to_string().into()],
        )
        .await?;
        rows.iter()
            .map(|row| {
                let status = u16::try_from(get::<i32>(row, "status")?).unwrap_or_default();
                Ok((get(row, "method")?, get(row, "path")?, status, count(row, "requests")?))
            })
            .collect()
    }

    async fn addresses(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        most: u64,
    ) -> Result<Vec<AddressUsage>, StoreError> {
        let [tenant, key] = ids(tenant, key);
        let rows = query(
            self.connection,
            "select address, first_seen_at, last_seen_at from api_key_addresses \
             where tenant_id = $1 and key_id = $2 order by last_seen_at desc, address limit $3",
            [tenant, key, signed(most).into()],
        )
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AddressUsage {
                    address: get(row, "address")?,
                    first_seen_at: from_row(get(row, "first_seen_at")?),
                    last_seen_at: from_row(get(row, "last_seen_at")?),
                })
            })
            .collect()
    }

    async fn forget(&mut self, day: Date, address: Timestamp, minute: i64) -> Result<(), StoreError> {
        let statements: [(&str, Value); 3] = [
            ("delete from api_key_usage where day < $1", day.to_string().into()),
            ("delete from api_key_addresses where last_seen_at < $1", to_row(address).into()),
            ("delete from api_key_refusals where minute < $1", minute.into()),
        ];
        for (statement, value) in statements {
            execute(self.connection, statement, [value]).await?;
        }
        Ok(())
    }
}
