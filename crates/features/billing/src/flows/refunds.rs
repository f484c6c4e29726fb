//! Giving money back, and following what becomes of payments.

use actix_web::HttpResponse;
use portico_billing::{
    BillingError,
    checkout::PurchaseCheckout,
    payment::{Payment, PaymentError},
    refund::{PurchaseRefund, RefundInput, RefundStatus, Refunds},
    settlement::{PaymentSettled, Settlements},
};
use portico_kernel::{CheckoutId, Permission, PurchaseId, Scope, StoreError, TenantId};
use portico_runtime::{logging::chain, store::UnitOfWork};
use portico_tenancy::customer::Customers;
use portico_web::{caller::Caller, problem::Problem, write::WithJson};

use super::licenses;
use crate::state::App;

/// Stores a refund, has the provider make it, and stores what that answers.
///
/// The refund and the answer to the caller are stored in one transaction, before the provider is called. So a request that is sent again
/// gives nothing back twice, wherever the process dies: the schedule makes a refund that is stored. What is answered the first time is
/// the refund after the call.
///
/// Errors: those of [`Refunds::begin`]; 503 when the provider does not answer what is left of the payment: then nothing is stored.
pub async fn create(
    app: &App,
    caller: &Caller,
    customer: TenantId,
    purchase: PurchaseId,
    input: &RefundInput,
) -> Result<HttpResponse, Problem> {
    let (scope, env) = (&caller.0, &app.core.env);
    let (checkout, payment_id) = {
        let mut reader = app.core.reader();
        Customers::new(&mut *reader, scope, env).check(customer, Permission::PlatformRefunds).await?;
        Refunds::new(&mut *reader, scope, env).paid(customer, purchase).await?
    };
    // What was given back at the provider itself is not left.
    let observed =
        app.payments_at(checkout.provider).payment(&payment_id).await.map_err(BillingError::from)?;
    settle(app, scope, customer, checkout.id, &observed).await?;

    let mut work = app.core.begin().await?;
    let refund = Refunds::new(&mut *work, scope, env).begin(customer, purchase, input).await?;
    let answer = caller.commit(work, HttpResponse::Created().with_json(&refund)).await?;

    // No transaction is open. Another process may have taken the request over, and then nothing was committed here.
    if !is_stored(app, &refund).await? {
        return Ok(answer);
    }
    match make(app, scope, checkout.id, &refund).await {
        Ok(made) => Ok(HttpResponse::Created().with_json(&made)),
        Err(error) => {
            tracing::warn!(error = %chain(&error), tenant = %customer, refund = %refund.id, "a refund is made later");
            Ok(answer)
        }
    }
}

async fn is_stored(app: &App, refund: &PurchaseRefund) -> Result<bool, BillingError> {
    let stored = app.core.reader().refunds().of_purchase(refund.tenant_id, refund.purchase_id).await?;
    Ok(stored.iter().any(|stored| stored.id == refund.id))
}

/// Has the provider make a refund that is stored, and answers it as it is then: failed where the provider refuses it.
async fn make(
    app: &App,
    scope: &Scope,
    checkout: CheckoutId,
    refund: &PurchaseRefund,
) -> Result<PurchaseRefund, BillingError> {
    let env = &app.core.env;
    // Once the provider may have forgotten the key, another call could give back twice. If it had made it, the payment would show it.
    let answer = match refund.may_repeat(env.now()) {
        true => app.payments_at(refund.provider).refund(&refund.call(), &refund.key()).await,
        false => Err(PaymentError::Refused("no answer for as long as the key is known".to_owned())),
    };
    if let Err(error) = &answer
        && error.is_passing()
    {
        return Err(error.clone().into());
    }
    let mut work = app.core.begin().await?;
    let made = match answer {
        Ok(observed) => {
            let mut settlements = Settlements::new(&mut *work, scope, env);
            let settled = settlements.settle_refund(refund.tenant_id, checkout, &observed).await?;
            follow(app, &mut *work, scope, &settled).await?;
            settled.refunds.into_iter().find(|made| made.id == refund.id).unwrap_or_else(|| refund.clone())
        }
        Err(error) => {
            let (tenant, refund_id) = (refund.tenant_id, refund.id);
            tracing::error!(error = %chain(&error), %tenant, refund = %refund_id, "a refund is given up");
            Refunds::new(&mut *work, scope, env).give_up(refund).await?
        }
    };
    work.commit().await?;
    Ok(made)
}

/// Stores what the provider says about a payment, in a transaction of its own.
///
/// # Errors
/// Those of [`Settlements::settle_payment`].
pub async fn settle(
    app: &App,
    scope: &Scope,
    tenant: TenantId,
    id: CheckoutId,
    observed: &Payment,
) -> Result<PaymentSettled, BillingError> {
    let mut work = app.core.begin().await?;
    let settled =
        Settlements::new(&mut *work, scope, &app.core.env).settle_payment(tenant, id, observed).await?;
    follow(app, &mut *work, scope, &settled).await?;
    work.commit().await?;
    report(&settled);
    Ok(settled)
}

/// Licenses follow a purchase whose status has changed, in the same transaction. They do not where it is as it was: staff may have resumed one
/// whose payment is disputed.
async fn follow(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    settled: &PaymentSettled,
) -> Result<(), StoreError> {
    if settled.status_changed {
        licenses::follow(app, work, scope, &settled.purchase).await?;
    }
    Ok(())
}

/// Asks about the payment of a checkout that is paid, and makes the refunds that a process has left behind.
///
/// # Errors
/// Where the provider or the database does not answer.
pub(super) async fn look_after(
    app: &App,
    scope: &Scope,
    checkout: &PurchaseCheckout,
    payment: &str,
) -> Result<(), BillingError> {
    let observed = app.payments_at(checkout.provider).payment(payment).await?;
    let settled = settle(app, scope, checkout.tenant_id, checkout.id, &observed).await?;
    for refund in settled.refunds.iter().filter(|refund| refund.status == RefundStatus::Requested) {
        make(app, scope, checkout.id, refund).await?;
    }
    Ok(())
}

/// Logs, once, what somebody has to look after.
fn report(settled: &PaymentSettled) {
    let (tenant, purchase) = (settled.purchase.tenant_id, settled.purchase.id);
    for dispute in &settled.opened {
        tracing::error!(
            %tenant,
            %purchase,
            dispute = %dispute.provider_id,
            amount = dispute.amount,
            currency = %dispute.currency,
            status = dispute.status.as_str(),
            answer_by = ?dispute.answer_by,
            "a payment is disputed: answer it at the payment provider"
        );
    }
    if let Some(mismatch) = &settled.mismatch {
        tracing::error!(
            %tenant,
            %purchase,
            payment = %mismatch.session_id,
            differences = ?mismatch.differences,
            "a payment is not the one that was settled: nothing follows from it"
        );
    }
}
