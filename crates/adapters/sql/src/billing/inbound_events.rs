//! Events of payment providers.

use async_trait::async_trait;
use portico_billing::{
    inbound::{FoundEvent, InboundStatus, StoredEvent},
    payment::Provider,
    ports::PaymentInbox,
};
use portico_kernel::{NewJob, StoreError, TenantId, Timestamp};
use sea_orm::{ActiveModelTrait, IdenStatic, Iterable, Value};

use crate::{
    SqlStore,
    columns::words,
    db::{Params, StatementConnection, placeholders},
    outbox::jobs,
    store::Pools,
};

words!(InboundStatus);

const COLUMNS: &str = "provider, id, kind, checkout, payment, refund, customer, status, received_at";

/// How many there are.
const WIDTH: usize = 9;

/// A row of [`COLUMNS`], and the tenant of the customer.
type Row = (
    Provider,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    InboundStatus,
    Timestamp,
    Option<TenantId>,
);

fn found(row: Row) -> FoundEvent {
    let (provider, id, kind, checkout, payment, refund, customer, status, received_at, tenant) = row;
    let event = StoredEvent { provider, id, kind, checkout, payment, refund, customer, status, received_at };
    FoundEvent { event, tenant }
}

/// Stores an event. Waits for another transaction that stores the same one, and then stores nothing.
fn insert() -> String {
    format!(
        "insert into inbound_events ({COLUMNS}) values ({}) on conflict (provider, id) do nothing",
        placeholders(1, WIDTH)
    )
}

/// The same, and a job where the event was stored: one statement, which Postgres runs as a whole or not at all.
fn insert_with(mut job: jobs::row::ActiveModel, mut values: Vec<Value>) -> (String, Vec<Value>) {
    let mut columns = Vec::new();
    for column in jobs::row::Column::iter() {
        if let Some(value) = job.take(column).into_value() {
            columns.push(column.as_str());
            values.push(value);
        }
    }
    let sql = format!(
        "with stored as ({} returning id) insert into jobs ({}) select {} from stored",
        insert(),
        columns.join(", "),
        placeholders(WIDTH + 1, columns.len())
    );
    (sql, values)
}

#[async_trait]
impl PaymentInbox for SqlStore {
    async fn receive(&self, event: &StoredEvent, job: Option<NewJob>) -> Result<bool, StoreError> {
        let values = (
            event.provider,
            &event.id,
            &event.kind,
            &event.checkout,
            &event.payment,
            &event.refund,
            &event.customer,
            event.status,
            event.received_at,
        )
            .values();
        let Some(job) = job else {
            return Ok(self.write().execute(&insert(), values).await? == 1);
        };
        let job = jobs::new_row(job, self.trace());
        let is_new = match self.pools {
            Pools::Postgres { .. } => {
                let (sql, values) = insert_with(job, values);
                self.write().execute(&sql, values).await? == 1
            }
            // It has no statement that writes to two tables, and no round trips.
            Pools::Sqlite { .. } => {
                let transaction = self.transaction().await?;
                let is_new = transaction.db().execute(&insert(), values).await? == 1;
                if is_new {
                    transaction.db().insert(job).await?;
                }
                transaction.commit().await?;
                is_new
            }
        };
        if is_new {
            self.has_enqueued();
        }
        Ok(is_new)
    }

    async fn find(&self, provider: Provider, id: &str) -> Result<Option<FoundEvent>, StoreError> {
        let sql = format!(
            "select {COLUMNS}, (select tenant_id from billing_accounts \
             where provider = inbound_events.provider and customer_id = inbound_events.customer) \
             from inbound_events where provider = $1 and id = $2"
        );
        Ok(self.read().row(&sql, (provider, id)).await?.map(found))
    }

    async fn set_status(
        &self,
        provider: Provider,
        id: &str,
        status: InboundStatus,
    ) -> Result<(), StoreError> {
        let sql = "update inbound_events set status = $3 where provider = $1 and id = $2";
        self.write().execute(sql, (provider, id, status)).await.map(drop)
    }
}
