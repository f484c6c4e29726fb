//! What the provider says about payments: asked because of a webhook, or by the schedule.

use portico_billing::{
    BillingError,
    checkout::{CheckoutStage, Checkouts, PurchaseCheckout},
    inbound::{InboundEvents, InboundStatus, PaymentEvent},
    payment::{Checkout, PaymentError},
    settlement::{Settled, Settlements},
};
use portico_kernel::{CheckoutId, Job, RequestInfo, Scope, TenantId};
use portico_runtime::{
    logging::chain,
    worker::jobs::{JobError, scope},
};

use super::subscriptions;
use crate::state::App;

/// Checkouts that the schedule reads at once.
const BATCH: u64 = 100;

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
    let settled = Settlements::new(&mut *work, scope, &app.core.env).settle(tenant, id, observed).await?;
    work.commit().await?;
    report(&settled);
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
    let event = {
        let mut reader = app.core.reader();
        InboundEvents::new(&mut *reader, &scope, &app.core.env).open(&hint).await?
    };
    let Some(event) = event else { return Ok(()) };
    let status = match (&event.checkout, &event.customer) {
        (Some(session), _) => follow(app, &scope, session).await?,
        (None, Some(customer)) => subscriptions::follow(app, &scope, customer).await?,
        (None, None) => InboundStatus::Ignored,
    };
    let mut work = app.core.begin().await?;
    InboundEvents::new(&mut *work, &scope, &app.core.env).close(&event, status).await?;
    Ok(work.commit().await?)
}

/// Asks about a session that an event names, and settles it if it was made here.
async fn follow(app: &App, scope: &Scope, session: &str) -> Result<InboundStatus, BillingError> {
    let observed = match app.provider.checkout(session).await {
        Ok(observed) => observed,
        // Another installation may have the same account, in another mode.
        Err(PaymentError::NotFound) => return Ok(InboundStatus::Ignored),
        Err(error) => return Err(error.into()),
    };
    let made_here = observed.reference.as_deref().and_then(PurchaseCheckout::of_reference);
    let Some((tenant, id)) = made_here else { return Ok(InboundStatus::Ignored) };
    match settle(app, scope, tenant, id, &observed).await {
        Ok(_) => Ok(InboundStatus::Done),
        Err(BillingError::NoCheckout) => Ok(InboundStatus::Ignored),
        Err(error) => Err(error),
    }
}

/// `payments`, each minute: asks about every checkout that is due, makes those that a process has left behind, and ends those whose time is
/// over. It is how a payment is found whose webhook never came.
///
/// # Errors
/// Where the provider or the database does not answer: the rest is done in the next round.
pub async fn look_after(app: &App) -> Result<(), BillingError> {
    let now = app.core.env.now();
    loop {
        // Each one that was asked about is due later, or never again.
        let due = app.core.reader().checkouts().due(now, BATCH).await?;
        for checkout in &due {
            ask(app, checkout).await?;
        }
        if due.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn ask(app: &App, checkout: &PurchaseCheckout) -> Result<(), BillingError> {
    let scope = Scope::system(Some(checkout.tenant_id), RequestInfo::default());
    let (tenant, id, now) = (checkout.tenant_id, checkout.id, app.core.env.now());
    let answer = match &checkout.session_id {
        Some(session) if checkout.stage == CheckoutStage::Open && checkout.expires_at <= now => {
            app.provider.expire_checkout(session).await
        }
        Some(session) => app.provider.checkout(session).await,
        None if checkout.may_repeat(now) => {
            let purchase = app.core.reader().purchases().find(tenant, checkout.purchase_id).await?;
            let purchase = purchase.ok_or(BillingError::NoPurchase)?;
            app.provider.create_checkout(&checkout.call(&purchase), &checkout.key()).await
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
            let mut work = app.core.begin().await?;
            Checkouts::new(&mut *work, &scope, &app.core.env).postpone(tenant, id).await?;
            Ok(work.commit().await?)
        }
    }
}
