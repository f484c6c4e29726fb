//! Invoices of a tenant.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    web::{Data, Path},
};
use portico_billing::{
    invoice::{Invoice, Invoices},
    receipt::{Paper, ReceiptLanguage},
};
use portico_kernel::{InvoiceId, List, Violations};
use portico_runtime::core::Core;
use portico_web::{
    admission::Class,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    flows::{payment_methods, receipts},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(READ.waiting_in(Class::Outside), pdf);
}

/// Query of an invoice as a PDF.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct InvoicePdf {
    /// Format of the paper, `a4` or `letter`; `a4` where absent.
    #[param(example = "a4", pattern = "^(a4|letter)$")]
    paper: Option<String>,
    /// `en` or `es`; the language of the buyer's account where absent.
    #[param(example = "en", pattern = "^(en|es)$")]
    language: Option<String>,
}

impl InvoicePdf {
    /// What is wanted; 422 for what there is not.
    fn read(&self) -> Result<(Paper, Option<ReceiptLanguage>), Problem> {
        let (paper, language) =
            (self.paper.as_deref().map(Paper::parse), self.language.as_deref().map(ReceiptLanguage::parse));
        let mut violations = Violations::default();
        violations.check(paper != Some(None), "paper", "invalid_value", "Use a4 or letter.");
        violations.check(language != Some(None), "language", "invalid_value", "Use en or es.");
        violations.into_result().map_err(Problem::invalid)?;
        Ok((paper.flatten().unwrap_or_default(), language.flatten()))
    }
}

/// List invoices
///
/// Of the subscription and of what was bought once together, newest first. Those of the subscription are as the payment provider had them
/// when it was last asked: after each change there, and once a day.
#[utoipa::path(
    tag = "Billing",
    operation_id = "listInvoices",
    params(Paging),
    responses((status = 200, body = List<Invoice>)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/invoices")]
async fn list(core: Data<Core>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
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
    Ok(HttpResponse::Ok().with_json(&invoice))
}

/// Read an invoice as a PDF
///
/// That of a purchase is answered itself: its receipt, with a number of a series without gaps, and what was given back since. Who bought is
/// named as their account is now, letters of other scripts than the Latin one in Latin letters. That of a subscription is at the payment
/// provider: the answer leads to it, by an address that is asked for now.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getInvoicePdf",
    params(("invoiceId" = InvoiceId, Path, description = "Id of the invoice."), InvoicePdf),
    responses(
        (
            status = 200, description = "The receipt of a purchase.", headers(("Content-Disposition" = String)),
            content((String = "application/pdf", example = json!("(the file)"))),
        ),
        (status = 302, description = "The file is at the address in `Location`.", headers(("Location" = String))),
        (status = 404, description = "There is no such invoice, or none as a PDF.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/invoices/{invoiceId}/pdf")]
async fn pdf(
    app: Data<App>,
    caller: Caller,
    path: Path<InvoiceId>,
    query: Query<InvoicePdf>,
) -> Result<HttpResponse, Problem> {
    let (paper, language) = query.0.read()?;
    if let Some((number, file)) = receipts::document(&app, &caller.0, *path, paper, language).await? {
        return Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "application/pdf"))
            .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{number}.pdf\"")))
            .body(file));
    }
    let url = payment_methods::pdf(&app, &caller.0, *path).await?;
    Ok(HttpResponse::Found().insert_header((header::LOCATION, url)).finish())
}
