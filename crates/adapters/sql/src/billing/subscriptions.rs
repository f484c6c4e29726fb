//! Subscriptions.

use async_trait::async_trait;
use portico_billing::{
    limits::{Allowance, Overrides},
    ports::SubscriptionRepository,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_kernel::{StoreError, TenantId, Timestamp};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, TryGetError};

use super::plans;
use crate::{
    columns::{documents, read, words},
    db::Db,
};

words!(SubscriptionStatus);
documents!(Overrides);

/// Requests in a minute that were agreed on with the tenant of a subscription: `perUser` or `perKey`. Null for none.
pub(crate) fn agreed_rate(subscription: &str, of: &str) -> String {
    format!("cast({subscription}.overrides -> 'requestsPerMinute' ->> '{of}' as integer)")
}

/// Subscriptions over one connection.
pub(crate) struct Subscriptions<'c, C> {
    pub db: Db<'c, C>,
}

#[async_trait]
impl<C: ConnectionTrait + Send> SubscriptionRepository for Subscriptions<'_, C> {
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        let sql = "insert into subscriptions (tenant_id, plan_id, status, created_at, updated_at) \
             values ($1, $2, $3, $4, $5)";
        let values = (
            subscription.tenant_id,
            &subscription.plan,
            subscription.status,
            subscription.created_at,
            subscription.updated_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<Option<Subscription>, StoreError> {
        let lock = self.db.dialect().for_update;
        let sql = format!(
            "select plan_id, status, created_at, updated_at from subscriptions where tenant_id = $1 \
             and exists (select 1 from tenants where tenants.id = $1 and tenants.status <> 'deleted') {lock}"
        );
        let row: Option<(String, SubscriptionStatus, Timestamp, Timestamp)> =
            self.db.row(&sql, [tenant]).await?;
        Ok(row.map(|(plan, status, created_at, updated_at)| Subscription {
            tenant_id: tenant,
            plan,
            status,
            created_at,
            updated_at,
        }))
    }

    async fn update(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        let sql = "update subscriptions set plan_id = $2, status = $3, updated_at = $4 where tenant_id = $1";
        let values =
            (subscription.tenant_id, &subscription.plan, subscription.status, subscription.updated_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn allowance(&mut self, tenant: TenantId) -> Result<Option<Allowance>, StoreError> {
        let sql = "select plans.*, subscriptions.overrides from subscriptions \
             join plans on plans.id = subscriptions.plan_id \
             where subscriptions.tenant_id = $1 and subscriptions.status = $2";
        let allowance = |row: &QueryResult| {
            let plan = plans::row::Model::from_query_result(row, "")?;
            let overrides: Option<Overrides> = read(row, "overrides")?;
            Ok::<_, TryGetError>(Allowance { plan: plan.into(), overrides: overrides.unwrap_or_default() })
        };
        let found = self.db.rows_with(sql, (tenant, SubscriptionStatus::Active), allowance).await?;
        Ok(found.into_iter().next())
    }

    async fn set_overrides(&mut self, tenant: TenantId, overrides: &Overrides) -> Result<(), StoreError> {
        let sql = "update subscriptions set overrides = $2 where tenant_id = $1";
        self.db.execute(sql, (tenant, overrides.clone())).await.map(drop)
    }
}
