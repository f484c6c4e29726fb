//! Tenants with what belongs to them.

use async_trait::async_trait;
use portico_kernel::{
    List, PageRequest, StoreError, TenantId, TenantRole, Timestamp, UserId, name::Subdomain,
};
use portico_tenancy::{
    customer::{Customer, CustomerOwner, CustomerPerson},
    ports::CustomerRepository,
    tenant::{TenantFilter, TenantStatus},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Select, Value,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::tenants::{PLAN, of_page, row};
use crate::{columns::Col, db::Db, dialect::contains, looked_after::looked_after};

/// Members, without those whose account is deleted.
const MEMBERS: &str = "(select count(*) from memberships join users on users.id = memberships.user_id \
                       where memberships.tenant_id = tenants.id and users.status <> 'deleted')";

const SITES: &str = "(select count(*) from sites where sites.tenant_id = tenants.id)";

/// Impersonation is not the customer's activity.
const LAST_ACTIVITY: &str = "(select max(seen.at) from (\
     select users.last_login_at as at from memberships join users on users.id = memberships.user_id \
       where memberships.tenant_id = tenants.id \
     union all \
     select sessions.last_used_at as at from memberships \
       join sessions on sessions.user_id = memberships.user_id and sessions.ended_at is null \
       and sessions.impersonator_id is null \
       where memberships.tenant_id = tenants.id \
     union all \
     select api_keys.last_used_at as at from api_keys where api_keys.tenant_id = tenants.id) seen)";

/// A column of the owner who has been one for the longest time.
fn owner(column: &str) -> String {
    format!(
        "(select users.{column} from memberships join users on users.id = memberships.user_id \
         where memberships.tenant_id = tenants.id and memberships.role = 'owner' and users.status <> 'deleted' \
         order by memberships.joined_at, memberships.user_id limit 1)"
    )
}

#[derive(FromQueryResult)]
struct CustomerRow {
    id: Col<TenantId>,
    name: String,
    subdomain: Col<Subdomain>,
    status: Col<TenantStatus>,
    suspension_reason: Option<String>,
    delete_at: Col<Option<Timestamp>>,
    plan: String,
    owner_id: Col<Option<UserId>>,
    owner_email: Option<String>,
    owner_verified: Option<bool>,
    owner_name: Option<String>,
    members: Col<u64>,
    sites: Col<u64>,
    last_activity_at: Col<Option<Timestamp>>,
    created_at: Col<Timestamp>,
    updated_at: Col<Timestamp>,
}

impl From<CustomerRow> for Customer {
    fn from(row: CustomerRow) -> Self {
        let owner = match (row.owner_id.0, row.owner_email, row.owner_name) {
            (Some(user_id), Some(email), Some(full_name)) => {
                let email_verified = row.owner_verified == Some(true);
                Some(CustomerOwner { user_id, email, email_verified, full_name })
            }
            _ => None,
        };
        Self {
            id: row.id.0,
            name: row.name,
            subdomain: row.subdomain.0,
            status: row.status.0,
            suspension_reason: row.suspension_reason,
            delete_at: row.delete_at.0,
            plan: row.plan,
            owner,
            members: row.members.0,
            sites: row.sites.0,
            last_activity_at: row.last_activity_at.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

/// The tenants that are customers.
fn customers(all: bool) -> Select<row::Entity> {
    let found = row::Entity::find().filter(row::Column::Status.ne(Col(TenantStatus::Deleted)));
    if all { found } else { found.filter(Expr::cust(looked_after(all, "tenants.id"))) }
}

/// With what belongs to them.
fn in_full(customers: Select<row::Entity>) -> Select<row::Entity> {
    customers
        .expr_as(Expr::cust(PLAN), "plan")
        .expr_as(Expr::cust(owner("id")), "owner_id")
        .expr_as(Expr::cust(owner("email")), "owner_email")
        .expr_as(Expr::cust(owner("email_verified")), "owner_verified")
        .expr_as(Expr::cust(owner("full_name")), "owner_name")
        .expr_as(Expr::cust(MEMBERS), "members")
        .expr_as(Expr::cust(SITES), "sites")
        .expr_as(Expr::cust(LAST_ACTIVITY), "last_activity_at")
}

/// The tables whose rows are found by their ids.
const FOUND_BY_ID: [&str; 4] = ["purchases", "invoices", "licenses", "support_tickets"];

/// What a customer is found by, see the port.
fn matching(part: &str) -> Condition {
    let column = |table: &'static str, name: &'static str| Expr::col((Alias::new(table), Alias::new(name)));
    let part = part.trim();
    // Each of these finds its few tenants once, and not for every tenant.
    let members = Query::select()
        .column((Alias::new("memberships"), Alias::new("tenant_id")))
        .from(Alias::new("memberships"))
        .inner_join(
            Alias::new("users"),
            column("users", "id").equals((Alias::new("memberships"), Alias::new("user_id"))),
        )
        // Staff who only help in a tenant are not what it is known by.
        .cond_where(
            Condition::any()
                .add(column("users", "role").eq("customer"))
                .add(column("memberships", "role").eq("owner")),
        )
        .cond_where(contains([column("users", "email"), column("users", "full_name")], part))
        .to_owned();
    let columns = [row::Column::Name, row::Column::Subdomain].map(|column| Expr::col(column.as_column_ref()));
    let tenants_of = |table: &'static str, found: Condition| {
        let tenants = Query::select()
            .column(Alias::new("tenant_id"))
            .from(Alias::new(table))
            .cond_where(found)
            .to_owned();
        column("tenants", "id").in_subquery(tenants)
    };
    let whole = |table: &'static str, name: &'static str, value: Value| {
        tenants_of(table, Condition::all().add(column(table, name).eq(value)))
    };
    let mut any = Condition::any()
        .add(contains(columns, part))
        .add(column("tenants", "id").in_subquery(members))
        .add(tenants_of("domains", contains([column("domains", "name")], part)))
        .add(whole("invoices", "number", part.into()));
    if let Ok(id) = Uuid::parse_str(part) {
        any = any.add(column("tenants", "id").eq(id)).add(whole("memberships", "user_id", id.into()));
        for table in FOUND_BY_ID {
            any = any.add(whole(table, "id", id.into()));
        }
    }
    any
}

/// Tenants over one connection.
pub(crate) struct Customers<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl CustomerRepository for Customers<'_> {
    async fn list(
        &mut self,
        all: bool,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Customer>, StoreError> {
        let mut found = customers(all);
        if let Some(status) = filter.status {
            found = found.filter(row::Column::Status.eq(Col(status)));
        }
        if let Some(plan) = filter.plan {
            found = found.filter(Expr::cust(PLAN).eq(plan));
        }
        if let Some(part) = &filter.q {
            found = found.filter(matching(part));
        }
        let rows = in_full(of_page(found.clone(), filter.sort, page));
        self.db.page_of::<_, CustomerRow, _>(found, rows, page).await
    }

    async fn find(&mut self, id: TenantId, all: bool) -> Result<Option<Customer>, StoreError> {
        let found = in_full(customers(all)).filter(row::Column::Id.eq(Col(id)));
        self.db.one(found.into_model::<CustomerRow>()).await
    }

    async fn people(&mut self, tenant: TenantId, limit: u64) -> Result<Vec<CustomerPerson>, StoreError> {
        let sql = "select users.id, users.email, users.full_name, memberships.role, users.last_login_at, memberships.joined_at \
             from memberships join users on users.id = memberships.user_id \
             where memberships.tenant_id = $1 and users.status <> 'deleted' \
             order by users.last_login_at is null, users.last_login_at desc, users.id limit $2";
        type Row = (UserId, String, String, TenantRole, Option<Timestamp>, Timestamp);
        let rows: Vec<Row> = self.db.rows(sql, (tenant, limit)).await?;
        let person = |(user_id, email, full_name, role, last_login_at, joined_at): Row| CustomerPerson {
            user_id,
            email,
            full_name,
            role,
            last_login_at,
            joined_at,
        };
        Ok(rows.into_iter().map(person).collect())
    }

    async fn exists(&mut self, id: TenantId, all: bool) -> Result<bool, StoreError> {
        let sql = format!(
            "select 1 from tenants where tenants.id = $1 and tenants.status <> 'deleted' and {}",
            looked_after(all, "tenants.id")
        );
        self.db.exists(&sql, [id]).await
    }

    async fn existed(&mut self, id: TenantId, all: bool) -> Result<bool, StoreError> {
        let sql =
            format!("select 1 from tenants where tenants.id = $1 and {}", looked_after(all, "tenants.id"));
        self.db.exists(&sql, [id]).await
    }
}
