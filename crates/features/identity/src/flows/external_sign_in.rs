//! Signing in with an account elsewhere: the attempt, the provider, the account.
//!
//! Nothing is asked of a provider while a transaction is open.

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

/// How often to look again when somebody else changed the same account at the same moment.
const TRIES: u32 = 3;

/// Where to send the browser.
pub struct Departure {
    /// At the provider.
    pub authorization_url: String,
    /// The attempt.
    pub begun: Begun,
}

/// Begins an attempt, in a browser with this secret in its cookie.
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
    // Before the commit would be a request while a transaction is open; after it, an attempt that leads nowhere expires.
    work.commit().await?;
    let authorization_url = provider.authorization_url(&begun.state).await.map_err(told)?;
    Ok(Departure { authorization_url, begun })
}

/// Ends an attempt: signs in, or links to the account of the caller, whose session then goes on.
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
        other => other.map_err(told)?,
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

/// So that what is told to come again can come again.
async fn put_back(app: &App, scope: &Scope, attempt: &SignInAttempt) -> Result<(), Problem> {
    let mut work = app.core.begin().await?;
    ExternalIdentities::new(&mut *work, scope, &app.core.env).put_back(attempt).await?;
    Ok(work.commit().await?)
}

/// The client learns only that it did not work; the operator learns why.
fn told(error: IdentityError) -> Problem {
    if matches!(error, IdentityError::SignInRejected(_)) {
        tracing::warn!(%error, "a sign-in at a provider was refused");
    }
    error.into()
}

enum Failure {
    /// Somebody else did something to the same account or the same account elsewhere at the same moment.
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
    // Whoever may be signed in on the side has nothing to do with it.
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
