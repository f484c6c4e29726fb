//! Which tenants staff look after. The only place that says so.

/// The condition that a tenant, which is named by a column with its table, is none of those that the operator's own people own; no
/// condition for whoever may see `all`.
pub(crate) fn looked_after(all: bool, tenant: &str) -> String {
    if all {
        return "true".to_owned();
    }
    format!(
        "not exists (select 1 from memberships join users on users.id = memberships.user_id \
         where memberships.tenant_id = {tenant} and memberships.role = 'owner' and users.role <> 'customer')"
    )
}
