//! Pages.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    page::{Page, PageStatus},
    ports::{PageFilter, PageRepository},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, Func, LockType},
};

use super::{
    list::{SortColumns, sorted},
    sites,
};
use crate::{
    columns::{Col, words},
    connection::Until,
    db::Db,
    dialect::contains,
};
use row::Column;

/// Rows in one INSERT, so that their values stay far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// A row of the table of pages.
pub(crate) mod row {
    use portico_kernel::{PageId, SiteId, TemplateId, TenantId, Timestamp, name::Slug};
    use portico_sites::page::PageStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "pages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<PageId>,
        pub site_id: Col<SiteId>,
        pub title: String,
        pub slug: Col<Slug>,
        pub status: Col<PageStatus>,
        pub is_home: bool,
        pub template_id: Col<Option<TemplateId>>,
        pub language: Option<String>,
        pub translation_of: Col<Option<PageId>>,
        pub publish_at: Col<Option<Timestamp>>,
        pub published_at: Col<Option<Timestamp>>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(PageStatus);

impl From<row::Model> for Page {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            site_id: row.site_id.0,
            title: row.title,
            slug: row.slug.0,
            status: row.status.0,
            is_home: row.is_home,
            template_id: row.template_id.0,
            language: row.language,
            translation_of: row.translation_of.0,
            publish_at: row.publish_at.0,
            published_at: row.published_at.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Pages over one connection.
pub(crate) struct Pages<'c> {
    pub db: Db<'c>,
}

impl Pages<'_> {
    async fn one(&self, query: Select<row::Entity>) -> Result<Option<Page>, StoreError> {
        self.db.one(query).await
    }

    /// The pages of a site with these statuses, home first, then oldest first.
    async fn all(&self, tenant: TenantId, site: SiteId, statuses: Expr) -> Result<Vec<Page>, StoreError> {
        let query = row::Entity::find()
            .filter(of_site(tenant, site))
            .filter(statuses)
            .order_by_desc(Column::IsHome)
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id);
        self.db.all(query).await
    }
}

fn of_site(tenant: TenantId, site: SiteId) -> Condition {
    Condition::all().add(Column::TenantId.eq(Col(tenant))).add(Column::SiteId.eq(Col(site)))
}

#[async_trait]
impl PageRepository for Pages<'_> {
    async fn insert(&mut self, page: &Page) -> Result<(), StoreError> {
        self.db.insert(new_row(page)).await
    }

    async fn insert_later(&mut self, page: &Page) -> Result<(), StoreError> {
        // Whatever refers to pages has their ids in a column of this name.
        self.db.insert_later(new_row(page), Until::Read(&["page", "stored_texts"])).await
    }

    async fn insert_all(&mut self, pages: &[Page]) -> Result<(), StoreError> {
        for chunk in pages.chunks(CHUNK) {
            self.db.insert_many(chunk.iter().map(new_row)).await?;
        }
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        self.one(row::Entity::find_by_id((Col(tenant), Col(id)))).await
    }

    async fn lock(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        self.one(row::Entity::find_by_id((Col(tenant), Col(id))).lock(LockType::NoKeyUpdate)).await
    }

    async fn lock_all(&mut self, tenant: TenantId, ids: &[PageId]) -> Result<Vec<Page>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.is_in(ids.iter().copied().map(Col)))
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate);
        self.db.all(query).await
    }

    async fn by_slug<'s>(
        &mut self,
        tenant: TenantId,
        site: Option<SiteId>,
        slug: &'s str,
    ) -> Result<Option<Page>, StoreError> {
        let in_site = match site {
            Some(site) => Column::SiteId.eq(Col(site)),
            None => Column::SiteId.in_subquery(
                sites::row::Entity::find()
                    .select_only()
                    .column(sites::row::Column::Id)
                    .filter(sites::row::Column::TenantId.eq(Col(tenant)))
                    .order_by_asc(sites::row::Column::CreatedAt)
                    .order_by_asc(sites::row::Column::Id)
                    .limit(1)
                    .into_query(),
            ),
        };
        let query = row::Entity::find().filter(Column::TenantId.eq(Col(tenant)));
        self.one(query.filter(in_site).filter(Column::Slug.eq(slug))).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: PageFilter,
        page: PageRequest,
    ) -> Result<List<Page>, StoreError> {
        let mut query = row::Entity::find().filter(of_site(tenant, site));
        if let Some(part) = &filter.q {
            query = query.filter(contains([Expr::col(Column::Title), Expr::col(Column::Slug)], part));
        }
        if let Some(status) = filter.status {
            query = query.filter(Column::Status.eq(Col(status)));
        }
        let columns = SortColumns {
            created_at: Column::CreatedAt,
            updated_at: Column::UpdatedAt,
            name: Column::Title,
            id: Column::Id,
        };
        self.db.page(sorted(query, filter.sort, columns), page).await
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        self.all(tenant, site, Column::Status.eq(Col(PageStatus::Published))).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        self.all(tenant, site, Column::Status.ne(Col(PageStatus::Archived))).await
    }

    async fn slugs_like<'s>(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        base: &'s str,
    ) -> Result<Vec<String>, StoreError> {
        // Not `like`: nothing in the base is a wildcard, and SQLite would ignore the case.
        let prefix = format!("{base}-");
        let length = i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX);
        let beginning = Func::cust("substr").arg(Expr::col(Column::Slug)).arg(1).arg(length);
        let query = row::Entity::find()
            .select_only()
            .column(Column::Slug)
            .filter(of_site(tenant, site))
            .filter(Condition::any().add(Column::Slug.eq(base)).add(Expr::from(beginning).eq(prefix)))
            .order_by_asc(Column::Slug);
        self.db.values(query).await
    }

    async fn update(&mut self, page: &Page) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(page.version + 1), ..changes(page) })
            .filter(Column::TenantId.eq(Col(page.tenant)))
            .filter(Column::Id.eq(Col(page.id)))
            .filter(Column::Version.eq(page.version));
        self.db.update_one(update).await
    }

    async fn clear_home(&mut self, tenant: TenantId, site: SiteId) -> Result<(), StoreError> {
        // Whoever makes another page home at the same moment waits here, and then sees the mark that this one sets.
        sites::lock(&self.db, tenant, site).await?;
        let unmarked = row::Entity::update_many()
            .col_expr(Column::IsHome, Expr::value(false))
            // A page without the mark is another representation than the one with it.
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .filter(of_site(tenant, site))
            .filter(Column::IsHome.eq(true));
        self.db.update(unmarked).await.map(drop)
    }

    async fn delete(&mut self, tenant: TenantId, id: PageId) -> Result<bool, StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.eq(Col(id)));
        Ok(self.db.delete(delete).await? > 0)
    }
}

fn new_row(page: &Page) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(Col(page.tenant)),
        id: Set(Col(page.id)),
        site_id: Set(Col(page.site_id)),
        created_at: Set(Col(page.created_at)),
        version: Set(page.version),
        ..changes(page)
    }
}

/// What an update may change.
fn changes(page: &Page) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        title: Set(page.title.clone()),
        slug: Set(Col(page.slug.clone())),
        status: Set(Col(page.status)),
        is_home: Set(page.is_home),
        template_id: Set(Col(page.template_id)),
        language: Set(page.language.clone()),
        translation_of: Set(Col(page.translation_of)),
        publish_at: Set(Col(page.publish_at)),
        published_at: Set(Col(page.published_at)),
        created_at: NotSet,
        updated_at: Set(Col(page.updated_at)),
        version: NotSet,
    }
}
