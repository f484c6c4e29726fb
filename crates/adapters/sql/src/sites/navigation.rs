//! Navigation.

use async_trait::async_trait;
use portico_kernel::{NavItemId, PageId, SiteId, StoreError, TenantId};
use portico_sites::{navigation::NavItem, ports::NavigationRepository};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder,
};

use super::sites;
use crate::{
    error::store_error,
    time::{from_row, to_row},
};

/// A row of the table of navigation items.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "nav_items")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub site_id: Uuid,
        pub label: String,
        pub page_id: Option<Uuid>,
        pub url: Option<String>,
        pub parent_id: Option<Uuid>,
        pub position: i32,
        pub opens_new_tab: bool,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl From<row::Model> for NavItem {
    fn from(row: row::Model) -> Self {
        Self {
            id: NavItemId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            site_id: SiteId::from_uuid(row.site_id),
            label: row.label,
            page_id: row.page_id.map(PageId::from_uuid),
            url: row.url,
            parent_id: row.parent_id.map(NavItemId::from_uuid),
            position: row.position,
            opens_new_tab: row.opens_new_tab,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        }
    }
}

/// Navigation over one connection.
pub(crate) struct Navigation<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> NavigationRepository for Navigation<'_, C> {
    async fn insert(&mut self, item: &NavItem) -> Result<(), StoreError> {
        row::Entity::insert(new_row(item))
            .exec_without_returning(self.connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn insert_all(&mut self, items: &[NavItem]) -> Result<(), StoreError> {
        if !items.is_empty() {
            // A site has a hundred of them at most: one statement holds them.
            row::Entity::insert_many(items.iter().map(new_row))
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: NavItemId) -> Result<Option<NavItem>, StoreError> {
        let row = row::Entity::find_by_id((tenant.uuid(), id.uuid()));
        Ok(row.one(self.connection).await.map_err(store_error)?.map(NavItem::from))
    }

    async fn list(&mut self, tenant: TenantId, site: SiteId, lock: bool) -> Result<Vec<NavItem>, StoreError> {
        if lock {
            // The site stands for its navigation: rows that are not there yet cannot be locked.
            sites::lock(self.connection, tenant, site).await?;
        }
        let rows = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()))
            // Top level first: Postgres and SQLite do not agree on where NULL sorts.
            .order_by(Column::ParentId.is_not_null(), Order::Asc)
            .order_by_asc(Column::ParentId)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(NavItem::from).collect())
    }

    async fn update(&mut self, item: &NavItem) -> Result<(), StoreError> {
        let updated = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(item.version + 1), ..changes(item) })
            .filter(Column::TenantId.eq(item.tenant.uuid()))
            .filter(Column::Id.eq(item.id.uuid()))
            .filter(Column::Version.eq(item.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, id: NavItemId) -> Result<bool, StoreError> {
        let deleted = row::Entity::delete_many()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::Id.eq(id.uuid()))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        Ok(deleted.rows_affected > 0)
    }
}

fn new_row(item: &NavItem) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(item.tenant.uuid()),
        id: Set(item.id.uuid()),
        site_id: Set(item.site_id.uuid()),
        created_at: Set(to_row(item.created_at)),
        version: Set(item.version),
        ..changes(item)
    }
}

/// What an update may change.
fn changes(item: &NavItem) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: NotSet,
        id: NotSet,
        site_id: NotSet,
        label: Set(item.label.clone()),
        page_id: Set(item.page_id.map(PageId::uuid)),
        url: Set(item.url.clone()),
        parent_id: Set(item.parent_id.map(NavItemId::uuid)),
        position: Set(item.position),
        opens_new_tab: Set(item.opens_new_tab),
        created_at: NotSet,
        updated_at: Set(to_row(item.updated_at)),
        version: NotSet,
    }
}
