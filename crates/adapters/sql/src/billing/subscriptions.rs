//! Subscriptions.

use async_trait::async_trait;
use portico_billing::{
    limits::{Allowance, Overrides},
    overage::Overage,
    paid::BillingAccount,
    ports::SubscriptionRepository,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_kernel::{StoreError, TenantId, Timestamp};
use sea_orm::{FromQueryResult, QueryResult, TryGetError, Value};

use super::{accounts, plans};
use crate::{
    columns::{documents, read, words},
    db::{Db, Param, placeholders},
};

/// Tenants named in one statement: far below the 32,766 values that SQLite can bind.
const CHUNK: usize = 500;

words!(SubscriptionStatus);
documents!(Overrides);

/// Requests in a minute that were agreed on with the tenant of a subscription: `perUser` or `perKey`. Null for none.
pub(crate) fn agreed_rate(subscription: &str, of: &str) -> String {
    format!("cast({subscription}.overrides -> 'requestsPerMinute' ->> '{of}' as integer)")
}

/// What is read of a subscription.
const COLUMNS: &str = "tenant_id, plan_id, plan_version, status, created_at, updated_at";

/// A row of [`COLUMNS`].
type Row = (TenantId, String, i32, SubscriptionStatus, Timestamp, Timestamp);

fn subscription((tenant_id, plan, plan_version, status, created_at, updated_at): Row) -> Subscription {
    Subscription { tenant_id, plan, plan_version, status, created_at, updated_at }
}

/// Subscriptions over one connection.
pub(crate) struct Subscriptions<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SubscriptionRepository for Subscriptions<'_> {
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        let sql = format!(
            "insert into subscriptions ({COLUMNS}, period_anchor) values ($1, $2, $3, $4, $5, $6, $5)"
        );
        let values = (
            subscription.tenant_id,
            &subscription.plan,
            subscription.plan_version,
            subscription.status,
            subscription.created_at,
            subscription.updated_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn insert_current(&mut self, subscription: &Subscription) -> Result<Option<i32>, StoreError> {
        // In one statement, because every new tenant needs it.
        let sql = format!(
            "insert into subscriptions ({COLUMNS}, period_anchor) select $1, plans.id, plans.version, $3, $4, $5, $4 from plans \
             where plans.id = $2 and plans.is_current returning plan_version"
        );
        let values = (
            subscription.tenant_id,
            &subscription.plan,
            subscription.status,
            subscription.created_at,
            subscription.updated_at,
        );
        self.db.row(&sql, values).await
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError> {
        let sql = format!("select {COLUMNS} from subscriptions where tenant_id = $1");
        Ok(self.db.row(&sql, [tenant]).await?.map(subscription))
    }

    async fn with_account(
        &mut self,
        tenant: TenantId,
    ) -> Result<Option<(Subscription, Option<BillingAccount>)>, StoreError> {
        let of_account: Vec<String> =
            accounts::COLUMNS.split(", ").map(|column| format!("a.{column} as {column}")).collect();
        let sql = format!(
            "select s.tenant_id as plan_tenant_id, s.plan_id, s.plan_version, s.status as plan_status, \
             s.created_at as plan_created_at, s.updated_at as plan_updated_at, a.tenant_id is not null as has_account, {} \
             from subscriptions s left join billing_accounts a on a.tenant_id = s.tenant_id where s.tenant_id = $1",
            of_account.join(", ")
        );
        let both = |row: &QueryResult| {
            let plan = Subscription {
                tenant_id: read(row, "plan_tenant_id")?,
                plan: read(row, "plan_id")?,
                plan_version: read(row, "plan_version")?,
                status: read(row, "plan_status")?,
                created_at: read(row, "plan_created_at")?,
                updated_at: read(row, "plan_updated_at")?,
            };
            let has_account: bool = read(row, "has_account")?;
            let account = if has_account { Some(accounts::account(row)?) } else { None };
            Ok::<_, TryGetError>((plan, account))
        };
        Ok(self.db.rows_with(&sql, [tenant], both).await?.into_iter().next())
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError> {
        let lock = self.db.dialect().for_update;
        let sql = format!(
            "select {COLUMNS} from subscriptions where tenant_id = $1 \
             and exists (select 1 from tenants where tenants.id = $1 and tenants.status <> 'deleted') {lock}"
        );
        Ok(self.db.row(&sql, [tenant]).await?.map(subscription))
    }

    async fn update(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        let sql = "update subscriptions set plan_id = $2, plan_version = $3, status = $4, updated_at = $5 \
             where tenant_id = $1";
        let values = (
            subscription.tenant_id,
            &subscription.plan,
            subscription.plan_version,
            subscription.status,
            subscription.updated_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn move_to<'s>(
        &mut self,
        plan: &'s str,
        version: i32,
        now: Timestamp,
    ) -> Result<Vec<Subscription>, StoreError> {
        let lock = self.db.dialect().for_update;
        // In the order of the key, so that two such units of work do not wait for each other in a circle.
        let earlier = format!(
            "select {COLUMNS} from subscriptions where plan_id = $1 and plan_version < $2 order by tenant_id {lock}"
        );
        let rows: Vec<Row> = self.db.rows(&earlier, (plan, version)).await?;
        let moved: Vec<Subscription> = rows.into_iter().map(subscription).collect();
        // By their tenants, and not by the same condition: another one may have come to an earlier version meanwhile.
        for tenants in moved.chunks(CHUNK) {
            let sql = format!(
                "update subscriptions set plan_version = $1, updated_at = $2 where tenant_id in ({})",
                placeholders(3, tenants.len())
            );
            let ids = tenants.iter().map(|subscription| subscription.tenant_id.value());
            let values: Vec<Value> = [version.value(), now.value()].into_iter().chain(ids).collect();
            self.db.execute(&sql, values).await?;
        }
        Ok(moved)
    }

    async fn allowance(&mut self, tenant: TenantId) -> Result<Option<Allowance>, StoreError> {
        let sql = "select plans.*, subscriptions.overrides, subscriptions.period_anchor, subscriptions.bandwidth_spent_until, \
             subscriptions.over_limit_since, subscriptions.over_limit_sites \
             from subscriptions \
             join plans on plans.id = subscriptions.plan_id and plans.version = subscriptions.plan_version \
             where subscriptions.tenant_id = $1 and subscriptions.status = $2";
        let allowance = |row: &QueryResult| {
            let plan = plans::row::Model::from_query_result(row, "")?;
            let overrides: Option<Overrides> = read(row, "overrides")?;
            let since: Option<Timestamp> = read(row, "over_limit_since")?;
            let limit: Option<u64> = read(row, "over_limit_sites")?;
            Ok::<_, TryGetError>(Allowance {
                plan: plan.into(),
                overrides: overrides.unwrap_or_default(),
                period_anchor: read(row, "period_anchor")?,
                bandwidth_spent_until: read(row, "bandwidth_spent_until")?,
                overage: since.zip(limit).map(|(since, limit)| Overage { since, limit }),
            })
        };
        let found = self.db.rows_with(sql, (tenant, SubscriptionStatus::Active), allowance).await?;
        Ok(found.into_iter().next())
    }

    async fn set_bandwidth_spent(
        &mut self,
        tenant: TenantId,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "update subscriptions set bandwidth_spent_until = $2 where tenant_id = $1";
        self.db.execute(sql, (tenant, until)).await.map(drop)
    }

    async fn set_overage(
        &mut self,
        tenant: TenantId,
        before: Option<Overage>,
        after: Option<Overage>,
    ) -> Result<bool, StoreError> {
        let sql = "update subscriptions set over_limit_since = $2, over_limit_sites = $3 where tenant_id = $1 \
             and over_limit_since is not distinct from $4 and over_limit_sites is not distinct from $5";
        let since = |overage: Option<Overage>| overage.map(|overage| overage.since);
        let limit = |overage: Option<Overage>| overage.map(|overage| overage.limit);
        let values = (tenant, since(after), limit(after), since(before), limit(before));
        Ok(self.db.execute(sql, values).await? == 1)
    }

    async fn over_limit(&mut self, after: Option<TenantId>, limit: u64) -> Result<Vec<TenantId>, StoreError> {
        // Each by an index of nothing else.
        let sql = "select tenant_id from subscriptions where over_limit_since is not null and tenant_id > $1 \
             union select tenant_id from sites where over_limit and tenant_id > $1 order by tenant_id limit $2";
        self.db.rows(sql, (after.unwrap_or(TenantId::PLATFORM), limit)).await
    }

    async fn set_overrides(&mut self, tenant: TenantId, overrides: &Overrides) -> Result<(), StoreError> {
        let sql = "update subscriptions set overrides = $2 where tenant_id = $1";
        self.db.execute(sql, (tenant, overrides.clone())).await.map(drop)
    }
}
