//! Tenants.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, UserId};
use portico_tenancy::{
    ports::TenantRepository,
    tenant::{Tenant, TenantStatus},
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::subdomains;
use crate::{
    dialect::{contains, dialect, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub subdomain: String,
        pub status: String,
        pub delete_at: Option<TimeDateTime>,
        pub suspension_reason: Option<String>,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A tenant with the plan that billing has it on.
#[derive(FromQueryResult)]
struct TenantRow {
    id: Uuid,
    name: String,
    subdomain: String,
    status: String,
    plan: String,
    delete_at: Option<PrimitiveDateTime>,
    suspension_reason: Option<String>,
    created_at: PrimitiveDateTime,
    updated_at: PrimitiveDateTime,
    version: i64,
}

impl TryFrom<TenantRow> for Tenant {
    type Error = StoreError;

    fn try_from(row: TenantRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: TenantId::from_uuid(row.id),
            name: row.name,
            subdomain: row.subdomain,
            status: TenantStatus::parse(&row.status)
                .ok_or_else(|| unreadable("tenants.status", &row.status))?,
            plan: row.plan,
            delete_at: row.delete_at.map(from_row),
            suspension_reason: row.suspension_reason,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            version: row.version,
        })
    }
}

/// The subscription in force; without one, the plan that everybody has.
const PLAN: &str = "coalesce((select plan_id from subscriptions \
                    where subscriptions.tenant_id = tenants.id and subscriptions.status = 'active'), 'free')";

fn with_plan(tenants: Select<row::Entity>) -> Select<row::Entity> {
    tenants.expr_as(Expr::cust(PLAN), "plan")
}

/// Everything of a tenant that an update may change.
fn changeable(tenant: &Tenant) -> row::ActiveModel {
    row::ActiveModel {
        name: Set(tenant.name.clone()),
        subdomain: Set(tenant.subdomain.clone()),
        status: Set(tenant.status.as_str().to_owned()),
        delete_at: Set(tenant.delete_at.map(to_row)),
        suspension_reason: Set(tenant.suspension_reason.clone()),
        updated_at: Set(to_row(tenant.updated_at)),
        ..<row::ActiveModel as ActiveModelTrait>::default()
    }
}

/// Tenants over one connection.
pub(crate) struct Tenants<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> TenantRepository for Tenants<'_, C> {
    async fn insert(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        let row = row::ActiveModel {
            id: Set(tenant.id.uuid()),
            created_at: Set(to_row(tenant.created_at)),
            version: Set(tenant.version),
            ..changeable(tenant)
        };
        row::Entity::insert(row).exec_without_returning(self.connection).await.map_err(store_error)?;
        subdomains::claim(self.connection, tenant.id, &tenant.subdomain, tenant.created_at).await
    }

    async fn find(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = with_plan(row::Entity::find_by_id(id.uuid()))
            .into_model::<TenantRow>()
            .one(self.connection)
            .await
            .map_err(store_error)?;
        row.map(Tenant::try_from).transpose()
    }

    async fn update(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        let id = tenant.id.uuid();
        let stored = query(
            self.connection,
            "select subdomain from tenants where id = $1 and version = $2",
            [id.into(), tenant.version.into()],
        )
        .await?;
        let Some(stored) = stored.first() else {
            return Err(StoreError::Stale);
        };
        let old: String = stored.try_get("", "subdomain").map_err(store_error)?;
        if old != tenant.subdomain {
            subdomains::claim(self.connection, tenant.id, &tenant.subdomain, tenant.updated_at).await?;
        }
        let row = row::ActiveModel { version: Set(tenant.version + 1), ..changeable(tenant) };
        let updated = row::Entity::update_many()
            .set(row)
            .filter(row::Column::Id.eq(id))
            .filter(row::Column::Version.eq(tenant.version))
            .exec(self.connection)
            .await
            .map_err(store_error)?;
        if updated.rows_affected == 0 {
            return Err(StoreError::Stale);
        }
        if old != tenant.subdomain {
            subdomains::release(self.connection, tenant.id, &old).await?;
        }
        Ok(())
    }

    async fn lock(&mut self, id: TenantId) -> Result<(), StoreError> {
        let lock = format!("select id from tenants where id = $1 {}", dialect(self.connection).for_update);
        query(self.connection, &lock, [id.uuid().into()]).await?;
        Ok(())
    }

    async fn list<'q>(
        &mut self,
        member: Option<UserId>,
        q: Option<&'q str>,
        page: PageRequest,
    ) -> Result<List<Tenant>, StoreError> {
        let mut found = row::Entity::find().filter(row::Column::Status.ne(TenantStatus::Deleted.as_str()));
        if let Some(member) = member {
            let theirs = Query::select()
                .column(Alias::new("tenant_id"))
                .from(Alias::new("memberships"))
                .and_where(Expr::col(Alias::new("user_id")).eq(member.uuid()))
                .to_owned();
            found = found.filter(row::Column::Id.in_subquery(theirs));
        }
        if let Some(part) = q {
            let columns =
                [row::Column::Name, row::Column::Subdomain].map(|column| Expr::col(column.as_column_ref()));
            found = found.filter(contains(columns, part));
        }
        let total = found.clone().count(self.connection).await.map_err(store_error)?;
        let rows = with_plan(found)
            .order_by_desc(row::Column::CreatedAt)
            .order_by_desc(row::Column::Id)
            .limit(page.limit)
            .offset(page.offset())
            .into_model::<TenantRow>()
            .all(self.connection)
            .await
            .map_err(store_error)?;
        let tenants = rows.into_iter().map(Tenant::try_from).collect::<Result<_, _>>()?;
        Ok(List::new(tenants, page, total))
    }
}
