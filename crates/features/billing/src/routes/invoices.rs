//! Invoices of a tenant.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    web::{Data, Path},
};
use portico_billing::invoice::{Invoice, Invoices};
use portico_kernel::{InvoiceId, List};
use portico_runtime::core::Core;
use portico_web::{
    admission::Class,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Query, page_request},
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{flows::payment_methods, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(READ.waiting_in(Class::Outside), pdf);
}

/// Query of the list of invoices.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListInvoices {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u64>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// List invoices
///
/// Of the subscription and of what was bought once together, newest first. Those of the subscription are as the payment provider had them
/// when it was last asked: after each change there, and once a day.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listInvoices",
    params(ListInvoices),
    responses((status = 200, body = List<Invoice>)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/invoices")]
async fn list(
    core: Data<Core>,
    caller: Caller,
    query: Query<ListInvoices>,
) -> Result<impl Responder, Problem> {
    let page = page_request(query.0.page, query.0.limit)?;
    let mut repositories = core.reader();
    let invoices = Invoices::new(&mut *repositories, &caller.0).list(page).await?;
    Ok(Listed(invoices))
}

/// Read an invoice
#[utoipa::path(
    tag = "Billing",
    operation_id = "getInvoice",
    params(("invoiceId" = InvoiceId, Path, description = "Id of the invoice.")),
    responses((status = 200, body = Invoice)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/invoices/{invoiceId}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<InvoiceId>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let invoice = Invoices::new(&mut *repositories, &caller.0).get(*path).await?;
    Ok(HttpResponse::Ok().json(invoice))
}

/// Read an invoice as a PDF
///
/// Leads to the file at the payment provider, by an address that is asked for now.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getInvoicePdf",
    params(("invoiceId" = InvoiceId, Path, description = "Id of the invoice.")),
    responses(
        (status = 302, description = "The file is at the address in `Location`.", headers(("Location" = String))),
        (status = 404, description = "There is no such invoice, or none as a PDF: those of purchases have none.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/invoices/{invoiceId}/pdf")]
async fn pdf(app: Data<App>, caller: Caller, path: Path<InvoiceId>) -> Result<HttpResponse, Problem> {
    let url = payment_methods::pdf(&app, &caller.0, *path).await?;
    Ok(HttpResponse::Found().insert_header((header::LOCATION, url)).finish())
}
