//! Export of the audit trail as CSV, streamed while it is read.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::{Bytes, Data},
};
use futures_util::stream;
use portico_kernel::{CursorPage, CursorRequest, Scope, event::ActorKind};
use portico_tenancy::audit::{Audit, AuditEntry, AuditFilter};
use portico_web::{csv, live_caller::LiveCaller, problem::Problem};
use serde_json::Value;

use crate::state::App;

/// Entries read at once: bounds the memory, whatever the length of the trail.
const PIECE: u64 = 500;

const COLUMNS: [&str; 16] = [
    "id",
    "time",
    "type",
    "actorKind",
    "actorId",
    "actorName",
    "impersonatorId",
    "resourceType",
    "resourceId",
    "requestId",
    "address",
    "userAgent",
    "before",
    "after",
    "method",
    "path",
];

/// Scope of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trail {
    /// The trail of the tenant in the request.
    Tenant,
    /// The trail of the whole platform.
    All,
}

/// The state of a streamed export.
struct Export {
    app: Data<App>,
    live_caller: LiveCaller,
    trail: Trail,
    filter: AuditFilter,
}

impl Export {
    /// The next page, read with the caller's current permissions.
    async fn piece(&self, cursor: Option<String>) -> Result<CursorPage<AuditEntry>, Problem> {
        let scope: Scope = self.live_caller.scope().await?;
        let mut repositories = self.app.core.reader();
        let mut audit = Audit::new(&mut *repositories, &scope);
        let request = CursorRequest { cursor, limit: PIECE };
        Ok(match self.trail {
            Trail::Tenant => audit.list(self.filter.clone(), request).await?,
            Trail::All => audit.list_all(self.filter.clone(), request).await?,
        })
    }
}

/// What is sent next.
enum Next {
    EventBatch(CursorPage<AuditEntry>),
    After(String),
    Nothing,
}

/// Answers with the whole trail. An error before the first entry is answered as a problem; a later one breaks the answer
/// off, so that a truncated export is not mistaken for a complete one.
pub async fn answer(
    app: Data<App>,
    live_caller: LiveCaller,
    trail: Trail,
    filter: AuditFilter,
) -> Result<HttpResponse, Problem> {
    let export = Export { app, live_caller, trail, filter };
    let first = export.piece(None).await?;
    let header = csv::lines([COLUMNS]).map_err(Problem::internal)?;
    let mut header = Some(header);
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
    let name = match trail {
        Trail::Tenant => "attachment; filename=\"audit.csv\"",
        Trail::All => "attachment; filename=\"platform-audit.csv\"",
    };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, csv::CONTENT_TYPE))
        .insert_header((CONTENT_DISPOSITION, name))
        .streaming(body))
}

fn cells(entry: &AuditEntry) -> [String; 16] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    let kind = match entry.actor.kind {
        ActorKind::Anonymous => "anonymous",
        ActorKind::User => "user",
        ActorKind::ApiKey => "api_key",
        ActorKind::System => "system",
    };
    [
        entry.id.to_string(),
        entry.created_at.to_string(),
        entry.kind.clone(),
        kind.to_owned(),
        text(&entry.actor.id),
        text(&entry.actor.name),
        entry.impersonator.as_ref().map(|person| person.id.clone()).unwrap_or_default(),
        entry.resource.kind.to_string(),
        entry.resource.id.to_string(),
        entry.request_id.clone(),
        text(&entry.address),
        text(&entry.user_agent),
        json(&entry.before),
        json(&entry.after),
        text(&entry.method),
        text(&entry.path),
    ]
}
