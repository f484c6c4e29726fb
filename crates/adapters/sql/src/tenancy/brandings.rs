//! Branding, one per tenant.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId};
use portico_tenancy::{
    branding::{Branding, Colors, Fonts},
    ports::BrandingRepository,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::{
    columns::{Col, documents},
    db::Db,
};

/// A row of the table.
pub(crate) mod row {
    use portico_kernel::{AssetId, TenantId, Timestamp};
    use portico_tenancy::branding::{Colors, Fonts};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "brandings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        pub colors: Col<Colors>,
        pub fonts: Col<Fonts>,
        pub logo_asset_id: Col<Option<AssetId>>,
        pub favicon_asset_id: Col<Option<AssetId>>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

documents!(Colors, Fonts);

impl From<row::Model> for Branding {
    fn from(row: row::Model) -> Self {
        Self {
            tenant: row.tenant_id.0,
            colors: row.colors.0,
            fonts: row.fonts.0,
            logo_asset_id: row.logo_asset_id.0,
            favicon_asset_id: row.favicon_asset_id.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// The row of a branding with a version of its own.
fn to_model(branding: &Branding, version: i64) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(Col(branding.tenant)),
        colors: Set(Col(branding.colors.clone())),
        fonts: Set(Col(branding.fonts.clone())),
        logo_asset_id: Set(Col(branding.logo_asset_id)),
        favicon_asset_id: Set(Col(branding.favicon_asset_id)),
        updated_at: Set(Col(branding.updated_at)),
        version: Set(version),
    }
}

/// Branding over one connection.
pub(crate) struct Brandings<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl BrandingRepository for Brandings<'_> {
    async fn insert(&mut self, branding: &Branding) -> Result<(), StoreError> {
        let row = to_model(branding, branding.version);
        self.db.insert(row).await
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<Branding>, StoreError> {
        self.db.one(row::Entity::find_by_id(Col(tenant))).await
    }

    async fn update(&mut self, branding: &Branding) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(to_model(branding, branding.version + 1))
            .filter(row::Column::TenantId.eq(Col(branding.tenant)))
            .filter(row::Column::Version.eq(branding.version));
        self.db.update_one(update).await
    }
}
