//! Receipts of purchases, and the mail that names them.

use portico_billing::{
    BillingError, events,
    invoice::{InvoiceKind, Invoices},
    purchase_mail::PurchaseMail,
    receipt::{Buyer, Paper, Receipt, ReceiptLanguage},
};
use portico_identity::{mail::Recipient, user::UserStatus};
use portico_kernel::{
    Env, Event, InvoiceId, Job, JobType, NewJob, PurchaseId, Scope, StoreError, TenantId, UserId,
};
use portico_runtime::{mailing, worker::jobs::JobError};
use serde::{Deserialize, Serialize};

use crate::state::App;

/// The job that confirms a purchase to its buyer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseConfirmation {
    purchase_id: PurchaseId,
}

impl JobType for PurchaseConfirmation {
    const KIND: &'static str = "email.purchase";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The message that an event leads to.
pub fn job_for(env: &Env, event: &Event) -> Option<NewJob> {
    event.kind.is(&events::PURCHASE_COMPLETED).then(|| {
        let purchase_id = PurchaseId::from_uuid(event.resource.id);
        NewJob::following(env, event, &PurchaseConfirmation { purchase_id })
    })
}

/// `email.purchase`: confirms a purchase to its buyer, if their address is verified.
///
/// # Errors
/// Those of sending.
pub async fn confirm(app: &App, mail: PurchaseConfirmation, job: &Job) -> Result<(), JobError> {
    let purchase = app.core.reader().purchases().find(job.tenant_id, mail.purchase_id).await?;
    let Some(purchase) = purchase else { return Ok(()) };
    let invoice = InvoiceId::from_uuid(purchase.id.uuid());
    let invoice = app.core.reader().invoices().find(job.tenant_id, invoice).await?;
    let number = invoice.and_then(|invoice| invoice.number);
    let buyer = app.core.reader().users().find(purchase.user_id).await?;
    let buyer = buyer.filter(|user| user.status == UserStatus::Active && user.email_verified);
    match (buyer, PurchaseMail::confirmation(&purchase, number)) {
        (Some(buyer), Some(mail)) => app.mail.send(job, &Recipient::for_user(&buyer), &mail).await,
        _ => Ok(()),
    }
}

/// Who has bought what an invoice of a tenant is for: a purchase of its own, or a site of another tenant.
async fn bought_by(app: &App, tenant: TenantId, id: InvoiceId) -> Result<Option<UserId>, StoreError> {
    let id = PurchaseId::from_uuid(id.uuid());
    let mut reader = app.core.reader();
    if let Some(purchase) = reader.purchases().find(tenant, id).await? {
        return Ok(Some(purchase.user_id));
    }
    let Some(seller) = reader.site_sales().tenant_of(id).await? else { return Ok(None) };
    let sale = reader.site_sales().find(seller, id).await?;
    let buyer = sale.and_then(|sale| sale.buyer).filter(|(_, buyer)| *buyer == tenant);
    Ok(buyer.map(|(user, _)| user))
}

/// The receipt of an invoice of the active tenant as a PDF, and its number, in the language of the buyer's account where none is named.
/// `None` for an invoice of which the provider has the document.
///
/// # Errors
/// `Denied` without `billing:read`; `NoInvoice`, also for one of another tenant, and for one that has no number.
pub async fn document(
    app: &App,
    scope: &Scope,
    id: InvoiceId,
    paper: Paper,
    language: Option<ReceiptLanguage>,
) -> Result<Option<(String, Vec<u8>)>, BillingError> {
    let invoice = Invoices::new(&mut *app.core.reader(), scope).get(id).await?;
    if invoice.kind != InvoiceKind::Purchase {
        return Ok(None);
    }
    let buyer = bought_by(app, invoice.tenant_id, id).await?.ok_or(BillingError::NoInvoice)?;
    let user = app.core.reader().users().find(buyer).await?.ok_or(BillingError::NoInvoice)?;
    let language = language.unwrap_or_else(|| ReceiptLanguage::preferred(&user.language));
    let buyer = Buyer { name: user.full_name, email: user.email.to_string() };
    let receipt = Receipt::of(&invoice, buyer).ok_or(BillingError::NoInvoice)?;
    let pdf = app.receipts.pdf(&receipt, paper, language);
    Ok(Some((receipt.number, pdf)))
}
