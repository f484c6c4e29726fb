//! Membership: a user's role in a tenant, and the rules for every change of one.

use portico_kernel::{Actor, Denied, Env, Event, Permission, Scope, TenantId, TenantRole, Timestamp, UserId};

use crate::{TenancyError, events, ports::TenancyRepositories};

/// A user's role in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// Role.
    pub role: TenantRole,
    /// Since when.
    pub joined_at: Timestamp,
}

/// Locks the row of the tenant until the unit of work ends, and makes sure that the caller still has the permission, now that no
/// other transaction can take it: the scope was read before the lock.
pub(crate) async fn hold(
    repositories: &mut dyn TenancyRepositories,
    scope: &Scope,
    tenant: TenantId,
    permission: Permission,
) -> Result<(), TenancyError> {
    repositories.tenants().lock(tenant).await?;
    let id = match *scope.actor() {
        Actor::User { id, .. } => id,
        Actor::System => return Ok(()),
        // No key has a permission that decides over people.
        Actor::ApiKey { .. } => return Err(Denied::NotAPerson.into()),
        Actor::Anonymous => return Err(Denied::Unauthenticated.into()),
    };
    if scope.crosses_tenants() {
        return Ok(());
    }
    let role = repositories.memberships().role(tenant, id).await?;
    match role {
        Some(role) if role.permissions().contains(permission) => Ok(()),
        _ => Err(Denied::Forbidden(permission).into()),
    }
}

/// Changes the role of a member, given that the tenant keeps an owner. The tenant's row is locked.
pub(crate) async fn set_role(
    repositories: &mut dyn TenancyRepositories,
    scope: &Scope,
    env: &Env,
    tenant: TenantId,
    user: UserId,
    before: TenantRole,
    after: TenantRole,
) -> Result<(), TenancyError> {
    if !repositories.memberships().set_role(tenant, user, after).await? {
        return Err(TenancyError::NotFound("member"));
    }
    if before == TenantRole::Owner {
        keep_an_owner(repositories, tenant).await?;
    }
    let event = Event::new(env, scope, &events::MEMBER_UPDATED, user.uuid())
        .in_tenant(tenant)
        .before(&serde_json::json!({"userId": user, "role": before}))
        .after(&serde_json::json!({"userId": user, "role": after}));
    Ok(repositories.events().append(event).await?)
}

/// Checks that the tenant has an owner. The tenant's row is locked, and the change is made: the count includes it.
pub(crate) async fn keep_an_owner(
    repositories: &mut dyn TenancyRepositories,
    tenant: TenantId,
) -> Result<(), TenancyError> {
    match repositories.memberships().owners(tenant).await? {
        0 => Err(TenancyError::LastOwner),
        _ => Ok(()),
    }
}
