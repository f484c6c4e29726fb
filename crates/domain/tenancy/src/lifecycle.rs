//! The end of a tenant, and what may come before it: suspension by the operator, deletion after a grace period.

use portico_kernel::{JobType, NewJob, Permission, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    TenancyError, events,
    tenant::{Tenant, TenantStatus, Tenants},
};

/// The job that finishes the deletion of its tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteTenant {}

impl JobType for DeleteTenant {
    const KIND: &'static str = "tenant.delete";
    /// The database may be down for about a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// Suspends a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "The invoice of March is not paid."})))]
pub struct SuspendTenant {
    /// Why, for its members to read; 1 to 500 characters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub reason: String,
}

impl Tenants<'_> {
    /// Suspends the active tenant: its members and keys have no access, and its sites are offline. By the operator only. One that
    /// is suspended already stays as it is. Errors: [`TenancyError::Deleting`].
    pub async fn suspend(&mut self, input: SuspendTenant) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::PlatformTenants)?;
        self.suspend_one(id, input).await
    }

    /// [`Tenants::suspend`] of any tenant. The caller checks the permission.
    pub(crate) async fn suspend_one(
        &mut self,
        id: TenantId,
        input: SuspendTenant,
    ) -> Result<Tenant, TenancyError> {
        let mut violations = Violations::default();
        violations.text("reason", &input.reason, 1, 500);
        violations.into_result()?;
        let before = self.held(id).await?;
        match before.status {
            TenantStatus::Active => {}
            TenantStatus::Suspended => return Ok(before),
            TenantStatus::Deleting | TenantStatus::Deleted => return Err(TenancyError::Deleting),
        }
        let after = Tenant {
            status: TenantStatus::Suspended,
            suspension_reason: Some(input.reason.trim().to_owned()),
            ..before.clone()
        };
        self.store(&before, after, None, &events::TENANT_SUSPENDED).await
    }

    /// Ends a suspension. By the operator only. An active tenant stays as it is. Errors: [`TenancyError::Deleting`].
    pub async fn reinstate(&mut self) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::PlatformTenants)?;
        self.reinstate_one(id, None).await
    }

    /// [`Tenants::reinstate`] of any tenant, with a reason for the audit trail. The caller checks the permission.
    pub(crate) async fn reinstate_one(
        &mut self,
        id: TenantId,
        reason: Option<&str>,
    ) -> Result<Tenant, TenancyError> {
        let before = self.held(id).await?;
        match before.status {
            TenantStatus::Suspended => {}
            TenantStatus::Active => return Ok(before),
            TenantStatus::Deleting | TenantStatus::Deleted => return Err(TenancyError::Deleting),
        }
        let after = Tenant { status: TenantStatus::Active, suspension_reason: None, ..before.clone() };
        self.store_because(&before, after, None, (&events::TENANT_REINSTATED, reason)).await
    }

    /// Has the active tenant deleted after `grace`, given that its version is still the expected one, if any. Until then its
    /// sites are offline, its members only read, and an owner may cancel the deletion; without grace it is gone at once. Its rows
    /// stay for the audit trail, and its subdomain stays taken, so that no other tenant can pose as it. Errors:
    /// [`TenancyError::Deleting`].
    pub async fn delete(&mut self, expected: Option<i64>, grace: Duration) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::TenantDelete)?;
        self.scope.forbid_impersonation()?;
        let before = self.expected(id, expected).await?;
        if before.status == TenantStatus::Deleting {
            return Err(TenancyError::Deleting);
        }
        if !grace.is_positive() {
            let after = Tenant { status: TenantStatus::Deleted, ..before.clone() };
            return self.store(&before, after, expected, &events::TENANT_DELETED).await;
        }
        let at = self.env.now() + grace;
        let after = Tenant { status: TenantStatus::Deleting, delete_at: Some(at), ..before.clone() };
        let after = self.store(&before, after, expected, &events::TENANT_DELETION_SCHEDULED).await?;
        self.schedule(id, at).await?;
        Ok(after)
    }

    /// Cancels the deletion of the active tenant. One that was suspended before is suspended again. Errors:
    /// [`TenancyError::NotDeleting`].
    pub async fn restore(&mut self) -> Result<Tenant, TenancyError> {
        let id = self.scope.require(Permission::TenantDelete)?;
        self.scope.forbid_impersonation()?;
        let before = self.held(id).await?;
        if before.status != TenantStatus::Deleting {
            return Err(TenancyError::NotDeleting);
        }
        let status =
            if before.suspension_reason.is_some() { TenantStatus::Suspended } else { TenantStatus::Active };
        let after = Tenant { status, delete_at: None, ..before.clone() };
        self.store(&before, after, None, &events::TENANT_DELETION_CANCELLED).await
    }

    /// Deletes the active tenant if its time has come. For the background job, which may run more than once, and after the
    /// deletion was cancelled: then nothing happens.
    pub async fn finish_deletion(&mut self) -> Result<(), TenancyError> {
        let id = self.scope.require(Permission::TenantDelete)?;
        self.repositories.tenants().lock(id).await?;
        let Some(before) = self.repositories.tenants().find(id).await? else { return Ok(()) };
        let due = before.delete_at.is_some_and(|at| at <= self.env.now());
        if before.status != TenantStatus::Deleting || !due {
            return Ok(());
        }
        let after = Tenant { status: TenantStatus::Deleted, ..before.clone() };
        self.store(&before, after, None, &events::TENANT_DELETED).await.map(drop)
    }

    /// The tenant, whose row is locked until the unit of work ends: what is decided by its status stays true.
    async fn held(&mut self, id: TenantId) -> Result<Tenant, TenancyError> {
        self.repositories.tenants().lock(id).await?;
        self.existing(id).await
    }

    async fn schedule(&mut self, tenant: TenantId, at: Timestamp) -> Result<(), TenancyError> {
        let job = NewJob::new(self.env, self.scope, tenant, &DeleteTenant {}).at(at);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
