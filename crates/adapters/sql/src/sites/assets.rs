//! Files that tenants uploaded.

use async_trait::async_trait;
use portico_kernel::{AssetId, List, PageId, PageRequest, StoreError, TenantId, Timestamp};
use portico_sites::{
    asset::{Asset, AssetFilter, AssetKind, AssetType},
    ports::AssetRepository,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select,
    sea_query::Expr,
};
use uuid::Uuid;

use super::list::list;
use crate::{
    dialect::{contains, execute, query},
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table of files.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "assets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub filename: String,
        pub content_type: String,
        pub size: i64,
        pub width: Option<i32>,
        pub height: Option<i32>,
        pub hash: String,
        pub variants: Json,
        pub alt_text: Option<String>,
        pub purge_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Asset {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let content_type = AssetType::parse(&row.content_type);
        let pixels = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
        Ok(Self {
            id: AssetId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            filename: row.filename,
            content_type: content_type.ok_or_else(|| unreadable("assets.content_type", &row.content_type))?,
            size: row.size.unsigned_abs(),
            width: pixels(row.width),
            height: pixels(row.height),
            hash: row.hash,
            variants: serde_json::from_value(row.variants).map_err(json_error)?,
            alt_text: row.alt_text,
            purge_at: row.purge_at.map(from_row),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// Files that tenants uploaded, over one connection.
pub(crate) struct Assets<'c, C> {
    pub connection: &'c C,
}

fn present(tenant: TenantId) -> Select<row::Entity> {
    row::Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::PurgeAt.is_null())
}

#[async_trait]
impl<C: ConnectionTrait + Send> AssetRepository for Assets<'_, C> {
    async fn insert(&mut self, assets: &[Asset]) -> Result<(), StoreError> {
        if assets.is_empty() {
            return Ok(());
        }
        let pixels = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
        let mut rows = Vec::with_capacity(assets.len());
        for asset in assets {
            rows.push(row::ActiveModel {
                tenant_id: Set(asset.tenant.uuid()),
                id: Set(asset.id.uuid()),
                filename: Set(asset.filename.clone()),
                content_type: Set(asset.content_type.content_type().to_owned()),
                size: Set(i64::try_from(asset.size).unwrap_or(i64::MAX)),
                width: Set(pixels(asset.width)),
                height: Set(pixels(asset.height)),
                hash: Set(asset.hash.clone()),
                variants: Set(serde_json::to_value(&asset.variants).map_err(json_error)?),
                alt_text: Set(asset.alt_text.clone()),
                purge_at: Set(asset.purge_at.map(to_row)),
                created_at: Set(to_row(asset.created_at)),
                updated_at: Set(to_row(asset.updated_at)),
                version: Set(asset.version),
            });
        }
        row::Entity::insert_many(rows).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let query = present(tenant).filter(Column::Id.eq(id.uuid()));
        query.one(self.connection).await.map_err(store_error)?.map(Asset::try_from).transpose()
    }

    async fn linked(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let of_active = Expr::cust(
            "exists (select 1 from tenants where tenants.id = assets.tenant_id and tenants.status = 'active')",
        );
        let query = present(tenant).filter(Column::Id.eq(id.uuid())).filter(of_active);
        query.one(self.connection).await.map_err(store_error)?.map(Asset::try_from).transpose()
    }

    async fn find_many(&mut self, tenant: TenantId, ids: &[AssetId]) -> Result<Vec<Asset>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = present(tenant).filter(Column::Id.is_in(ids.iter().map(|id| id.uuid())));
        let rows = query.all(self.connection).await.map_err(store_error)?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    async fn deleted(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let query = row::Entity::find_by_id((tenant.uuid(), id.uuid())).filter(Column::PurgeAt.is_not_null());
        query.one(self.connection).await.map_err(store_error)?.map(Asset::try_from).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: AssetFilter,
        page: PageRequest,
    ) -> Result<List<Asset>, StoreError> {
        let mut query = present(tenant);
        if let Some(part) = &filter.q {
            query = query.filter(contains([Expr::col(Column::Filename), Expr::col(Column::AltText)], part));
        }
        let pdf = AssetType::Pdf.content_type();
        query = match filter.kind {
            Some(AssetKind::Pdf) => query.filter(Column::ContentType.eq(pdf)),
            Some(AssetKind::Image) => query.filter(Column::ContentType.ne(pdf)),
            None => query,
        };
        let newest_first = query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
        list(self.connection, newest_first, page).await
    }

    async fn update(&mut self, asset: &Asset) -> Result<(), StoreError> {
        let changes = row::ActiveModel {
            tenant_id: NotSet,
            id: NotSet,
            filename: Set(asset.filename.clone()),
            alt_text: Set(asset.alt_text.clone()),
            purge_at: Set(asset.purge_at.map(to_row)),
            updated_at: Set(to_row(asset.updated_at)),
            version: Set(asset.version + 1),
            ..Default::default()
        };
        let updated = row::Entity::update_many()
            .set(changes)
            .filter(Column::TenantId.eq(asset.tenant.uuid()))
            .filter(Column::Id.eq(asset.id.uuid()))
            .filter(Column::Version.eq(asset.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn purge(&mut self, tenant: TenantId, id: AssetId, now: Timestamp) -> Result<bool, StoreError> {
        execute(
            self.connection,
            "delete from assets where tenant_id = $1 and id = $2 and purge_at is not null and purge_at <= $3",
            [tenant.uuid().into(), id.uuid().into(), to_row(now).into()],
        )
        .await?;
        let rows = query(
            self.connection,
            "select 1 as there from assets where tenant_id = $1 and id = $2",
            [tenant.uuid().into(), id.uuid().into()],
        )
        .await?;
        Ok(rows.is_empty())
    }

    async fn used_by(&mut self, tenant: TenantId, id: AssetId) -> Result<Vec<PageId>, StoreError> {
        // Content holds the id as text. Ids are random enough that it stands for nothing else there.
        let rows = query(
            self.connection,
            "select pages.id from pages where pages.tenant_id = $1 and pages.id in (\
               select page_id from sections where tenant_id = $1 and cast(content as text) like $2 \
               union all \
               select page_id from page_seo where tenant_id = $1 and cast(open_graph as text) like $2) \
             order by pages.created_at, pages.id limit 100",
            [tenant.uuid().into(), format!("%{id}%").into()],
        )
        .await?;
        rows.iter()
            .map(|row| row.try_get::<Uuid>("", "id").map(PageId::from_uuid).map_err(store_error))
            .collect()
    }
}
