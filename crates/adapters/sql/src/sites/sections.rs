//! Sections.

use async_trait::async_trait;
use portico_kernel::{PageId, SectionId, SiteId, StoreError, TenantId, Timestamp, name::Slug};
use portico_sites::{
    page::PageStatus,
    ports::SectionRepository,
    section::{
        ContentReview, Provenance, STOCK_PREFIX, SamplePlace, Section, SectionType, StockPicture,
        stock_fields,
    },
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::Json,
    sea_query::{CaseStatement, Expr},
};

use super::pages;
use crate::{
    columns::{Col, words},
    db::Db,
};
use row::Column;

/// Rows in one INSERT: eleven values each, far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// A row of the table of sections.
pub(crate) mod row {
    use portico_kernel::{PageId, SectionId, TenantId, Timestamp};
    use portico_sites::section::{Provenance, SectionType};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sections")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<SectionId>,
        pub page_id: Col<PageId>,
        pub kind: Col<SectionType>,
        pub content: Json,
        pub position: i32,
        pub visible: bool,
        pub provenance: Col<Provenance>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(SectionType, Provenance);

impl From<row::Model> for Section {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            page_id: row.page_id.0,
            kind: row.kind.0,
            content: row.content,
            position: row.position,
            visible: row.visible,
            provenance: row.provenance.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Sections over one connection.
pub(crate) struct Sections<'c> {
    pub db: Db<'c>,
}

fn of_page(tenant: TenantId, page: PageId) -> Condition {
    Condition::all().add(Column::TenantId.eq(Col(tenant))).add(Column::PageId.eq(Col(page)))
}

impl Sections<'_> {
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
            .filter(pages::row::Column::TenantId.eq(Col(tenant)))
            .filter(pages::row::Column::SiteId.eq(Col(site)))
            .filter(statuses)
            .into_query();
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.in_subquery(shown_pages))
            .filter(Column::Visible.eq(true))
            .order_by_asc(Column::PageId)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id);
        self.db.all(query).await
    }
}

#[async_trait]
impl SectionRepository for Sections<'_> {
    async fn insert(&mut self, sections: &[Section]) -> Result<(), StoreError> {
        for chunk in sections.chunks(CHUNK) {
            let rows = chunk.iter().map(|section| row::ActiveModel {
                tenant_id: Set(Col(section.tenant)),
                id: Set(Col(section.id)),
                page_id: Set(Col(section.page_id)),
                created_at: Set(Col(section.created_at)),
                version: Set(section.version),
                ..changes(section)
            });
            self.db.insert_many(rows).await?;
        }
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: SectionId,
    ) -> Result<Option<Section>, StoreError> {
        let query = row::Entity::find().filter(of_page(tenant, page)).filter(Column::Id.eq(Col(id)));
        self.db.one(query).await
    }

    async fn list(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<Section>, StoreError> {
        let query = row::Entity::find()
            .filter(of_page(tenant, page))
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id);
        self.db.all(query).await
    }

    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Section>, StoreError> {
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::PageId.is_in(pages.iter().copied().map(Col)))
            .order_by_asc(Column::PageId)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id);
        self.db.all(query).await
    }

    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError> {
        let published = pages::row::Column::Status.eq(Col(PageStatus::Published));
        self.shown(tenant, site, published).await
    }

    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError> {
        let unarchived = pages::row::Column::Status.ne(Col(PageStatus::Archived));
        self.shown(tenant, site, unarchived).await
    }

    async fn samples(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<SamplePlace>, StoreError> {
        let rows: Vec<SampleRow> = self
            .db
            .models(
                "select sections.id, sections.page_id, pages.title, sections.kind, sections.position, \
                 sections.provenance \
                 from sections join pages on pages.tenant_id = sections.tenant_id and pages.id = sections.page_id \
                 where sections.tenant_id = $1 and pages.site_id = $2 and pages.status = 'published' \
                 and sections.visible and sections.provenance <> 'own' \
                 order by pages.is_home desc, pages.created_at, pages.id, sections.position",
                (tenant, site),
            )
            .await?;
        Ok(rows.into_iter().map(SamplePlace::from).collect())
    }

    async fn review(&mut self, tenant: TenantId, site: SiteId) -> Result<ContentReview, StoreError> {
        let rows: Vec<ReviewRow> = self
            .db
            .models(
                "select sections.id, sections.page_id, pages.title, pages.slug, sections.kind, sections.position, \
                 sections.provenance, sections.content \
                 from sections join pages on pages.tenant_id = sections.tenant_id and pages.id = sections.page_id \
                 where sections.tenant_id = $1 and pages.site_id = $2 and pages.status = 'published' \
                 and sections.visible and (sections.provenance <> 'own' or cast(sections.content as text) like $3) \
                 order by pages.is_home desc, pages.created_at, pages.id, sections.position",
                (tenant, site, format!("%{STOCK_PREFIX}%")),
            )
            .await?;
        let mut review = ContentReview::default();
        for ReviewRow { place, slug, content } in rows {
            let place = SamplePlace::from(place);
            let stock = |field| StockPicture {
                page_id: place.page_id,
                page_title: place.page_title.clone(),
                page_slug: slug.0.clone(),
                section_id: place.section_id,
                kind: place.kind,
                position: place.position,
                field,
            };
            review.stock_pictures.extend(stock_fields(place.kind, &content).into_iter().map(stock));
            if !place.provenance.is_own() {
                review.sample_content.push(place);
            }
        }
        Ok(review)
    }

    async fn confirm(&mut self, tenant: TenantId, site: SiteId, at: Timestamp) -> Result<(), StoreError> {
        self.db
            .execute(
                "update sections set provenance = 'own', version = version + 1, updated_at = $3 \
                 where tenant_id = $1 and visible and provenance <> 'own' and page_id in \
                 (select id from pages where tenant_id = $1 and site_id = $2 and status = 'published')",
                (tenant, site, at),
            )
            .await
            .map(drop)
    }

    async fn update(&mut self, section: &Section) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(section.version + 1), ..changes(section) })
            .filter(of_page(section.tenant, section.page_id))
            .filter(Column::Id.eq(Col(section.id)))
            .filter(Column::Version.eq(section.version));
        self.db.update_one(update).await
    }

    async fn delete(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        let delete = row::Entity::delete_many()
            .filter(of_page(tenant, page))
            .filter(Column::Id.is_in(ids.iter().copied().map(Col)));
        self.db.delete(delete).await.map(drop)
    }

    async fn order(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let position = (0_i32..).zip(ids).fold(CaseStatement::new(), |cases, (position, id)| {
            cases.case(Column::Id.eq(Col(*id)), position)
        });
        let update = row::Entity::update_many()
            .col_expr(Column::Position, position.into())
            .filter(of_page(tenant, page))
            .filter(Column::Id.is_in(ids.iter().copied().map(Col)));
        self.db.update(update).await.map(drop)
    }
}

/// A row of [`SectionRepository::samples`].
#[derive(FromQueryResult)]
struct SampleRow {
    id: Col<SectionId>,
    page_id: Col<PageId>,
    title: String,
    kind: Col<SectionType>,
    position: i32,
    provenance: Col<Provenance>,
}

impl From<SampleRow> for SamplePlace {
    fn from(row: SampleRow) -> Self {
        Self {
            page_id: row.page_id.0,
            page_title: row.title,
            section_id: row.id.0,
            kind: row.kind.0,
            position: row.position,
            provenance: row.provenance.0,
        }
    }
}

/// A row of [`SectionRepository::review`].
#[derive(FromQueryResult)]
struct ReviewRow {
    #[sea_orm(nested)]
    place: SampleRow,
    slug: Col<Slug>,
    content: Json,
}

/// What an update may change.
fn changes(section: &Section) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        page_id: NotSet,
        kind: Set(Col(section.kind)),
        content: Set(section.content.clone()),
        position: Set(section.position),
        visible: Set(section.visible),
        provenance: Set(Col(section.provenance)),
        created_at: NotSet,
        updated_at: Set(Col(section.updated_at)),
        version: NotSet,
    }
}
