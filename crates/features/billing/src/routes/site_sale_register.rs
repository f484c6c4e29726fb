//! Sales of sites, as staff and sellers look them up.

use actix_web::{
    HttpResponse, Responder, get,
    web::{Data, Path},
};
use portico_billing::site_sale::{
    ManagedSiteSale, SiteSale, SiteSaleDetails, SiteSaleFilter, SiteSaleRegister, SiteSaleStatus,
};
use portico_kernel::{List, PurchaseId, SiteId, TenantId, Timestamp};
use portico_runtime::core::Core;
use portico_web::{
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paged, Paging, Query},
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, list).service(READ, read).service(READ, of_seller);
}

/// Query of the list of all sales.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct ListSiteSales {
    /// Only those with this status.
    status: Option<SiteSaleStatus>,
    /// Only those of this tenant that sells.
    seller_id: Option<TenantId>,
    /// Only those of this site.
    site_id: Option<SiteId>,
    /// Only those to this tenant.
    buyer_id: Option<TenantId>,
    /// Only those to the owner of this address.
    #[param(example = "ada@example.com", max_length = 254)]
    buyer_email: Option<String>,
    /// Only those with a checkout, a payment or a refund of this id at the payment provider.
    #[param(example = "ch_eegw9j5zgqoae3ms", max_length = 200)]
    reference: Option<String>,
    /// Not made before this time.
    from: Option<Timestamp>,
    /// Made before this time.
    to: Option<Timestamp>,
}

/// List all sales of sites
///
/// For staff: those of all sellers, newest first, also what is not paid yet and what was never paid, with what each waits for.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "listAllSiteSales",
    params(ListSiteSales, Paging),
    responses((status = 200, body = List<ManagedSiteSale>)),
    security(("bearer" = ["platform:refunds"])),
)]
#[get("/admin/site-sales")]
async fn list(
    core: Data<Core>,
    caller: Caller,
    query: Paged<ListSiteSales>,
) -> Result<impl Responder, Problem> {
    let Paged(query, paging) = query;
    let page = paging.request()?;
    let filter = SiteSaleFilter {
        id: None,
        status: query.status,
        seller: query.seller_id,
        site: query.site_id,
        buyer: query.buyer_id,
        email: query.buyer_email,
        reference: query.reference,
        from: query.from,
        to: query.to,
    };
    let mut repositories = core.reader();
    let found = SiteSaleRegister::new(&mut *repositories, &caller.0).list(filter, page).await?;
    Ok(Listed(found))
}

/// Read the sale of a site
///
/// For staff: with its checkout at the payment provider, its refunds, also those that were made on pages of the provider, and the number of
/// the receipt.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "getSiteSale",
    params(("saleId" = PurchaseId, Path, description = "Id of the sale: `purchaseId` of the answer to its buyer.")),
    responses((status = 200, body = SiteSaleDetails)),
    security(("bearer" = ["platform:refunds"])),
)]
#[get("/admin/site-sales/{saleId}")]
async fn read(core: Data<Core>, caller: Caller, path: Path<PurchaseId>) -> Result<HttpResponse, Problem> {
    let mut repositories = core.reader();
    let sale = SiteSaleRegister::new(&mut *repositories, &caller.0).get(*path).await?;
    Ok(HttpResponse::Ok().with_json(&sale))
}

/// List the sites that were sold
///
/// Sales by the active tenant, newest first, with what became of each; who buys is not told. Sites are sold by tenants of the operator's own
/// people, so for others it is empty.
#[utoipa::path(
    tag = "Sites for sale",
    operation_id = "listSiteSales",
    params(Paging),
    responses((status = 200, body = List<SiteSale>)),
    security(("bearer" = ["billing:read"])),
)]
#[get("/site-sales")]
async fn of_seller(
    core: Data<Core>,
    caller: Caller,
    query: Query<Paging>,
) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let mut repositories = core.reader();
    let found = SiteSaleRegister::new(&mut *repositories, &caller.0).of_seller(page).await?;
    Ok(Listed(found))
}
