//! States that pages once had.

use async_trait::async_trait;
use portico_kernel::{PageId, PageVersionId, StoreError, TenantId};
use portico_sites::{
    page_version::{FullPageVersion, PageVersion, VersionAuthor},
    ports::{LatestPageVersion, NewPageVersion, PageVersionRepository},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, sea_query::Expr,
};
use serde_json::Value;
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::query,
    error::{json_error, store_error},
    outbox::events::{actor_kind, actor_word},
    time::{from_row, to_row},
};

/// A row of the table of versions.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "page_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub page_id: Uuid,
        pub number: i64,
        pub author_kind: String,
        pub author_id: Option<Uuid>,
        pub summary: String,
        pub restored_from: Option<i64>,
        pub digest: String,
        pub content: Json,
        pub size: i64,
        pub created_at: TimeDateTime,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

/// Ids are unique over everything that acts: a person's is no key's.
const AUTHOR_NAME: &str = "coalesce((select full_name from users where users.id = page_versions.author_id), \
     (select name from api_keys where api_keys.tenant_id = page_versions.tenant_id and api_keys.id = page_versions.author_id))";

/// A version without its content, which can be large.
#[derive(FromQueryResult)]
struct Head {
    tenant_id: Uuid,
    id: Uuid,
    page_id: Uuid,
    number: i64,
    author_kind: String,
    author_id: Option<Uuid>,
    author_name: Option<String>,
    summary: String,
    restored_from: Option<i64>,
    size: i64,
    created_at: PrimitiveDateTime,
}

impl TryFrom<Head> for PageVersion {
    type Error = StoreError;

    fn try_from(row: Head) -> Result<Self, StoreError> {
        Ok(Self {
            id: PageVersionId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            page_id: PageId::from_uuid(row.page_id),
            number: row.number,
            author: VersionAuthor {
                kind: actor_kind(&row.author_kind)?,
                id: row.author_id.map(|id| id.to_string()),
                name: row.author_name,
            },
            summary: row.summary,
            restored_from: row.restored_from,
            created_at: from_row(row.created_at),
            size: row.size,
        })
    }
}

/// The content of a version.
#[derive(FromQueryResult)]
struct Content {
    content: Value,
}

/// States that pages once had, over one connection.
pub(crate) struct PageVersions<'c, C> {
    pub connection: &'c C,
}

fn of_page(tenant: TenantId, page: PageId) -> Select<row::Entity> {
    row::Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::PageId.eq(page.uuid()))
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
impl<C: ConnectionTrait + Send> PageVersionRepository for PageVersions<'_, C> {
    async fn insert(&mut self, new: &NewPageVersion) -> Result<(), StoreError> {
        let version = &new.version;
        let author = version.author.id.as_deref().and_then(|id| id.parse().ok());
        let row = row::ActiveModel {
            tenant_id: Set(version.tenant.uuid()),
            id: Set(version.id.uuid()),
            page_id: Set(version.page_id.uuid()),
            number: Set(version.number),
            author_kind: Set(actor_word(version.author.kind)),
            author_id: Set(author),
            summary: Set(version.summary.clone()),
            restored_from: Set(version.restored_from),
            digest: Set(new.digest.clone()),
            content: Set(new.content.clone()),
            size: Set(version.size),
            created_at: Set(to_row(version.created_at)),
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn latest(
        &mut self,
        tenant: TenantId,
        page: PageId,
    ) -> Result<Option<LatestPageVersion>, StoreError> {
        // Sums of integers are numerics on Postgres.
        let rows = query(
            self.connection,
            "select number, digest, size, \
             (select count(*) from page_versions where tenant_id = $1 and page_id = $2) as amount, \
             (select cast(sum(size) as bigint) from page_versions where tenant_id = $1 and page_id = $2) as bytes \
             from page_versions where tenant_id = $1 and page_id = $2 order by number desc limit 1",
            [tenant.uuid().into(), page.uuid().into()],
        )
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(LatestPageVersion {
            number: row.try_get("", "number").map_err(store_error)?,
            digest: row.try_get("", "digest").map_err(store_error)?,
            size: row.try_get("", "size").map_err(store_error)?,
            count: row.try_get("", "amount").map_err(store_error)?,
            bytes: row.try_get("", "bytes").map_err(store_error)?,
        }))
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        page: PageId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<PageVersion>, StoreError> {
        let rows = heads(of_page(tenant, page))
            .apply_if(before, |found, number| found.filter(Column::Number.lt(number)))
            .order_by_desc(Column::Number)
            .limit(limit)
            .into_model::<Head>()
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(PageVersion::try_from).collect()
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: PageVersionId,
    ) -> Result<Option<FullPageVersion>, StoreError> {
        let this = of_page(tenant, page).filter(Column::Id.eq(id.uuid()));
        let head =
            heads(this.clone()).into_model::<Head>().one(self.connection).await.map_err(store_error)?;
        let Some(head) = head else { return Ok(None) };
        let content = this.select_only().column(Column::Content).into_model::<Content>();
        // It can go in between, when room is made for newer ones.
        let Some(row) = content.one(self.connection).await.map_err(store_error)? else { return Ok(None) };
        let content = serde_json::from_value(row.content).map_err(json_error)?;
        Ok(Some(FullPageVersion { version: head.try_into()?, content }))
    }

    async fn delete(
        &mut self,
        tenant: TenantId,
        page: PageId,
        ids: &[PageVersionId],
    ) -> Result<(), StoreError> {
        row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::PageId.eq(page.uuid()))
            .filter(Column::Id.is_in(ids.iter().map(|id| id.uuid())))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}
