//! Pages.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, SiteId, StoreError, TemplateId, TenantId};
use portico_sites::{
    page::{Page, PageStatus},
    ports::{PageFilter, PageRepository},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::{Expr, ExprTrait, Func, LockType},
};

use super::{
    list::{SortColumns, list, sorted},
    sites,
};
use crate::{
    dialect::contains,
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Rows in one INSERT, so that their values stay far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// A row of the table of pages.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "pages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub site_id: Uuid,
        pub title: String,
        pub slug: String,
        pub status: String,
        pub is_home: bool,
        pub template_id: Option<Uuid>,
        pub language: Option<String>,
        pub translation_of: Option<Uuid>,
        pub publish_at: Option<TimeDateTime>,
        pub published_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Page {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: PageId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            site_id: SiteId::from_uuid(row.site_id),
            title: row.title,
            slug: row.slug,
            status: PageStatus::parse(&row.status).ok_or_else(|| unreadable("pages.status", &row.status))?,
            is_home: row.is_home,
            template_id: row.template_id.map(TemplateId::from_uuid),
            language: row.language,
            translation_of: row.translation_of.map(PageId::from_uuid),
            publish_at: row.publish_at.map(from_row),
            published_at: row.published_at.map(from_row),
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// Pages over one connection.
pub(crate) struct Pages<'c, C> {
    pub connection: &'c C,
}

impl<C: ConnectionTrait> Pages<'_, C> {
    async fn one(&self, query: Select<row::Entity>) -> Result<Option<Page>, StoreError> {
        query.one(self.connection).await.map_err(store_error)?.map(Page::try_from).transpose()
    }

    /// The pages of a site with these statuses, home first, then oldest first.
    async fn all(&self, tenant: TenantId, site: SiteId, statuses: Expr) -> Result<Vec<Page>, StoreError> {
        let rows = row::Entity::find()
            .filter(of_site(tenant, site))
            .filter(statuses)
            .order_by_desc(Column::IsHome)
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Page::try_from).collect()
    }
}

fn of_site(tenant: TenantId, site: SiteId) -> Condition {
    Condition::all().add(Column::TenantId.eq(tenant.uuid())).add(Column::SiteId.eq(site.uuid()))
}

#[async_trait]
impl<C: ConnectionTrait + Send> PageRepository for Pages<'_, C> {
    async fn insert(&mut self, page: &Page) -> Result<(), StoreError> {
        row::Entity::insert(new_row(page))
            .exec_without_returning(self.connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn insert_all(&mut self, pages: &[Page]) -> Result<(), StoreError> {
        for chunk in pages.chunks(CHUNK) {
            row::Entity::insert_many(chunk.iter().map(new_row))
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        self.one(row::Entity::find_by_id((tenant.uuid(), id.uuid()))).await
    }

    async fn lock(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError> {
        self.one(row::Entity::find_by_id((tenant.uuid(), id.uuid())).lock(LockType::NoKeyUpdate)).await
    }

    async fn by_slug<'s>(
        &mut self,
        tenant: TenantId,
        site: Option<SiteId>,
        slug: &'s str,
    ) -> Result<Option<Page>, StoreError> {
        let in_site = match site {
            Some(site) => Column::SiteId.eq(site.uuid()),
            None => Column::SiteId.in_subquery(
                sites::row::Entity::find()
                    .select_only()
                    .column(sites::row::Column::Id)
                    .filter(sites::row::Column::TenantId.eq(tenant.uuid()))
                    .order_by_asc(sites::row::Column::CreatedAt)
                    .order_by_asc(sites::row::Column::Id)
                    .limit(1)
                    .into_query(),
            ),
        };
        let query = row::Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
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
            query = query.filter(Column::Status.eq(status.as_str()));
        }
        let columns = SortColumns {
            created_at: Column::CreatedAt,
            updated_at: Column::UpdatedAt,
            name: Column::Title,
            id: Column::Id,
        };
        list(self.connection, sorted(query, filter.sort, columns), page).await
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        self.all(tenant, site, Column::Status.eq(PageStatus::Published.as_str())).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError> {
        self.all(tenant, site, Column::Status.ne(PageStatus::Archived.as_str())).await
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
        row::Entity::find()
            .select_only()
            .column(Column::Slug)
            .filter(of_site(tenant, site))
            .filter(Condition::any().add(Column::Slug.eq(base)).add(Expr::from(beginning).eq(prefix)))
            .order_by_asc(Column::Slug)
            .into_tuple()
            .all(self.connection)
            .await
            .map_err(store_error)
    }

    async fn update(&mut self, page: &Page) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(page.version + 1), ..changes(page) })
            .filter(Column::TenantId.eq(page.tenant.uuid()))
            .filter(Column::Id.eq(page.id.uuid()))
            .filter(Column::Version.eq(page.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn clear_home(&mut self, tenant: TenantId, site: SiteId) -> Result<(), StoreError> {
        // Whoever makes another page home at the same moment waits here, and then sees the mark that this one sets.
        sites::lock(self.connection, tenant, site).await?;
        row::Entity::update_many()
            .col_expr(Column::IsHome, Expr::value(false))
            // A page without the mark is another representation than the one with it.
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .filter(of_site(tenant, site))
            .filter(Column::IsHome.eq(true))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn delete(&mut self, tenant: TenantId, id: PageId) -> Result<bool, StoreError> {
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected > 0)
    }
}

fn new_row(page: &Page) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(page.tenant.uuid()),
        id: Set(page.id.uuid()),
        site_id: Set(page.site_id.uuid()),
        created_at: Set(to_row(page.created_at)),
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
        slug: Set(page.slug.clone()),
        status: Set(page.status.as_str().to_owned()),
        is_home: Set(page.is_home),
        template_id: Set(page.template_id.map(TemplateId::uuid)),
        language: Set(page.language.clone()),
        translation_of: Set(page.translation_of.map(PageId::uuid)),
        publish_at: Set(page.publish_at.map(to_row)),
        published_at: Set(page.published_at.map(to_row)),
        created_at: NotSet,
        updated_at: Set(to_row(page.updated_at)),
        version: NotSet,
    }
}
