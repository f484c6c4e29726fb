//! Coupons as staff make and change them.

use actix_web::{
    HttpResponse, Responder, delete, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_billing::{
    coupon::Coupon,
    coupon_edit::{CouponAdministration, CouponInput, CouponTerms},
};
use portico_kernel::{CouponId, List};
use portico_runtime::core::Core;
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paging, Query},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, create)
        .service(READ, read)
        .service(WRITE, update)
        .service(WRITE, archive);
}

/// List coupons
///
/// For staff: newest first, archived ones included, with the number of orders and changes of plan that use each.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "listCoupons",
    params(Paging),
    responses((status = 200, body = List<Coupon>)),
    security(("bearer" = ["platform:plans"])),
)]
#[get("/admin/coupons")]
async fn list(core: Data<Core>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = core.reader();
    let coupons = CouponAdministration::new(&mut *repositories, &caller.0, &core.env).list(page).await?;
    Ok(Listed(coupons))
}

/// Create a coupon
///
/// For staff. It takes off a percentage, or an amount in one currency, of what is bought once, or of what is paid for a plan: once, for some
/// months, or as long as the plan is paid for. What it takes off, and for how long, never changes.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "createCoupon",
    request_body = CouponInput,
    responses(
        (status = 201, body = Coupon, headers(("Location" = String))),
        (status = 409, description = "Another coupon has the code, or an archived one had it (`coupon_exists`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:plans"])),
)]
#[post("/admin/coupons")]
async fn create(core: Data<Core>, caller: Caller, body: Body<CouponInput>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let made = CouponAdministration::new(&mut *work, &caller.0, &core.env).create(body.0).await?;
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, format!("/api/v1/admin/coupons/{}", made.id)))
                .with_json(&made))
        })
        .await
}

/// Read a coupon
///
/// For staff.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "getCoupon",
    params(("couponId" = CouponId, Path, description = "Id of the coupon.")),
    responses((status = 200, body = Coupon)),
    security(("bearer" = ["platform:plans"])),
)]
#[get("/admin/coupons/{couponId}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<CouponId>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let coupon = CouponAdministration::new(&mut *repositories, &caller.0, &core.env).get(*path).await?;
    Ok(HttpResponse::Ok().with_json(&coupon))
}

/// Replace the terms of a coupon
///
/// For staff: for which products and plans, how often and when it may be used, from the next order on. Who uses it already keeps what they
/// have. A term that is absent is none.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "updateCoupon",
    params(("couponId" = CouponId, Path, description = "Id of the coupon.")),
    request_body = CouponTerms,
    responses(
        (status = 200, body = Coupon),
        (status = 409, description = "The coupon is archived (`coupon_archived`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:plans"])),
)]
#[put("/admin/coupons/{couponId}")]
async fn update(
    core: Data<Core>,
    caller: Caller,
    path: Path<CouponId>,
    body: Body<CouponTerms>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            let mut administration = CouponAdministration::new(&mut *work, &caller.0, &core.env);
            Ok(HttpResponse::Ok().with_json(&administration.update(*path, body.0).await?))
        })
        .await
}

/// Archive a coupon
///
/// For staff: no further order or change of plan uses it. Those that do keep it. This cannot be undone, and the code is not free again.
#[utoipa::path(
    tag = "Purchases",
    operation_id = "deleteCoupon",
    params(("couponId" = CouponId, Path, description = "Id of the coupon.")),
    responses((status = 204, description = "Archived.")),
    security(("bearer" = ["platform:plans"])),
)]
#[delete("/admin/coupons/{couponId}")]
async fn archive(core: Data<Core>, caller: Caller, path: Path<CouponId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&core, async |work| {
            CouponAdministration::new(&mut *work, &caller.0, &core.env).archive(*path).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
