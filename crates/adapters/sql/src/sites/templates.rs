//! Website templates, and what was made from them.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, SectionId, StoreError, TemplateId, TenantId, Timestamp};
use portico_sites::{
    ports::{TemplateFilter, TemplateRecord, TemplateRepository, TemplateSortKey},
    section::{SectionOrigin, SectionType},
    template::{LibraryTemplate, Template, TemplateSummary},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DerivePartialModel, EntityTrait, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, OnConflict, SimpleExpr},
};

use crate::{
    dialect::{contains, execute, query},
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

/// Rows in one INSERT: ten values each, far below the 32,766 that SQLite can bind.
const CHUNK: usize = 500;

/// Who the text of a template is by.
const LIBRARY: &str = "library";
const STAFF: &str = "staff";

/// A row of the table of templates.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub slug: String,
        pub name: String,
        pub category: String,
        pub industry: String,
        pub description: String,
        pub language: String,
        pub is_premium: bool,
        pub is_featured: bool,
        pub popularity: i64,
        pub look: Json,
        pub outline: Json,
        pub pages: Json,
        pub origin: String,
        pub fingerprint: Option<String>,
        pub deleted_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of what sections were made from.
pub(crate) mod origin {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "section_origins")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub section_id: Uuid,
        pub page_id: Uuid,
        pub template_id: Uuid,
        pub page_key: String,
        pub section_key: String,
        pub kind: String,
        pub content: Json,
        pub position: i32,
        pub applied_at: TimeDateTime,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

/// What lists read of a row: not the pages, which are long.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "row::Entity")]
struct Summary {
    id: uuid::Uuid,
    slug: String,
    name: String,
    category: String,
    industry: String,
    description: String,
    language: String,
    is_premium: bool,
    is_featured: bool,
    popularity: i64,
    look: sea_orm::JsonValue,
    outline: sea_orm::JsonValue,
    created_at: sea_orm::prelude::TimeDateTime,
    updated_at: sea_orm::prelude::TimeDateTime,
}

impl TryFrom<row::Model> for Template {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: TemplateId::from_uuid(row.id),
            name: row.name,
            slug: row.slug,
            category: row.category,
            industry: row.industry,
            description: row.description,
            language: row.language,
            is_premium: row.is_premium,
            is_featured: row.is_featured,
            popularity: row.popularity,
            look: serde_json::from_value(row.look).map_err(json_error)?,
            pages: serde_json::from_value(row.pages).map_err(json_error)?,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

impl TryFrom<Summary> for TemplateSummary {
    type Error = StoreError;

    fn try_from(row: Summary) -> Result<Self, StoreError> {
        Ok(Self {
            id: TemplateId::from_uuid(row.id),
            name: row.name,
            slug: row.slug,
            category: row.category,
            industry: row.industry,
            description: row.description,
            language: row.language,
            is_premium: row.is_premium,
            is_featured: row.is_featured,
            popularity: row.popularity,
            look: serde_json::from_value(row.look).map_err(json_error)?,
            pages: serde_json::from_value(row.outline).map_err(json_error)?,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
        })
    }
}

impl TryFrom<origin::Model> for SectionOrigin {
    type Error = StoreError;

    fn try_from(row: origin::Model) -> Result<Self, StoreError> {
        let kind = SectionType::parse(&row.kind);
        Ok(Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            section_id: SectionId::from_uuid(row.section_id),
            page_id: PageId::from_uuid(row.page_id),
            template_id: TemplateId::from_uuid(row.template_id),
            page_key: row.page_key,
            section_key: row.section_key,
            kind: kind.ok_or_else(|| unreadable("section_origins.kind", &row.kind))?,
            content: row.content,
            position: row.position,
            applied_at: from_row(row.applied_at),
        })
    }
}

/// Website templates, over one connection.
pub(crate) struct Templates<'c, C> {
    pub connection: &'c C,
}

impl<C: ConnectionTrait> Templates<'_, C> {
    async fn one(&self, which: SimpleExpr) -> Result<Option<Template>, StoreError> {
        let query = row::Entity::find().filter(Column::DeletedAt.is_null()).filter(which);
        query.one(self.connection).await.map_err(store_error)?.map(Template::try_from).transpose()
    }

    /// The values of a column and how many templates have each. The column is one of ours, never a client's.
    async fn counts(&self, column: &'static str) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = format!(
            "select {column} as word, count(*) as templates from templates where deleted_at is null \
             group by {column} order by {column}"
        );
        let rows = query(self.connection, &sql, []).await?;
        rows.iter()
            .map(|row| {
                let count: i64 = row.try_get("", "templates").map_err(store_error)?;
                Ok((row.try_get("", "word").map_err(store_error)?, count.unsigned_abs()))
            })
            .collect()
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> TemplateRepository for Templates<'_, C> {
    async fn insert(&mut self, template: &Template) -> Result<(), StoreError> {
        let row = complete(template, STAFF, None)?;
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(&mut self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        self.one(Column::Id.eq(id.uuid())).await
    }

    async fn by_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Template>, StoreError> {
        self.one(Column::Slug.eq(slug)).await
    }

    async fn exists(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        let sql = "select 1 as there from templates where id = $1 and deleted_at is null";
        Ok(!query(self.connection, sql, [id.uuid().into()]).await?.is_empty())
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

        let total = query.clone().count(self.connection).await.map_err(store_error)?;
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
        let query = query.order_by(Column::Id, order).offset(page.offset()).limit(page.limit);
        let rows = query.into_partial_model::<Summary>().all(self.connection).await.map_err(store_error)?;
        let items = rows.into_iter().map(TemplateSummary::try_from).collect::<Result<_, _>>()?;
        Ok(List::new(items, page, total))
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
            ..changes(template)?
        };
        let updated = row::Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(template.id.uuid()))
            .filter(Column::Version.eq(template.version))
            .filter(Column::DeletedAt.is_null())
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, id: TemplateId, version: i64, at: Timestamp) -> Result<bool, StoreError> {
        let unused = "delete from templates where id = $1 and version = $2 and deleted_at is null \
                      and fingerprint is null and popularity = 0";
        if execute(self.connection, unused, [id.uuid().into(), version.into()]).await? > 0 {
            return Ok(true);
        }
        let used = "update templates set deleted_at = $3, version = version + 1 \
                    where id = $1 and version = $2 and deleted_at is null";
        let values = [id.uuid().into(), version.into(), to_row(at).into()];
        Ok(execute(self.connection, used, values).await? > 0)
    }

    async fn count_use(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        let sql = "update templates set popularity = popularity + 1 where id = $1 and deleted_at is null";
        Ok(execute(self.connection, sql, [id.uuid().into()]).await? > 0)
    }

    async fn records(&mut self) -> Result<Vec<TemplateRecord>, StoreError> {
        let sql = "select id, slug, fingerprint, origin, deleted_at is not null as deleted from templates";
        let rows = query(self.connection, sql, []).await?;
        rows.iter()
            .map(|row| {
                let origin: String = row.try_get("", "origin")?;
                Ok(TemplateRecord {
                    id: TemplateId::from_uuid(row.try_get("", "id")?),
                    slug: row.try_get("", "slug")?,
                    fingerprint: row.try_get("", "fingerprint")?,
                    is_staffs: origin != LIBRARY,
                    is_deleted: row.try_get("", "deleted")?,
                })
            })
            .collect::<Result<_, sea_orm::DbErr>>()
            .map_err(store_error)
    }

    async fn put_library(&mut self, templates: &[LibraryTemplate]) -> Result<(), StoreError> {
        let rows = templates
            .iter()
            .map(|library| complete(&library.template, LIBRARY, Some(library.fingerprint.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Ok(());
        }
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
        row::Entity::insert_many(rows)
            .on_conflict(new_version)
            .exec_without_returning(self.connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn track(&mut self, origins: &[SectionOrigin]) -> Result<(), StoreError> {
        for chunk in origins.chunks(CHUNK) {
            let rows = chunk.iter().map(|made| origin::ActiveModel {
                tenant_id: Set(made.tenant.uuid()),
                section_id: Set(made.section_id.uuid()),
                page_id: Set(made.page_id.uuid()),
                template_id: Set(made.template_id.uuid()),
                page_key: Set(made.page_key.clone()),
                section_key: Set(made.section_key.clone()),
                kind: Set(made.kind.as_str().to_owned()),
                content: Set(made.content.clone()),
                position: Set(made.position),
                applied_at: Set(to_row(made.applied_at)),
            });
            origin::Entity::insert_many(rows)
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn origins(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<SectionOrigin>, StoreError> {
        let rows = origin::Entity::find()
            .filter(origin::Column::TenantId.eq(tenant.uuid()))
            .filter(origin::Column::PageId.eq(page.uuid()))
            .order_by_asc(origin::Column::Position)
            .order_by_asc(origin::Column::SectionId)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(SectionOrigin::try_from).collect()
    }

    async fn untrack(&mut self, tenant: TenantId, page: PageId) -> Result<(), StoreError> {
        origin::Entity::delete_many()
            .filter(origin::Column::TenantId.eq(tenant.uuid()))
            .filter(origin::Column::PageId.eq(page.uuid()))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

/// A new row.
fn complete(
    template: &Template,
    origin: &str,
    fingerprint: Option<String>,
) -> Result<row::ActiveModel, StoreError> {
    Ok(row::ActiveModel {
        id: Set(template.id.uuid()),
        popularity: Set(template.popularity),
        origin: Set(origin.to_owned()),
        fingerprint: Set(fingerprint),
        deleted_at: Set(None),
        created_at: Set(to_row(template.created_at)),
        version: Set(template.version),
        ..changes(template)?
    })
}

/// What an update may change.
fn changes(template: &Template) -> Result<row::ActiveModel, StoreError> {
    Ok(row::ActiveModel {
        id: NotSet,
        slug: Set(template.slug.clone()),
        name: Set(template.name.clone()),
        category: Set(template.category.clone()),
        industry: Set(template.industry.clone()),
        description: Set(template.description.clone()),
        language: Set(template.language.clone()),
        is_premium: Set(template.is_premium),
        is_featured: Set(template.is_featured),
        popularity: NotSet,
        look: Set(serde_json::to_value(&template.look).map_err(json_error)?),
        outline: Set(serde_json::to_value(template.outline()).map_err(json_error)?),
        pages: Set(serde_json::to_value(&template.pages).map_err(json_error)?),
        origin: NotSet,
        fingerprint: NotSet,
        deleted_at: NotSet,
        created_at: NotSet,
        updated_at: Set(to_row(template.updated_at)),
        version: NotSet,
    })
}
