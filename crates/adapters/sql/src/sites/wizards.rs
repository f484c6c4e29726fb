//! Runs through the wizard.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, WizardId};
use portico_sites::{
    ports::{WizardFilter, WizardRepository},
    wizard::{
        Generation, GenerationStatus, PageState, Wizard, WizardStatus, WizardUpdate, WrittenPage,
        WrittenSection,
    },
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};

use crate::{
    columns::{Col, documents, words},
    db::Db,
};
use row::Column;

/// A row of the table of wizards.
pub(crate) mod row {
    use portico_kernel::{SiteId, TenantId, Timestamp, WizardId};
    use portico_sites::wizard::{WizardStatus, WizardUpdate};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizards")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<WizardId>,
        pub status: Col<WizardStatus>,
        pub answers: Col<WizardUpdate>,
        pub site_id: Col<Option<SiteId>>,
        pub generated_at: Col<Option<Timestamp>>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub completed_at: Col<Option<Timestamp>>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of runs that generate texts.
mod run {
    use portico_kernel::{GenerationId, TenantId, Timestamp, WizardId};
    use portico_sites::wizard::GenerationStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizard_generations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub wizard_id: Col<WizardId>,
        pub run: Col<Option<GenerationId>>,
        pub tokens: Col<u64>,
        pub status: Col<GenerationStatus>,
        pub error: Option<String>,
        pub requested_at: Col<Option<Timestamp>>,
        pub started_at: Col<Option<Timestamp>>,
        pub finished_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of the table of pages of such a run.
mod text {
    use portico_kernel::{TenantId, WizardId};
    use portico_sites::wizard::{PageState, WrittenSection};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wizard_pages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub wizard_id: Col<WizardId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub page: String,
        pub position: i32,
        pub title: String,
        pub status: Col<PageState>,
        pub sections: Col<Vec<WrittenSection>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(WizardStatus, GenerationStatus, PageState);
documents!(WizardUpdate, Vec<WrittenSection>);

impl From<row::Model> for Wizard {
    fn from(row: row::Model) -> Self {
        let answers: WizardUpdate = row.answers.0;
        let empty = Self::empty(row.id.0, row.tenant_id.0, row.created_at.0);
        let wizard = Self {
            status: row.status.0,
            business_info: answers.business_info,
            goals: answers.goals,
            template_id: answers.template_id,
            design: answers.design,
            pages: answers.pages,
            content: answers.content,
            seo: answers.seo,
            site_id: row.site_id.0,
            generated_at: row.generated_at.0,
            updated_at: row.updated_at.0,
            completed_at: row.completed_at.0,
            version: row.version,
            ..empty
        };
        wizard.assessed()
    }
}

/// What an update may change.
fn changes(wizard: &Wizard) -> row::ActiveModel {
    let answers = WizardUpdate {
        business_info: wizard.business_info.clone(),
        goals: wizard.goals.clone(),
        template_id: wizard.template_id,
        design: wizard.design.clone(),
        pages: wizard.pages.clone(),
        content: wizard.content.clone(),
        seo: wizard.seo.clone(),
    };
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        status: Set(Col(wizard.status)),
        answers: Set(Col(answers)),
        site_id: Set(Col(wizard.site_id)),
        generated_at: Set(Col(wizard.generated_at)),
        created_at: NotSet,
        updated_at: Set(Col(wizard.updated_at)),
        completed_at: Set(Col(wizard.completed_at)),
        version: NotSet,
    }
}

fn run_changes(generation: &Generation) -> run::ActiveModel {
    run::ActiveModel {
        tenant_id: NotSet,
        wizard_id: NotSet,
        run: Set(Col(generation.run)),
        tokens: Set(Col(generation.tokens)),
        status: Set(Col(generation.status)),
        error: Set(generation.error.clone()),
        requested_at: Set(Col(generation.requested_at)),
        started_at: Set(Col(generation.started_at)),
        finished_at: Set(Col(generation.finished_at)),
    }
}

impl From<text::Model> for WrittenPage {
    fn from(row: text::Model) -> Self {
        Self { page: row.page, title: row.title, status: row.status.0, sections: row.sections.0 }
    }
}

/// Runs through the wizard, over one connection.
pub(crate) struct Wizards<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl WizardRepository for Wizards<'_> {
    async fn insert(&mut self, wizard: &Wizard, most: u64) -> Result<bool, StoreError> {
        let tenant = wizard.tenant;
        // Holds the row of the tenant, so that of two at once the second one counts the first one's wizard.
        self.db.execute("update tenants set name = name where id = $1", [tenant]).await?;
        let query = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Status.eq(Col(WizardStatus::InProgress)));
        let open = self.db.count(query).await?;
        if open >= most {
            return Ok(false);
        }
        let row = row::ActiveModel {
            tenant_id: Set(Col(tenant)),
            id: Set(Col(wizard.id)),
            created_at: Set(Col(wizard.created_at)),
            version: Set(wizard.version),
            ..changes(wizard)
        };
        self.db.insert(row).await?;
        Ok(true)
    }

    async fn find(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id)));
        self.db.one(row).await
    }

    async fn lock(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError> {
        let row = row::Entity::find_by_id((Col(tenant), Col(id))).lock(LockType::NoKeyUpdate);
        self.db.one(row).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: WizardFilter,
        page: PageRequest,
    ) -> Result<List<Wizard>, StoreError> {
        let mut query = row::Entity::find().filter(Column::TenantId.eq(Col(tenant)));
        if let Some(status) = filter.status {
            query = query.filter(Column::Status.eq(Col(status)));
        }
        let query = query.order_by_desc(Column::UpdatedAt).order_by_desc(Column::Id);
        self.db.page(query, page).await
    }

    async fn update(&mut self, wizard: &Wizard) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(wizard.version + 1), ..changes(wizard) })
            .filter(Column::TenantId.eq(Col(wizard.tenant)))
            .filter(Column::Id.eq(Col(wizard.id)))
            .filter(Column::Version.eq(wizard.version));
        self.db.update_one(update).await
    }

    async fn delete(&mut self, tenant: TenantId, id: WizardId) -> Result<bool, StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.eq(Col(id)));
        Ok(self.db.delete(delete).await? > 0)
    }

    async fn generation(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Generation>, StoreError> {
        let run = run::Entity::find_by_id((Col(tenant), Col(id)));
        let Some(row) = self.db.one::<_, run::Model>(run).await? else { return Ok(None) };
        let query = text::Entity::find()
            .filter(text::Column::TenantId.eq(Col(tenant)))
            .filter(text::Column::WizardId.eq(Col(id)))
            .order_by_asc(text::Column::Position);
        let pages = self.db.all(query).await?;
        let generation = Generation {
            tenant,
            wizard_id: id,
            run: row.run.0,
            tokens: row.tokens.0,
            status: row.status.0,
            percent: 0,
            pages,
            error: row.error,
            requested_at: row.requested_at.0,
            started_at: row.started_at.0,
            finished_at: row.finished_at.0,
        };
        Ok(Some(generation.assessed()))
    }

    async fn put_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        let (tenant, wizard) = (generation.tenant, generation.wizard_id);
        self.delete_generation(tenant, wizard).await?;
        let row = run::ActiveModel {
            tenant_id: Set(Col(tenant)),
            wizard_id: Set(Col(wizard)),
            ..run_changes(generation)
        };
        self.db.insert(row).await?;
        let rows = (0..).zip(&generation.pages).map(|(position, page)| text::ActiveModel {
            tenant_id: Set(Col(tenant)),
            wizard_id: Set(Col(wizard)),
            page: Set(page.page.clone()),
            position: Set(position),
            title: Set(page.title.clone()),
            status: Set(Col(page.status)),
            sections: Set(Col(page.sections.clone())),
        });
        self.db.insert_many(rows).await
    }

    async fn update_generation(&mut self, generation: &Generation) -> Result<(), StoreError> {
        let update = run::Entity::update_many()
            .set(run_changes(generation))
            .filter(run::Column::TenantId.eq(Col(generation.tenant)))
            .filter(run::Column::WizardId.eq(Col(generation.wizard_id)));
        self.db.update(update).await.map(drop)
    }

    async fn update_page(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        page: &WrittenPage,
    ) -> Result<(), StoreError> {
        let update = text::Entity::update_many()
            .set(text::ActiveModel {
                tenant_id: NotSet,
                wizard_id: NotSet,
                page: NotSet,
                position: NotSet,
                title: NotSet,
                status: Set(Col(page.status)),
                sections: Set(Col(page.sections.clone())),
            })
            .filter(text::Column::TenantId.eq(Col(tenant)))
            .filter(text::Column::WizardId.eq(Col(id)))
            .filter(text::Column::Page.eq(page.page.as_str()));
        self.db.update(update).await.map(drop)
    }

    async fn delete_generation(&mut self, tenant: TenantId, id: WizardId) -> Result<(), StoreError> {
        let delete = run::Entity::delete_many()
            .filter(run::Column::TenantId.eq(Col(tenant)))
            .filter(run::Column::WizardId.eq(Col(id)));
        self.db.delete(delete).await.map(drop)
    }
}
