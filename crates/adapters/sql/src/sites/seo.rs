//! What search engines and social networks are told about pages.

use async_trait::async_trait;
use portico_kernel::{PageId, SiteId, StoreError, TenantId};
use portico_sites::{
    page::PageStatus,
    ports::SeoRepository,
    seo::{OpenGraph, Seo},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::pages;
use crate::{
    columns::{Col, documents},
    db::Db,
};
use row::Column;

/// A row of the table.
pub(crate) mod row {
    use portico_kernel::{PageId, TenantId, Timestamp};
    use portico_sites::seo::OpenGraph;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "page_seo")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub page_id: Col<PageId>,
        pub title: Option<String>,
        pub description: Option<String>,
        pub keywords: Col<Vec<String>>,
        pub canonical_url: Option<String>,
        pub robots: Option<String>,
        pub open_graph: Col<OpenGraph>,
        pub structured_data: Option<Json>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

documents!(OpenGraph, Vec<String>);

impl From<row::Model> for Seo {
    fn from(row: row::Model) -> Self {
        Self {
            tenant: row.tenant_id.0,
            page_id: row.page_id.0,
            title: row.title,
            description: row.description,
            keywords: row.keywords.0,
            canonical_url: row.canonical_url,
            robots: row.robots,
            open_graph: row.open_graph.0,
            structured_data: row.structured_data,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// The row of `seo` with a version of its own.
fn to_model(seo: &Seo, version: i64) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(Col(seo.tenant)),
        page_id: Set(Col(seo.page_id)),
        title: Set(seo.title.clone()),
        description: Set(seo.description.clone()),
        keywords: Set(Col(seo.keywords.clone())),
        canonical_url: Set(seo.canonical_url.clone()),
        robots: Set(seo.robots.clone()),
        open_graph: Set(Col(seo.open_graph.clone())),
        structured_data: Set(seo.structured_data.clone()),
        updated_at: Set(Col(seo.updated_at)),
        version: Set(version),
    }
}

/// What search engines are told, over one connection.
pub(crate) struct Seos<'c> {
    pub db: Db<'c>,
}

impl Seos<'_> {
    /// What is set for the pages of a site with these statuses.
    async fn of_site(&self, tenant: TenantId, site: SiteId, statuses: Expr) -> Result<Vec<Seo>, StoreError> {
        let pages = pages::row::Entity::find()
            .select_only()
            .column(pages::row::Column::Id)
            .filter(pages::row::Column::TenantId.eq(Col(tenant)))
            .filter(pages::row::Column::SiteId.eq(Col(site)))
            .filter(statuses)
            .into_query();
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.in_subquery(pages));
        self.db.all(query).await
    }
}

#[async_trait]
impl SeoRepository for Seos<'_> {
    async fn find(&mut self, tenant: TenantId, page: PageId) -> Result<Option<Seo>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(page)));
        self.db.one(row).await
    }

    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Seo>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.is_in(pages.iter().copied().map(Col)));
        self.db.all(query).await
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        self.of_site(tenant, site, pages::row::Column::Status.eq(Col(PageStatus::Published))).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Seo>, StoreError> {
        self.of_site(tenant, site, pages::row::Column::Status.ne(Col(PageStatus::Archived))).await
    }

    async fn insert(&mut self, seo: &[Seo]) -> Result<(), StoreError> {
        self.db.insert_many(seo.iter().map(|seo| to_model(seo, seo.version))).await
    }

    async fn update(&mut self, seo: &Seo) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(to_model(seo, seo.version + 1))
            .filter(Column::TenantId.eq(Col(seo.tenant)))
            .filter(Column::PageId.eq(Col(seo.page_id)))
            .filter(Column::Version.eq(seo.version));
        self.db.update_one(update).await
    }

    async fn delete(&mut self, tenant: TenantId, page: PageId) -> Result<bool, StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.eq(Col(page)));
        Ok(self.db.delete(delete).await? > 0)
    }
}
