//! Registration: an account, its personal tenant on the free plan, and the first session; all of it or nothing.

use portico_billing::subscription::Subscriptions;
use portico_identity::{
    Accounts, Sessions,
    account::Registration,
    session::{SignedIn, Tokens},
};
use portico_kernel::Scope;
use portico_tenancy::tenant::Tenants;

use crate::{http::problem::Problem, state::App};

/// Registers somebody and signs them in. The answer does not depend on whether the address is known: the message that
/// tells is sent to the address, in the background.
pub async fn register(app: &App, scope: &Scope, registration: Registration) -> Result<Tokens, Problem> {
    let registration = registration.validate(&app.password_rule)?;
    let hash = app.hasher.hash(registration.password.clone()).await?;
    let lifetimes = app.session_lifetimes();

    let mut work = app.begin().await?;
    let user = Accounts::new(&mut *work, scope, &app.env).register(registration, hash).await?;
    let tenant = Tenants::new(&mut *work, scope, &app.env).create_personal(user.id, &user.full_name).await?;
    Subscriptions::new(&mut *work, scope, &app.env).start_free(tenant.id).await?;
    Accounts::new(&mut *work, scope, &app.env).registered(&user, tenant.id).await?;
    let session = Sessions::new(&mut *work, scope, &app.env, lifetimes).start(&user, Some(tenant.id)).await?;
    work.commit().await?;

    let signed_in = SignedIn { session, user };
    Ok(Tokens::issue(&*app.tokens, signed_in, lifetimes, app.env.now())?)
}
