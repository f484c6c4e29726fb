//! Licenses of an older system: customers are named by the address of an owner, or by their id.

use std::collections::BTreeMap;

use portico_identity::user::EmailAddress;
use portico_kernel::{Permission, Scope, TenantId, TenantRole};
use portico_licensing::import::{ImportLine, LicenseImports, NamedCustomer};
use portico_runtime::store::UnitOfWork;
use portico_tenancy::{TenancyError, customer::Customers};
use portico_web::{csv::Line, problem::Problem};

use crate::state::App;

/// The columns that a table has, in the order in which [`import`] has the cells of a line.
pub const REQUIRED: [&str; 2] = ["customer", "productType"];

/// The columns that it may have.
pub const OPTIONAL: [&str; 3] = ["key", "expiresAt", "seats"];

/// Issues a license for each line, or none. Answers how many.
///
/// # Errors
/// Those of [`LicenseImports::import`].
pub async fn import(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    lines: Vec<Line>,
) -> Result<usize, Problem> {
    LicenseImports::new(&mut *work, scope, &app.core.env, &app.vault).check(lines.len())?;
    let mut known: BTreeMap<String, NamedCustomer> = BTreeMap::new();
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let mut cells = line.cells.into_iter();
        let named = cells.next().unwrap_or_default();
        let customer = match known.get(&named).copied() {
            Some(customer) => customer,
            None => {
                let found = customer(app, work, scope, &named).await?;
                known.insert(named, found);
                found
            }
        };
        rows.push(ImportLine {
            number: line.number,
            customer,
            product_type: cells.next().unwrap_or_default(),
            key: cells.next().unwrap_or_default(),
            expires_at: cells.next().unwrap_or_default(),
            seats: cells.next().unwrap_or_default(),
        });
    }
    Ok(LicenseImports::new(&mut *work, scope, &app.core.env, &app.vault).import(&rows).await?)
}

/// The customer with this id, or whose owner has verified this address.
async fn customer(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    named: &str,
) -> Result<NamedCustomer, Problem> {
    let candidates = match named.parse::<TenantId>() {
        Ok(id) => vec![id],
        Err(_) => owned_by(work, named).await?,
    };
    let mut found = Vec::new();
    for tenant in candidates {
        let permission = Permission::PlatformLicenses;
        match Customers::new(&mut *work, scope, &app.core.env).check(tenant, permission).await {
            Ok(()) => found.push(tenant),
            Err(TenancyError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(match found[..] {
        [] => NamedCustomer::Unknown,
        [tenant] => NamedCustomer::Known(tenant),
        _ => NamedCustomer::Ambiguous,
    })
}

/// The tenants that the owner of an address owns.
async fn owned_by(work: &mut dyn UnitOfWork, email: &str) -> Result<Vec<TenantId>, Problem> {
    let Ok(email) = EmailAddress::parse(email) else { return Ok(Vec::new()) };
    let accounts = work.users().by_email(&email).await?;
    let owner = accounts.into_iter().map(|account| account.user).find(|user| user.email_verified);
    let Some(owner) = owner else { return Ok(Vec::new()) };
    let tenants = work.memberships().of_user(owner.id).await?;
    let owned = tenants.into_iter().filter(|tenant| tenant.role == TenantRole::Owner);
    Ok(owned.map(|tenant| tenant.id).collect())
}
