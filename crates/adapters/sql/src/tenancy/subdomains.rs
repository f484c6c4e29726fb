//! The one registry of names that tenants and sites answer at. Not a port: tenants and sites claim names through it.

use portico_kernel::{StoreError, TenantId, Timestamp};

use crate::db::Db;

/// Claims `name` for `tenant`, or finds that the tenant has it already. Answers `Conflict` when another tenant has it,
/// also when both claim it at once: the later one waits for the unit of work of the earlier one.
pub(crate) async fn claim(
    db: &Db<'_>,
    tenant: TenantId,
    name: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "insert into subdomains (name, tenant_id, created_at) values ($1, $2, $3) \
         on conflict (name) do update set tenant_id = excluded.tenant_id \
         where subdomains.tenant_id = excluded.tenant_id";
    let claimed = db.execute(sql, (name, tenant, now)).await?;
    if claimed == 0 { Err(StoreError::Conflict("subdomains".to_owned())) } else { Ok(()) }
}

/// Gives `name` up, unless the tenant itself or one of its sites still uses it. Call it after the change that stopped
/// using it.
pub(crate) async fn release(db: &Db<'_>, tenant: TenantId, name: &str) -> Result<(), StoreError> {
    let sql = "delete from subdomains where name = $1 and tenant_id = $2 \
         and not exists (select 1 from tenants where id = $2 and subdomain = $1) \
         and not exists (select 1 from sites where tenant_id = $2 and subdomain = $1)";
    db.execute(sql, (name, tenant)).await.map(drop)
}
