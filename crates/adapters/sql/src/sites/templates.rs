//! Website templates, and what was made from them.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, StoreError, TemplateId, TenantId, Timestamp, name::Slug};
use portico_sites::{
    look::Look,
    ports::{TemplateFilter, TemplateRecord, TemplateRepository, TemplateSortKey},
    section::SectionOrigin,
    template::{LibraryTemplate, Template, TemplatePage, TemplatePageSummary, TemplateSummary},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, DerivePartialModel, EntityTrait, Order, PartialModelTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, OnConflict, SimpleExpr},
};

use crate::{
    columns::{Col, documents},
    db::Db,
    dialect::contains,
};
use row::Column;

/// Rows in one INSERT: ten values each, far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// Who the text of a template is by.
const LIBRARY: &str = "library";
const STAFF: &str = "staff";

/// A row of the table of templates.
pub(crate) mod row {
    use portico_kernel::{TemplateId, Timestamp, name::Slug};
    use portico_sites::{
        look::Look,
        template::{TemplatePage, TemplatePageSummary},
    };
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<TemplateId>,
        pub slug: Col<Slug>,
        pub name: String,
        pub category: String,
        pub industry: String,
        pub description: String,
        pub language: String,
        pub is_premium: bool,
        pub is_featured: bool,
        pub popularity: i64,
        pub look: Col<Look>,
        pub outline: Col<Vec<TemplatePageSummary>>,
        pub pages: Col<Vec<TemplatePage>>,
        pub origin: String,
        pub fingerprint: Option<String>,
        pub deleted_at: Col<Option<Timestamp>>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of what sections were made from.
pub(crate) mod origin {
    use portico_kernel::{PageId, SectionId, TemplateId, TenantId, Timestamp};
    use portico_sites::section::SectionType;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "section_origins")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub section_id: Col<SectionId>,
        pub page_id: Col<PageId>,
        pub template_id: Col<TemplateId>,
        pub page_key: String,
        pub section_key: String,
        pub kind: Col<SectionType>,
        pub content: Json,
        pub position: i32,
        pub applied_at: Col<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

documents!(Vec<TemplatePage>, Vec<TemplatePageSummary>);

/// What lists read of a row: not the pages, which are long.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "row::Entity")]
struct Summary {
    id: Col<TemplateId>,
    slug: Col<Slug>,
    name: String,
    category: String,
    industry: String,
    description: String,
    language: String,
    is_premium: bool,
    is_featured: bool,
    popularity: i64,
    look: Col<Look>,
    outline: Col<Vec<TemplatePageSummary>>,
    created_at: Col<Timestamp>,
    updated_at: Col<Timestamp>,
}

impl From<row::Model> for Template {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            slug: row.slug.0,
            category: row.category,
            industry: row.industry,
            description: row.description,
            language: row.language,
            is_premium: row.is_premium,
            is_featured: row.is_featured,
            popularity: row.popularity,
            look: row.look.0,
            pages: row.pages.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

impl From<Summary> for TemplateSummary {
    fn from(row: Summary) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            slug: row.slug.0,
            category: row.category,
            industry: row.industry,
            description: row.description,
            language: row.language,
            is_premium: row.is_premium,
            is_featured: row.is_featured,
            popularity: row.popularity,
            look: row.look.0,
            pages: row.outline.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

impl From<origin::Model> for SectionOrigin {
    fn from(row: origin::Model) -> Self {
        Self {
            tenant: row.tenant_id.0,
            section_id: row.section_id.0,
            page_id: row.page_id.0,
            template_id: row.template_id.0,
            page_key: row.page_key,
            section_key: row.section_key,
            kind: row.kind.0,
            content: row.content,
            position: row.position,
            applied_at: row.applied_at.0,
        }
    }
}

/// Website templates, over one connection.
pub(crate) struct Templates<'c> {
    pub db: Db<'c>,
}

impl Templates<'_> {
    async fn one(&self, which: SimpleExpr) -> Result<Option<Template>, StoreError> {
        let query = row::Entity::find().filter(Column::DeletedAt.is_null()).filter(which);
        self.db.one(query).await
    }

    /// The values of a column and how many templates have each. The column is one of ours, never a client's.
    async fn counts(&self, column: &'static str) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = format!(
            "select {column} as word, count(*) as templates from templates where deleted_at is null \
             group by {column} order by {column}"
        );
        self.db.rows(&sql, ()).await
    }
}

#[async_trait]
impl TemplateRepository for Templates<'_> {
    async fn insert(&mut self, template: &Template) -> Result<(), StoreError> {
        self.db.insert(complete(template, STAFF, None)).await
    }

    async fn find(&mut self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        self.one(Column::Id.eq(Col(id))).await
    }

    async fn by_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Template>, StoreError> {
        self.one(Column::Slug.eq(slug)).await
    }

    async fn exists(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        let sql = "select 1 as there from templates where id = $1 and deleted_at is null";
        self.db.exists(sql, [id]).await
    }

    async fn list(
        &mut self,
        filter: TemplateFilter,
        page: PageRequest,
    ) -> Result<List<TemplateSummary>, StoreError> {
        let mut query = row::Entity::find().filter(Column::DeletedAt.is_null());
        if let Some(part) = &filter.q {
            let columns = [Column::Name, Column::Slug, Column::Description].map(Expr::col);
            query = query.filter(contains(columns, part));
        }
        let mut equal = Condition::all();
        for (column, word) in [
            (Column::Category, &filter.category),
            (Column::Industry, &filter.industry),
            (Column::Language, &filter.language),
        ] {
            equal = equal.add_option(word.as_ref().map(|word| column.eq(word.as_str())));
        }
        equal = equal.add_option(filter.featured.map(|featured| Column::IsFeatured.eq(featured)));
        equal = equal.add_option(filter.premium.map(|premium| Column::IsPremium.eq(premium)));
        query = query.filter(equal);

        let order = if filter.sort.descending { Order::Desc } else { Order::Asc };
        let key: Expr = match filter.sort.key {
            TemplateSortKey::Name => Func::lower(Expr::col(Column::Name)).into(),
            TemplateSortKey::Popularity => Expr::col(Column::Popularity),
            TemplateSortKey::CreatedAt => Expr::col(Column::CreatedAt),
        };
        // Equally popular ones by name; the id decides between all other equals.
        query = query.order_by(key, order.clone());
        if filter.sort.key == TemplateSortKey::Popularity {
            query = query.order_by(Expr::from(Func::lower(Expr::col(Column::Name))), Order::Asc);
        }
        let query = query.order_by(Column::Id, order);
        let summaries = Summary::select_cols(query.clone().select_only());
        self.db.page_as::<_, Summary, _>(query, summaries, page).await
    }

    async fn categories(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        self.counts("category").await
    }

    async fn industries(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        self.counts("industry").await
    }

    async fn update(&mut self, template: &Template) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            version: Set(template.version + 1),
            origin: Set(STAFF.to_owned()),
            ..changes(template)
        };
        let update = row::Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(Col(template.id)))
            .filter(Column::Version.eq(template.version))
            .filter(Column::DeletedAt.is_null());
        self.db.update_one(update).await
    }

    async fn delete(&mut self, id: TemplateId, version: i64, at: Timestamp) -> Result<bool, StoreError> {
        let unused = "delete from templates where id = $1 and version = $2 and deleted_at is null \
                      and fingerprint is null and popularity = 0";
        if self.db.execute(unused, (id, version)).await? > 0 {
            return Ok(true);
        }
        let used = "update templates set deleted_at = $3, version = version + 1 \
                    where id = $1 and version = $2 and deleted_at is null";
        Ok(self.db.execute(used, (id, version, at)).await? > 0)
    }

    async fn count_use(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        let sql = "update templates set popularity = popularity + 1 where id = $1 and deleted_at is null";
        Ok(self.db.execute(sql, [id]).await? > 0)
    }

    async fn records(&mut self) -> Result<Vec<TemplateRecord>, StoreError> {
        let sql = "select id, slug, fingerprint, origin, deleted_at is not null as deleted from templates";
        let rows: Vec<(_, Slug, _, String, _)> = self.db.rows(sql, ()).await?;
        let record = |(id, slug, fingerprint, origin, is_deleted)| TemplateRecord {
            id,
            slug,
            fingerprint,
            is_staffs: origin != LIBRARY,
            is_deleted,
        };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn put_library(&mut self, templates: &[LibraryTemplate]) -> Result<(), StoreError> {
        let rows: Vec<_> = templates
            .iter()
            .map(|library| complete(&library.template, LIBRARY, Some(library.fingerprint.clone())))
            .collect();
        let stored = |column: Column| Expr::col((row::Entity, column));
        let new_version = OnConflict::column(Column::Id)
            .update_columns([
                Column::Slug,
                Column::Name,
                Column::Category,
                Column::Industry,
                Column::Description,
                Column::Language,
                Column::IsPremium,
                Column::IsFeatured,
                Column::Look,
                Column::Outline,
                Column::Pages,
                Column::Fingerprint,
                Column::UpdatedAt,
            ])
            .value(Column::Version, stored(Column::Version).add(1))
            .action_cond_where(
                Condition::all()
                    .add(stored(Column::Origin).eq(LIBRARY))
                    .add(stored(Column::DeletedAt).is_null()),
            )
            .to_owned();
        self.db.insert_many_with(row::Entity::insert_many(rows).on_conflict(new_version)).await
    }

    async fn track(&mut self, origins: &[SectionOrigin]) -> Result<(), StoreError> {
        for chunk in origins.chunks(CHUNK) {
            let rows = chunk.iter().map(|made| origin::ActiveModel {
                tenant_id: Set(Col(made.tenant)),
                section_id: Set(Col(made.section_id)),
                page_id: Set(Col(made.page_id)),
                template_id: Set(Col(made.template_id)),
                page_key: Set(made.page_key.clone()),
                section_key: Set(made.section_key.clone()),
                kind: Set(Col(made.kind)),
                content: Set(made.content.clone()),
                position: Set(made.position),
                applied_at: Set(Col(made.applied_at)),
            });
            self.db.insert_many(rows).await?;
        }
        Ok(())
    }

    async fn origins(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<SectionOrigin>, StoreError> {
        let query = origin::Entity::find()
            .filter(origin::Column::TenantId.eq(Col(tenant)))
            .filter(origin::Column::PageId.eq(Col(page)))
            .order_by_asc(origin::Column::Position)
            .order_by_asc(origin::Column::SectionId);
        self.db.all(query).await
    }

    async fn untrack(&mut self, tenant: TenantId, page: PageId) -> Result<(), StoreError> {
        let delete = origin::Entity::delete_many()
            .filter(origin::Column::TenantId.eq(Col(tenant)))
            .filter(origin::Column::PageId.eq(Col(page)));
        self.db.delete(delete).await.map(drop)
    }
}

/// A new row.
fn complete(template: &Template, origin: &str, fingerprint: Option<String>) -> row::ActiveModel {
    row::ActiveModel {
        id: Set(Col(template.id)),
        popularity: Set(template.popularity),
        origin: Set(origin.to_owned()),
        fingerprint: Set(fingerprint),
        deleted_at: Set(Col(None)),
        created_at: Set(Col(template.created_at)),
        version: Set(template.version),
        ..changes(template)
    }
}

/// What an update may change.
fn changes(template: &Template) -> row::ActiveModel {
    row::ActiveModel {
        id: NotSet,
        slug: Set(Col(template.slug.clone())),
        name: Set(template.name.clone()),
        category: Set(template.category.clone()),
        industry: Set(template.industry.clone()),
        description: Set(template.description.clone()),
        language: Set(template.language.clone()),
        is_premium: Set(template.is_premium),
        is_featured: Set(template.is_featured),
        popularity: NotSet,
        look: Set(Col(template.look.clone())),
        outline: Set(Col(template.outline())),
        pages: Set(Col(template.pages.clone())),
        origin: NotSet,
        fingerprint: NotSet,
        deleted_at: NotSet,
        created_at: NotSet,
        updated_at: Set(Col(template.updated_at)),
        version: NotSet,
    }
}
