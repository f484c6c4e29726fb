//! Members of a tenant and their roles.

use portico_kernel::{
    Actor, Env, Event, List, PageRequest, Permission, Scope, TenantId, TenantRole, Timestamp, UserId,
    Violations,
};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    dealer::Dealer,
    events, invitation,
    membership::{hold, keep_an_owner, set_role},
    ports::TenancyRepositories,
    tenant::TenantStatus,
};

/// A tenant as its member's profile shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantSummary {
    /// Its id.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// The member's role.
    pub role: TenantRole,
    /// Whether it can be used.
    pub status: TenantStatus,
    /// Its dealer, for callers who may read the tenant.
    #[serde(skip)]
    pub dealer: Option<Dealer>,
}

/// A member as the other members see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// The user.
    pub user_id: UserId,
    /// Address of the account.
    #[cfg_attr(feature = "openapi", schema(format = "email", example = "ada@example.com"))]
    pub email: String,
    /// Name.
    pub full_name: String,
    /// Role.
    pub role: TenantRole,
    /// Since when.
    pub joined_at: Timestamp,
}

/// Which members to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// A part of the name or the address.
    pub q: Option<String>,
    /// Those of one role.
    pub role: Option<TenantRole>,
}

/// A change of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"role": "editor"})))]
pub struct MemberUpdate {
    /// The new role.
    #[cfg_attr(feature = "openapi", schema(required, value_type = TenantRole))]
    pub role: Option<TenantRole>,
}

/// Use cases around membership. An impersonator changes none. Those that change one lock the row of the tenant, so that of
/// several that would together leave a tenant without an owner one is refused.
pub struct Members<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Members<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The caller's own tenants, oldest membership first.
    pub async fn mine(&mut self) -> Result<Vec<TenantSummary>, TenancyError> {
        let (user, _) = self.scope.require_user()?;
        Ok(self.repositories.memberships().of_user(user).await?)
    }

    /// The members of the active tenant, oldest first.
    pub async fn list(
        &mut self,
        filter: MemberFilter,
        page: PageRequest,
    ) -> Result<List<Member>, TenancyError> {
        let tenant = self.scope.require(Permission::MembersRead)?;
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), 100);
        violations.into_result()?;
        Ok(self.repositories.memberships().list(tenant, filter, page).await?)
    }

    /// Gives a member of the active tenant another role. Only owners make and change owners. Errors:
    /// [`TenancyError::LastOwner`].
    pub async fn change_role(&mut self, user: UserId, input: MemberUpdate) -> Result<Member, TenancyError> {
        let tenant = self.scope.require(Permission::MembersWrite)?;
        self.scope.forbid_impersonation()?;
        let mut violations = Violations::default();
        violations.check(input.role.is_some(), "role", "required", "This field is required.");
        violations.into_result()?;
        self.hold(tenant, Permission::MembersWrite).await?;
        let before = self.role_of(tenant, user).await?;
        let role = input.role.unwrap_or(before);
        if role != before {
            if role == TenantRole::Owner || before == TenantRole::Owner {
                self.scope.require(Permission::TenantTransfer)?;
                self.hold(tenant, Permission::TenantTransfer).await?;
            }
            set_role(self.repositories, self.scope, self.env, tenant, user, before, role).await?;
            if !role.permissions().contains(Permission::MembersWrite) {
                invitation::revoke_of(self.repositories, self.scope, self.env, tenant, user).await?;
            }
        }
        let member = self.repositories.memberships().member(tenant, user).await?;
        member.ok_or(TenancyError::NotFound("member"))
    }

    /// Removes a member from the active tenant; removing oneself is leaving, which every member may. Only owners remove owners.
    /// The pending invitations of a removed member are revoked. Errors: [`TenancyError::LastOwner`].
    pub async fn remove(&mut self, user: UserId) -> Result<(), TenancyError> {
        let leaving = matches!(self.scope.actor(), Actor::User { id, .. } if *id == user);
        let tenant = match (leaving, self.scope.active_tenant()) {
            (true, Some(tenant)) => tenant,
            _ => self.scope.require(Permission::MembersWrite)?,
        };
        self.scope.forbid_impersonation()?;
        if leaving {
            self.repositories.tenants().lock(tenant).await?;
        } else {
            self.hold(tenant, Permission::MembersWrite).await?;
        }
        let role = self.role_of(tenant, user).await?;
        if role == TenantRole::Owner && !leaving {
            self.scope.require(Permission::TenantTransfer)?;
            self.hold(tenant, Permission::TenantTransfer).await?;
        }
        if !self.repositories.memberships().remove(tenant, user).await? {
            return Err(TenancyError::NotFound("member"));
        }
        if role == TenantRole::Owner {
            keep_an_owner(self.repositories, tenant).await?;
        }
        let event = Event::new(self.env, self.scope, &events::MEMBER_DELETED, user.uuid())
            .in_tenant(tenant)
            .before(&serde_json::json!({"userId": user, "role": role}));
        self.repositories.events().append(event).await?;
        if !leaving {
            invitation::revoke_of(self.repositories, self.scope, self.env, tenant, user).await?;
        }
        Ok(())
    }

    async fn role_of(&mut self, tenant: TenantId, user: UserId) -> Result<TenantRole, TenancyError> {
        let role = self.repositories.memberships().role(tenant, user).await?;
        role.ok_or(TenancyError::NotFound("member"))
    }

    async fn hold(&mut self, tenant: TenantId, permission: Permission) -> Result<(), TenancyError> {
        hold(self.repositories, self.scope, tenant, permission).await
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
