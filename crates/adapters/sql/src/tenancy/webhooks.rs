//! Webhooks.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, WebhookId};
use portico_tenancy::{
    ports::WebhookRepository,
    webhook::{SealedSecrets, Webhook, WebhookStatus},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    dialect::execute,
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of webhooks.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhooks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub url: String,
        pub description: Option<String>,
        pub events: Json,
        pub status: String,
        pub rate_per_second: Option<i32>,
        pub sealed_secret: Vec<u8>,
        pub sealed_previous_secret: Option<Vec<u8>>,
        pub previous_secret_until: Option<TimeDateTime>,
        pub secret_rotated_at: Option<TimeDateTime>,
        pub failures: i32,
        pub failing_since: Option<TimeDateTime>,
        pub disabled_at: Option<TimeDateTime>,
        pub disabled_reason: Option<String>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Webhook {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let status = WebhookStatus::parse(&row.status);
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            url: row.url,
            description: row.description,
            events: serde_json::from_value(row.events).map_err(json_error)?,
            status: status.ok_or_else(|| unreadable("webhooks.status", &row.status))?,
            rate_per_second: row.rate_per_second.map(i32::unsigned_abs),
            secrets: SealedSecrets {
                current: row.sealed_secret,
                previous: row.sealed_previous_secret.zip(row.previous_secret_until.map(from_row)),
                rotated_at: row.secret_rotated_at.map(from_row),
            },
            failures: row.failures.unsigned_abs(),
            failing_since: row.failing_since.map(from_row),
            disabled_at: row.disabled_at.map(from_row),
            disabled_reason: row.disabled_reason,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// Webhooks over one connection.
pub(crate) struct Webhooks<'c, C> {
    pub connection: &'c C,
}

/// What an update may change.
fn changes(webhook: &Webhook) -> row::ActiveModel {
    let previous = webhook.secrets.previous.as_ref();
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        url: Set(webhook.url.clone()),
        description: Set(webhook.description.clone()),
        events: Set(serde_json::json!(webhook.events)),
        status: Set(webhook.status.as_str().to_owned()),
        rate_per_second: Set(webhook.rate_per_second.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX))),
        sealed_secret: Set(webhook.secrets.current.clone()),
        sealed_previous_secret: Set(previous.map(|(sealed, _)| sealed.clone())),
        previous_secret_until: Set(previous.map(|(_, until)| to_row(*until))),
        secret_rotated_at: Set(webhook.secrets.rotated_at.map(to_row)),
        failures: NotSet,
        failing_since: NotSet,
        disabled_at: Set(webhook.disabled_at.map(to_row)),
        disabled_reason: Set(webhook.disabled_reason.clone()),
        created_at: NotSet,
        updated_at: Set(to_row(webhook.updated_at)),
        version: NotSet,
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> WebhookRepository for Webhooks<'_, C> {
    async fn insert(&mut self, webhook: &Webhook, most: u64) -> Result<bool, StoreError> {
        let tenant = webhook.tenant.uuid();
        // Holds the row of the tenant, so that of two at once the second one counts the first one's webhook.
        execute(self.connection, "update tenants set name = name where id = $1", [tenant.into()]).await?;
        let held = row::Entity::find().filter(Column::TenantId.eq(tenant));
        if held.count(self.connection).await.map_err(store_error)? >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(tenant),
            id: Set(webhook.id.uuid()),
            failures: Set(0),
            failing_since: Set(None),
            created_at: Set(to_row(webhook.created_at)),
            version: Set(webhook.version),
            ..changes(webhook)
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(Webhook::try_from).transpose()
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Webhook>, StoreError> {
        let found = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id);
        let total = found.clone().count(self.connection).await.map_err(store_error)?;
        let rows =
            found.offset(page.offset()).limit(page.limit).all(self.connection).await.map_err(store_error)?;
        let items = rows.into_iter().map(Webhook::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(List::new(items, page, total))
    }

    async fn update(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(webhook.version + 1), ..changes(webhook) })
            .filter(Column::TenantId.eq(webhook.tenant.uuid()))
            .filter(Column::Id.eq(webhook.id.uuid()))
            .filter(Column::Version.eq(webhook.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn forget_failures(&mut self, tenant: TenantId, id: WebhookId) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update webhooks set failures = 0, failing_since = null where tenant_id = $1 and id = $2",
            [tenant.uuid().into(), id.uuid().into()],
        )
        .await
        .map(drop)
    }

    async fn delete(&mut self, tenant: TenantId, id: WebhookId) -> Result<bool, StoreError> {
        let deleted = execute(
            self.connection,
            "delete from webhooks where tenant_id = $1 and id = $2",
            [tenant.uuid().into(), id.uuid().into()],
        )
        .await?;
        Ok(deleted > 0)
    }
}
