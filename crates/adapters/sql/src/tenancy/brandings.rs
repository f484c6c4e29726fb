//! Branding, one per tenant.

use async_trait::async_trait;
use portico_kernel::{AssetId, StoreError, TenantId};
use portico_tenancy::{branding::Branding, ports::BrandingRepository};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::{
    error::{json_error, store_error},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "brandings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        pub colors: Json,
        pub fonts: Json,
        pub logo_asset_id: Option<Uuid>,
        pub favicon_asset_id: Option<Uuid>,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<row::Model> for Branding {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            colors: serde_json::from_value(row.colors).map_err(json_error)?,
            fonts: serde_json::from_value(row.fonts).map_err(json_error)?,
            logo_asset_id: row.logo_asset_id.map(AssetId::from_uuid),
            favicon_asset_id: row.favicon_asset_id.map(AssetId::from_uuid),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// The row of a branding with a version of its own.
fn to_model(branding: &Branding, version: i64) -> Result<row::ActiveModel, StoreError> {
    Ok(row::ActiveModel {
        tenant_id: Set(branding.tenant.uuid()),
        colors: Set(serde_json::to_value(&branding.colors).map_err(json_error)?),
        fonts: Set(serde_json::to_value(&branding.fonts).map_err(json_error)?),
        logo_asset_id: Set(branding.logo_asset_id.map(AssetId::uuid)),
        favicon_asset_id: Set(branding.favicon_asset_id.map(AssetId::uuid)),
        updated_at: Set(to_row(branding.updated_at)),
        version: Set(version),
    })
}

/// Branding over one connection.
pub(crate) struct Brandings<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> BrandingRepository for Brandings<'_, C> {
    async fn insert(&mut self, branding: &Branding) -> Result<(), StoreError> {
        let row = to_model(branding, branding.version)?;
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<Branding>, StoreError> {
        let row = row::Entity::find_by_id(tenant.uuid()).one(self.connection).await.map_err(store_error)?;
        row.map(Branding::try_from).transpose()
    }

    async fn update(&mut self, branding: &Branding) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(to_model(branding, branding.version + 1)?)
            .filter(row::Column::TenantId.eq(branding.tenant.uuid()))
            .filter(row::Column::Version.eq(branding.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }
}
