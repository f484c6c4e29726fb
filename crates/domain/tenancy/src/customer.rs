//! Customers: tenants as the people of the operator see them.

use portico_kernel::{
    Env, List, PageRequest, Permission, Scope, TenantId, Timestamp, UserId, Violations, name::Subdomain,
};
use serde::{Deserialize, Serialize};

use crate::{
    TenancyError,
    lifecycle::SuspendTenant,
    ports::TenancyRepositories,
    tenant::{Tenant, TenantFilter, TenantStatus, Tenants},
};

/// Most characters of a search word.
const SEARCH_MAX: usize = 100;

/// Who answers for a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerOwner {
    /// The user.
    pub user_id: UserId,
    /// Address of the account.
    #[cfg_attr(feature = "openapi", schema(format = "email", example = "ada@example.com"))]
    pub email: String,
    /// Whether the address is verified.
    pub email_verified: bool,
    /// Name.
    pub full_name: String,
}

/// A tenant as the people of the operator see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Customer {
    /// Id of the tenant.
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// Its subdomain.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub subdomain: Subdomain,
    /// Whether it can be used.
    pub status: TenantStatus,
    /// Why it is suspended.
    pub suspension_reason: Option<String>,
    /// When it will be deleted, if that was requested.
    pub delete_at: Option<Timestamp>,
    /// Id of its plan.
    pub plan: String,
    /// The owner who has been one for the longest time.
    pub owner: Option<CustomerOwner>,
    /// Number of its members.
    pub members: u64,
    /// Number of its sites.
    pub sites: u64,
    /// When a member signed in or had their session renewed, or an API key was used, last.
    pub last_activity_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change of the tenant itself.
    pub updated_at: Timestamp,
}

/// Ends the suspension of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "The invoice of March is paid."})))]
pub struct ReactivateCustomer {
    /// Why, for the audit trail; 1 to 500 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub reason: String,
}

/// Use cases of staff around customers. To staff, a tenant that one of the operator's own people owns is no customer and does not
/// exist here; super admins see all tenants.
pub struct Customers<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Customers<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The customers, without deleted ones. `q` also matches the address of an owner.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`; `Invalid`.
    pub async fn list(
        &mut self,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Customer>, TenancyError> {
        self.scope.require_platform(Permission::PlatformCustomers)?;
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), SEARCH_MAX);
        violations.optional_text("plan", filter.plan.as_deref(), SEARCH_MAX);
        violations.into_result()?;
        let all = self.scope.crosses_tenants();
        Ok(self.repositories.customers().list(all, filter, page).await?)
    }

    /// One customer.
    ///
    /// # Errors
    /// `Denied` without `platform:customers`; `NotFound`.
    pub async fn get(&mut self, id: TenantId) -> Result<Customer, TenancyError> {
        self.scope.require_platform(Permission::PlatformCustomers)?;
        let all = self.scope.crosses_tenants();
        let found = self.repositories.customers().find(id, all).await?;
        found.ok_or(TenancyError::NotFound("customer"))
    }

    /// Checks that the caller has a permission of staff, and that a tenant is a customer whom they look after. For the other use
    /// cases of staff, in their unit of work.
    ///
    /// # Errors
    /// `Denied`; `NotFound`.
    pub async fn check(&mut self, id: TenantId, permission: Permission) -> Result<(), TenancyError> {
        self.scope.require_platform(permission)?;
        let all = self.scope.crosses_tenants();
        match self.repositories.customers().exists(id, all).await? {
            true => Ok(()),
            false => Err(TenancyError::NotFound("customer")),
        }
    }

    /// The same, also for a tenant that is deleted: what it was sold is there, and is ended by staff.
    ///
    /// # Errors
    /// `Denied`; `NotFound`.
    pub async fn check_former(&mut self, id: TenantId, permission: Permission) -> Result<(), TenancyError> {
        self.scope.require_platform(permission)?;
        let all = self.scope.crosses_tenants();
        match self.repositories.customers().existed(id, all).await? {
            true => Ok(()),
            false => Err(TenancyError::NotFound("customer")),
        }
    }

    /// Suspends a customer, see [`Tenants::suspend`].
    ///
    /// # Errors
    /// `Denied` without `platform:suspensions`; `Invalid`; `NotFound`; `Deleting`.
    pub async fn suspend(&mut self, id: TenantId, input: SuspendTenant) -> Result<Tenant, TenancyError> {
        self.check(id, Permission::PlatformSuspensions).await?;
        Tenants::new(self.repositories, self.scope, self.env).suspend_one(id, input).await
    }

    /// Ends the suspension of a customer, see [`Tenants::reinstate`].
    ///
    /// # Errors
    /// `Denied` without `platform:suspensions`; `Invalid`; `NotFound`; `Deleting`.
    pub async fn reactivate(
        &mut self,
        id: TenantId,
        input: ReactivateCustomer,
    ) -> Result<Tenant, TenancyError> {
        self.check(id, Permission::PlatformSuspensions).await?;
        let mut violations = Violations::default();
        violations.text("reason", &input.reason, 1, 500);
        violations.into_result()?;
        let reason = Some(input.reason.trim());
        Tenants::new(self.repositories, self.scope, self.env).reinstate_one(id, reason).await
    }
}

#[cfg(test)]
#[path = "customer_tests.rs"]
mod tests;
