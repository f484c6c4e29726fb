//! Runs through the wizard.

use async_trait::async_trait;
use portico_kernel::{GenerationId, List, PageRequest, SiteId, StoreError, TenantId, WizardId};
use portico_sites::{
    ports::{WizardFilter, WizardRepository},
    wizard::{Generation, GenerationStatus, PageState, Wizard, WizardStatus, WizardUpdate, WrittenPage},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};

use super::list::list;
use crate::{
    dialect::execute,
    error::{json_error, store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table of wizards.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizards")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub status: String,
        pub answers: Json,
        pub site_id: Option<Uuid>,
        pub generated_at: Option<TimeDateTime>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub completed_at: Option<TimeDateTime>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of runs that generate texts.
mod run {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizard_generations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub wizard_id: Uuid,
        pub run: Option<Uuid>,
        pub tokens: i64,
        pub status: String,
        pub error: Option<String>,
        pub requested_at: Option<TimeDateTime>,
        pub started_at: Option<TimeDateTime>,
        pub finished_at: Option<TimeDateTime>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of pages of such a run.
mod text {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizard_pages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub wizard_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub page: String,
        pub position: i32,
        pub title: String,
        pub status: String,
        pub sections: Json,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Wizard {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let status = WizardStatus::parse(&row.status);
        let answers: WizardUpdate = serde_json::from_value(row.answers).map_err(json_error)?;
        let empty = Self::empty(
            WizardId::from_uuid(row.id),
            TenantId::from_uuid(row.tenant_id),
            from_row(row.created_at),
        );
        let wizard = Self {
            status: status.ok_or_else(|| unreadable("wizards.status", &row.status))?,
            business_info: answers.business_info,
            goals: answers.goals,
            template_id: answers.template_id,
            design: answers.design,
            pages: answers.pages,
            content: answers.content,
            seo: answers.seo,
            site_id: row.site_id.map(SiteId::from_uuid),
            generated_at: row.generated_at.map(from_row),
            updated_at: from_row(row.updated_at),
            completed_at: row.completed_at.map(from_row),
            version: row.version,
            ..empty
        };
        Ok(wizard.assessed())
    }
}

/// What an update may change.
fn changes(wizard: &Wizard) -> Result<row::ActiveModel, StoreError> {
    let answers = WizardUpdate {
        business_info: wizard.business_info.clone(),
        goals: wizard.goals.clone(),
        template_id: wizard.template_id,
        design: wizard.design.clone(),
        pages: wizard.pages.clone(),
        content: wizard.content.clone(),
        seo: wizard.seo.clone(),
    };
    Ok(row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        status: Set(wizard.status.as_str().to_owned()),
        answers: Set(serde_json::to_value(answers).map_err(json_error)?),
        site_id: Set(wizard.site_id.map(SiteId::uuid)),
        generated_at: Set(wizard.generated_at.map(to_row)),
        created_at: NotSet,
        updated_at: Set(to_row(wizard.updated_at)),
        completed_at: Set(wizard.completed_at.map(to_row)),
        version: NotSet,
    })
}

fn run_changes(generation: &Generation) -> run::ActiveModel {
    run::ActiveModel {
        tenant_id: NotSet,
        wizard_id: NotSet,
        run: Set(generation.run.map(GenerationId::uuid)),
        tokens: Set(i64::try_from(generation.tokens).unwrap_or(i64::MAX)),
        status: Set(generation.status.as_str().to_owned()),
        error: Set(generation.error.clone()),
        requested_at: Set(generation.requested_at.map(to_row)),
        started_at: Set(generation.started_at.map(to_row)),
        finished_at: Set(generation.finished_at.map(to_row)),
    }
}

fn written_page(row: text::Model) -> Result<WrittenPage, StoreError> {
    let status = PageState::parse(&row.status);
    Ok(WrittenPage {
        page: row.page,
        title: row.title,
        status: status.ok_or_else(|| unreadable("wizard_pages.status", &row.status))?,
        sections: serde_json::from_value(row.sections).map_err(json_error)?,
    })
}

/// Runs through the wizard, over one connection.
pub(crate) struct Wizards<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> WizardRepository for Wizards<'_, C> {
    async fn insert(&mut self, wizard: &Wizard, most: u64) -> Result<bool, StoreError> {
        let tenant = wizard.tenant.uuid();
        // Holds the row of the tenant, so that of two at once the second one counts the first one's wizard.
        execute(self.connection, "update tenants set name = name where id = $1", [tenant.into()]).await?;
        let open = row::Entity::find()
            .filter(Column::TenantId.eq(tenant))
            .filter(Column::Status.eq(WizardStatus::InProgress.as_str()))
            .count(self.connection)
            .await
            .map_err(store_error)?;
        if open >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(tenant),
            id: Set(wizard.id.uuid()),
            created_at: Set(to_row(wizard.created_at)),
            version: Set(wizard.version),
            ..changes(wizard)?
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        row.one(self.connection).await.map_err(store_error)?.map(Wizard::try_from).transpose()
    }

    async fn lock(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid())).lock(LockType::NoKeyUpdate);
        row.one(self.connection).await.map_err(store_error)?.map(Wizard::try_from).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: WizardFilter,
        page: PageRequest,
    ) -> Result<List<Wizard>, StoreError> {
        let mut query = row::Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
        if let Some(status) = filter.status {
            query = query.filter(Column::Status.eq(status.as_str()));
        }
        let query = query.order_by_desc(Column::UpdatedAt).order_by_desc(Column::Id);
        list(self.connection, query, page).await
    }

    async fn update(&mut self, wizard: &Wizard) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(wizard.version + 1), ..changes(wizard)? })
            .filter(Column::TenantId.eq(wizard.tenant.uuid()))
            .filter(Column::Id.eq(wizard.id.uuid()))
            .filter(Column::Version.eq(wizard.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, id: WizardId) -> Result<bool, StoreError> {
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected > 0)
    }

    async fn generation(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Generation>, StoreError> {
        let key = (tenant.uuid(), id.uuid());
        let row = run::Entity::find_by_id(key).one(self.connection).await.map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let pages = text::Entity::find()
            .filter(text::Column::TenantId.eq(tenant.uuid()))
            .filter(text::Column::WizardId.eq(id.uuid()))
            .order_by_asc(text::Column::Position)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        let status = GenerationStatus::parse(&row.status);
        let generation = Generation {
            tenant,
            wizard_id: id,
            run: row.run.map(GenerationId::from_uuid),
            tokens: row.tokens.unsigned_abs(),
            status: status.ok_or_else(|| unreadable("wizard_generations.status", &row.status))?,
            percent: 0,
            pages: pages.into_iter().map(written_page).collect::<Result<_, _>>()?,
            error: row.error,
            requested_at: row.requested_at.map(from_row),
            started_at: row.started_at.map(from_row),
            finished_at: row.finished_at.map(from_row),
        };
        Ok(Some(generation.assessed()))
    }

    async fn put_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        let (tenant, wizard) = (generation.tenant, generation.wizard_id);
        self.delete_generation(tenant, wizard).await?;
        let row = run::ActiveModel {
            tenant_id: Set(tenant.uuid()),
            wizard_id: Set(wizard.uuid()),
            ..run_changes(generation)
        };
        run::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        let rows = (0..)
            .zip(&generation.pages)
            .map(|(position, page)| {
                Ok(text::ActiveModel {
                    tenant_id: Set(tenant.uuid()),
                    wizard_id: Set(wizard.uuid()),
                    page: Set(page.page.clone()),
                    position: Set(position),
                    title: Set(page.title.clone()),
                    status: Set(page.status.as_str().to_owned()),
                    sections: Set(serde_json::to_value(&page.sections).map_err(json_error)?),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if !rows.is_empty() {
            text::Entity::insert_many(rows)
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn update_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        run::Entity::update_many()
            .set(run_changes(generation))
            .filter(run::Column::TenantId.eq(generation.tenant.uuid()))
            .filter(run::Column::WizardId.eq(generation.wizard_id.uuid()))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn update_page(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        page: &WrittenPage,
    ) -> Result<(), StoreError> {
        let sections = serde_json::to_value(&page.sections).map_err(json_error)?;
        text::Entity::update_many()
            .set(text::ActiveModel {
                tenant_id: NotSet,
                wizard_id: NotSet,
                page: NotSet,
                position: NotSet,
                title: NotSet,
                status: Set(page.status.as_str().to_owned()),
                sections: Set(sections),
            })
            .filter(text::Column::TenantId.eq(tenant.uuid()))
            .filter(text::Column::WizardId.eq(id.uuid()))
            .filter(text::Column::Page.eq(page.page.as_str()))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn delete_generation(&mut self, tenant: TenantId, id: WizardId) -> Result<(), StoreError> {
        run::Entity::delete_many()
            .filter(run::Column::TenantId.eq(tenant.uuid()))
            .filter(run::Column::WizardId.eq(id.uuid()))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}
