//! Giving back what a site was sold for, and following what becomes of that.

use actix_web::HttpResponse;
use portico_billing::{
    BillingError,
    checkout::PurchaseCheckout,
    inbound::InboundStatus,
    payment::{PaymentError, Provider, Refund},
    refund::{PurchaseRefund, RefundStatus},
    site_sale::{SettledSiteRefund, SiteRefundInput, SiteRefunds, SiteSale},
};
use portico_kernel::{PurchaseId, Scope, TenantId};
use portico_runtime::logging::chain;
use portico_sites::{SitesError, sale::Sales};
use portico_web::{caller::Caller, problem::Problem, write::WithJson};

use crate::state::App;

/// Stores a refund of a sale, has the provider make it, and stores what that answers.
///
/// The refund and the answer to the caller are stored in one transaction, before the provider is called. So a request that is sent again
/// gives nothing back twice, wherever the process dies.
///
/// # Errors
/// Those of [`SiteRefunds::begin`].
pub async fn create(
    app: &App,
    caller: &Caller,
    id: PurchaseId,
    input: &SiteRefundInput,
) -> Result<HttpResponse, Problem> {
    let (scope, env) = (&caller.0, &app.core.env);
    let mut work = app.core.begin().await?;
    let refund = SiteRefunds::new(&mut *work, scope, env).begin(id, input).await?;
    let answer = caller.commit(work, HttpResponse::Created().with_json(&refund)).await?;

    // No transaction is open. Another process may have taken the request over, and then nothing was committed here.
    let stored = app.core.reader().site_refunds().of_purchase(refund.tenant_id, id).await?;
    if stored.iter().all(|stored| stored.id != refund.id) {
        return Ok(answer);
    }
    match make(app, scope, &refund).await {
        Ok(made) => Ok(HttpResponse::Created().with_json(&made)),
        Err(error) => {
            let (tenant, refund) = (refund.tenant_id, refund.id);
            tracing::error!(
                error = %chain(&error), %tenant, sale = %id, %refund,
                "nobody knows whether a site was given back: look at the payment provider"
            );
            Ok(answer)
        }
    }
}

/// Has the provider make a refund that is stored, and answers it as it is then: failed where the provider refuses it.
async fn make(app: &App, scope: &Scope, refund: &PurchaseRefund) -> Result<PurchaseRefund, BillingError> {
    let answer = match refund.may_repeat(app.core.env.now()) {
        true => app.payments_at(refund.provider).refund(&refund.call(), &refund.key()).await,
        false => Err(PaymentError::Refused("no answer for as long as the key is known".to_owned())),
    };
    match answer {
        Ok(observed) => {
            let settled = settle(app, scope, refund.tenant_id, refund.purchase_id, &observed).await?;
            Ok(settled.refund)
        }
        Err(error) if error.is_passing() => Err(error.into()),
        Err(error) => {
            let (tenant, refund_id) = (refund.tenant_id, refund.id);
            tracing::error!(error = %chain(&error), %tenant, refund = %refund_id, "a refund of a site is given up");
            let mut work = app.core.begin().await?;
            let given_up = SiteRefunds::new(&mut *work, scope, &app.core.env).give_up(refund).await?;
            work.commit().await?;
            Ok(given_up)
        }
    }
}

/// Stores what the provider says about a refund of a sale, in a transaction of its own. A site that was not handed over is the seller's to
/// offer again then.
async fn settle(
    app: &App,
    scope: &Scope,
    tenant: TenantId,
    id: PurchaseId,
    observed: &Refund,
) -> Result<SettledSiteRefund, BillingError> {
    let env = &app.core.env;
    let mut work = app.core.begin().await?;
    let settled = SiteRefunds::new(&mut *work, scope, env).settle(tenant, id, observed).await?;
    if settled.is_freed {
        match Sales::new(&mut *work, scope, env).take_back(tenant, settled.sale.site_id).await {
            Ok(_) => {}
            Err(SitesError::Store(error)) => return Err(error.into()),
            // The money is given back all the same.
            Err(error) => {
                tracing::error!(%tenant, sale = %id, error = %chain(&error), "a site that was given back is not the seller's again");
            }
        }
    }
    work.commit().await?;
    if settled.is_undone {
        let (refund, status) = (settled.refund.id, settled.sale.status.as_str());
        tracing::error!(
            %tenant, sale = %id, %refund, status,
            "a refund of a site has failed after it had ended the sale: the buyer has no money, and staff have to decide"
        );
    }
    Ok(settled)
}

/// Asks about the refunds of a sale that is due, also about those that have succeeded, and makes those that a process has left behind.
///
/// # Errors
/// Where the provider or the database does not answer.
pub(super) async fn look_after(app: &App, scope: &Scope, sale: &SiteSale) -> Result<(), BillingError> {
    let (tenant, id, now) = (sale.tenant_id, sale.id, app.core.env.now());
    let refunds = app.core.reader().site_refunds().of_purchase(tenant, id).await?;
    for refund in &refunds {
        match (refund.status, &refund.provider_id) {
            // It may have been made. Its webhook tells; without one it is given up once it cannot come any more.
            (RefundStatus::Requested, _)
                if !refund.provider.remembers_refunds() && refund.may_repeat(now) => {}
            (RefundStatus::Requested, _) => drop(make(app, scope, refund).await?),
            (RefundStatus::Pending, Some(made)) => {
                let observed = app.payments_at(refund.provider).refund_now(made).await?;
                settle(app, scope, tenant, id, &observed).await?;
            }
            // A bank may have sent the money back, of which no webhook tells.
            (RefundStatus::Succeeded, Some(made)) => {
                match app.payments_at(refund.provider).refund_now(made).await {
                    Ok(observed) => drop(settle(app, scope, tenant, id, &observed).await?),
                    Err(error) if error.is_passing() => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), %tenant, sale = %id, "the payment provider says nothing more about a refund of a site");
                    }
                }
            }
            (RefundStatus::Pending | RefundStatus::Succeeded | RefundStatus::Failed, _) => {}
        }
    }
    let mut work = app.core.begin().await?;
    SiteRefunds::new(&mut *work, scope, &app.core.env).postpone(tenant, id).await?;
    Ok(work.commit().await?)
}

/// Asks about a refund that an event names, also one that was made on pages of the provider, and settles it if it is of a sale that was made
/// here.
///
/// # Errors
/// Where the provider or the database does not answer.
pub(super) async fn follow(
    app: &App,
    scope: &Scope,
    provider: Provider,
    payment: &str,
    refund: &str,
) -> Result<InboundStatus, BillingError> {
    let adapter = app.payments_at(provider);
    // A payment has the id of its checkout there, whose reference leads to the sale.
    let checkout = match adapter.checkout(payment).await {
        Err(PaymentError::NotFound) => return Ok(InboundStatus::Ignored),
        answer => answer?,
    };
    let made_here = checkout.reference.as_deref().and_then(PurchaseCheckout::of_reference);
    let Some((tenant, id)) = made_here else { return Ok(InboundStatus::Ignored) };
    let id = SiteSale::of_checkout(id);
    let sale = app.core.reader().site_sales().find(tenant, id).await?;
    let ours = |sale: &SiteSale| sale.checkout.payment_id.as_deref() == Some(payment);
    if !sale.as_ref().is_some_and(ours) {
        return Ok(InboundStatus::Ignored);
    }
    let observed = adapter.refund_now(refund).await?;
    settle(app, scope, tenant, id, &observed).await?;
    Ok(InboundStatus::Done)
}
