//! Sections.

use async_trait::async_trait;
use portico_kernel::{PageId, SectionId, SiteId, StoreError, TenantId};
use portico_sites::{
    page::PageStatus,
    ports::SectionRepository,
    section::{Section, SectionType},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{CaseStatement, Expr},
};

use super::pages;
use crate::{
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Rows in one INSERT: ten values each, far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// A row of the table of sections.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sections")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub page_id: Uuid,
        pub kind: String,
        pub content: Json,
        pub position: i32,
        pub visible: bool,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Section {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: SectionId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            page_id: PageId::from_uuid(row.page_id),
            kind: SectionType::parse(&row.kind).ok_or_else(|| unreadable("sections.kind", &row.kind))?,
            content: row.content,
            position: row.position,
            visible: row.visible,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// Sections over one connection.
pub(crate) struct Sections<'c, C> {
    pub connection: &'c C,
}

fn of_page(tenant: TenantId, page: PageId) -> Condition {
    Condition::all().add(Column::TenantId.eq(tenant.uuid())).add(Column::PageId.eq(page.uuid()))
}

fn uuids(ids: &[SectionId]) -> impl Iterator<Item = uuid::Uuid> {
    ids.iter().map(|id| id.uuid())
}

impl<C: ConnectionTrait> Sections<'_, C> {
    /// The visible sections of the pages of a site with these statuses.
    async fn shown(
        &self,
        tenant: TenantId,
        site: SiteId,
        statuses: Expr,
    ) -> Result<Vec<Section>, StoreError> {
        let shown_pages = pages::row::Entity::find()
            .select_only()
            .column(pages::row::Column::Id)
            .filter(pages::row::Column::TenantId.eq(tenant.uuid()))
            .filter(pages::row::Column::SiteId.eq(site.uuid()))
            .filter(statuses)
            .into_query();
        let rows = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::PageId.in_subquery(shown_pages))
            .filter(Column::Visible.eq(true))
            .order_by_asc(Column::PageId)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Section::try_from).collect()
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> SectionRepository for Sections<'_, C> {
    async fn insert(&mut self, sections: &[Section]) -> Result<(), StoreError> {
        for chunk in sections.chunks(CHUNK) {
            let rows = chunk.iter().map(|section| row::ActiveModel {
                tenant_id: Set(section.tenant.uuid()),
                id: Set(section.id.uuid()),
                page_id: Set(section.page_id.uuid()),
                created_at: Set(to_row(section.created_at)),
                version: Set(section.version),
                ..changes(section)
            });
            row::Entity::insert_many(rows)
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: SectionId,
    ) -> Result<Option<Section>, StoreError> {
        let query = row::Entity::find().filter(of_page(tenant, page)).filter(Column::Id.eq(id.uuid()));
        query.one(self.connection).await.map_err(store_error)?.map(Section::try_from).transpose()
    }

    async fn list(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<Section>, StoreError> {
        let rows = row::Entity::find()
            .filter(of_page(tenant, page))
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Section::try_from).collect()
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError> {
        let published = pages::row::Column::Status.eq(PageStatus::Published.as_str());
        self.shown(tenant, site, published).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError> {
        let unarchived = pages::row::Column::Status.ne(PageStatus::Archived.as_str());
        self.shown(tenant, site, unarchived).await
    }

    async fn update(&mut self, section: &Section) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(section.version + 1), ..changes(section) })
            .filter(of_page(section.tenant, section.page_id))
            .filter(Column::Id.eq(section.id.uuid()))
            .filter(Column::Version.eq(section.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        row::Entity::delete_many()
            .filter(of_page(tenant, page))
            .filter(Column::Id.is_in(uuids(ids)))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn order(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let position = (0_i32..)
            .zip(uuids(ids))
            .fold(CaseStatement::new(), |cases, (position, id)| cases.case(Column::Id.eq(id), position));
        row::Entity::update_many()
            .col_expr(Column::Position, position.into())
            .filter(of_page(tenant, page))
            .filter(Column::Id.is_in(uuids(ids)))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

/// What an update may change.
fn changes(section: &Section) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        page_id: NotSet,
        kind: Set(section.kind.as_str().to_owned()),
        content: Set(section.content.clone()),
        position: Set(section.position),
        visible: Set(section.visible),
        created_at: NotSet,
        updated_at: Set(to_row(section.updated_at)),
        version: NotSet,
    }
}
