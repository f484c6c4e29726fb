//! What a tenant pays with, and pages of the provider for it.

use actix_web::HttpResponse;
use portico_billing::{
    BillingError,
    checkout::Checkouts,
    invoice::Invoices,
    paid::BillingAccount,
    payment::PaymentError,
    payment_method::{self, DefaultPaymentMethod, PaymentMethods, PortalRequest, SetupRequest, SetupSession},
    subscription_provider::PaymentMethod,
};
use portico_kernel::{InvoiceId, Scope};
use portico_web::{caller::Caller, problem::Problem, write::WithJson};

use super::{
    plan_changes::{limit, present},
    subscriptions::sync,
};
use crate::state::App;

/// What the active tenant has on file; nothing where it was never at the provider.
///
/// # Errors
/// `Denied`; 503 when the provider does not answer.
pub async fn list(app: &App, scope: &Scope) -> Result<Vec<PaymentMethod>, Problem> {
    Ok(match account(app, scope).await? {
        Some((_, customer)) => match app.subscriptions.payment_methods(&customer).await {
            // The provider has deleted the customer.
            Err(PaymentError::NotFound) => Vec::new(),
            found => found?,
        },
        None => Vec::new(),
    })
}

/// Makes the page where something is put on file.
///
/// # Errors
/// `Denied`; `Invalid`; 429 when the user has asked for too much within a minute; 503 when the provider does not answer.
pub async fn setup(app: &App, scope: &Scope, input: &SetupRequest) -> Result<SetupSession, Problem> {
    Checkouts::buyer(scope)?;
    limit(app, scope).await?;
    input.check(&app.checkout_rule.returns)?;
    let (_, customer) = present(app, scope).await?;
    let page = app.subscriptions.setup_page(&customer, &input.success_url, &input.cancel_url).await?;
    Ok(page.into())
}

/// Pays the subscription of the active tenant with this from now on.
///
/// # Errors
/// `Denied`; `Invalid`; 404 for what the tenant does not have on file; 503 when the provider does not answer.
pub async fn choose(
    app: &App,
    caller: &Caller,
    input: &DefaultPaymentMethod,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    Checkouts::buyer(scope)?;
    input.check()?;
    let id = input.payment_method_id.trim();
    let (account, customer) = account(app, scope).await?.ok_or(PaymentError::NotFound)?;
    let methods = app.subscriptions.payment_methods(&customer).await?;
    let chosen = PaymentMethod { is_default: true, ..payment_method::find(&methods, id)?.clone() };
    app.subscriptions.set_default(&customer, id).await?;
    sync(app, scope, account.tenant_id).await?;
    caller
        .write(&app.core, async |work| {
            PaymentMethods::new(&mut *work, scope, &app.core.env).made_default(&chosen).await?;
            Ok(HttpResponse::Ok().with_json(&chosen))
        })
        .await
}

/// Takes something off the file of the active tenant.
///
/// # Errors
/// `Denied`; 404 for what the tenant does not have on file; `PaymentMethodNeeded`; 503 when the provider does not answer.
pub async fn remove(app: &App, caller: &Caller, id: &str) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let (account, customer) = account(app, scope).await?.ok_or(PaymentError::NotFound)?;
    let account = sync(app, scope, account.tenant_id).await?;
    let methods = app.subscriptions.payment_methods(&customer).await?;
    let method = payment_method::removable(&account, &methods, id)?.clone();
    app.subscriptions.detach(&customer, id).await?;
    caller
        .write(&app.core, async |work| {
            PaymentMethods::new(&mut *work, scope, &app.core.env).removed(&method).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// The address of a page of the provider's portal.
///
/// # Errors
/// `Denied`; `Invalid`; 429 when the user has asked for too much within a minute; 503 when the provider does not answer.
pub async fn portal(app: &App, scope: &Scope, input: &PortalRequest) -> Result<String, Problem> {
    Checkouts::buyer(scope)?;
    limit(app, scope).await?;
    input.check(&app.checkout_rule.returns)?;
    let (_, customer) = present(app, scope).await?;
    Ok(app.subscriptions.portal_page(&customer, &input.return_url).await?.url)
}

/// The address of an invoice of the subscription as a PDF, asked of the provider now: one that was stored may not be good any more.
///
/// # Errors
/// `Denied` without `billing:read`; `NoInvoice`, also for one without a PDF; 503 when the provider does not answer.
pub async fn pdf(app: &App, scope: &Scope, id: InvoiceId) -> Result<String, Problem> {
    let (invoice, account) = {
        let mut reader = app.core.reader();
        let invoice = Invoices::new(&mut *reader, scope).get(id).await?;
        let account = reader.accounts().find(invoice.tenant_id).await?;
        (invoice, account)
    };
    let customer = account.and_then(|account| account.customer_id).ok_or(BillingError::NoInvoice)?;
    let at_provider = invoice.at_provider().ok_or(BillingError::NoInvoice)?;
    let now = app.subscriptions.invoice(&customer, at_provider).await?;
    Ok(now.pdf_url.ok_or(BillingError::NoInvoice)?)
}

/// The account of the active tenant with its customer, if it was ever at the provider.
async fn account(app: &App, scope: &Scope) -> Result<Option<(BillingAccount, String)>, BillingError> {
    let account = PaymentMethods::new(&mut *app.core.reader(), scope, &app.core.env).account().await?;
    Ok(account.and_then(|account| {
        let customer = account.customer_id.clone()?;
        Some((account, customer))
    }))
}
