//! One view of everything about a customer, for staff.

use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};
use portico_billing::{
    purchase::Purchase,
    quota::{Quotas, Usage},
    refund::Refunds,
    site_sale::{ManagedSiteSale, SiteSaleFilter, SiteSaleRegister},
    tenant_subscription::{TenantSubscription, TenantSubscriptions},
};
use portico_kernel::{Permission, TenantId};
use portico_licensing::administration::{LicenseAdministration, LicenseQuery, ManagedLicense};
use portico_support::{
    desk::{Desk, QueueFilter},
    thread::DeskTicket,
};
use portico_tenancy::{
    customer::{Customer, CustomerPerson, Customers},
    customer_note::{CustomerNote, CustomerNotes},
};
use portico_web::{
    caller::Caller,
    problem::Problem,
    query::page_request,
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::App;

/// Items of each list. The rest is in lists of their own.
const LATEST: u64 = 10;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read);
}

/// A customer with what belongs to them. Lists have ten items at most; what the caller may not see is null.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerOverview {
    #[serde(flatten)]
    customer: Customer,
    /// The members, those who signed in last first.
    people: Vec<CustomerPerson>,
    /// The subscription; null without one.
    subscription: Option<TenantSubscription>,
    /// Each meter against its limit; empty without a plan in force.
    usage: Vec<Usage>,
    /// The newest purchases; null without `platform:refunds`.
    purchases: Option<Vec<Purchase>>,
    /// The newest sales of finished sites to them; null without `platform:refunds`.
    site_sales: Option<Vec<ManagedSiteSale>>,
    /// The newest licenses; null without `platform:licenses`.
    licenses: Option<Vec<ManagedLicense>>,
    /// The tickets that were changed last; null without `platform:support`.
    tickets: Option<Vec<DeskTicket>>,
    /// The newest notes of staff.
    notes: Vec<CustomerNote>,
}

/// Read everything about a customer
///
/// For staff: people with their last sign-ins, subscription, usage, purchases, bought sites, licenses, tickets and notes, the newest of each. Reads a
/// fixed number of times, however much there is.
#[utoipa::path(
    tag = "Customers",
    operation_id = "getCustomerOverview",
    params(("customerId" = TenantId, Path, description = "Id of the tenant.")),
    responses((status = 200, body = CustomerOverview)),
    security(("bearer" = ["platform:customers"])),
)]
#[get("/admin/customers/{customerId}/overview")]
async fn read(app: Data<App>, caller: Caller, path: Path<TenantId>) -> Result<HttpResponse, Problem> {
    let (id, scope, env) = (path.into_inner(), &caller.0, &app.core.env);
    let page = page_request(None, Some(LATEST))?;
    let mut repositories = app.core.reader();
    let customer = Customers::new(&mut *repositories, scope, env).get(id).await?;
    let people = Customers::new(&mut *repositories, scope, env).people(id, LATEST).await?;
    let subscription = TenantSubscriptions::new(&mut *repositories).of(id, env.now()).await?;
    let usage = Quotas::new(&mut *repositories).usage_of(scope, id, env.now()).await?;
    let purchases = match scope.allows(Permission::PlatformRefunds) {
        true => Some(Refunds::new(&mut *repositories, scope, env).purchases(id, page).await?.items),
        false => None,
    };
    let site_sales = match scope.allows(Permission::PlatformRefunds) {
        true => {
            let filter = SiteSaleFilter { buyer: Some(id), ..SiteSaleFilter::default() };
            Some(SiteSaleRegister::new(&mut *repositories, scope).list(filter, page).await?.items)
        }
        false => None,
    };
    let licenses = match scope.allows(Permission::PlatformLicenses) {
        true => {
            let query = LicenseQuery { customer: Some(id), ..LicenseQuery::default() };
            let mut licenses = LicenseAdministration::new(&mut *repositories, scope, env, &app.vault);
            Some(licenses.list(query, page).await?.items)
        }
        false => None,
    };
    let tickets = match scope.allows(Permission::PlatformSupport) {
        true => {
            let filter = QueueFilter { customer: Some(id), latest_first: true, ..QueueFilter::default() };
            Some(Desk::new(&mut *repositories, scope, env).queue(filter, page).await?.items)
        }
        false => None,
    };
    let notes = CustomerNotes::new(&mut *repositories, scope, env).list(id, page).await?.items;
    Ok(HttpResponse::Ok().with_json(&CustomerOverview {
        customer,
        people,
        subscription,
        usage,
        purchases,
        site_sales,
        licenses,
        tickets,
        notes,
    }))
}
