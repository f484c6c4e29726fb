//! Tenants at their payment providers.

use async_trait::async_trait;
use portico_billing::{
    paid::BillingAccount, payment::Provider, ports::AccountRepository,
    subscription_provider::ProviderSubscription,
};
use portico_kernel::{StoreError, TenantId, Timestamp};
use sea_orm::{QueryResult, TryGetError};

use crate::{
    columns::{documents, read},
    db::{Db, Param, Params},
};

documents!(ProviderSubscription);

/// Accounts over one connection.
pub(crate) struct Accounts<'c> {
    pub db: Db<'c>,
}

pub(super) const COLUMNS: &str = "tenant_id, provider, live, customer_id, keyed_at, subscription, revision, had_trial, past_due_since, reminders, \
    cancel_reason, ends_with_tenant, check_at, created_at, updated_at";

pub(super) fn account(row: &QueryResult) -> Result<BillingAccount, TryGetError> {
    Ok(BillingAccount {
        tenant_id: read(row, "tenant_id")?,
        provider: read(row, "provider")?,
        live: read(row, "live")?,
        customer_id: read(row, "customer_id")?,
        keyed_at: read(row, "keyed_at")?,
        subscription: read(row, "subscription")?,
        revision: read(row, "revision")?,
        had_trial: read(row, "had_trial")?,
        past_due_since: read(row, "past_due_since")?,
        reminders: read(row, "reminders")?,
        cancel_reason: read(row, "cancel_reason")?,
        ends_with_tenant: read(row, "ends_with_tenant")?,
        check_at: read(row, "check_at")?,
        created_at: read(row, "created_at")?,
        updated_at: read(row, "updated_at")?,
    })
}

impl Accounts<'_> {
    async fn one(&self, sql: &str, values: impl Params) -> Result<Option<BillingAccount>, StoreError> {
        Ok(self.db.rows_with(sql, values, account).await?.into_iter().next())
    }
}

#[async_trait]
impl AccountRepository for Accounts<'_> {
    async fn insert_missing(&mut self, account: &BillingAccount) -> Result<bool, StoreError> {
        // Waits for another unit of work that stores the account of the same tenant, and then stores nothing.
        let sql = format!(
            "insert into billing_accounts ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
             on conflict (tenant_id) do nothing"
        );
        let values = vec![
            account.tenant_id.value(),
            account.provider.value(),
            account.live.value(),
            (&account.customer_id).value(),
            account.keyed_at.value(),
            account.subscription.clone().value(),
            account.revision.value(),
            account.had_trial.value(),
            account.past_due_since.value(),
            account.reminders.value(),
            (&account.cancel_reason).value(),
            account.ends_with_tenant.value(),
            account.check_at.value(),
            account.created_at.value(),
            account.updated_at.value(),
        ];
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        let sql = format!("select {COLUMNS} from billing_accounts where tenant_id = $1");
        self.one(&sql, [tenant]).await
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        let lock = self.db.dialect().for_update;
        let sql = format!("select {COLUMNS} from billing_accounts where tenant_id = $1 {lock}");
        self.one(&sql, [tenant]).await
    }

    async fn of_customer<'s>(
        &mut self,
        provider: Provider,
        customer: &'s str,
    ) -> Result<Option<TenantId>, StoreError> {
        let sql = "select tenant_id from billing_accounts where provider = $1 and customer_id = $2";
        self.db.row(sql, (provider, customer)).await
    }

    async fn update(&mut self, account: &BillingAccount) -> Result<(), StoreError> {
        let sql = "update billing_accounts set customer_id = $2, keyed_at = $3, subscription = $4, revision = $5, had_trial = $6, \
             past_due_since = $7, reminders = $8, cancel_reason = $9, ends_with_tenant = $10, check_at = $11, updated_at = $12, live = $13 \
             where tenant_id = $1";
        let values = vec![
            account.tenant_id.value(),
            (&account.customer_id).value(),
            account.keyed_at.value(),
            account.subscription.clone().value(),
            account.revision.value(),
            account.had_trial.value(),
            account.past_due_since.value(),
            account.reminders.value(),
            (&account.cancel_reason).value(),
            account.ends_with_tenant.value(),
            account.check_at.value(),
            account.updated_at.value(),
            account.live.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<BillingAccount>, StoreError> {
        let sql =
            format!("select {COLUMNS} from billing_accounts where check_at <= $1 order by check_at limit $2");
        self.db.rows_with(&sql, (now, limit), account).await
    }
}
