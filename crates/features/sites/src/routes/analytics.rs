//! Visits of a site.

use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};
use portico_kernel::SiteId;
use portico_sites::analytics::{Analytics, SiteAnalytics};
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

use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, read);
}

/// Period of the report.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Period {
    /// First day (UTC); 29 days before the last one where absent.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-01")]
    from: Option<Date>,
    /// Last day (UTC), today where absent. At most 400 days in all.
    #[param(value_type = Option<String>, format = "date", example = "2026-11-21")]
    to: Option<Date>,
}

/// Read the visits of a site
///
/// Visits and visitors by day, page, referrer, country and device. Days are those of UTC. A visit is a page of the
/// published site displayed by a browser; known bots are left out. There are no cookies: a visitor is one IP address with
/// one browser on one day. Counts are written every few seconds.
#[utoipa::path(
    tag = "Analytics",
    operation_id = "getSiteAnalytics",
    params(("siteId" = SiteId, Path), Period),
    responses((status = 200, body = SiteAnalytics)),
    security(("bearer" = ["analytics:read"])),
)]
#[get("/sites/{siteId}/analytics")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    query: Query<Period>,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let mut analytics = Analytics::new(&mut *repositories, &caller.0, &app.core.env);
    let found = analytics.read(*path, query.0.from, query.0.to).await?;
    Ok(HttpResponse::Ok().with_json(&found))
}
