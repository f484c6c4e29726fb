//! Subscriptions.

use async_trait::async_trait;
use portico_billing::{
    plan::Plan,
    ports::SubscriptionRepository,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_kernel::{StoreError, TenantId};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::plans;
use crate::{
    dialect::{execute, query},
    error::store_error,
    time::to_row,
};

/// Subscriptions over one connection.
pub(crate) struct Subscriptions<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> SubscriptionRepository for Subscriptions<'_, C> {
    async fn insert(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into subscriptions (tenant_id, plan_id, status, created_at, updated_at) \
             values ($1, $2, $3, $4, $5)",
            [
                subscription.tenant_id.uuid().into(),
                subscription.plan.as_str().into(),
                subscription.status.as_str().into(),
                to_row(subscription.created_at).into(),
                to_row(subscription.updated_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn plan_of(&mut self, tenant: TenantId) -> Result<Option<Plan>, StoreError> {
        let rows = query(
            self.connection,
            "select plans.* from subscriptions join plans on plans.id = subscriptions.plan_id \
             where subscriptions.tenant_id = $1 and subscriptions.status = $2",
            [tenant.uuid().into(), SubscriptionStatus::Active.as_str().into()],
        )
        .await?;
        rows.first()
            .map(|row| plans::row::Model::from_query_result(row, "").map_err(store_error)?.try_into())
            .transpose()
    }
}
