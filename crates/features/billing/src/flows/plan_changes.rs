//! Changes of plan: a transaction, a call to the payment provider, and what that answers.

use actix_web::HttpResponse;
use portico_billing::{
    BillingError,
    checkout::{CheckoutSession, Checkouts},
    paid::{BillingAccount, PriceReference},
    payment::PaymentError,
    plan::FREE,
    plan_call::{PlanCall, PlanCallKind, PlanCallStage},
    plan_change::{ChangeKind, ChangePreview, OverLimit, PlanPreviews, PlanWish, is_prorated},
    plan_changes::{Begun, Cancellation, PlanChanges},
    subscription_provider::{NewChange, NewCustomer, NewPrice, QuoteLine, SubscriptionCheckout},
    tenant_subscription::{TenantSubscription, TenantSubscriptions},
};
use portico_kernel::{Money, RequestInfo, Scope, TenantId, Timestamp};
use portico_runtime::store::UnitOfWork;
use portico_web::{caller::Caller, problem::Problem, write::WithJson};
use serde::Serialize;
use utoipa::ToSchema;

use super::subscriptions::{follow_mode, sync};
use crate::state::App;

/// The subscription after a change that takes hold later.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    #[serde(flatten)]
    subscription: TenantSubscription,
    /// What is over the limit of the plan that follows. It stays, and nothing is added until there is room.
    over_limit: Vec<OverLimit>,
}

/// A page where the first payment is made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "checkoutUrl": "https://checkout.stripe.com/c/pay/cs_test_a1b2c3", "sessionId": "cs_test_a1b2c3", "expiresAt": "2026-11-23T11:00:00Z"
}))]
pub struct UpgradePage {
    /// The page to send the buyer to.
    checkout_url: String,
    /// The provider's id of it.
    session_id: String,
    /// Nothing can be paid there after this time.
    expires_at: Timestamp,
}

/// What a call has led to.
enum Made {
    /// A page to pay at.
    Page(SubscriptionCheckout),
    /// The subscription is as it was asked for.
    Changed,
}

/// What a change would mean and cost. Changes nothing.
///
/// # Errors
/// Those of [`PlanPreviews::assess`]; 429 when the user has asked for too much within a minute; 503 when the provider does not answer.
pub async fn preview(app: &App, scope: &Scope, wish: &PlanWish) -> Result<ChangePreview, Problem> {
    limit(app, scope).await?;
    let now = app.core.env.now();
    let assessment = PlanPreviews::new(&mut *app.core.reader(), scope).assess(wish, now).await?;
    let mut preview = assessment.preview(now);
    let running = assessment.account.as_ref().and_then(BillingAccount::running);
    if let (true, Some(running), Some(price)) = (is_prorated(&assessment), running, &assessment.price) {
        let new = NewPrice {
            reference: PriceReference::new(&assessment.plan, price.interval).to_string(),
            description: assessment.plan.name.clone(),
            amount: Money { amount: price.amount, currency: price.currency.clone() },
            interval: price.interval,
        };
        let price_id = app.subscriptions.price(&new).await?;
        let coupon_id = match &assessment.discount {
            Some(discount) => Some(app.subscriptions.coupon(&discount.new_coupon()).await?),
            None => None,
        };
        let subscription_id = running.id.clone();
        let change = NewChange { subscription_id, price_id, coupon_id, prorated_at: now };
        let quote = app.subscriptions.quote(&change).await?;
        preview.proration_date = Some(now);
        preview.amount_due = quote.amount_due.amount;
        preview.currency = quote.amount_due.currency;
        preview.lines = quote.lines;
        if quote.discount > 0 {
            let named = assessment.discount.as_ref().map(|discount| &discount.code);
            let code = named.or(running.discount.as_ref().map(|discount| &discount.code));
            let description = code.cloned().unwrap_or_default();
            preview.lines.push(QuoteLine { description, amount: -quote.discount });
        }
    }
    Ok(preview)
}

/// Puts the tenant on a plan that costs more: at once with what it has on file, or by a page to pay at.
///
/// # Errors
/// Those of [`PlanChanges::upgrade`]; 402 where the payment is declined; 429 when the user has begun too many within a minute; 503 when the
/// provider does not answer: then the schedule finds out what came of it.
pub async fn upgrade(
    app: &App,
    caller: &Caller,
    wish: &PlanWish,
    from_free: bool,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    Checkouts::buyer(scope)?;
    limit(app, scope).await?;
    // What is not on offer is refused before the provider hears of the tenant.
    wish.check_returns(&app.checkout_rule.returns)?;
    PlanPreviews::new(&mut *app.core.reader(), scope).assess(wish, app.core.env.now()).await?;
    let (account, customer) = present(app, scope).await?;
    let has_method = account.running().is_none()
        && app.subscriptions.payment_methods(&customer).await?.iter().any(|method| method.is_default);
    let begin = async || -> Result<Begun, BillingError> {
        let mut work = app.core.begin().await?;
        let begun = PlanChanges::new(&mut *work, scope, &app.core.env)
            .upgrade(wish, &app.checkout_rule, has_method, from_free)
            .await?;
        work.commit().await?;
        Ok(begun)
    };
    let begun = match begin().await? {
        Begun::Replace(page) => {
            close(app, scope, &page).await?;
            begin().await?
        }
        begun => begun,
    };
    match begun {
        Begun::Call(call) => carry_out(app, caller, &call, Vec::new()).await,
        Begun::Page(session) => caller.write(&app.core, async |_| Ok(accepted(session))).await,
        // Another request of the tenant has made a page in this moment.
        Begun::Replace(_) => Err(BillingError::ChangeInProgress.into()),
    }
}

/// Puts the tenant on a plan that costs less, at the end of the period; on the free one by ending what is paid.
///
/// # Errors
/// Those of [`PlanChanges::downgrade`]; 503 when the provider does not answer.
pub async fn downgrade(app: &App, caller: &Caller, wish: &PlanWish) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    Checkouts::buyer(scope)?;
    limit(app, scope).await?;
    let account = paying(app, scope).await?;
    sync(app, scope, account.tenant_id).await?;
    let assessment =
        PlanPreviews::new(&mut *app.core.reader(), scope).assess(wish, app.core.env.now()).await?;
    if assessment.kind == ChangeKind::Cancel {
        return end(app, caller, &Cancellation::default(), assessment.over_limit).await;
    }
    let mut work = app.core.begin().await?;
    let begun =
        PlanChanges::new(&mut *work, scope, &app.core.env).downgrade(wish, &app.checkout_rule).await?;
    work.commit().await?;
    match begun {
        Begun::Call(call) => carry_out(app, caller, &call, assessment.over_limit).await,
        // There are no pages once there is a subscription; one that was paid a moment ago is still to be ended.
        Begun::Page(_) | Begun::Replace(_) => Err(BillingError::ChangeInProgress.into()),
    }
}

/// The change that a wish means: at once or at the end of the period.
///
/// # Errors
/// Those of [`upgrade`] and [`downgrade`].
pub async fn change(app: &App, caller: &Caller, wish: &PlanWish) -> Result<HttpResponse, Problem> {
    Checkouts::buyer(&caller.0)?;
    let now = app.core.env.now();
    let assessment = PlanPreviews::new(&mut *app.core.reader(), &caller.0).assess(wish, now).await?;
    match assessment.kind {
        ChangeKind::Upgrade => upgrade(app, caller, wish, false).await,
        ChangeKind::Same => Err(BillingError::AlreadyOnPlan.into()),
        ChangeKind::Downgrade | ChangeKind::Cancel => downgrade(app, caller, wish).await,
    }
}

/// Ends what is paid for: at the end of the period, or now.
///
/// # Errors
/// Those of [`PlanChanges::cancel`]; 503 when the provider does not answer.
pub async fn cancel(app: &App, caller: &Caller, input: &Cancellation) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    limit(app, scope).await?;
    let account = paying(app, scope).await?;
    sync(app, scope, account.tenant_id).await?;
    let free = PlanWish { plan: FREE.to_owned(), ..PlanWish::default() };
    let over_limit =
        PlanPreviews::new(&mut *app.core.reader(), scope).assess(&free, app.core.env.now()).await?.over_limit;
    end(app, caller, input, over_limit).await
}

async fn end(
    app: &App,
    caller: &Caller,
    input: &Cancellation,
    over_limit: Vec<OverLimit>,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let mut work = app.core.begin().await?;
    let running = PlanChanges::new(&mut *work, scope, &app.core.env).cancel(input).await?;
    work.commit().await?;
    match input.immediately {
        true => app.subscriptions.cancel(&running.id).await?,
        false => app.subscriptions.cancel_at_end(&running.id).await?,
    };
    planned(app, caller, None, over_limit).await
}

/// Takes back an end that is to come, and a plan that is to follow.
///
/// # Errors
/// Those of [`PlanChanges::resume`]; 503 when the provider does not answer.
pub async fn resume(app: &App, caller: &Caller) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    Checkouts::buyer(scope)?;
    limit(app, scope).await?;
    let account = paying(app, scope).await?;
    sync(app, scope, account.tenant_id).await?;
    let mut work = app.core.begin().await?;
    let running = PlanChanges::new(&mut *work, scope, &app.core.env).resume().await?;
    work.commit().await?;
    app.subscriptions.resume(&running.id).await?;
    sync(app, scope, account.tenant_id).await?;
    caller
        .write(&app.core, async |work| {
            Ok(HttpResponse::Ok().with_json(&shown(app, work, account.tenant_id).await?))
        })
        .await
}

/// Looks after a call that is due: finds out what came of one that nobody got an answer to, and ends a page whose time is over. It does
/// not make the call again: whoever wished for the change may have given it up, and is not to be charged later.
///
/// # Errors
/// Where the provider or the database does not answer.
pub async fn look_after(app: &App, call: &PlanCall) -> Result<(), BillingError> {
    let scope = Scope::system(Some(call.tenant_id), RequestInfo::default());
    if call.stage == PlanCallStage::Open && app.core.env.now() < call.expires_at {
        // Ends the call if the page was paid.
        sync(app, &scope, call.tenant_id).await?;
        return postpone(app, call).await;
    }
    close(app, &scope, call).await
}

/// Looks after a call again later, if it has not ended meanwhile.
///
/// # Errors
/// Those of the database.
pub async fn postpone(app: &App, call: &PlanCall) -> Result<(), BillingError> {
    let scope = Scope::system(Some(call.tenant_id), RequestInfo::default());
    let mut work = app.core.begin().await?;
    PlanChanges::new(&mut *work, &scope, &app.core.env).postpone(call.tenant_id, call.id).await?;
    Ok(work.commit().await?)
}

/// Ends the page of a call, and finds out whether it was paid at the last moment.
///
/// # Errors
/// Where the provider or the database does not answer.
pub(super) async fn close(app: &App, scope: &Scope, call: &PlanCall) -> Result<(), BillingError> {
    if let Some(session) = &call.session_id {
        app.subscriptions.expire_checkout(session).await?;
    }
    settled(app, scope, call).await
}

/// Finds out what came of a call, and ends it.
async fn settled(app: &App, scope: &Scope, call: &PlanCall) -> Result<(), BillingError> {
    sync(app, scope, call.tenant_id).await?;
    let mut work = app.core.begin().await?;
    PlanChanges::new(&mut *work, scope, &app.core.env).end(call.tenant_id, call.id).await?;
    Ok(work.commit().await?)
}

async fn opened(
    app: &App,
    scope: &Scope,
    call: &PlanCall,
    page: &SubscriptionCheckout,
) -> Result<Option<CheckoutSession>, BillingError> {
    let mut work = app.core.begin().await?;
    let opened = PlanChanges::new(&mut *work, scope, &app.core.env).opened(call, page).await?;
    work.commit().await?;
    Ok(opened.session())
}

/// Makes a call, with the key that it was stored with.
async fn make(app: &App, call: &PlanCall) -> Result<Made, PaymentError> {
    let (provider, key) = (&app.subscriptions, call.key());
    let price = provider.price(&call.new_price()).await?;
    let coupon = match call.new_coupon() {
        Some(new) => Some(provider.coupon(&new).await?),
        None => None,
    };
    match call.kind {
        PlanCallKind::Checkout => {
            let page = provider.create_checkout(&call.new_checkout(price, coupon), &key).await?;
            return Ok(Made::Page(page));
        }
        PlanCallKind::Create => provider.create(&call.new_subscription(price, coupon), &key).await?,
        PlanCallKind::Change => provider.change(&call.new_change(price, coupon), &key).await?,
        PlanCallKind::Schedule => {
            let subscription = call.subscription_id.clone().unwrap_or_default();
            provider.schedule(&subscription, &price, &key).await?
        }
    };
    Ok(Made::Changed)
}

/// Makes a call that was stored, and answers what came of it. From here on the process may die anywhere: the tenant who sends the same
/// again makes it with the same key, and the schedule finds out what came of it.
async fn carry_out(
    app: &App,
    caller: &Caller,
    call: &PlanCall,
    over_limit: Vec<OverLimit>,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let closed = || PaymentError::Unavailable("the page that was made cannot be paid".to_owned());
    match make(app, call).await {
        // It was paid, or its time is over: its coupon is used or free again.
        Ok(Made::Page(page)) if page.url.is_none() => {
            settled(app, scope, call).await?;
            Err(closed().into())
        }
        Ok(Made::Page(page)) => {
            let session = opened(app, scope, call, &page).await?.ok_or_else(closed)?;
            caller.write(&app.core, async |_| Ok(accepted(session))).await
        }
        Ok(Made::Changed) => planned(app, caller, Some(call), over_limit).await,
        // Nobody can pay on a page whose address nobody got.
        Err(error) if error.is_passing() && call.kind == PlanCallKind::Checkout => Err(error.into()),
        Err(error) if error.is_passing() => Err(BillingError::OutcomeUnknown(error).into()),
        Err(error) => {
            settled(app, scope, call).await?;
            Err(error.into())
        }
    }
}

/// Stores what the provider has changed, ends the call, and answers the subscription. The last unit of work keeps the answer for an
/// `Idempotency-Key`.
async fn planned(
    app: &App,
    caller: &Caller,
    call: Option<&PlanCall>,
    over_limit: Vec<OverLimit>,
) -> Result<HttpResponse, Problem> {
    let (tenant, _) = Checkouts::payer(&caller.0)?;
    sync(app, &caller.0, tenant).await?;
    caller
        .write(&app.core, async |work| {
            if let Some(call) = call {
                PlanChanges::new(&mut *work, &caller.0, &app.core.env).end(tenant, call.id).await?;
            }
            let subscription = shown(app, work, tenant).await?;
            Ok(HttpResponse::Ok().with_json(&PlannedChange { subscription, over_limit }))
        })
        .await
}

fn accepted(session: CheckoutSession) -> HttpResponse {
    let CheckoutSession { session_id, url, expires_at } = session;
    HttpResponse::Accepted().with_json(&UpgradePage { checkout_url: url, session_id, expires_at })
}

async fn shown(
    app: &App,
    work: &mut dyn UnitOfWork,
    tenant: TenantId,
) -> Result<TenantSubscription, Problem> {
    let shown = TenantSubscriptions::new(&mut *work).of(tenant, app.core.env.now()).await?;
    Ok(shown.ok_or(BillingError::NoTenant)?)
}

/// Counts what a user asks the provider for: it costs money, and the provider counts too.
///
/// # Errors
/// `Denied` as in [`Checkouts::payer`]; 429.
pub(super) async fn limit(app: &App, scope: &Scope) -> Result<(), Problem> {
    let (_, user) = Checkouts::payer(scope)?;
    if let Some(limits) = &app.api.limits {
        let verdict = limits.check_checkout(user).await;
        if !verdict.allowed {
            return Err(Problem::rate_limited(verdict.reset));
        }
    }
    Ok(())
}

/// The account of the active tenant with its customer.
async fn paying(app: &App, scope: &Scope) -> Result<BillingAccount, BillingError> {
    PlanChanges::new(&mut *app.core.reader(), scope, &app.core.env).paying().await
}

/// The account of the active tenant as the provider answers it now, with its customer, who is made known there if they are not, or were
/// deleted there.
///
/// # Errors
/// Those of [`PlanChanges::account`]; 503 when the provider does not answer.
pub async fn present(app: &App, scope: &Scope) -> Result<(BillingAccount, String), Problem> {
    for _ in 0..2 {
        let (tenant, _) = customer(app, scope).await?;
        let account = sync(app, scope, tenant).await?;
        if let Some(customer) = account.customer_id.clone() {
            return Ok((account, customer));
        }
    }
    Err(PaymentError::Unavailable("a customer that was made is deleted".to_owned()).into())
}

/// The tenant, and its customer at the provider, who is made known there if they are not.
async fn customer(app: &App, scope: &Scope) -> Result<(TenantId, String), Problem> {
    let (tenant, user) = Checkouts::buyer(scope)?;
    follow_mode(app, scope, tenant).await?;
    let mut work = app.core.begin().await?;
    let account = PlanChanges::new(&mut *work, scope, &app.core.env).account(&app.checkout_rule).await?;
    work.commit().await?;
    if let Some(customer) = account.customer_id {
        return Ok((tenant, customer));
    }
    let (name, email) = {
        let mut reader = app.core.reader();
        let found = reader.tenants().find(tenant).await?.ok_or(BillingError::NoTenant)?;
        let user = reader.users().find(user).await?.ok_or(BillingError::NoTenant)?;
        (found.name, user.email.as_str().to_owned())
    };
    let new = NewCustomer { reference: tenant.to_string(), name, email };
    let made = app.subscriptions.create_customer(&new, &account.customer_key(&new)).await?;
    let mut work = app.core.begin().await?;
    let account =
        PlanChanges::new(&mut *work, scope, &app.core.env).customer_made(tenant, made.clone()).await?;
    work.commit().await?;
    Ok((tenant, account.customer_id.unwrap_or(made)))
}
