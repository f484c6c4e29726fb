//! States that pages once had.

use async_trait::async_trait;
use portico_kernel::{PageId, PageVersionId, StoreError, TenantId, Timestamp, event::ActorKind};
use portico_sites::{
    page_version::{FullPageVersion, PageContent, PageVersion, VersionAuthor},
    ports::{LatestPageVersion, NewPageVersion, PageVersionRepository},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, Query as SeaQuery},
};
use uuid::Uuid;

use crate::{
    columns::{Col, documents},
    connection::Until,
    db::Db,
};
use row::Column;

/// A row of the table of versions.
pub(crate) mod row {
    use portico_kernel::{PageId, PageVersionId, TenantId, Timestamp, event::ActorKind};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "page_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<PageVersionId>,
        pub page_id: Col<PageId>,
        pub number: i64,
        pub author_kind: Col<ActorKind>,
        pub author_id: Option<Uuid>,
        pub summary: String,
        pub restored_from: Option<i64>,
        pub digest: String,
        pub content: Json,
        pub size: i64,
        pub created_at: Col<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Ids are unique over everything that acts: a person's is no key's.
const AUTHOR_NAME: &str = "coalesce((select full_name from users where users.id = page_versions.author_id), \
     (select name from api_keys where api_keys.tenant_id = page_versions.tenant_id and api_keys.id = page_versions.author_id))";

/// A version without its content, which can be large.
#[derive(FromQueryResult)]
struct VersionHead {
    tenant_id: Col<TenantId>,
    id: Col<PageVersionId>,
    page_id: Col<PageId>,
    number: i64,
    author_kind: Col<ActorKind>,
    author_id: Option<Uuid>,
    author_name: Option<String>,
    summary: String,
    restored_from: Option<i64>,
    size: i64,
    created_at: Col<Timestamp>,
}

/// The newest version of a page, and how much there is of the page.
#[derive(FromQueryResult)]
struct LatestRow {
    page_id: Col<PageId>,
    number: i64,
    digest: String,
    size: i64,
    count: i64,
    bytes: i64,
}

impl From<LatestRow> for LatestPageVersion {
    fn from(row: LatestRow) -> Self {
        let LatestRow { page_id, number, digest, size, count, bytes } = row;
        Self { page_id: page_id.0, number, digest, size, count, bytes }
    }
}

documents!(PageContent);

impl From<VersionHead> for PageVersion {
    fn from(row: VersionHead) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            page_id: row.page_id.0,
            number: row.number,
            author: VersionAuthor {
                kind: row.author_kind.0,
                id: row.author_id.map(|id| id.to_string()),
                name: row.author_name,
            },
            summary: row.summary,
            restored_from: row.restored_from,
            created_at: row.created_at.0,
            size: row.size,
        }
    }
}

/// States that pages once had, over one connection.
pub(crate) struct PageVersions<'c> {
    pub db: Db<'c>,
}

fn of_page(tenant: TenantId, page: PageId) -> Select<row::Entity> {
    row::Entity::find().filter(Column::TenantId.eq(Col(tenant))).filter(Column::PageId.eq(Col(page)))
}

fn heads(select: Select<row::Entity>) -> Select<row::Entity> {
    let columns = [
        Column::TenantId,
        Column::Id,
        Column::PageId,
        Column::Number,
        Column::AuthorKind,
        Column::AuthorId,
        Column::Summary,
        Column::RestoredFrom,
        Column::Size,
        Column::CreatedAt,
    ];
    select.select_only().columns(columns).expr_as(Expr::cust(AUTHOR_NAME), "author_name")
}

#[async_trait]
impl PageVersionRepository for PageVersions<'_> {
    async fn insert(&mut self, new: NewPageVersion) -> Result<(), StoreError> {
        let NewPageVersion { version, digest, content } = new;
        let author = version.author.id.as_deref().and_then(|id| id.parse().ok());
        let row = row::ActiveModel {
            tenant_id: Set(Col(version.tenant)),
            id: Set(Col(version.id)),
            page_id: Set(Col(version.page_id)),
            number: Set(version.number),
            author_kind: Set(Col(version.author.kind)),
            author_id: Set(author),
            summary: Set(version.summary),
            restored_from: Set(version.restored_from),
            digest: Set(digest),
            content: Set(content),
            size: Set(version.size),
            created_at: Set(Col(version.created_at)),
        };
        self.db.insert_later(row, Until::NextStatement).await
    }

    async fn latest(
        &mut self,
        tenant: TenantId,
        pages: &[PageId],
    ) -> Result<Vec<LatestPageVersion>, StoreError> {
        let of_each = row::Entity::find()
            .select_only()
            .columns([Column::PageId, Column::Number, Column::Digest, Column::Size])
            .expr_as(Expr::cust("max(number) over (partition by page_id)"), "newest")
            .expr_as(Expr::cust("count(*) over (partition by page_id)"), "count")
            // Sums of integers are numerics on Postgres.
            .expr_as(Expr::cust("cast(sum(size) over (partition by page_id) as bigint)"), "bytes")
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.is_in(pages.iter().copied().map(Col)))
            .into_query();
        let mut newest = SeaQuery::select();
        newest
            .columns(["page_id", "number", "digest", "size", "count", "bytes"])
            .from_subquery(of_each, "versions")
            .and_where(Expr::col("number").equals("newest"));
        let rows: Vec<LatestRow> = self.db.select(&newest).await?;
        Ok(rows.into_iter().map(LatestPageVersion::from).collect())
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        page: PageId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<PageVersion>, StoreError> {
        let query = heads(of_page(tenant, page))
            .apply_if(before, |found, number| found.filter(Column::Number.lt(number)))
            .order_by_desc(Column::Number)
            .limit(limit)
            .into_model::<VersionHead>();
        self.db.all(query).await
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: PageVersionId,
    ) -> Result<Option<FullPageVersion>, StoreError> {
        let this = of_page(tenant, page).filter(Column::Id.eq(Col(id)));
        let Some(version) = self.db.one(heads(this.clone()).into_model::<VersionHead>()).await? else {
            return Ok(None);
        };
        let content = this.select_only().column(Column::Content);
        // It can go in between, when room is made for newer ones.
        Ok(self.db.value(content).await?.map(|content| FullPageVersion { version, content }))
    }

    async fn delete(
        &mut self,
        tenant: TenantId,
        page: PageId,
        ids: &[PageVersionId],
    ) -> Result<(), StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.eq(Col(page)))
            .filter(Column::Id.is_in(ids.iter().copied().map(Col)));
        self.db.delete(delete).await.map(drop)
    }
}
