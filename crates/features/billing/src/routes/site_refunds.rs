//! Giving back what a site was sold for.

use actix_web::{
    HttpResponse, post,
    web::{Data, Path},
};
use portico_billing::{refund::PurchaseRefund, site_sale::SiteRefundInput};
use portico_kernel::PurchaseId;
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes},
};

use crate::{flows::site_refunds, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(KEYED.waiting_in(Class::Outside), refund);
}

/// Refund the sale of a site
///
/// For staff: gives all that was paid for a site back. A site that was not handed over yet stays with the tenant that sells, and can be
/// offered again. One that was handed over stays with its buyer, or with `returnSite` goes back once the money is given back: as a draft,
/// without what the buyer has added and not deployed. The answer is the refund after the payment provider was asked; it is
/// `requested` where that does not answer, and `failed` where that refuses it. With an `Idempotency-Key` it is answered again as it was
/// stored, before the provider was asked.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "refundSiteSale",
    params(("saleId" = PurchaseId, Path, description = "Id of the sale: `purchaseId` of the answer to its buyer.")),
    request_body = SiteRefundInput,
    responses(
        (status = 201, body = PurchaseRefund),
        (status = 409, description = "The site is not paid (`purchase_not_paid`), its refund is being made (`refund_in_progress`), or all of it was given back (`nothing_to_refund`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:refunds"])),
)]
#[post("/admin/site-sales/{saleId}/refund")]
async fn refund(
    app: Data<App>,
    caller: Caller,
    path: Path<PurchaseId>,
    body: Body<SiteRefundInput>,
) -> Result<HttpResponse, Problem> {
    site_refunds::create(&app, &caller, path.into_inner(), &body.0).await
}
