//! The financial report, for staff.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web::Data};
use portico_billing::finance::{FinanceLine, FinanceMonth, FinanceReport, Finances, MovedMoney};
use portico_kernel::Month;
use portico_web::{
    caller::Caller,
    problem::Problem,
    query::Query,
    routing::{READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::tables::{table, wants_csv};
use crate::state::App;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ, report);
}

/// Query of the financial report.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FinancialReport {
    /// First month (UTC); eleven months before the last one where absent.
    #[param(value_type = Option<String>, pattern = r"^\d{4}-\d{2}$", example = "2026-01")]
    from: Option<Month>,
    /// Last month (UTC), the running one where absent. At most 60 months in all.
    #[param(value_type = Option<String>, pattern = r"^\d{4}-\d{2}$", example = "2026-12")]
    to: Option<Month>,
    /// Only this currency, lower-case ISO 4217.
    #[param(example = "usd", pattern = "^[a-z]{3}$")]
    currency: Option<String>,
    /// `json` or `csv`; as `Accept` says where absent.
    #[param(example = "json", pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// Read the financial report
///
/// For staff: what was sold, given back, disputed and kept by payment providers in each month, by what was sold, and what plans bring in
/// each month from then on. The sums are those of the ledger: of real money where the server moves it, and otherwise of play money; `live`
/// says which. Amounts are in minor units of the currency. As CSV (RFC 4180) with a header line on request: for each month and currency a
/// line `total`, and one for each thing that is sold.
#[utoipa::path(
    tag = "Reports",
    operation_id = "getFinancialReport",
    params(FinancialReport),
    responses((
        status = 200,
        content(
            (FinanceReport = "application/json"),
            (String = "text/csv", example = json!("month,currency,kind,id,gross,refunds,disputes,fees,net,mrr,subscribers,newMrr,expansionMrr,contractionMrr,churnedMrr,newSubscribers,churnedSubscribers,live\r\n2026-11,usd,total,,35900,0,0,1071,34829,1200,1,1200,0,0,0,1,0,true\r\n")),
        ),
        headers(("Content-Disposition" = String, description = "Name of the file, where it is CSV.")),
    )),
    security(("bearer" = ["platform:finance"])),
)]
#[get("/admin/reports/finance")]
async fn report(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    query: Query<FinancialReport>,
) -> Result<HttpResponse, Problem> {
    let FinancialReport { from, to, currency, format } = query.0;
    let as_csv = wants_csv(format.as_deref(), &request)?;
    let mut repositories = app.core.reader();
    let report = Finances::new(&mut *repositories, &caller.0, &app.core.env)
        .report(app.is_live(), from, to, currency.as_deref())
        .await?;
    if !as_csv {
        return Ok(HttpResponse::Ok().insert_header((header::VARY, "Accept")).with_json(&report));
    }
    table(
        "finance.csv",
        std::iter::once(COLUMNS.map(str::to_owned))
            .chain(report.items.iter().flat_map(|month| rows(month, report.live))),
    )
}

const COLUMNS: [&str; 18] = [
    "month",
    "currency",
    "kind",
    "id",
    "gross",
    "refunds",
    "disputes",
    "fees",
    "net",
    "mrr",
    "subscribers",
    "newMrr",
    "expansionMrr",
    "contractionMrr",
    "churnedMrr",
    "newSubscribers",
    "churnedSubscribers",
    "live",
];

/// The lines of a month: the month itself, and what was sold. How the recurring revenue has moved is told of the month as a whole.
fn rows(month: &FinanceMonth, live: bool) -> Vec<[String; 18]> {
    let recurring = &month.recurring;
    let moves = [
        recurring.new_mrr.to_string(),
        recurring.expansion_mrr.to_string(),
        recurring.contraction_mrr.to_string(),
        recurring.churned_mrr.to_string(),
        recurring.new_subscribers.to_string(),
        recurring.churned_subscribers.to_string(),
    ];
    let total = row(month, ("total", ""), &month.moved, (recurring.mrr, recurring.subscribers), moves, live);
    let line = |line: &FinanceLine| {
        let sold = (line.kind.as_str(), line.id.as_deref().unwrap_or_default());
        row(month, sold, &line.moved, (line.mrr, line.subscribers), Default::default(), live)
    };
    std::iter::once(total).chain(month.lines.iter().map(line)).collect()
}

fn row(
    month: &FinanceMonth,
    (kind, id): (&str, &str),
    moved: &MovedMoney,
    (mrr, subscribers): (i64, u64),
    moves: [String; 6],
    live: bool,
) -> [String; 18] {
    let [new, expansion, contraction, churned, began, stopped] = moves;
    [
        month.month.to_string(),
        month.currency.clone(),
        kind.to_owned(),
        id.to_owned(),
        moved.gross.to_string(),
        moved.refunds.to_string(),
        moved.disputes.to_string(),
        moved.fees.to_string(),
        moved.net.to_string(),
        mrr.to_string(),
        subscribers.to_string(),
        new,
        expansion,
        contraction,
        churned,
        began,
        stopped,
        live.to_string(),
    ]
}
