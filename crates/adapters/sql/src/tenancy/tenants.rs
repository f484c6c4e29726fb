//! Tenants.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, Timestamp, UserId, name::Subdomain};
use portico_tenancy::{
    ports::TenantRepository,
    tenant::{Tenant, TenantFilter, TenantSortKey, TenantStatus},
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::{Alias, Expr, ExprTrait, Query},
};

use super::subdomains;
use crate::{
    columns::{Col, words},
    db::Db,
    dialect::contains,
};

/// A row of the table.
pub(crate) mod row {
    use portico_kernel::{TenantId, Timestamp, name::Subdomain};
    use portico_tenancy::tenant::TenantStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<TenantId>,
        pub name: String,
        pub subdomain: Col<Subdomain>,
        pub status: Col<TenantStatus>,
        pub delete_at: Col<Option<Timestamp>>,
        pub suspension_reason: Option<String>,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(TenantStatus);

/// A tenant with the plan that billing has it on.
#[derive(FromQueryResult)]
struct TenantRow {
    id: Col<TenantId>,
    name: String,
    subdomain: Col<Subdomain>,
    status: Col<TenantStatus>,
    plan: String,
    delete_at: Col<Option<Timestamp>>,
    suspension_reason: Option<String>,
    created_at: Col<Timestamp>,
    updated_at: Col<Timestamp>,
    version: i64,
}

impl From<TenantRow> for Tenant {
    fn from(row: TenantRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            subdomain: row.subdomain.0,
            status: row.status.0,
            plan: row.plan,
            delete_at: row.delete_at.0,
            suspension_reason: row.suspension_reason,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            version: row.version,
        }
    }
}

/// The subscription in force; without one, the plan that everybody has.
pub(super) const PLAN: &str = "coalesce((select plan_id from subscriptions \
                    where subscriptions.tenant_id = tenants.id and subscriptions.status = 'active'), 'free')";

fn with_plan(tenants: Select<row::Entity>) -> Select<row::Entity> {
    tenants.expr_as(Expr::cust(PLAN), "plan")
}

/// In the order asked for; newest first where none is.
fn sorted(tenants: Select<row::Entity>, sort: Option<(TenantSortKey, bool)>) -> Select<row::Entity> {
    let (key, descending) = sort.unwrap_or((TenantSortKey::CreatedAt, true));
    let column = match key {
        TenantSortKey::CreatedAt => row::Column::CreatedAt,
        TenantSortKey::UpdatedAt => row::Column::UpdatedAt,
        TenantSortKey::Name => row::Column::Name,
    };
    let order = if descending { Order::Desc } else { Order::Asc };
    tenants.order_by(column, order.clone()).order_by(row::Column::Id, order)
}

/// The tenants of one page of `found`, in the order asked for. Which they are is found first: what is read with each of them is not read
/// for those before the page.
pub(super) fn of_page(
    found: Select<row::Entity>,
    sort: Option<(TenantSortKey, bool)>,
    page: PageRequest,
) -> Select<row::Entity> {
    let ids = sorted(found, sort).select_only().column(row::Column::Id);
    let ids = ids.offset(page.offset()).limit(page.limit).into_query();
    sorted(row::Entity::find().filter(row::Column::Id.in_subquery(ids)), sort)
}

/// Everything of a tenant that an update may change.
fn changeable(tenant: &Tenant) -> row::ActiveModel {
    row::ActiveModel {
        name: Set(tenant.name.clone()),
        subdomain: Set(Col(tenant.subdomain.clone())),
        status: Set(Col(tenant.status)),
        delete_at: Set(Col(tenant.delete_at)),
        suspension_reason: Set(tenant.suspension_reason.clone()),
        updated_at: Set(Col(tenant.updated_at)),
        ..<row::ActiveModel as ActiveModelTrait>::default()
    }
}

/// Tenants over one connection.
pub(crate) struct Tenants<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl TenantRepository for Tenants<'_> {
    async fn insert(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(Col(tenant.id)),
            created_at: Set(Col(tenant.created_at)),
            version: Set(tenant.version),
            ..changeable(tenant)
        };
        self.db.insert(row).await?;
        subdomains::claim(&self.db, tenant.id, &tenant.subdomain, tenant.created_at).await
    }

    async fn find(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.db.one(with_plan(row::Entity::find_by_id(Col(id))).into_model::<TenantRow>()).await
    }

    async fn update(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        let sql = "select subdomain from tenants where id = $1 and version = $2";
        let old: Option<Subdomain> = self.db.row(sql, (tenant.id, tenant.version)).await?;
        let Some(old) = old else { return Err(StoreError::Stale) };
        if old != tenant.subdomain {
            subdomains::claim(&self.db, tenant.id, &tenant.subdomain, tenant.updated_at).await?;
        }
        let row = row::ActiveModel { version: Set(tenant.version + 1), ..changeable(tenant) };
        let update = row::Entity::update_many()
            .set(row)
            .filter(row::Column::Id.eq(Col(tenant.id)))
            .filter(row::Column::Version.eq(tenant.version));
        self.db.update_one(update).await?;
        if old != tenant.subdomain {
            subdomains::release(&self.db, tenant.id, &old).await?;
        }
        Ok(())
    }

    async fn lock(&mut self, id: TenantId) -> Result<(), StoreError> {
        let lock = format!("select id from tenants where id = $1 {}", self.db.dialect().for_update);
        self.db.exists(&lock, [id]).await.map(drop)
    }

    async fn list(
        &mut self,
        member: Option<UserId>,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Tenant>, StoreError> {
        let mut found = row::Entity::find().filter(row::Column::Status.ne(Col(TenantStatus::Deleted)));
        if let Some(member) = member {
            let theirs = Query::select()
                .column(Alias::new("tenant_id"))
                .from(Alias::new("memberships"))
                .and_where(Expr::col(Alias::new("user_id")).eq(Col(member)))
                .to_owned();
            found = found.filter(row::Column::Id.in_subquery(theirs));
        }
        if let Some(status) = filter.status {
            found = found.filter(row::Column::Status.eq(Col(status)));
        }
        if let Some(plan) = filter.plan {
            found = found.filter(Expr::cust(PLAN).eq(plan));
        }
        if let Some(part) = &filter.q {
            let columns =
                [row::Column::Name, row::Column::Subdomain].map(|column| Expr::col(column.as_column_ref()));
            found = found.filter(contains(columns, part));
        }
        let rows = with_plan(of_page(found.clone(), filter.sort, page));
        self.db.page_of::<_, TenantRow, _>(found, rows, page).await
    }
}
