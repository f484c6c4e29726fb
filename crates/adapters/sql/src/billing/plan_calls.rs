//! Calls to providers of subscriptions.

use async_trait::async_trait;
use portico_billing::{
    paid::PriceReference,
    plan_call::{PlanCall, PlanCallKind, PlanCallStage},
    plan_discount::PlanDiscount,
    ports::PlanCallRepository,
};
use portico_kernel::{Money, StoreError, TenantId, Timestamp};
use sea_orm::{QueryResult, TryGetError};

use crate::{
    columns::{Stored, documents, read, words},
    db::{Db, Param},
};

words!(PlanCallKind, PlanCallStage);
documents!(PlanDiscount);

impl Stored for PriceReference {
    type Raw = String;

    fn store(&self) -> String {
        self.to_string()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

/// Calls over one connection.
pub(crate) struct PlanCalls<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, kind, stage, price, description, amount, currency, customer_id, subscription_id, trial_days, \
    prorated_at, success_url, cancel_url, session_id, url, created_at, expires_at, check_at, discount";

fn call(row: &QueryResult) -> Result<PlanCall, TryGetError> {
    Ok(PlanCall {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        kind: read(row, "kind")?,
        stage: read(row, "stage")?,
        price: read(row, "price")?,
        description: read(row, "description")?,
        amount: Money { amount: read(row, "amount")?, currency: read(row, "currency")? },
        customer_id: read(row, "customer_id")?,
        subscription_id: read(row, "subscription_id")?,
        discount: read(row, "discount")?,
        trial_days: read(row, "trial_days")?,
        prorated_at: read(row, "prorated_at")?,
        success_url: read(row, "success_url")?,
        cancel_url: read(row, "cancel_url")?,
        session_id: read(row, "session_id")?,
        url: read(row, "url")?,
        created_at: read(row, "created_at")?,
        expires_at: read(row, "expires_at")?,
        check_at: read(row, "check_at")?,
    })
}

#[async_trait]
impl PlanCallRepository for PlanCalls<'_> {
    async fn insert(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let sql = format!(
            "insert into plan_calls ({COLUMNS}) values \
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
        );
        let values = vec![
            call.tenant_id.value(),
            call.id.value(),
            call.kind.value(),
            call.stage.value(),
            call.price.clone().value(),
            (&call.description).value(),
            call.amount.amount.value(),
            (&call.amount.currency).value(),
            (&call.customer_id).value(),
            (&call.subscription_id).value(),
            call.trial_days.value(),
            call.prorated_at.value(),
            (&call.success_url).value(),
            (&call.cancel_url).value(),
            (&call.session_id).value(),
            (&call.url).value(),
            call.created_at.value(),
            call.expires_at.value(),
            call.check_at.value(),
            call.discount.clone().value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn under_way(&mut self, tenant: TenantId) -> Result<Option<PlanCall>, StoreError> {
        let sql = format!("select {COLUMNS} from plan_calls where tenant_id = $1 and stage <> 'ended'");
        Ok(self.db.rows_with(&sql, [tenant], call).await?.into_iter().next())
    }

    async fn update(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let sql = "update plan_calls set stage = $3, session_id = $4, url = $5, expires_at = $6, check_at = $7 \
             where tenant_id = $1 and id = $2";
        let values = (
            call.tenant_id,
            call.id,
            call.stage,
            &call.session_id,
            &call.url,
            call.expires_at,
            call.check_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<PlanCall>, StoreError> {
        let sql = format!("select {COLUMNS} from plan_calls where check_at <= $1 order by check_at limit $2");
        self.db.rows_with(&sql, (now, limit), call).await
    }
}
