//! Who belongs to a tenant.

use portico_kernel::{Scope, TenantId, TenantRole, Timestamp, UserId};
use serde::Serialize;

use crate::{TenancyError, ports::TenancyRepositories};

/// A user's place in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: TenantRole,
    /// Since when.
    pub joined_at: Timestamp,
}

/// A tenant as its member's profile shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantSummary {
    /// Which.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// The member's role.
    pub role: TenantRole,
}

/// Use cases around membership.
pub struct Members<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
}

impl<'a> Members<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// The caller's own tenants, oldest membership first.
    pub async fn mine(&mut self) -> Result<Vec<TenantSummary>, TenancyError> {
        let (user, _) = self.scope.require_user()?;
        Ok(self.repositories.memberships().of_user(user).await?)
    }
}
