//! What a customer has bought, as staff see it, and giving money back.

use actix_web::{
    HttpResponse, Responder, get, post,
    web::{Data, Path},
};
use portico_billing::{
    purchase::Purchase,
    refund::{CustomerPurchase, PurchaseRefund, RefundInput, Refunds},
};
use portico_kernel::{List, Permission, PurchaseId, TenantId};
use portico_runtime::core::Core;
use portico_tenancy::customer::Customers;
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};

use crate::{flows::refunds, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(KEYED.waiting_in(Class::Outside), refund);
}

/// List the purchases of a customer
///
/// For staff, newest first.
#[utoipa::path(
    tag = "Customers",
    operation_id = "listCustomerPurchases",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), Paging),
    responses((status = 200, body = List<Purchase>)),
    security(("bearer" = ["platform:refunds"])),
)]
#[get("/admin/customers/{customerId}/purchases")]
async fn list(
    core: Data<Core>,
    caller: Caller,
    path: Path<TenantId>,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let (id, page) = (path.into_inner(), query.0.request()?);
    let mut repositories = core.reader();
    Customers::new(&mut *repositories, &caller.0, &core.env).check(id, Permission::PlatformRefunds).await?;
    let purchases = Refunds::new(&mut *repositories, &caller.0, &core.env).purchases(id, page).await?;
    Ok(Listed(purchases))
}

/// Read a purchase of a customer
///
/// For staff: with its refunds, also those that were made on pages of the payment provider, and its disputes.
#[utoipa::path(
    tag = "Customers",
    operation_id = "getCustomerPurchase",
    params(
        ("customerId" = TenantId, Path, description = "Id of the tenant."),
        ("purchaseId" = PurchaseId, Path, description = "Id of the purchase."),
    ),
    responses((status = 200, body = CustomerPurchase)),
    security(("bearer" = ["platform:refunds"])),
)]
#[get("/admin/customers/{customerId}/purchases/{purchaseId}")]
async fn read(
    core: Data<Core>,
    caller: Caller,
    path: Path<(TenantId, PurchaseId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    let mut repositories = core.reader();
    Customers::new(&mut *repositories, &caller.0, &core.env)
        .check(customer, Permission::PlatformRefunds)
        .await?;
    let purchase = Refunds::new(&mut *repositories, &caller.0, &core.env).purchase(customer, id).await?;
    Ok(HttpResponse::Ok().with_json(&purchase))
}

/// Refund a purchase
///
/// For staff: gives money back, all that is left where no `amount` is sent. The answer is the refund after the payment provider was asked;
/// it is `requested` where that does not answer and is asked again later, and `failed` where that refuses it. With an `Idempotency-Key` it
/// is answered again as it was stored, before the provider was asked.
#[utoipa::path(
    tag = "Customers",
    operation_id = "refundCustomerPurchase",
    params(
        ("customerId" = TenantId, Path, description = "Id of the tenant."),
        ("purchaseId" = PurchaseId, Path, description = "Id of the purchase."),
    ),
    request_body = RefundInput,
    responses(
        (status = 201, body = PurchaseRefund),
        (status = 409, description = "The purchase is not paid (`purchase_not_paid`), its payment is disputed (`purchase_disputed`), another refund of it is being made (`refund_in_progress`), all of it was given back (`nothing_to_refund`), or less than the amount is left (`refund_too_large`, with `left`).", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The payment provider does not answer (`payment_provider_unavailable`). Nothing is stored.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:refunds"])),
)]
#[post("/admin/customers/{customerId}/purchases/{purchaseId}/refunds")]
async fn refund(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, PurchaseId)>,
    body: Body<RefundInput>,
) -> Result<HttpResponse, Problem> {
    let (customer, purchase) = path.into_inner();
    refunds::create(&app, &caller, customer, purchase, &body.0).await
}
