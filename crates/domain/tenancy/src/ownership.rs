//! Transferring the ownership of a tenant.

use portico_kernel::{Env, Permission, Scope, TenantRole, UserId, Violations};
use serde::Deserialize;

use crate::{
    TenancyError,
    member::Member,
    membership::{hold, set_role},
    ports::TenancyRepositories,
};

/// Makes a member the owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"userId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"})))]
pub struct TransferOwnership {
    /// The member who becomes an owner.
    #[cfg_attr(feature = "openapi", schema(required, value_type = UserId))]
    pub user_id: Option<UserId>,
    /// Whether the caller stays an owner too, instead of becoming an admin. No, where absent.
    pub keep_role: Option<bool>,
}

/// The use case of transferring a tenant.
pub struct Ownership<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Ownership<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes a member of the active tenant an owner, and the caller an admin. Refused to impersonators; identity checks, in the
    /// same unit of work, that the caller has just proven who they are.
    pub async fn transfer(&mut self, input: TransferOwnership) -> Result<Member, TenancyError> {
        let tenant = self.scope.require(Permission::TenantTransfer)?;
        let (caller, _) = self.scope.require_not_impersonated()?;
        let mut violations = Violations::default();
        violations.check(input.user_id.is_some(), "userId", "required", "This field is required.");
        violations.check(
            input.user_id != Some(caller),
            "userId",
            "unchanged",
            "Name another member than yourself.",
        );
        violations.into_result()?;
        let heir = input.user_id.ok_or(TenancyError::NotFound("member"))?;
        hold(self.repositories, self.scope, tenant, Permission::TenantTransfer).await?;
        let Some(before) = self.repositories.memberships().role(tenant, heir).await? else {
            return Err(TenancyError::NotFound("member"));
        };
        let (repositories, scope, env) = (&mut *self.repositories, self.scope, self.env);
        if before != TenantRole::Owner {
            set_role(repositories, scope, env, tenant, heir, before, TenantRole::Owner).await?;
        }
        // An operator who crosses tenants has no role here to give up.
        let own = repositories.memberships().role(tenant, caller).await?;
        if own == Some(TenantRole::Owner) && input.keep_role != Some(true) {
            set_role(repositories, scope, env, tenant, caller, TenantRole::Owner, TenantRole::Admin).await?;
        }
        let member = repositories.memberships().member(tenant, heir).await?;
        member.ok_or(TenancyError::NotFound("member"))
    }
}
