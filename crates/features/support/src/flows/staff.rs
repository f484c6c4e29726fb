//! Who of the operator's people may look after which tickets.

use portico_identity::user::{User, UserStatus};
use portico_kernel::{FieldError, Permission, TenantId, UserId};
use portico_runtime::store::Repositories;
use portico_tenancy::customer::Customers;
use portico_web::{caller::Caller, problem::Problem};

use crate::state::App;

/// Whether an account is one of somebody who answers customers.
pub fn is_clerk(user: &User) -> bool {
    user.status == UserStatus::Active && user.platform_permissions().contains(Permission::PlatformSupport)
}

/// Checks that the caller answers customers, and that a tenant is one that they look after, also one that is deleted.
///
/// # Errors
/// 403; 404, also for a tenant of the operator's own people, except to super admins.
pub async fn check_customer(
    app: &App,
    caller: &Caller,
    repositories: &mut dyn Repositories,
    customer: TenantId,
) -> Result<(), Problem> {
    let mut customers = Customers::new(&mut *repositories, &caller.0, &app.core.env);
    Ok(customers.check_former(customer, Permission::PlatformSupport).await?)
}

/// Checks that a ticket can be given to somebody.
///
/// # Errors
/// 422 for somebody who may not answer customers, and for nobody at all.
pub async fn check_assignee(
    repositories: &mut dyn Repositories,
    assignee: Option<UserId>,
) -> Result<(), Problem> {
    let Some(id) = assignee else { return Ok(()) };
    let found = repositories.users().find(id).await?;
    if found.as_ref().is_some_and(is_clerk) {
        return Ok(());
    }
    let message = "Name a member of the staff who answers customers.";
    Err(Problem::invalid(vec![FieldError::new("assigneeId", "unknown_assignee", message)]))
}
