//! Deployments.

use async_trait::async_trait;
use portico_kernel::{DeploymentId, List, PageRequest, SiteId, StoreError, TenantId};
use portico_sites::{
    deployment::{Deployment, DeploymentStatus},
    ports::DeploymentRepository,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select,
};

use super::list::list;
use crate::{
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table of deployments.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "deployments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub site_id: Uuid,
        pub status: String,
        pub progress: i32,
        pub error: Option<String>,
        pub created_at: TimeDateTime,
        pub started_at: Option<TimeDateTime>,
        pub finished_at: Option<TimeDateTime>,
        pub cleaned_at: Option<TimeDateTime>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Deployment {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let status = DeploymentStatus::parse(&row.status);
        Ok(Self {
            id: DeploymentId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            site_id: SiteId::from_uuid(row.site_id),
            status: status.ok_or_else(|| unreadable("deployments.status", &row.status))?,
            progress: row.progress,
            error: row.error,
            created_at: from_row(row.created_at),
            started_at: row.started_at.map(from_row),
            finished_at: row.finished_at.map(from_row),
            cleaned_at: row.cleaned_at.map(from_row),
        })
    }
}

/// Deployments over one connection.
pub(crate) struct Deployments<'c, C> {
    pub connection: &'c C,
}

fn newest_first(tenant: TenantId, site: SiteId) -> Select<row::Entity> {
    row::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::SiteId.eq(site.uuid()))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
}

#[async_trait]
impl<C: ConnectionTrait + Send> DeploymentRepository for Deployments<'_, C> {
    async fn insert(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        // The partial unique key over what is queued or building refuses a second one.
        let row = row::ActiveModel {
            tenant_id: Set(deployment.tenant.uuid()),
            id: Set(deployment.id.uuid()),
            site_id: Set(deployment.site_id.uuid()),
            created_at: Set(to_row(deployment.created_at)),
            ..changes(deployment)
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<Deployment>, StoreError> {
        let query =
            row::Entity::find_by_id((tenant.uuid(), id.uuid())).filter(Column::SiteId.eq(site.uuid()));
        query.one(self.connection).await.map_err(store_error)?.map(Deployment::try_from).transpose()
    }

    async fn latest(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Deployment>, StoreError> {
        let row = newest_first(tenant, site).one(self.connection).await.map_err(store_error)?;
        row.map(Deployment::try_from).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Deployment>, StoreError> {
        list(self.connection, newest_first(tenant, site), page).await
    }

    async fn live(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Deployment>, StoreError> {
        let rows = newest_first(tenant, site)
            .filter(Column::Status.eq(DeploymentStatus::Live.as_str()))
            .filter(Column::CleanedAt.is_null())
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Deployment::try_from).collect()
    }

    async fn update(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        row::Entity::update_many()
            .set(changes(deployment))
            .filter(Column::TenantId.eq(deployment.tenant.uuid()))
            .filter(Column::SiteId.eq(deployment.site_id.uuid()))
            .filter(Column::Id.eq(deployment.id.uuid()))
            .exec(self.connection)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

/// What an update may change.
fn changes(deployment: &Deployment) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        status: Set(deployment.status.as_str().to_owned()),
        progress: Set(deployment.progress),
        error: Set(deployment.error.clone()),
        created_at: NotSet,
        started_at: Set(deployment.started_at.map(to_row)),
        finished_at: Set(deployment.finished_at.map(to_row)),
        cleaned_at: Set(deployment.cleaned_at.map(to_row)),
    }
}
