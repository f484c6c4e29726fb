//! Licenses that are given to other tenants: who is who is known to accounts, and not to licensing.

use portico_identity::user::EmailAddress;
use portico_kernel::{LicenseId, Permission, Scope};
use portico_licensing::{
    LicensingError,
    owned::OwnedLicense,
    transfer::{AcceptLicense, LicenseTransfers, OfferedLicense},
};
use portico_runtime::store::UnitOfWork;
use portico_web::problem::Problem;

use crate::state::App;

/// Offers a license to the owner of an address.
///
/// # Errors
/// `Invalid` for what is no address; those of [`LicenseTransfers::offer`].
pub async fn offer(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    id: LicenseId,
    email: &str,
) -> Result<OfferedLicense, Problem> {
    let email = EmailAddress::parse(email).map_err(|error| Problem::invalid(vec![error]))?;
    let mut transfers = LicenseTransfers::new(&mut *work, scope, &app.core.env, &app.vault);
    Ok(transfers.offer(id, email.as_str()).await?)
}

/// Accepts a license with the address of the account that is signed in.
///
/// # Errors
/// Those of [`LicenseTransfers::accept`].
pub async fn accept(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    body: &AcceptLicense,
) -> Result<OwnedLicense, Problem> {
    scope.require(Permission::LicensesWrite)?;
    let (user, _) = scope.require_user()?;
    scope.require_verified()?;
    // What the token of access says may be older than the account.
    let account = work.users().find(user).await?.filter(|user| user.email_verified);
    let email = account.ok_or(LicensingError::NoTransfer)?.email;
    let mut transfers = LicenseTransfers::new(&mut *work, scope, &app.core.env, &app.vault);
    Ok(transfers.accept(body, email.as_str()).await?)
}
