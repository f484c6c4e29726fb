//! Export of form submissions as CSV, streamed while they are read.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::{Bytes, Data},
};
use futures_util::stream;
use portico_kernel::{CursorPage, CursorRequest, SiteId};
use portico_sites::submission::{Submission, SubmissionFilter, Submissions};
use portico_web::{csv, live_caller::LiveCaller, problem::Problem};

use crate::state::App;

/// Submissions read at once: bounds the memory, however many there are.
const PIECE: u64 = 200;

const COLUMNS: [&str; 13] = [
    "id",
    "time",
    "status",
    "name",
    "email",
    "phone",
    "message",
    "consent",
    "consentText",
    "consentTime",
    "pagePath",
    "language",
    "sectionId",
];

/// The state of a streamed export.
struct Export {
    app: Data<App>,
    live_caller: LiveCaller,
    site: SiteId,
    filter: SubmissionFilter,
}

impl Export {
    /// The next page, read with the caller's current permissions.
    async fn piece(&self, cursor: Option<String>) -> Result<CursorPage<Submission>, Problem> {
        let scope = self.live_caller.scope().await?;
        let mut repositories = self.app.core.reader();
        let request = CursorRequest { cursor, limit: PIECE };
        let mut submissions = Submissions::new(&mut *repositories, &scope, &self.app.core.env);
        Ok(submissions.list(self.site, self.filter.clone(), request).await?)
    }
}

/// What is sent next.
enum Next {
    EventBatch(CursorPage<Submission>),
    After(String),
    Nothing,
}

/// Answers with all matching submissions. An error before the first one is answered as a problem; a later one breaks the
/// answer off, so that a truncated export is not mistaken for a complete one.
pub async fn answer(
    app: Data<App>,
    live_caller: LiveCaller,
    site: SiteId,
    filter: SubmissionFilter,
) -> Result<HttpResponse, Problem> {
    let export = Export { app, live_caller, site, filter };
    let first = export.piece(None).await?;
    let mut header = Some(csv::lines([COLUMNS]).map_err(Problem::internal)?);
    let body = stream::try_unfold((export, Next::EventBatch(first)), move |(export, next)| {
        let header = header.take();
        async move {
            let page = match next {
                Next::EventBatch(page) => page,
                Next::After(cursor) => export.piece(Some(cursor)).await.inspect_err(|problem| {
                    tracing::info!(%problem, "an export was broken off");
                })?,
                Next::Nothing => return Ok(None),
            };
            let lines = csv::lines(page.items.iter().map(cells)).map_err(Problem::internal)?;
            let next = page.next_cursor.map_or(Next::Nothing, Next::After);
            let bytes = Bytes::from([header.unwrap_or_default(), lines].concat());
            Ok::<_, actix_web::Error>(Some((bytes, (export, next))))
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, csv::CONTENT_TYPE))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"submissions.csv\""))
        .streaming(body))
}

fn cells(submission: &Submission) -> [String; 13] {
    let Submission { consent, .. } = submission;
    [
        submission.id.to_string(),
        submission.created_at.to_string(),
        submission.status.as_str().to_owned(),
        submission.name.clone(),
        submission.email.clone(),
        submission.phone.clone().unwrap_or_default(),
        submission.message.clone(),
        consent.given.to_string(),
        consent.text.clone(),
        consent.at.map(|at| at.to_string()).unwrap_or_default(),
        submission.page_path.clone(),
        submission.language.clone(),
        submission.section_id.to_string(),
    ]
}
