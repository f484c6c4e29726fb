//! What visitors sent as a table, sent while it is read.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::{Bytes, Data},
};
use futures_util::stream;
use portico_kernel::{CursorPage, CursorRequest, SiteId};
use portico_sites::submission::{Submission, SubmissionFilter, Submissions};
use portico_web::{csv, problem::Problem, standing::Standing};

use crate::state::App;

/// Submissions read at once: what is in memory, however many there are.
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

/// An export on its way.
struct Export {
    app: Data<App>,
    standing: Standing,
    site: SiteId,
    filter: SubmissionFilter,
}

impl Export {
    /// The next piece. Reads as the caller that they are now.
    async fn piece(&self, cursor: Option<String>) -> Result<CursorPage<Submission>, Problem> {
        let scope = self.standing.scope().await?;
        let mut repositories = self.app.core.reader();
        let request = CursorRequest { cursor, limit: PIECE };
        let mut submissions = Submissions::new(&mut *repositories, &scope, &self.app.core.env);
        Ok(submissions.list(self.site, self.filter.clone(), request).await?)
    }
}

/// What is to be sent next.
enum Next {
    Piece(CursorPage<Submission>),
    After(String),
    Nothing,
}

/// Answers with all that match. What fails before the first one is a problem like any other; what fails later breaks the answer off,
/// so that a part does not pass for all of it.
pub async fn answer(
    app: Data<App>,
    standing: Standing,
    site: SiteId,
    filter: SubmissionFilter,
) -> Result<HttpResponse, Problem> {
    let export = Export { app, standing, site, filter };
    let first = export.piece(None).await?;
    let mut header = Some(csv::lines([COLUMNS]).map_err(Problem::internal)?);
    let body = stream::try_unfold((export, Next::Piece(first)), move |(export, next)| {
        let header = header.take();
        async move {
            let page = match next {
                Next::Piece(page) => page,
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
