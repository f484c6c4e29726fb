//! What a tenant uses, by billing period and by day.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web::Data};
use portico_billing::{
    quota::Usage,
    usage::{DailyUsage, DayOfMeter, UsageReport, UsageReports},
};
use portico_runtime::core::Core;
use portico_web::{
    caller::Caller,
    problem::Problem,
    query::Query,
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use time::Date;
use utoipa::IntoParams;

use super::tables::{table, wants_csv};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, daily).service(READ, of_period);
}

/// Query of the usage.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsageOfPeriod {
    /// Any day (UTC) of an earlier billing period; the running one where absent.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-21")]
    period: Option<Date>,
    /// `json` or `csv`; as `Accept` says where absent.
    #[param(example = "json", pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// Query of the usage by day.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsageOfDays {
    /// First day (UTC); 29 days before the last one where absent.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-01")]
    from: Option<Date>,
    /// Last day (UTC), today where absent. At most 366 days in all.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-21")]
    to: Option<Date>,
    /// `json` or `csv`; as `Accept` says where absent.
    #[param(example = "json", pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// Read the usage
///
/// Each meter of the active tenant against its limit, in the running billing period or in the one to which `period` belongs. Billing
/// periods are months from the day and time at which the subscription began. Of an earlier period it is against the limits of today,
/// and what does not begin at zero in each period is told as it was at its end, as far as that was recorded. As CSV (RFC 4180) with a
/// header line on request.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getUsage",
    params(UsageOfPeriod),
    responses((
        status = 200,
        content(
            (UsageReport = "application/json"),
            (String = "text/csv", example = json!("periodStart,periodEnd,meter,used,limit,unit,resetsAt\r\n2026-11-23T10:00:00Z,2026-12-23T10:00:00Z,sites,1,3,count,\r\n")),
        ),
        headers(("Content-Disposition" = String, description = "Name of the file, where it is CSV.")),
    )),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/usage")]
async fn of_period(
    core: Data<Core>,
    caller: Caller,
    request: HttpRequest,
    query: Query<UsageOfPeriod>,
) -> Result<HttpResponse, Problem> {
    let UsageOfPeriod { period, format } = query.0;
    let as_csv = wants_csv(format.as_deref(), &request)?;
    let mut repositories = core.reader();
    let report = UsageReports::new(&mut *repositories, &caller.0, &core.env).report(period).await?;
    if !as_csv {
        return Ok(HttpResponse::Ok().insert_header((header::VARY, "Accept")).with_json(&report));
    }
    let columns =
        ["periodStart", "periodEnd", "meter", "used", "limit", "unit", "resetsAt"].map(str::to_owned);
    let cells = |usage: &Usage| {
        [
            report.period_start.to_string(),
            report.period_end.to_string(),
            usage.meter.as_str().to_owned(),
            usage.used.to_string(),
            usage.limit.map(|limit| limit.to_string()).unwrap_or_default(),
            usage.unit.as_str().to_owned(),
            usage.resets_at.map(|at| at.to_string()).unwrap_or_default(),
        ]
    };
    table("usage.csv", std::iter::once(columns).chain(report.items.iter().map(cells)))
}

/// Read the usage by day
///
/// Each meter of the active tenant on each day: what was added to meters that begin at zero in each billing period (AI generations,
/// bandwidth), and what there was at the end of the day of the others. Today is as it is now, and later days are left out. As CSV
/// (RFC 4180) with a header line on request.
#[utoipa::path(
    tag = "Billing",
    operation_id = "getDailyUsage",
    params(UsageOfDays),
    responses((
        status = 200,
        content(
            (DailyUsage = "application/json"),
            (String = "text/csv", example = json!("date,meter,used,unit\r\n2026-11-23,sites,1,count\r\n")),
        ),
        headers(("Content-Disposition" = String, description = "Name of the file, where it is CSV.")),
    )),
    security(("bearer" = ["billing:read"])),
)]
#[get("/billing/usage/daily")]
async fn daily(
    core: Data<Core>,
    caller: Caller,
    request: HttpRequest,
    query: Query<UsageOfDays>,
) -> Result<HttpResponse, Problem> {
    let UsageOfDays { from, to, format } = query.0;
    let as_csv = wants_csv(format.as_deref(), &request)?;
    let mut repositories = core.reader();
    let usage = UsageReports::new(&mut *repositories, &caller.0, &core.env).daily(from, to).await?;
    if !as_csv {
        return Ok(HttpResponse::Ok().insert_header((header::VARY, "Accept")).with_json(&usage));
    }
    let columns = ["date", "meter", "used", "unit"].map(str::to_owned);
    let cells = |day: &DayOfMeter| {
        [
            day.date.to_string(),
            day.meter.as_str().to_owned(),
            day.used.to_string(),
            day.unit.as_str().to_owned(),
        ]
    };
    table("daily-usage.csv", std::iter::once(columns).chain(usage.items.iter().map(cells)))
}
