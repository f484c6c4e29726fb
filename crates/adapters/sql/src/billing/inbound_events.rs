//! Events of payment providers.

use async_trait::async_trait;
use portico_billing::{
    inbound::{InboundStatus, StoredEvent},
    payment::Provider,
    ports::InboundEventRepository,
};
use portico_kernel::{StoreError, Timestamp};
use sea_orm::ConnectionTrait;

use crate::{columns::words, db::Db};

words!(InboundStatus);

/// Events over one connection.
pub(crate) struct InboundEvents<'c, C> {
    pub db: Db<'c, C>,
}

const COLUMNS: &str = "provider, id, kind, checkout, payment, refund, customer, status, received_at";

/// A row of [`COLUMNS`].
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
);

fn event((provider, id, kind, checkout, payment, refund, customer, status, received_at): Row) -> StoredEvent {
    StoredEvent { provider, id, kind, checkout, payment, refund, customer, status, received_at }
}

#[async_trait]
impl<C: ConnectionTrait + Send> InboundEventRepository for InboundEvents<'_, C> {
    async fn insert(&mut self, event: &StoredEvent) -> Result<bool, StoreError> {
        // Waits for another unit of work that stores the same event, and then stores nothing.
        let sql = format!(
            "insert into inbound_events ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (provider, id) do nothing"
        );
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
        );
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn find<'s>(&mut self, provider: Provider, id: &'s str) -> Result<Option<StoredEvent>, StoreError> {
        let sql = format!("select {COLUMNS} from inbound_events where provider = $1 and id = $2");
        Ok(self.db.row(&sql, (provider, id)).await?.map(event))
    }

    async fn set_status<'s>(
        &mut self,
        provider: Provider,
        id: &'s str,
        status: InboundStatus,
    ) -> Result<(), StoreError> {
        let sql = "update inbound_events set status = $3 where provider = $1 and id = $2";
        self.db.execute(sql, (provider, id, status)).await.map(drop)
    }
}
