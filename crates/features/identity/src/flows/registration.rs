//! Registration: an account, its personal tenant on the free plan, and the first session, in one transaction.

use portico_billing::subscription::Subscriptions;
use portico_identity::{
    Accounts, Sessions,
    account::{Registration, ValidRegistration},
    ports::PasswordHash,
    session::SignedIn,
    user::User,
};
use portico_kernel::{PlatformRole, RequestInfo, Scope, TenantId};
use portico_runtime::store::UnitOfWork;
use portico_tenancy::tenant::Tenants;
use portico_web::problem::Problem;

use crate::state::App;

/// Registers a user and signs them in. The answer does not depend on whether the address is registered already; that is
/// only revealed by mail to the address, sent in the background.
pub async fn register(app: &App, scope: &Scope, registration: Registration) -> Result<SignedIn, Problem> {
    let registration = registration.validate(&app.password_rule).await?;
    let hash = app.hasher.hash(registration.password.clone()).await?;

    let mut work = app.core.begin().await?;
    let (user, tenant) = enroll(app, &mut *work, scope, registration, hash).await?;
    let session =
        Sessions::new(&mut *work, scope, &app.core.env, app.lifetimes).start(&user, Some(tenant)).await?;
    work.commit().await?;

    Ok(SignedIn { session, user })
}

/// Makes a super admin from the command line: a new account whose address counts as verified, or the existing account with
/// that verified address, which keeps its password. Returns the account and whether it is new.
pub async fn create_super_admin(app: &App, registration: Registration) -> Result<(User, bool), Problem> {
    create(app, registration, PlatformRole::SuperAdmin, true).await
}

/// Makes an account with a role from the command line, whose address counts as verified. An existing account with that verified
/// address stays as it is. Returns the account and whether it is new.
pub async fn create_proven(
    app: &App,
    registration: Registration,
    role: PlatformRole,
) -> Result<(User, bool), Problem> {
    create(app, registration, role, false).await
}

async fn create(
    app: &App,
    registration: Registration,
    role: PlatformRole,
    promotes: bool,
) -> Result<(User, bool), Problem> {
    let registration = registration.validate(&app.password_rule).await?;
    let scope = Scope::system(None, RequestInfo { id: "command-line".to_owned(), ..RequestInfo::default() });
    let hash = app.hasher.hash(registration.password.clone()).await?;

    let mut work = app.core.begin().await?;
    let candidates = Accounts::new(&mut *work, &scope, &app.core.env).candidates(&registration.email).await?;
    let owner = candidates.into_iter().map(|candidate| candidate.user).find(|user| user.email_verified);
    let (user, is_new) = match owner {
        Some(owner) => (owner, false),
        None => (enroll(app, &mut *work, &scope, registration, hash).await?.0, true),
    };
    if !is_new && !promotes {
        return Ok((user, false));
    }
    let user = Accounts::new(&mut *work, &scope, &app.core.env).appoint(user, role).await?;
    work.commit().await?;
    Ok((user, is_new))
}

/// The account and its personal tenant with branding and the free plan.
async fn enroll(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    registration: ValidRegistration,
    password: PasswordHash,
) -> Result<(User, TenantId), Problem> {
    let user = Accounts::new(work, scope, &app.core.env).register(registration, password).await?;
    let tenant = settle(app, work, scope, &user).await?;
    Ok((user, tenant))
}

/// Gives a new account its personal tenant with branding and the free plan, and records the registration.
pub async fn settle(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    user: &User,
) -> Result<TenantId, Problem> {
    let tenant = Tenants::new(work, scope, &app.core.env).create_personal(user.id, &user.full_name).await?;
    Subscriptions::new(work, scope, &app.core.env).start_free(tenant.id, user.id).await?;
    Accounts::new(work, scope, &app.core.env).registered(user, tenant.id).await?;
    Ok(tenant.id)
}
