//! Who belongs where.

use async_trait::async_trait;
use portico_kernel::{StoreError, TenantId, TenantRole, UserId};
use portico_tenancy::{
    member::{Membership, TenantSummary},
    ports::MembershipRepository,
};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::to_row,
};

/// Memberships over one connection.
pub(crate) struct Memberships<'c, C> {
    pub connection: &'c C,
}

fn summary(row: &QueryResult) -> Result<TenantSummary, StoreError> {
    let role: String = row.try_get("", "role").map_err(store_error)?;
    Ok(TenantSummary {
        id: TenantId::from_uuid(row.try_get("", "id").map_err(store_error)?),
        name: row.try_get("", "name").map_err(store_error)?,
        role: TenantRole::parse(&role).ok_or_else(|| unreadable("memberships.role", &role))?,
    })
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
            "select t.id, t.name, m.role from memberships m join tenants t on t.id = m.tenant_id \
             where m.user_id = $1 and t.status <> 'deleted' order by m.joined_at, m.tenant_id",
            [user.uuid().into()],
        )
        .await?;
        rows.iter().map(summary).collect()
    }
}
