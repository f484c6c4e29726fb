//! What search engines and social networks are told about pages.

use async_trait::async_trait;
use portico_kernel::{PageId, SiteId, StoreError, TenantId};
use portico_sites::{page::PageStatus, ports::SeoRepository, seo::Seo};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::Expr,
};

use super::pages;
use crate::{
    error::{json_error, store_error},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "page_seo")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub page_id: Uuid,
        pub title: Option<String>,
        pub description: Option<String>,
        pub keywords: Json,
        pub canonical_url: Option<String>,
        pub robots: Option<String>,
        pub open_graph: Json,
        pub structured_data: Option<Json>,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Seo {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            page_id: PageId::from_uuid(row.page_id),
            title: row.title,
            description: row.description,
            keywords: serde_json::from_value(row.keywords).map_err(json_error)?,
            canonical_url: row.canonical_url,
            robots: row.robots,
            open_graph: serde_json::from_value(row.open_graph).map_err(json_error)?,
            structured_data: row.structured_data,
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// The row of `seo` with a version of its own.
fn to_model(seo: &Seo, version: i64) -> Result<row::ActiveModel, StoreError> {
    Ok(row::ActiveModel {
        tenant_id: Set(seo.tenant.uuid()),
        page_id: Set(seo.page_id.uuid()),
        title: Set(seo.title.clone()),
        description: Set(seo.description.clone()),
        keywords: Set(serde_json::to_value(&seo.keywords).map_err(json_error)?),
        canonical_url: Set(seo.canonical_url.clone()),
        robots: Set(seo.robots.clone()),
        open_graph: Set(serde_json::to_value(&seo.open_graph).map_err(json_error)?),
        structured_data: Set(seo.structured_data.clone()),
        updated_at: Set(to_row(seo.updated_at)),
        version: Set(version),
    })
}

/// What search engines are told, over one connection.
pub(crate) struct Seos<'c, C> {
    pub connection: &'c C,
}

impl<C: ConnectionTrait> Seos<'_, C> {
    /// What is set for the pages of a site with these statuses.
    async fn of_site(&self, tenant: TenantId, site: SiteId, statuses: Expr) -> Result<Vec<Seo>, StoreError> {
        let pages = pages::row::Entity::find()
            .select_only()
            .column(pages::row::Column::Id)
            .filter(pages::row::Column::TenantId.eq(tenant.uuid()))
            .filter(pages::row::Column::SiteId.eq(site.uuid()))
            .filter(statuses)
            .into_query();
        let rows = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::PageId.in_subquery(pages))
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Seo::try_from).collect()
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> SeoRepository for Seos<'_, C> {
    async fn find(&mut self, tenant: TenantId, page: PageId) -> Result<Option<Seo>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), page.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(Seo::try_from).transpose()
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        self.of_site(tenant, site, pages::row::Column::Status.eq(PageStatus::Published.as_str())).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        self.of_site(tenant, site, pages::row::Column::Status.ne(PageStatus::Archived.as_str())).await
    }

    async fn insert(&mut self, seo: &[Seo]) -> Result<(), StoreError> {
        if seo.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = seo.iter().map(|seo| to_model(seo, seo.version)).collect::<Result<_, _>>()?;
        row::Entity::insert_many(rows).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn update(&mut self, seo: &Seo) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(to_model(seo, seo.version + 1)?)
            .filter(Column::TenantId.eq(seo.tenant.uuid()))
            .filter(Column::PageId.eq(seo.page_id.uuid()))
            .filter(Column::Version.eq(seo.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, page: PageId) -> Result<bool, StoreError> {
        let deleted = row::Entity::delete_by_id((tenant.uuid(), page.uuid()));
        Ok(deleted.exec(self.connection).await.map_err(store_error)?.rows_affected > 0)
    }
}
