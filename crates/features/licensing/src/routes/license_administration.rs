//! Licenses as staff issue, suspend and end them.

use actix_web::{
    HttpResponse, Responder, get, post,
    web::{Data, Path},
};
use portico_kernel::{LicenseId, List, Permission, TenantId};
use portico_licensing::{
    administration::{
        LicenseAdministration, LicenseQuery, LicenseReason, ManagedLicense, NewLicenses, StaffMove,
    },
    license::LicenseStatus,
};
use portico_tenancy::customer::Customers;
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging},
    routing::{KEYED, READ, Routes},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, issue)
        .service(READ, read)
        .service(KEYED, suspend)
        .service(KEYED, resume)
        .service(KEYED, revoke);
}

/// Query of the list of all licenses.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct ListAllLicenses {
    /// Only those of this customer.
    customer_id: Option<TenantId>,
    /// Only those with this status.
    status: Option<LicenseStatus>,
    /// Only those of this product.
    #[param(example = "base_product", max_length = 50)]
    product_type: Option<String>,
    /// Only the one with this key, as somebody has told it.
    #[param(example = "7K2M-9QXD-4T0B-HZ5R", max_length = 100)]
    key: Option<String>,
}

/// Licenses that were issued.
#[derive(Serialize, ToSchema)]
struct IssuedLicenses {
    /// The licenses; their owner sees the keys.
    items: Vec<ManagedLicense>,
}

/// List all licenses
///
/// For staff: those of all customers, newest first, with the ends of their keys.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "listAllLicenses",
    params(ListAllLicenses, Paging),
    responses((status = 200, body = List<ManagedLicense>)),
    security(("bearer" = ["platform:licenses"])),
)]
#[get("/admin/licenses")]
async fn list(
    app: Data<App>,
    caller: Caller,
    query: Paged<ListAllLicenses>,
) -> Result<impl Responder, Problem> {
    let Paged(ListAllLicenses { customer_id: customer, status, product_type, key }, paging) = query;
    let page = paging.request()?;
    let query = LicenseQuery { customer, status, product_type, key };
    let mut repositories = app.core.reader();
    let found = LicenseAdministration::new(&mut *repositories, &caller.0, &app.core.env, &app.vault)
        .list(query, page)
        .await?;
    Ok(Listed(found))
}

/// Issue licenses
///
/// For staff: without a purchase, by the policy of the product, with a reason that the audit trail keeps.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "issueLicenses",
    request_body = NewLicenses,
    responses((status = 201, body = IssuedLicenses, description = "All of them were issued.")),
    security(("bearer" = ["platform:licenses"])),
)]
#[post("/admin/licenses")]
async fn issue(app: Data<App>, caller: Caller, body: Body<NewLicenses>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let env = &app.core.env;
            let customer =
                LicenseAdministration::new(&mut *work, &caller.0, env, &app.vault).check(&body.0)?;
            let permission = Permission::PlatformLicenses;
            Customers::new(&mut *work, &caller.0, env).check(customer, permission).await?;
            let items =
                LicenseAdministration::new(&mut *work, &caller.0, env, &app.vault).issue(&body.0).await?;
            Ok(HttpResponse::Created().with_json(&IssuedLicenses { items }))
        })
        .await
}

/// Read a license of a customer
///
/// For staff: with the end of its key.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "getManagedLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    responses((status = 200, body = ManagedLicense)),
    security(("bearer" = ["platform:licenses"])),
)]
#[get("/admin/licenses/{licenseId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<LicenseId>) -> Result<HttpResponse, Problem> {
    let (mut repositories, env) = (app.core.reader(), &app.core.env);
    let customer =
        LicenseAdministration::new(&mut *repositories, &caller.0, env, &app.vault).customer_of(*path).await?;
    let permission = Permission::PlatformLicenses;
    Customers::new(&mut *repositories, &caller.0, env).check_former(customer, permission).await?;
    let mut administration = LicenseAdministration::new(&mut *repositories, &caller.0, env, &app.vault);
    Ok(HttpResponse::Ok().with_json(&administration.get(customer, *path).await?))
}

/// Suspend a license
///
/// For staff: it may not be used until it is resumed. Machines keep their seats. One that is suspended already stays as it is.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "suspendLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    request_body = LicenseReason,
    responses(
        (status = 200, body = ManagedLicense),
        (status = 409, description = "The license was revoked (`license_revoked`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:licenses"])),
)]
#[post("/admin/licenses/{licenseId}/suspend")]
async fn suspend(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    body: Body<LicenseReason>,
) -> Result<HttpResponse, Problem> {
    change(&app, &caller, *path, StaffMove::Suspend, &body.0).await
}

/// Resume a license
///
/// For staff: it may be used again, also while its payment is disputed.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "resumeLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    request_body = LicenseReason,
    responses(
        (status = 200, body = ManagedLicense),
        (status = 409, description = "The license was revoked (`license_revoked`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:licenses"])),
)]
#[post("/admin/licenses/{licenseId}/resume")]
async fn resume(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    body: Body<LicenseReason>,
) -> Result<HttpResponse, Problem> {
    change(&app, &caller, *path, StaffMove::Resume, &body.0).await
}

/// Revoke a license
///
/// For staff: it ends for good, and its seats with it. License files stay good until they end. This cannot be undone.
#[utoipa::path(
    tag = "Licenses",
    operation_id = "revokeLicense",
    params(("licenseId" = LicenseId, Path, description = "Id of the license.")),
    request_body = LicenseReason,
    responses((status = 200, body = ManagedLicense)),
    security(("bearer" = ["platform:licenses"])),
)]
#[post("/admin/licenses/{licenseId}/revoke")]
async fn revoke(
    app: Data<App>,
    caller: Caller,
    path: Path<LicenseId>,
    body: Body<LicenseReason>,
) -> Result<HttpResponse, Problem> {
    change(&app, &caller, *path, StaffMove::Revoke, &body.0).await
}

async fn change(
    app: &App,
    caller: &Caller,
    id: LicenseId,
    by: StaffMove,
    why: &LicenseReason,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let env = &app.core.env;
            let customer =
                LicenseAdministration::new(&mut *work, &caller.0, env, &app.vault).customer_of(id).await?;
            let permission = Permission::PlatformLicenses;
            Customers::new(&mut *work, &caller.0, env).check_former(customer, permission).await?;
            let mut administration = LicenseAdministration::new(&mut *work, &caller.0, env, &app.vault);
            Ok(HttpResponse::Ok().with_json(&administration.change(customer, id, by, why).await?))
        })
        .await
}
