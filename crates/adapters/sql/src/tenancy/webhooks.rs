//! Webhooks.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, WebhookId};
use portico_tenancy::{
    ports::{StoredSecrets, WebhookRepository},
    webhook::{SealedSecrets, Webhook, WebhookStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
};

use crate::{
    columns::{Col, words},
    db::Db,
};
use row::Column;

/// A row of webhooks.
pub(crate) mod row {
    use portico_kernel::{TenantId, Timestamp, WebhookId};
    use portico_tenancy::webhook::WebhookStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhooks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<WebhookId>,
        pub url: String,
        pub description: Option<String>,
        pub events: Col<Vec<String>>,
        pub status: Col<WebhookStatus>,
        pub rate_per_second: Col<Option<u32>>,
        pub sealed_secret: Vec<u8>,
        pub sealed_previous_secret: Option<Vec<u8>>,
        pub previous_secret_until: Col<Option<Timestamp>>,
        pub secret_rotated_at: Col<Option<Timestamp>>,
        pub failures: Col<u32>,
        pub failing_since: Col<Option<Timestamp>>,
        pub disabled_at: Col<Option<Timestamp>>,
        pub disabled_reason: Option<String>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(WebhookStatus);

impl From<row::Model> for Webhook {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            url: row.url,
            description: row.description,
            events: row.events.0,
            status: row.status.0,
            rate_per_second: row.rate_per_second.0,
            secrets: SealedSecrets {
                current: row.sealed_secret,
                previous: row.sealed_previous_secret.zip(row.previous_secret_until.0),
                rotated_at: row.secret_rotated_at.0,
            },
            failures: row.failures.0,
            failing_since: row.failing_since.0,
            disabled_at: row.disabled_at.0,
            disabled_reason: row.disabled_reason,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Webhooks over one connection.
pub(crate) struct Webhooks<'c> {
    pub db: Db<'c>,
}

/// What an update may change.
fn changes(webhook: &Webhook) -> row::ActiveModel {
    let previous = webhook.secrets.previous.as_ref();
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        url: Set(webhook.url.clone()),
        description: Set(webhook.description.clone()),
        events: Set(Col(webhook.events.clone())),
        status: Set(Col(webhook.status)),
        rate_per_second: Set(Col(webhook.rate_per_second)),
        sealed_secret: Set(webhook.secrets.current.clone()),
        sealed_previous_secret: Set(previous.map(|(sealed, _)| sealed.clone())),
        previous_secret_until: Set(Col(previous.map(|(_, until)| *until))),
        secret_rotated_at: Set(Col(webhook.secrets.rotated_at)),
        failures: NotSet,
        failing_since: NotSet,
        disabled_at: Set(Col(webhook.disabled_at)),
        disabled_reason: Set(webhook.disabled_reason.clone()),
        created_at: NotSet,
        updated_at: Set(Col(webhook.updated_at)),
        version: NotSet,
    }
}

#[async_trait]
impl WebhookRepository for Webhooks<'_> {
    async fn insert(&mut self, webhook: &Webhook, most: u64) -> Result<bool, StoreError> {
        let tenant = webhook.tenant;
        // Holds the row of the tenant, so that of two at once the second one counts the first one's webhook.
        self.db.execute("update tenants set name = name where id = $1", [tenant]).await?;
        let held = row::Entity::find().filter(Column::TenantId.eq(Col(tenant)));
        if self.db.count(held).await? >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(Col(tenant)),
            id: Set(Col(webhook.id)),
            failures: Set(Col(0)),
            failing_since: Set(Col(None)),
            created_at: Set(Col(webhook.created_at)),
            version: Set(webhook.version),
            ..changes(webhook)
        };
        self.db.insert(row).await?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id)));
        self.db.one(row).await
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Webhook>, StoreError> {
        let found = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id);
        self.db.page(found, page).await
    }

    async fn update(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(webhook.version + 1), ..changes(webhook) })
            .filter(Column::TenantId.eq(Col(webhook.tenant)))
            .filter(Column::Id.eq(Col(webhook.id)))
            .filter(Column::Version.eq(webhook.version));
        self.db.update_one(update).await
    }

    async fn forget_failures(&mut self, tenant: TenantId, id: WebhookId) -> Result<(), StoreError> {
        let sql = "update webhooks set failures = 0, failing_since = null where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, id)).await.map(drop)
    }

    async fn sealed_secrets(
        &mut self,
        after: Option<WebhookId>,
        most: u64,
    ) -> Result<Vec<StoredSecrets>, StoreError> {
        let after = after.unwrap_or(WebhookId::from_uuid(uuid::Uuid::nil()));
        let sql = "select tenant_id, id, sealed_secret, sealed_previous_secret from webhooks \
             where id > $1 order by id limit $2";
        let rows = self.db.rows(sql, (after, most)).await?;
        let of = |(tenant, webhook, current, previous)| StoredSecrets { tenant, webhook, current, previous };
        Ok(rows.into_iter().map(of).collect())
    }

    async fn reseal(&mut self, was: &StoredSecrets, now: &StoredSecrets) -> Result<bool, StoreError> {
        let sql = "update webhooks set sealed_secret = $3, sealed_previous_secret = $4 \
             where tenant_id = $1 and id = $2 and sealed_secret = $5";
        let values =
            (was.tenant, was.webhook, now.current.clone(), now.previous.clone(), was.current.clone());
        Ok(self.db.execute(sql, values).await? == 1)
    }

    async fn delete(&mut self, tenant: TenantId, id: WebhookId) -> Result<bool, StoreError> {
        // The deliveries first, in the order in which the outcomes of attempts are stored: a transaction that locked the webhook
        // first and one that stores outcomes would wait for each other.
        let sql = "delete from webhook_deliveries where tenant_id = $1 and webhook_id = $2";
        self.db.execute(sql, (tenant, id)).await?;
        let deleted =
            self.db.execute("delete from webhooks where tenant_id = $1 and id = $2", (tenant, id)).await?;
        Ok(deleted > 0)
    }
}
