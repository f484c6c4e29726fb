//! Management of accounts: creation by an administrator, passwords, deletion, erasure.

use portico_billing::subscription::Subscriptions;
use portico_identity::{
    Accounts, IdentityError,
    administration::{NewUser, SetPassword, ValidNewUser},
    erasure::Traits,
    ports::{Credential, PasswordHash},
    recovery::ChangePassword,
    user::User,
};
use portico_kernel::{Job, JobType, NewJob, Permission, Scope, TenantId, UserId};
use portico_runtime::{
    store::UnitOfWork,
    worker::jobs::{self, JobError},
};
use portico_tenancy::tenant::{NewTenant, Tenants};
use portico_web::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{
    account_mail::{PasswordResetMail, VerificationMail},
    avatars,
};
use crate::{state::App, throttle};

/// Longest name of a tenant, in characters.
const TENANT_NAME: usize = 100;

/// The job that removes a user's personal data from the event log after an erasure.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EraseTraces {
    user_id: UserId,
}

impl JobType for EraseTraces {
    const KIND: &'static str = "user.erase";
    /// With a backoff that grows to an hour, about a day and a half.
    const MAX_ATTEMPTS: u32 = 48;
}

/// An account to be created, with its password hashed.
pub struct PreparedUser {
    new: ValidNewUser,
    password: Option<PasswordHash>,
}

/// Validates the input, and hashes the password.
///
/// # Errors
/// 403; 422 with the fields that are invalid.
pub async fn prepare(app: &App, scope: &Scope, new: NewUser) -> Result<PreparedUser, Problem> {
    scope.require_platform(Permission::PlatformUsers)?;
    let new = new.validate(&app.password_rule).await?;
    let password = match &new.password {
        Some(password) => Some(app.hasher.hash(password.clone()).await?),
        None => None,
    };
    Ok(PreparedUser { new, password })
}

/// Creates an account for another person, with a personal tenant on the free plan. Without a password, they are sent a link
/// to set one.
pub async fn make(
    work: &mut dyn UnitOfWork,
    app: &App,
    scope: &Scope,
    PreparedUser { new, password }: PreparedUser,
) -> Result<User, Problem> {
    let has_password = password.is_some();
    let user = Accounts::new(&mut *work, scope, &app.core.env).make(new, password).await?;
    let name = NewTenant { name: user.full_name.chars().take(TENANT_NAME).collect(), subdomain: None };
    let tenant = Tenants::new(&mut *work, scope, &app.core.env).create(name, user.id, u64::MAX).await?;
    Subscriptions::new(&mut *work, scope, &app.core.env).start_free(tenant.id, user.id).await?;
    Accounts::new(&mut *work, scope, &app.core.env).made(&user, tenant.id).await?;
    let (env, to) = (&app.core.env, &user.email);
    let mail = match has_password {
        true => NewJob::new(env, scope, TenantId::PLATFORM, &VerificationMail::to(to)),
        false => NewJob::new(env, scope, TenantId::PLATFORM, &PasswordResetMail::to(to)),
    };
    work.jobs().enqueue(mail).await?;
    Ok(user)
}

/// Sets a password: the caller's own, given the current one, or another user's, by a super admin. Passwords are hashed
/// before a unit of work is opened.
pub async fn set_password(app: &App, scope: &Scope, id: UserId, input: SetPassword) -> Result<(), Problem> {
    let user = Accounts::new(&mut *app.core.reader(), scope, &app.core.env).read(id).await?;
    if scope.require_user()?.0 == id {
        let change = check_own_password(app, scope, input.into_change()).await?;
        let mut work = app.core.begin().await?;
        change_own_password(&mut *work, app, scope, change).await?;
        return Ok(work.commit().await?);
    }
    let password = input.validate_for(&user, &app.password_rule).await?;
    let hash = app.hasher.hash(password).await?;
    let mut work = app.core.begin().await?;
    Accounts::new(&mut *work, scope, &app.core.env).set_password(id, hash).await?;
    Ok(work.commit().await?)
}

/// The caller's own new password, hashed, after the current one was verified.
pub struct CheckedPassword {
    credential: Credential,
    hash: PasswordHash,
}

/// Verifies the caller's current password, and hashes the new one.
///
/// # Errors
/// 422 with the fields that are invalid, 429 and 503 as [`throttle::admit`].
pub async fn check_own_password(
    app: &App,
    scope: &Scope,
    change: ChangePassword,
) -> Result<CheckedPassword, Problem> {
    let change = change.validate(&app.password_rule).await?;
    let credential = Accounts::new(&mut *app.core.reader(), scope, &app.core.env).own_credential().await?;
    // Throttled, because a stolen session must not allow guessing the password.
    let attempt = throttle::admit(&app.throttling, &app.core, scope, &credential.user.email).await?;
    if let Err(error) = change.verify(&*app.hasher, &credential).await {
        if matches!(error, IdentityError::WrongPassword(_)) {
            attempt.failed(&app.core, scope, Some(credential.user.id)).await;
        }
        return Err(error.into());
    }
    let hash = app.hasher.hash(change.new).await?;
    Ok(CheckedPassword { credential, hash })
}

/// Sets the caller's own password.
pub async fn change_own_password(
    work: &mut dyn UnitOfWork,
    app: &App,
    scope: &Scope,
    CheckedPassword { credential, hash }: CheckedPassword,
) -> Result<(), Problem> {
    Ok(Accounts::new(work, scope, &app.core.env).change_password(&credential, hash).await?)
}

/// Deletes an account, and the tenants that have no other members.
pub async fn delete(app: &App, scope: &Scope, id: UserId) -> Result<(), Problem> {
    let mut work = app.core.begin().await?;
    Accounts::new(&mut *work, scope, &app.core.env).delete(id).await?;
    Tenants::new(&mut *work, scope, &app.core.env).remove_user_from_tenants(id).await?;
    Ok(work.commit().await?)
}

/// Erases an account, deleting it first if necessary, and queues the redaction of the event log.
pub async fn erase(work: &mut dyn UnitOfWork, app: &App, scope: &Scope, id: UserId) -> Result<(), Problem> {
    let user = Accounts::new(&mut *work, scope, &app.core.env).read(id).await?;
    if user.is_erased() {
        return Ok(());
    }
    if user.status != portico_identity::user::UserStatus::Deleted {
        Accounts::new(&mut *work, scope, &app.core.env).delete(id).await?;
        Tenants::new(&mut *work, scope, &app.core.env).remove_user_from_tenants(id).await?;
    }
    Accounts::new(&mut *work, scope, &app.core.env).erase(id).await?;
    let job = NewJob::new(&app.core.env, scope, TenantId::PLATFORM, &EraseTraces { user_id: id });
    Ok(work.jobs().enqueue(job).await?)
}

/// `user.erase`: redacts an erased user's personal data in the event log, deletes their files, and removes their addresses.
/// Events about the account itself come last, because they hold the values to search for in the others.
pub async fn erase_traces(
    app: &App,
    EraseTraces { user_id }: EraseTraces,
    job: &Job,
) -> Result<(), JobError> {
    let scope = jobs::scope(job);
    let prefix = avatars::root(user_id);
    app.files.delete_prefix(&prefix).await.map_err(|error| JobError::Retry(format!("{prefix}: {error}")))?;
    let traits = Accounts::new(&mut *app.core.reader(), &scope, &app.core.env).traits(user_id).await?;
    redact(app, &scope, user_id, &traits, false).await?;
    // Before the redaction: the log is the only record of which invitations were theirs.
    let mut work = app.core.begin().await?;
    Accounts::new(&mut *work, &scope, &app.core.env).forget_addresses(&traits).await?;
    work.commit().await?;
    redact(app, &scope, user_id, &traits, true).await
}

/// In batches, each a transaction of its own, so that other writers do not wait for long.
async fn redact(
    app: &App,
    scope: &Scope,
    user: UserId,
    traits: &Traits,
    about: bool,
) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let mut work: Box<dyn UnitOfWork> = app.core.begin().await?;
        let last =
            Accounts::new(&mut *work, scope, &app.core.env).redact_traces(user, traits, about, after).await?;
        work.commit().await?;
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}
