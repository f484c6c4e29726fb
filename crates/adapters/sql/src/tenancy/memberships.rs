//! Who belongs where.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, TenantRole, Timestamp, UserId};
use portico_tenancy::{
    dealer::Dealer,
    member::{Member, MemberFilter, TenantSummary},
    membership::Membership,
    ports::MembershipRepository,
    tenant::TenantStatus,
};
use sea_orm::{
    FromQueryResult,
    sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Order, Query, SelectStatement},
};

use crate::{
    columns::{Col, words},
    db::{Db, in_pages},
    dialect::contains,
};

words!(TenantRole);

/// Memberships over one connection.
pub(crate) struct Memberships<'c> {
    pub db: Db<'c>,
}

#[derive(FromQueryResult)]
struct MemberRow {
    user_id: Col<UserId>,
    email: String,
    full_name: String,
    role: Col<TenantRole>,
    joined_at: Col<Timestamp>,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self {
            user_id: row.user_id.0,
            email: row.email,
            full_name: row.full_name,
            role: row.role.0,
            joined_at: row.joined_at.0,
        }
    }
}

/// A tenant of a user, with its dealer if it has one.
#[derive(FromQueryResult)]
struct SummaryRow {
    id: Col<TenantId>,
    name: String,
    status: Col<TenantStatus>,
    role: Col<TenantRole>,
    dealer: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    updated_at: Col<Option<Timestamp>>,
    version: Option<i64>,
}

impl From<SummaryRow> for TenantSummary {
    fn from(row: SummaryRow) -> Self {
        let (tenant, email, phone) = (row.id.0, row.email, row.phone);
        let dealer = match (row.dealer, row.updated_at.0, row.version) {
            (Some(name), Some(updated_at), Some(version)) => {
                Some(Dealer { tenant, name, email, phone, updated_at, version })
            }
            _ => None,
        };
        Self { id: tenant, name: row.name, role: row.role.0, status: row.status.0, dealer }
    }
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
        .and_where(column("memberships", "tenant_id").eq(Col(tenant)))
        .and_where(column("users", "status").ne("deleted"))
        .to_owned()
}

#[async_trait]
impl MembershipRepository for Memberships<'_> {
    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError> {
        let sql = "insert into memberships (tenant_id, user_id, role, joined_at) values ($1, $2, $3, $4)";
        let values = (membership.tenant, membership.user, membership.role, membership.joined_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn of_user(&mut self, user: UserId) -> Result<Vec<TenantSummary>, StoreError> {
        let sql = "select t.id, t.name, t.status, m.role, d.name as dealer, d.email, d.phone, d.updated_at, d.version \
             from memberships m join tenants t on t.id = m.tenant_id left join dealers d on d.tenant_id = t.id \
             where m.user_id = $1 and t.status <> 'deleted' order by m.joined_at, m.tenant_id";
        let rows: Vec<SummaryRow> = self.db.models(sql, [user]).await?;
        Ok(rows.into_iter().map(TenantSummary::from).collect())
    }

    async fn role(&mut self, tenant: TenantId, user: UserId) -> Result<Option<TenantRole>, StoreError> {
        let sql = "select role from memberships where tenant_id = $1 and user_id = $2";
        self.db.row(sql, (tenant, user)).await
    }

    async fn member(&mut self, tenant: TenantId, user: UserId) -> Result<Option<Member>, StoreError> {
        let sql = "select m.user_id, u.email, u.full_name, m.role, m.joined_at \
             from memberships m join users u on u.id = m.user_id where m.tenant_id = $1 and m.user_id = $2";
        let found: Option<MemberRow> = self.db.model(sql, (tenant, user)).await?;
        Ok(found.map(Member::from))
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
            found.and_where(Expr::col(column("memberships", "role")).eq(Col(role)));
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
        let members =
            async { Ok(self.db.select::<MemberRow>(&rows).await?.into_iter().map(Member::from).collect()) };
        in_pages(page, self.db.select_count(&total), members).await
    }

    async fn set_role(
        &mut self,
        tenant: TenantId,
        user: UserId,
        role: TenantRole,
    ) -> Result<bool, StoreError> {
        let sql = "update memberships set role = $3 where tenant_id = $1 and user_id = $2";
        Ok(self.db.execute(sql, (tenant, user, role)).await? == 1)
    }

    async fn remove(&mut self, tenant: TenantId, user: UserId) -> Result<bool, StoreError> {
        let sql = "delete from memberships where tenant_id = $1 and user_id = $2";
        Ok(self.db.execute(sql, (tenant, user)).await? == 1)
    }

    async fn owners(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        let sql = "select count(*) as total from memberships m join users u on u.id = m.user_id \
             where m.tenant_id = $1 and m.role = 'owner' and u.status <> 'deleted'";
        self.db.total(sql, [tenant]).await
    }

    async fn count_owned(&mut self, user: UserId) -> Result<u64, StoreError> {
        let lock = format!("select id from users where id = $1 {}", self.db.dialect().for_update);
        self.db.exists(&lock, [user]).await?;
        let sql = "select count(*) as total from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and m.role = 'owner' and t.status <> 'deleted'";
        self.db.total(sql, [user]).await
    }

    async fn has_address(&mut self, tenant: TenantId, email: &str) -> Result<bool, StoreError> {
        let sql = "select 1 as there from memberships m join users u on u.id = m.user_id \
             where m.tenant_id = $1 and u.email = $2 and u.status <> 'deleted' limit 1";
        self.db.exists(sql, (tenant, email)).await
    }
}
