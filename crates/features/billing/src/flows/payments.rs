//! What the provider says about payments: asked because of a webhook, or by the schedule.

use portico_billing::{
    BillingError,
    checkout::{CheckoutStage, Checkouts, PurchaseCheckout},
    inbound::{FoundEvent, InboundEvents, InboundStatus, PaymentEvent},
    payment::{Checkout, NewCheckout, PaymentError, Provider},
    purchase::{Purchase, PurchaseStatus},
    settlement::{Settled, Settlements},
    site_sale::SiteSale,
};
use portico_identity::user::UserStatus;
use portico_kernel::{CheckoutId, Job, RequestInfo, Scope, TenantId};
use portico_runtime::{
    logging::{chain, warn_about},
    store::UnitOfWork,
    worker::{
        failures::Failures,
        jobs::{JobError, scope},
    },
};

use super::{licenses, refunds, site_refunds, site_sales, subscriptions};
use crate::state::App;

/// Checkouts that the schedule reads at once.
const BATCH: u64 = 100;

/// The call that makes the checkout of a purchase, with the address of the account that buys if that is proven. Where the address was
/// changed between two tries, the provider refuses the second one for its key, and the checkout is given up: nobody has its page.
///
/// # Errors
/// Where the store fails.
pub async fn call(
    app: &App,
    checkout: &PurchaseCheckout,
    purchase: &Purchase,
) -> Result<NewCheckout, BillingError> {
    let buyer = app.core.reader().users().find(purchase.user_id).await?;
    let buyer = buyer.filter(|user| user.status == UserStatus::Active && user.email_verified);
    let email = buyer.map(|user| user.email.as_str().to_owned());
    Ok(NewCheckout { email, ..checkout.call(purchase) })
}

/// Stores what the provider says about a checkout, in a transaction of its own.
///
/// # Errors
/// Those of [`Settlements::settle`].
pub async fn settle(
    app: &App,
    scope: &Scope,
    tenant: TenantId,
    id: CheckoutId,
    observed: &Checkout,
) -> Result<Settled, BillingError> {
    let mut work = app.core.begin().await?;
    let settled = settle_in(app, &mut *work, scope, tenant, id, observed).await?;
    work.commit().await?;
    report(&settled);
    Ok(settled)
}

/// The same in an open transaction: the purchase, and the licenses that follow it.
///
/// # Errors
/// Those of [`Settlements::settle`].
pub async fn settle_in(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    tenant: TenantId,
    id: CheckoutId,
    observed: &Checkout,
) -> Result<Settled, BillingError> {
    let mut settlements = Settlements::new(&mut *work, scope, &app.core.env);
    let settled = settlements.settle(tenant, id, observed, &app.seller).await?;
    // A dispute is told to licenses once, by what finds it: staff may have resumed one since.
    if settled.purchase.status != PurchaseStatus::Disputed {
        licenses::follow(app, work, scope, &settled.purchase).await?;
    }
    Ok(settled)
}

/// Ends a checkout that the provider will not make, in a transaction of its own.
///
/// # Errors
/// Those of [`Checkouts::give_up`].
pub async fn give_up(app: &App, scope: &Scope, tenant: TenantId, id: CheckoutId) -> Result<(), BillingError> {
    let mut work = app.core.begin().await?;
    Checkouts::new(&mut *work, scope, &app.core.env).give_up(tenant, id).await?;
    Ok(work.commit().await?)
}

/// Logs that nothing was granted for a payment, once.
pub fn report(settled: &Settled) {
    if let Some(mismatch) = &settled.mismatch {
        tracing::error!(
            tenant = %settled.checkout.tenant_id,
            purchase = %settled.purchase.id,
            session = %mismatch.session_id,
            differences = ?mismatch.differences,
            "a payment is not what was asked for: nothing was granted for it"
        );
    }
}

/// `payment.event`: works off an event of the provider. The event is a hint; what it is about is asked of the provider.
///
/// # Errors
/// Where the provider or the database does not answer: the job is to run again.
pub async fn work_off(app: &App, hint: PaymentEvent, job: &Job) -> Result<(), JobError> {
    let scope = scope(job);
    let inbox = app.core.inbox();
    let inbound = InboundEvents::new(&*inbox, &scope, &app.core.env);
    let Some(FoundEvent { event, tenant }) = inbound.open(&hint).await? else { return Ok(()) };
    let status = match (&event.checkout, &event.payment, &event.refund, &event.customer) {
        (Some(session), ..) => follow(app, &scope, event.provider, session).await?,
        (None, Some(payment), Some(refund), _) => {
            site_refunds::follow(app, &scope, event.provider, payment, refund).await?
        }
        (None, Some(payment), None, _) => follow_payment(app, &scope, event.provider, payment).await?,
        (None, None, _, Some(_)) => subscriptions::follow_tenant(app, &scope, tenant).await?,
        (None, None, _, None) => InboundStatus::Ignored,
    };
    Ok(inbound.close(&event, status).await?)
}

/// Asks about a session that an event names, and settles it if it was made here.
async fn follow(
    app: &App,
    scope: &Scope,
    provider: Provider,
    session: &str,
) -> Result<InboundStatus, BillingError> {
    let observed = match app.payments_at(provider).checkout(session).await {
        Ok(observed) => observed,
        // Another installation may have the same account, in another mode.
        Err(PaymentError::NotFound) => return Ok(InboundStatus::Ignored),
        Err(error) => return Err(error.into()),
    };
    let made_here = observed.reference.as_deref().and_then(PurchaseCheckout::of_reference);
    let Some((tenant, id)) = made_here else { return Ok(InboundStatus::Ignored) };
    let settled = match settle(app, scope, tenant, id, &observed).await {
        // A site has no purchase, but a sale of the same id.
        Err(BillingError::NoCheckout) => {
            site_sales::settle(app, scope, tenant, SiteSale::of_checkout(id), &observed).await.map(drop)
        }
        settled => settled.map(drop),
    };
    match settled {
        Ok(()) => Ok(InboundStatus::Done),
        Err(BillingError::NoCheckout) => Ok(InboundStatus::Ignored),
        Err(error) => Err(error),
    }
}

/// Takes a webhook of a provider: checks its signature, stores the event once, and has it worked off in the background. `headers` are names in
/// lower case, and values; `body` is as it came.
///
/// # Errors
/// `Signature` for one that is not believed: nothing is stored then.
pub async fn receive(
    app: &App,
    scope: &Scope,
    provider: Provider,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<(), BillingError> {
    let event = app.payments_at(provider).verify(headers, body, app.core.env.now())?;
    let inbox = app.core.inbox();
    InboundEvents::new(&*inbox, scope, &app.core.env).receive(provider, event).await.map(drop)
}

/// Asks about a payment that an event names, and settles it if it was made here.
async fn follow_payment(
    app: &App,
    scope: &Scope,
    provider: Provider,
    payment: &str,
) -> Result<InboundStatus, BillingError> {
    let observed = match app.payments_at(provider).payment(payment).await {
        Ok(observed) => observed,
        Err(PaymentError::NotFound) => return Ok(InboundStatus::Ignored),
        Err(error) => return Err(error.into()),
    };
    let made_here = observed.reference.as_deref().and_then(PurchaseCheckout::of_reference);
    let Some((tenant, id)) = made_here else {
        // What an invoice for a plan was paid by has a customer, and none of our references.
        return match &observed.customer_id {
            Some(customer) => subscriptions::follow(app, scope, customer).await,
            None => Ok(InboundStatus::Ignored),
        };
    };
    let found = app.core.reader().checkouts().find(tenant, id).await?;
    let Some(checkout) = found else { return Ok(InboundStatus::Ignored) };
    // The event of its completion may come later, or never.
    if let (false, Some(session)) = (checkout.stage.is_final(), &checkout.session_id) {
        follow(app, scope, provider, session).await?;
    }
    refunds::settle(app, scope, tenant, id, &observed).await?;
    Ok(InboundStatus::Done)
}

/// `payments`, each minute: asks about every checkout that is due, makes those and their refunds that a process has left behind, and ends
/// those whose time is over. It is how a payment, a refund or a dispute is found whose webhook never came.
///
/// # Errors
/// Where the provider or the database does not answer, several times in a row: the rest is done in the next round.
pub async fn look_after(app: &App) -> Result<(), BillingError> {
    let now = app.core.env.now();
    let mut failures = Failures::default();
    loop {
        // Each one that was asked about is due later, or never again.
        let due = app.core.reader().checkouts().due(now, BATCH).await?;
        for checkout in &due {
            let asked = ask(app, checkout).await;
            let are_enough = failures.are_enough(&asked);
            let Err(error) = asked else { continue };
            // Later than the others, so that one about which there never is an answer does not hold them up.
            warn_about("the payment provider does not answer about a checkout", checkout.id, &error);
            postpone(app, checkout).await?;
            if are_enough {
                return Err(error);
            }
        }
        if due.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn ask(app: &App, checkout: &PurchaseCheckout) -> Result<(), BillingError> {
    let scope = Scope::system(Some(checkout.tenant_id), RequestInfo::default());
    let (tenant, id, now) = (checkout.tenant_id, checkout.id, app.core.env.now());
    if let (CheckoutStage::Paid, Some(payment)) = (checkout.stage, &checkout.payment_id) {
        return ask_payment(app, &scope, checkout, payment).await;
    }
    let provider = app.payments_at(checkout.provider);
    let answer = match &checkout.session_id {
        Some(session) if checkout.stage == CheckoutStage::Open && checkout.expires_at <= now => {
            provider.expire_checkout(session).await
        }
        Some(session) => provider.checkout(session).await,
        None if checkout.may_repeat(now) => {
            let purchase = app.core.reader().purchases().find(tenant, checkout.purchase_id).await?;
            let purchase = purchase.ok_or(BillingError::NoPurchase)?;
            provider.create_checkout(&call(app, checkout, &purchase).await?, &checkout.key()).await
        }
        // The provider may have forgotten the key. If it has made a page, nobody got its address, and it has expired.
        None => return give_up(app, &scope, tenant, id).await,
    };
    match answer {
        Ok(observed) => settle(app, &scope, tenant, id, &observed).await.map(drop),
        Err(error) if error.is_passing() => Err(error.into()),
        Err(error) => {
            tracing::error!(error = %chain(&error), %tenant, checkout = %id, "the payment provider refuses a checkout");
            if checkout.session_id.is_none() {
                return give_up(app, &scope, tenant, id).await;
            }
            postpone(app, checkout).await
        }
    }
}

async fn ask_payment(
    app: &App,
    scope: &Scope,
    checkout: &PurchaseCheckout,
    payment: &str,
) -> Result<(), BillingError> {
    match refunds::look_after(app, scope, checkout, payment).await {
        Err(BillingError::Payment(error)) if !error.is_passing() => {
            let tenant = checkout.tenant_id;
            tracing::error!(error = %chain(&error), %tenant, %payment, "the payment provider refuses to answer about a payment");
            postpone(app, checkout).await
        }
        answered => answered,
    }
}

async fn postpone(app: &App, checkout: &PurchaseCheckout) -> Result<(), BillingError> {
    let (tenant, scope) =
        (checkout.tenant_id, Scope::system(Some(checkout.tenant_id), RequestInfo::default()));
    let mut work = app.core.begin().await?;
    Checkouts::new(&mut *work, &scope, &app.core.env).postpone(tenant, checkout.id).await?;
    Ok(work.commit().await?)
}
