//! Navigation.

use async_trait::async_trait;
use portico_kernel::{NavItemId, SiteId, StoreError, TenantId};
use portico_sites::{navigation::NavItem, ports::NavigationRepository};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder,
};

use super::sites;
use crate::{columns::Col, db::Db};
use row::Column;

/// A row of the table of navigation items.
pub(crate) mod row {
    use portico_kernel::{NavItemId, PageId, SiteId, TenantId, Timestamp};
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "nav_items")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<NavItemId>,
        pub site_id: Col<SiteId>,
        pub label: String,
        pub page_id: Col<Option<PageId>>,
        pub url: Option<String>,
        pub parent_id: Col<Option<NavItemId>>,
        pub position: i32,
        pub opens_new_tab: bool,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<row::Model> for NavItem {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            site_id: row.site_id.0,
            label: row.label,
            page_id: row.page_id.0,
            url: row.url,
            parent_id: row.parent_id.0,
            position: row.position,
            opens_new_tab: row.opens_new_tab,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// Navigation over one connection.
pub(crate) struct Navigation<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl NavigationRepository for Navigation<'_> {
    async fn insert(&mut self, item: &NavItem) -> Result<(), StoreError> {
        self.db.insert(new_row(item)).await
    }

    async fn insert_all(&mut self, items: &[NavItem]) -> Result<(), StoreError> {
        // A site has a hundred of them at most: one statement holds them.
        self.db.insert_many(items.iter().map(new_row)).await
    }

    async fn find(&mut self, tenant: TenantId, id: NavItemId) -> Result<Option<NavItem>, StoreError> {
        self.db.one(row::Entity::find_by_id((Col(tenant), Col(id)))).await
    }

    async fn list(&mut self, tenant: TenantId, site: SiteId, lock: bool) -> Result<Vec<NavItem>, StoreError> {
        if lock {
            // The site stands for its navigation: rows that are not there yet cannot be locked.
            sites::lock(&self.db, tenant, site).await?;
        }
        let items = row::Entity::find()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::SiteId.eq(Col(site)))
            // Top level first: Postgres and SQLite do not agree on where NULL sorts.
            .order_by(Column::ParentId.is_not_null(), Order::Asc)
            .order_by_asc(Column::ParentId)
            .order_by_asc(Column::Position)
            .order_by_asc(Column::Id);
        self.db.all(items).await
    }

    async fn update(&mut self, item: &NavItem) -> Result<(), StoreError> {
        let update = row::Entity::update_many()
            .set(row::ActiveModel { version: Set(item.version + 1), ..changes(item) })
            .filter(Column::TenantId.eq(Col(item.tenant)))
            .filter(Column::Id.eq(Col(item.id)))
            .filter(Column::Version.eq(item.version));
        self.db.update_one(update).await
    }

    async fn delete(&mut self, tenant: TenantId, id: NavItemId) -> Result<bool, StoreError> {
        let delete = row::Entity::delete_many()
            .filter(Column::TenantId.eq(Col(tenant)))
            .filter(Column::Id.eq(Col(id)));
        Ok(self.db.delete(delete).await? > 0)
    }
}

fn new_row(item: &NavItem) -> row::ActiveModel {
    row::ActiveModel {
        tenant_id: Set(Col(item.tenant)),
        id: Set(Col(item.id)),
        site_id: Set(Col(item.site_id)),
        created_at: Set(Col(item.created_at)),
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
        page_id: Set(Col(item.page_id)),
        url: Set(item.url.clone()),
        parent_id: Set(Col(item.parent_id)),
        position: Set(item.position),
        opens_new_tab: Set(item.opens_new_tab),
        created_at: NotSet,
        updated_at: Set(Col(item.updated_at)),
        version: NotSet,
    }
}
