//! The usage and growth report, for staff.

use actix_web::{HttpResponse, get, web::Data};
use portico_kernel::Month;
use portico_runtime::core::Core;
use portico_tenancy::growth::{Growth, GrowthReport};
use portico_web::{
    caller::Caller,
    problem::Problem,
    query::Query,
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, report);
}

/// Query of the usage and growth report.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MonthsOfGrowth {
    /// First month (UTC); eleven months before the last one where absent.
    #[param(value_type = Option<String>, pattern = r"^\d{4}-\d{2}$", example = "2026-01")]
    from: Option<Month>,
    /// Last month (UTC), the running one where absent. At most 60 months in all.
    #[param(value_type = Option<String>, pattern = r"^\d{4}-\d{2}$", example = "2026-12")]
    to: Option<Month>,
}

/// Read the usage and growth report
///
/// For staff: registrations, activation, active and lapsed tenants and what they worked with in each month, and how many of those who came
/// in the same month stay. Counted once a day, up to the end of the day before.
#[utoipa::path(
    tag = "Reports",
    operation_id = "getGrowthReport",
    params(MonthsOfGrowth),
    responses((status = 200, body = GrowthReport)),
    security(("bearer" = ["platform:growth"])),
)]
#[get("/admin/reports/growth")]
async fn report(
    core: Data<Core>,
    caller: Caller,
    query: Query<MonthsOfGrowth>,
) -> Result<HttpResponse, Problem> {
    let MonthsOfGrowth { from, to } = query.0;
    let mut repositories = core.reader();
    let report = Growth::new(&mut *repositories, &core.env).report(&caller.0, from, to).await?;
    Ok(HttpResponse::Ok().with_json(&report))
}
