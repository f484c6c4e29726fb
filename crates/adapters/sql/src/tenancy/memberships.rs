//! Who belongs where.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, TenantRole, UserId};
use portico_tenancy::{
    member::{Member, MemberFilter, TenantSummary},
    membership::Membership,
    ports::MembershipRepository,
    tenant::TenantStatus,
};
use sea_orm::{
    ConnectionTrait, FromQueryResult, QueryResult, StatementBuilder,
    sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Order, Query, SelectStatement},
};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{contains, dialect, execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Memberships over one connection.
pub(crate) struct Memberships<'c, C> {
    pub connection: &'c C,
}

fn summary(row: &QueryResult) -> Result<TenantSummary, StoreError> {
    let role: String = row.try_get("", "role").map_err(store_error)?;
    let status: String = row.try_get("", "status").map_err(store_error)?;
    Ok(TenantSummary {
        id: TenantId::from_uuid(row.try_get("", "id").map_err(store_error)?),
        name: row.try_get("", "name").map_err(store_error)?,
        role: TenantRole::parse(&role).ok_or_else(|| unreadable("memberships.role", &role))?,
        status: TenantStatus::parse(&status).ok_or_else(|| unreadable("tenants.status", &status))?,
    })
}

#[derive(FromQueryResult)]
struct MemberRow {
    user_id: Uuid,
    email: String,
    full_name: String,
    role: String,
    joined_at: PrimitiveDateTime,
}

fn member(row: &QueryResult) -> Result<Member, StoreError> {
    let row = MemberRow::from_query_result(row, "").map_err(store_error)?;
    Ok(Member {
        user_id: UserId::from_uuid(row.user_id),
        email: row.email,
        full_name: row.full_name,
        role: TenantRole::parse(&row.role).ok_or_else(|| unreadable("memberships.role", &row.role))?,
        joined_at: from_row(row.joined_at),
    })
}

fn count(rows: &[QueryResult]) -> Result<u64, StoreError> {
    let total = rows.first().map(|row| row.try_get::<i64>("", "total")).transpose().map_err(store_error)?;
    Ok(u64::try_from(total.unwrap_or_default()).unwrap_or_default())
}

/// The members of a tenant, without those whose account is deleted.
fn members(tenant: TenantId) -> SelectStatement {
    let column = |table: &'static str, name: &'static str| Expr::col((Alias::new(table), Alias::new(name)));
    Query::select()
        .from(Alias::new("memberships"))
        .join(
            JoinType::InnerJoin,
            Alias::new("users"),
            column("users", "id").equals((Alias::new("memberships"), Alias::new("user_id"))),
        )
        .and_where(column("memberships", "tenant_id").eq(tenant.uuid()))
        .and_where(column("users", "status").ne("deleted"))
        .to_owned()
}

#[async_trait]
impl<C: ConnectionTrait + Send> MembershipRepository for Memberships<'_, C> {
    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into memberships (tenant_id, user_id, role, joined_at) values ($1, $2, $3, $4)",
            [
                membership.tenant.uuid().into(),
                membership.user.uuid().into(),
                membership.role.as_str().into(),
                to_row(membership.joined_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn of_user(&mut self, user: UserId) -> Result<Vec<TenantSummary>, StoreError> {
        let rows = query(
            self.connection,
            "select t.id, t.name, t.status, m.role from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and t.status <> 'deleted' order by m.joined_at, m.tenant_id",
            [user.uuid().into()],
        )
        .await?;
        rows.iter().map(summary).collect()
    }

    async fn role(&mut self, tenant: TenantId, user: UserId) -> Result<Option<TenantRole>, StoreError> {
        let rows = query(
            self.connection,
            "select role from memberships where tenant_id = $1 and user_id = $2",
            [tenant.uuid().into(), user.uuid().into()],
        )
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let role: String = row.try_get("", "role").map_err(store_error)?;
        TenantRole::parse(&role).map(Some).ok_or_else(|| unreadable("memberships.role", &role))
    }

    async fn member(&mut self, tenant: TenantId, user: UserId) -> Result<Option<Member>, StoreError> {
        let rows = query(
            self.connection,
            "select m.user_id, u.email, u.full_name, m.role, m.joined_at \
             from memberships m join users u on u.id = m.user_id where m.tenant_id = $1 and m.user_id = $2",
            [tenant.uuid().into(), user.uuid().into()],
        )
        .await?;
        rows.first().map(member).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        filter: MemberFilter,
        page: PageRequest,
    ) -> Result<List<Member>, StoreError> {
        let column = |table: &'static str, name: &'static str| (Alias::new(table), Alias::new(name));
        let mut found = members(tenant);
        if let Some(role) = filter.role {
            found.and_where(Expr::col(column("memberships", "role")).eq(role.as_str()));
        }
        if let Some(part) = &filter.q {
            let columns = ["full_name", "email"].map(|name| Expr::col(column("users", name)));
            found.cond_where(contains(columns, part));
        }
        let total = found.clone().expr_as(Func::count(Expr::val(1)), Alias::new("total")).to_owned();
        let rows = found
            .column(column("memberships", "user_id"))
            .column(column("users", "email"))
            .column(column("users", "full_name"))
            .column(column("memberships", "role"))
            .column(column("memberships", "joined_at"))
            .order_by(column("memberships", "joined_at"), Order::Asc)
            .order_by(column("memberships", "user_id"), Order::Asc)
            .limit(page.limit)
            .offset(page.offset())
            .to_owned();
        let backend = self.connection.get_database_backend();
        let run = async |statement: &SelectStatement| {
            self.connection
                .query_all_raw(StatementBuilder::build(statement, &backend))
                .await
                .map_err(store_error)
        };
        let (total, rows) = (run(&total).await?, run(&rows).await?);
        let items = rows.iter().map(member).collect::<Result<_, _>>()?;
        Ok(List::new(items, page, count(&total)?))
    }

    async fn set_role(
        &mut self,
        tenant: TenantId,
        user: UserId,
        role: TenantRole,
    ) -> Result<bool, StoreError> {
        let changed = execute(
            self.connection,
            "update memberships set role = $3 where tenant_id = $1 and user_id = $2",
            [tenant.uuid().into(), user.uuid().into(), role.as_str().into()],
        )
        .await?;
        Ok(changed == 1)
    }

    async fn remove(&mut self, tenant: TenantId, user: UserId) -> Result<bool, StoreError> {
        let removed = execute(
            self.connection,
            "delete from memberships where tenant_id = $1 and user_id = $2",
            [tenant.uuid().into(), user.uuid().into()],
        )
        .await?;
        Ok(removed == 1)
    }

    async fn owners(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        let rows = query(
            self.connection,
            "select count(*) as total from memberships m join users u on u.id = m.user_id \
             where m.tenant_id = $1 and m.role = 'owner' and u.status <> 'deleted'",
            [tenant.uuid().into()],
        )
        .await?;
        count(&rows)
    }

    async fn count_owned(&mut self, user: UserId) -> Result<u64, StoreError> {
        let lock = format!("select id from users where id = $1 {}", dialect(self.connection).for_update);
        query(self.connection, &lock, [user.uuid().into()]).await?;
        let rows = query(
            self.connection,
            "select count(*) as total from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and m.role = 'owner' and t.status <> 'deleted'",
            [user.uuid().into()],
        )
        .await?;
        count(&rows)
    }

    async fn has_address(&mut self, tenant: TenantId, email: &str) -> Result<bool, StoreError> {
        let rows = query(
            self.connection,
            "select 1 as there from memberships m join users u on u.id = m.user_id \
             where m.tenant_id = $1 and u.email = $2 and u.status <> 'deleted' limit 1",
            [tenant.uuid().into(), email.into()],
        )
        .await?;
        Ok(!rows.is_empty())
    }
}
