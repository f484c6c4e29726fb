//! Sign-in with an account at an OpenID provider: the attempt, the provider, the account.
//!
//! No request to a provider is made while a transaction is open.

use std::sync::Arc;

use portico_identity::{
    ExternalIdentities, IdentityError, Sessions,
    external::{Begun, Browser, Callback, ExternalProfile, Recognised, SignInAttempt},
    ports::OpenIdProvider,
    session::SignInStep,
};
use portico_kernel::{Scope, StoreError};
use portico_web::problem::Problem;

use super::registration;
use crate::state::App;

/// How often to retry after a concurrent transaction changed the same account.
const TRIES: u32 = 3;

/// Where to redirect the browser.
pub struct Departure {
    /// URL at the provider.
    pub authorization_url: String,
    /// The attempt.
    pub begun: Begun,
}

/// Begins an attempt; `secret` is the one in the browser's cookie.
pub async fn begin(
    app: &App,
    scope: &Scope,
    provider: &str,
    link: bool,
    browser: &str,
) -> Result<Departure, Problem> {
    let provider = find(app, provider)?;
    let mut work = app.core.begin().await?;
    let begun = ExternalIdentities::new(&mut *work, scope, &app.core.env)
        .begin(provider.name(), link, browser, &*app.tokens)
        .await?;
    // Committed first, so that the provider is called without an open transaction; if the call fails, the attempt expires
    // unused.
    work.commit().await?;
    let authorization_url = provider.authorization_url(&begun.state).await.map_err(to_problem)?;
    Ok(Departure { authorization_url, begun })
}

/// Completes an attempt: signs in, or links to the account of the caller, whose session continues.
pub async fn complete(
    app: &App,
    scope: &Scope,
    callback: Callback,
    browser: &Browser,
) -> Result<SignInStep, Problem> {
    let callback = callback.validate()?;
    let mut work = app.core.begin().await?;
    let attempt = ExternalIdentities::new(&mut *work, scope, &app.core.env)
        .resume(&callback.state, callback.provider.as_deref(), browser, &*app.tokens)
        .await?;
    work.commit().await?;

    let provider = find(app, &attempt.provider)?;
    let profile = match provider.exchange(&callback.code, &callback.state).await {
        Err(error @ IdentityError::ProviderUnavailable(_)) => {
            put_back(app, scope, &attempt).await?;
            return Err(error.into());
        }
        other => other.map_err(to_problem)?,
    };
    let mut tries = 1;
    loop {
        let result = match attempt.user {
            Some(_) => link(app, scope, provider.name(), &profile).await,
            None => sign_in(app, scope, provider.name(), &profile).await,
        };
        match result {
            Err(Failure::Raced(_)) if tries < TRIES => tries += 1,
            Err(Failure::Raced(error)) => return Err(error.into()),
            Err(Failure::Final(problem)) => return Err(problem),
            Ok(step) => return Ok(step),
        }
    }
}

/// The provider of this name.
fn find(app: &App, name: &str) -> Result<Arc<dyn OpenIdProvider>, Problem> {
    app.openid.get(name).cloned().ok_or_else(|| IdentityError::NotFound("provider").into())
}

/// Makes the state valid again after an error that the client may retry.
async fn put_back(app: &App, scope: &Scope, attempt: &SignInAttempt) -> Result<(), Problem> {
    let mut work = app.core.begin().await?;
    ExternalIdentities::new(&mut *work, scope, &app.core.env).put_back(attempt).await?;
    Ok(work.commit().await?)
}

/// Logs why the provider's answer was rejected; the client learns only that the sign-in failed.
fn to_problem(error: IdentityError) -> Problem {
    if matches!(error, IdentityError::SignInRejected(_)) {
        tracing::warn!(%error, "a sign-in at a provider was refused");
    }
    error.into()
}

enum Failure {
    /// A concurrent transaction changed the same account or linked the same external identity.
    Raced(StoreError),
    Final(Problem),
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            error => Self::Final(error.into()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) | StoreError::Stale => Self::Raced(error),
            error => Self::Final(error.into()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Final(problem)
    }
}

async fn sign_in(
    app: &App,
    scope: &Scope,
    provider: &str,
    profile: &ExternalProfile,
) -> Result<SignInStep, Failure> {
    // A session that the caller may have already plays no part in signing in.
    let scope = &Scope::anonymous(scope.request.clone());
    let mut work = app.core.begin().await?;
    let recognised =
        ExternalIdentities::new(&mut *work, scope, &app.core.env).recognise(provider, profile).await?;
    let user = match recognised {
        Recognised::Known(user) => user,
        Recognised::New(user) => {
            registration::settle(app, &mut *work, scope, &user).await?;
            ExternalIdentities::new(&mut *work, scope, &app.core.env).enroll(user, provider, profile).await?
        }
    };
    let step =
        Sessions::new(&mut *work, scope, &app.core.env, app.lifetimes).after_first_factor(user).await?;
    work.commit().await?;
    Ok(step)
}

async fn link(
    app: &App,
    scope: &Scope,
    provider: &str,
    profile: &ExternalProfile,
) -> Result<SignInStep, Failure> {
    let mut work = app.core.begin().await?;
    let signed_in = ExternalIdentities::new(&mut *work, scope, &app.core.env).link(provider, profile).await?;
    work.commit().await?;
    Ok(SignInStep::Complete(Box::new(signed_in)))
}
