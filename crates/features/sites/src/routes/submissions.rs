//! Submissions of contact forms.

use actix_web::{
    HttpRequest, HttpResponse, Responder, delete, get, put,
    web::{Data, Path},
};
use portico_kernel::{CursorPage, CursorRequest, FieldError, SiteId, SubmissionId, Timestamp};
use portico_sites::submission::{
    Submission, SubmissionFilter, SubmissionStatus, SubmissionUpdate, Submissions,
};
use portico_web::{
    body::Body,
    caller::Caller,
    conditional,
    list::Listed,
    live_caller::LiveCaller,
    problem::{Problem, ProblemBody},
    query::{Query, cursor_request},
    routing::{MERGE, READ, Routes, WRITE},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{flows::submission_export, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ.by_ticket(), export)
        .service(READ, list)
        .service(READ, read)
        .service(MERGE, update)
        .service(WRITE, remove);
}

/// Query of the list of submissions.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListSubmissions {
    /// Status of the submission.
    status: Option<SubmissionStatus>,
    /// Part of name, address, phone number or message, ignoring case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Not before this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// The `nextCursor` of the previous page.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Items on a page, 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

impl ListSubmissions {
    fn into_parts(self) -> Result<(SubmissionFilter, CursorRequest), Problem> {
        let Self { status, q, from, to, cursor, limit } = self;
        Ok((SubmissionFilter { status, q, from, to }, cursor_request(cursor, limit)?))
    }
}

/// Query of the export.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ExportSubmissions {
    /// Format of the export; `csv` where absent.
    #[param(example = "csv", pattern = "^csv$")]
    format: Option<String>,
    /// Status of the submission.
    status: Option<SubmissionStatus>,
    /// Part of name, address, phone number or message, ignoring case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Not before this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
}

impl ExportSubmissions {
    fn into_filter(self) -> Result<SubmissionFilter, Problem> {
        let Self { format, status, q, from, to } = self;
        if format.is_some_and(|format| format != "csv") {
            let error = FieldError::new("format", "invalid_value", "Use csv.");
            return Err(Problem::invalid(vec![error]));
        }
        Ok(SubmissionFilter { status, q, from, to })
    }
}

/// List form submissions
///
/// Messages sent through contact forms of the site, newest first.
#[utoipa::path(
    tag = "Submissions",
    operation_id = "listSubmissions",
    params(("siteId" = SiteId, Path), ListSubmissions),
    responses((status = 200, body = CursorPage<Submission>)),
    security(("bearer" = ["submissions:read"])),
)]
#[get("/sites/{siteId}/submissions")]
async fn list(
    app: Data<App>,
    caller: Caller,
    path: Path<SiteId>,
    query: Query<ListSubmissions>,
) -> Result<impl Responder, Problem> {
    let (filter, request) = query.0.into_parts()?;
    let mut repositories = app.core.reader();
    let found =
        Submissions::new(&mut *repositories, &caller.0, &app.core.env).list(*path, filter, request).await?;
    Ok(Listed(found))
}

/// Export form submissions
///
/// All messages that match, newest first, as CSV (RFC 4180) with a header line. A cell that a spreadsheet would take for a
/// formula is prefixed with an apostrophe.
#[utoipa::path(
    tag = "Submissions",
    operation_id = "exportSubmissions",
    params(("siteId" = SiteId, Path), ExportSubmissions),
    responses((
        status = 200, body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "Name of the file.")),
        example = json!("id,time,status,name,email,…\r\n0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d,2026-11-22T10:00:00Z,new,Ada Lovelace,ada@example.com,…\r\n"),
    )),
    security(("bearer" = ["submissions:read"])),
)]
#[get("/sites/{siteId}/submissions/export")]
async fn export(
    app: Data<App>,
    _caller: Caller,
    live_caller: LiveCaller,
    path: Path<SiteId>,
    query: Query<ExportSubmissions>,
) -> Result<HttpResponse, Problem> {
    submission_export::answer(app, live_caller, *path, query.0.into_filter()?).await
}

/// Read a form submission
#[utoipa::path(
    tag = "Submissions",
    operation_id = "getSubmission",
    params(("siteId" = SiteId, Path), ("submissionId" = SubmissionId, Path)),
    responses((status = 200, body = Submission, headers(("ETag" = String))), (status = 304, description = "Unchanged.")),
    security(("bearer" = ["submissions:read"])),
)]
#[get("/sites/{siteId}/submissions/{submissionId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, SubmissionId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let found = Submissions::new(&mut *repositories, &caller.0, &app.core.env).get(path.0, path.1).await?;
    conditional::resource(&request, found.version, &found)
}

/// Mark a form submission
///
/// As read, as spam, or as new again.
#[utoipa::path(
    tag = "Submissions",
    operation_id = "updateSubmission",
    params(("siteId" = SiteId, Path), ("submissionId" = SubmissionId, Path), ("If-Match" = Option<String>, Header)),
    request_body = SubmissionUpdate,
    responses(
        (status = 200, body = Submission, headers(("ETag" = String))),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`If-Match` names another version.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submissions:write"])),
)]
#[put("/sites/{siteId}/submissions/{submissionId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, SubmissionId)>,
    body: Body<SubmissionUpdate>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            let mut submissions = Submissions::new(&mut *work, &caller.0, &app.core.env);
            let updated = submissions.update(path.0, path.1, body.0, expected).await?;
            Ok(conditional::updated(updated.version, &updated))
        })
        .await
}

/// Delete a form submission
///
/// Cannot be undone: its content is removed, and only a record of its existence stays.
#[utoipa::path(
    tag = "Submissions",
    operation_id = "deleteSubmission",
    params(("siteId" = SiteId, Path), ("submissionId" = SubmissionId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "`If-Match` names another version.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["submissions:write"])),
)]
#[delete("/sites/{siteId}/submissions/{submissionId}")]
async fn remove(
    app: Data<App>,
    caller: Caller,
    path: Path<(SiteId, SubmissionId)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let expected = conditional::expected_version(&request);
    caller
        .write(&app.core, async |work| {
            Submissions::new(&mut *work, &caller.0, &app.core.env).delete(path.0, path.1, expected).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}
