//! Deployments.

use async_trait::async_trait;
use portico_kernel::{DeploymentId, List, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    deployment::{Deployment, DeploymentStatus},
    ports::DeploymentRepository,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select,
};

use crate::{
    columns::{Col, words},
    db::Db,
};
use row::Column;

/// A row of the table of deployments.
pub(crate) mod row {
    use portico_kernel::{DeploymentId, SiteId, TenantId, Timestamp};
    use portico_sites::deployment::DeploymentStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "deployments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<DeploymentId>,
        pub site_id: Col<SiteId>,
        pub status: Col<DeploymentStatus>,
        pub progress: i32,
        pub error: Option<String>,
        pub created_at: Col<Timestamp>,
        pub started_at: Col<Option<Timestamp>>,
        pub finished_at: Col<Option<Timestamp>>,
        pub cleaned_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(DeploymentStatus);

impl From<row::Model> for Deployment {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            site_id: row.site_id.0,
            status: row.status.0,
            progress: row.progress,
            error: row.error,
            created_at: row.created_at.0,
            started_at: row.started_at.0,
            finished_at: row.finished_at.0,
            cleaned_at: row.cleaned_at.0,
        }
    }
}

/// Deployments over one connection.
pub(crate) struct Deployments<'c> {
    pub db: Db<'c>,
}

fn newest_first(tenant: TenantId, site: SiteId) -> Select<row::Entity> {
    row::Entity::find()
        .filter(Column::TenantId.eq(Col(tenant)))
        .filter(Column::SiteId.eq(Col(site)))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
}

#[async_trait]
impl DeploymentRepository for Deployments<'_> {
    async fn insert(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        // The partial unique key over what is queued or building refuses a second one.
        let row = row::ActiveModel {
            tenant_id: Set(Col(deployment.tenant)),
            id: Set(Col(deployment.id)),
            site_id: Set(Col(deployment.site_id)),
            created_at: Set(Col(deployment.created_at)),
            ..changes(deployment)
        };
        self.db.insert(row).await
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<Deployment>, StoreError> {
        let query = row::Entity::find_by_id((Col(tenant), Col(id))).filter(Column::SiteId.eq(Col(site)));
        self.db.one(query).await
    }

    async fn latest(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Deployment>, StoreError> {
        self.db.one(newest_first(tenant, site)).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Deployment>, StoreError> {
        self.db.page(newest_first(tenant, site), page).await
    }

    async fn live(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Deployment>, StoreError> {
        let query = newest_first(tenant, site)
            .filter(Column::Status.eq(Col(DeploymentStatus::Live)))
            .filter(Column::CleanedAt.is_null());
        self.db.all(query).await
    }

    async fn update(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(changes(deployment))
            .filter(Column::TenantId.eq(Col(deployment.tenant)))
            .filter(Column::SiteId.eq(Col(deployment.site_id)))
            .filter(Column::Id.eq(Col(deployment.id)));
        self.db.update(update).await.map(drop)
    }
}

/// What an update may change.
fn changes(deployment: &Deployment) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        status: Set(Col(deployment.status)),
        progress: Set(deployment.progress),
        error: Set(deployment.error.clone()),
        created_at: NotSet,
        started_at: Set(Col(deployment.started_at)),
        finished_at: Set(Col(deployment.finished_at)),
        cleaned_at: Set(Col(deployment.cleaned_at)),
    }
}
