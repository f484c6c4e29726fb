//! From an order to the page to pay at, and back from it.

use actix_web::HttpResponse;
use portico_billing::{
    BillingError,
    checkout::{Checkouts, PurchaseCheckout},
    coupon,
    order::Order,
    payment::PaymentError,
    purchase::Purchase,
};
use portico_kernel::Scope;
use portico_web::{caller::Caller, problem::Problem, write::WithJson};

use super::payments::{call, give_up, report, settle, settle_in};
use crate::state::App;

/// Stores a purchase, has the provider make a page to pay at, and stores that with the answer.
///
/// Errors: those of [`Checkouts::begin`]; 429 when the user has begun too many purchases within a minute; 503
/// `payment_provider_unavailable` when the provider does not answer: then the purchase stays pending, and ends unpaid, because nobody got its
/// page.
pub async fn create(app: &App, caller: &Caller, order: &Order) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let (tenant, user) = Checkouts::buyer(scope)?;
    if let Some(limits) = &app.api.limits {
        let verdict = limits.check_checkout(user).await;
        if !verdict.allowed {
            return Err(Problem::rate_limited(verdict.reset));
        }
    }
    let mut begun = begin(app, scope, order).await;
    if begun.as_ref().is_err_and(coupon::is_used_up) && give_back(app, scope, order).await? {
        begun = begin(app, scope, order).await;
    }
    let (purchase, checkout) = begun?;

    // No transaction is open. From here on the process may die anywhere: the schedule repeats the call with the same key.
    let made = app.provider.create_checkout(&call(app, &checkout, &purchase).await?, &checkout.key()).await;
    let observed = match made {
        Ok(observed) => observed,
        Err(error) if error.is_passing() => return Err(error.into()),
        Err(error) => {
            give_up(app, scope, tenant, checkout.id).await?;
            return Err(error.into());
        }
    };

    let mut work = app.core.begin().await?;
    let settled = settle_in(app, &mut *work, scope, tenant, checkout.id, &observed).await?;
    let Some(session) = settled.session() else {
        work.commit().await?;
        report(&settled);
        let cause = "the checkout that was made cannot be paid".to_owned();
        return Err(PaymentError::Unavailable(cause).into());
    };
    caller.commit(work, HttpResponse::Created().with_json(&session)).await
}

/// Stores a purchase with its checkout, in a transaction of its own.
async fn begin(
    app: &App,
    scope: &Scope,
    order: &Order,
) -> Result<(Purchase, PurchaseCheckout), BillingError> {
    let mut work = app.core.begin().await?;
    let begun = Checkouts::new(&mut *work, scope, &app.core.env).begin(order, &app.checkout_rule).await?;
    work.commit().await?;
    Ok(begun)
}

/// Ends a page of the tenant that holds the coupon of an order, and answers whether there was one: a buyer who has left a page begins
/// another one, and a coupon with one use per tenant would be gone until the first one ends. If it was paid at the last moment, the coupon
/// stays used.
async fn give_back(app: &App, scope: &Scope, order: &Order) -> Result<bool, BillingError> {
    // A unit of work although it only reads: it waits for whoever takes the coupon at this moment.
    let mut work = app.core.begin().await?;
    let held = Checkouts::new(&mut *work, scope, &app.core.env).holding(order).await?;
    work.commit().await?;
    let Some((held, session)) = held.and_then(|held| held.session_id.clone().map(|session| (held, session)))
    else {
        return Ok(false);
    };
    // No transaction is open.
    match app.payments_at(held.provider).expire_checkout(&session).await {
        Ok(observed) => settle(app, scope, held.tenant_id, held.id, &observed).await?,
        Err(error) if error.is_passing() => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    Ok(true)
}

/// Asks the provider about a session of the caller's tenant, and settles its purchase.
///
/// Errors: those of [`Checkouts::of_session`]; 503 when the provider does not answer.
pub async fn confirm(app: &App, scope: &Scope, session: &str) -> Result<Purchase, Problem> {
    let checkout = {
        let mut reader = app.core.reader();
        Checkouts::new(&mut *reader, scope, &app.core.env)
            .of_session(app.checkout_rule.provider, session)
            .await?
    };
    let observed = app.provider.checkout(session).await?;
    Ok(settle(app, scope, checkout.tenant_id, checkout.id, &observed).await?.purchase)
}
