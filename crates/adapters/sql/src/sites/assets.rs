//! Files that tenants uploaded.

use async_trait::async_trait;
use portico_kernel::{AssetId, List, PageId, PageRequest, StoreError, TenantId, Timestamp};
use portico_sites::{
    asset::{Asset, AssetFilter, AssetKind, AssetType, Variant},
    ports::AssetRepository,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select,
    sea_query::Expr,
};

use crate::{
    columns::{Col, Stored, documents},
    db::{Db, Param, placeholders},
    dialect::contains,
};
use row::Column;

/// A row of the table of files.
pub(crate) mod row {
    use portico_kernel::{AssetId, TenantId, Timestamp};
    use portico_sites::asset::{AssetType, Variant};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "assets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<AssetId>,
        pub filename: String,
        pub content_type: Col<AssetType>,
        pub size: Col<u64>,
        pub width: Col<Option<u32>>,
        pub height: Col<Option<u32>>,
        pub hash: String,
        pub variants: Col<Vec<Variant>>,
        pub alt_text: Option<String>,
        pub purge_at: Col<Option<Timestamp>>,
        pub held: bool,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for AssetType {
    type Raw = String;

    fn store(&self) -> String {
        self.content_type().to_owned()
    }

    fn load(raw: String) -> Result<Self, String> {
        Self::parse(&raw).ok_or(raw)
    }
}

documents!(Vec<Variant>);

impl From<row::Model> for Asset {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            filename: row.filename,
            content_type: row.content_type.0,
            size: row.size.0,
            width: row.width.0,
            height: row.height.0,
            hash: row.hash,
            variants: row.variants.0,
            alt_text: row.alt_text,
            purge_at: row.purge_at.0,
            held: row.held,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Files that tenants uploaded, over one connection.
pub(crate) struct Assets<'c> {
    pub db: Db<'c>,
}

fn present(tenant: TenantId) -> Select<row::Entity> {
    row::Entity::find().filter(Column::TenantId.eq(Col(tenant))).filter(Column::PurgeAt.is_null())
}

#[async_trait]
impl AssetRepository for Assets<'_> {
    async fn insert(&mut self, assets: &[Asset]) -> Result<(), StoreError> {
        let rows = assets.iter().map(|asset| row::ActiveModel {
            tenant_id: Set(Col(asset.tenant)),
            id: Set(Col(asset.id)),
            filename: Set(asset.filename.clone()),
            content_type: Set(Col(asset.content_type)),
            size: Set(Col(asset.size)),
            width: Set(Col(asset.width)),
            height: Set(Col(asset.height)),
            hash: Set(asset.hash.clone()),
            variants: Set(Col(asset.variants.clone())),
            alt_text: Set(asset.alt_text.clone()),
            purge_at: Set(Col(asset.purge_at)),
            held: Set(false),
            created_at: Set(Col(asset.created_at)),
            updated_at: Set(Col(asset.updated_at)),
            version: Set(asset.version),
        });
        self.db.insert_many(rows).await
    }

    async fn find(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let query = present(tenant).filter(Column::Id.eq(Col(id)));
        self.db.one(query).await
    }

    async fn linked(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let of_active = Expr::cust(
            "exists (select 1 from tenants where tenants.id = assets.tenant_id and tenants.status = 'active')",
        );
        let query = present(tenant).filter(Column::Id.eq(Col(id))).filter(of_active);
        self.db.one(query).await
    }

    async fn find_many(&mut self, tenant: TenantId, ids: &[AssetId]) -> Result<Vec<Asset>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = present(tenant).filter(Column::Id.is_in(ids.iter().copied().map(Col)));
        self.db.all(query).await
    }

    async fn deleted(&mut self, tenant: TenantId, id: AssetId) -> Result<Option<Asset>, StoreError> {
        let query = row::Entity::find_by_id((Col(tenant), Col(id))).filter(Column::PurgeAt.is_not_null());
        self.db.one(query).await
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
        let pdf = Col(AssetType::Pdf);
        query = match filter.kind {
            Some(AssetKind::Pdf) => query.filter(Column::ContentType.eq(pdf)),
            Some(AssetKind::Image) => query.filter(Column::ContentType.ne(pdf)),
            None => query,
        };
        let newest_first = query.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
        self.db.page(newest_first, page).await
    }

    async fn update(&mut self, asset: &Asset) -> Result<(), StoreError> {
        let changes = row::ActiveModel {
            tenant_id: NotSet,
            id: NotSet,
            filename: Set(asset.filename.clone()),
            alt_text: Set(asset.alt_text.clone()),
            purge_at: Set(Col(asset.purge_at)),
            updated_at: Set(Col(asset.updated_at)),
            version: Set(asset.version + 1),
            ..Default::default()
        };
        let update = row::Entity::update_many()
            .set(changes)
            .filter(Column::TenantId.eq(Col(asset.tenant)))
            .filter(Column::Id.eq(Col(asset.id)))
            .filter(Column::Version.eq(asset.version));
        self.db.update_one(update).await
    }

    async fn hold(&mut self, tenant: TenantId, ids: &[AssetId], held: bool) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids_in = placeholders(3, ids.len());
        let sql = format!("update assets set held = $2 where tenant_id = $1 and id in ({ids_in})");
        let values: Vec<_> =
            [tenant.value(), held.value()].into_iter().chain(ids.iter().copied().map(Param::value)).collect();
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn purge(&mut self, tenant: TenantId, id: AssetId, now: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "delete from assets where tenant_id = $1 and id = $2 and purge_at is not null and purge_at <= $3";
        self.db.execute(sql, (tenant, id, now)).await?;
        let sql = "select 1 as there from assets where tenant_id = $1 and id = $2";
        Ok(!self.db.exists(sql, (tenant, id)).await?)
    }

    async fn used_by(&mut self, tenant: TenantId, id: AssetId) -> Result<Vec<PageId>, StoreError> {
        // Content holds the id as text. Ids are random enough that it stands for nothing else there.
        let sql = "select pages.id from pages where pages.tenant_id = $1 and pages.id in (\
               select page_id from sections where tenant_id = $1 and cast(content as text) like $2 \
               union all \
               select page_id from page_seo where tenant_id = $1 and cast(open_graph as text) like $2) \
             order by pages.created_at, pages.id limit 100";
        self.db.rows(sql, (tenant, format!("%{id}%"))).await
    }
}
