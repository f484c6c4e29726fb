//! Answers as CSV (RFC 4180).

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept, Header},
};
use portico_kernel::FieldError;
use portico_web::{csv, problem::Problem};

/// Whether CSV is wanted: by the parameter, or as what the client likes best.
pub(super) fn wants_csv(format: Option<&str>, request: &HttpRequest) -> Result<bool, Problem> {
    match format {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => {
            let error = FieldError::new("format", "invalid_value", "Use json or csv.");
            Err(Problem::invalid(vec![error]))
        }
        None => Ok(Accept::parse(request).is_ok_and(|accept| {
            accept.ranked().first().is_some_and(|first| first.essence_str() == "text/csv")
        })),
    }
}

/// A file of this name with these rows, the first of which names the columns.
pub(super) fn table<const N: usize>(
    name: &str,
    rows: impl Iterator<Item = [String; N]>,
) -> Result<HttpResponse, Problem> {
    let lines = csv::lines(rows).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, csv::CONTENT_TYPE))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::VARY, "Accept"))
        .body(lines))
}
