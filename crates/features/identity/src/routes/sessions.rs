//! The caller's own sessions.

use actix_web::{
    HttpResponse, Responder, delete, get,
    http::{Method, header},
    post,
    web::{Data, Path},
};
use portico_identity::{
    Sessions,
    session::SessionView,
    switching::{SwitchTenant, SwitchedTenant},
};
use portico_kernel::{FieldError, List, SessionId, Timestamp};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::Problem,
    query::{Paging, Query},
    routing::{READ, Routes, WRITE},
    write::WithJson,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::state::App;

/// Longest path and query of a ticket.
const MAX_TARGET: usize = 2000;

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(WRITE, end)
        .service(WRITE, switch_tenant)
        .service(WRITE, create_ticket);
}

/// Input of a ticket.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"path": "/api/v1/events?types=page.*"}))]
struct NewTicket {
    /// Path and query of the GET.
    #[schema(required, min_length = 1, max_length = 2000)]
    path: String,
}

/// A link with a ticket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "url": "https://portal.example.com/api/v1/events?types=page.*&ticket=eyJ0eXAiOiJ0aWNrZXQrand0In0", "expiresAt": "2026-11-21T10:01:00Z"
}))]
struct TicketLink {
    /// Good for one request.
    #[schema(format = "uri")]
    url: String,
    /// Not after.
    expires_at: Timestamp,
}

/// List the own sessions
///
/// Where the caller is signed in, newest first.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "listSessions",
    params(Paging),
    responses((status = 200, body = List<SessionView>)),
    security(("bearer" = [])),
)]
#[get("/auth/sessions")]
async fn list(app: Data<App>, caller: Caller, query: Query<Paging>) -> Result<impl Responder, Problem> {
    let page = query.0.request()?;
    let sessions =
        Sessions::new(&mut *app.core.reader(), &caller.0, &app.core.env, app.lifetimes).list().await?;
    let total = sessions.len() as u64;
    let items = sessions.into_iter().skip(page.offset() as usize).take(page.limit as usize).collect();
    Ok(Listed(List::<SessionView>::new(items, page, total)))
}

/// End a session
///
/// Signs the caller out on another device, at once.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "deleteSession",
    params(("sessionId" = SessionId, Path)),
    responses((status = 204, description = "Ended.")),
    security(("bearer" = [])),
)]
#[delete("/auth/sessions/{sessionId}")]
async fn end(app: Data<App>, caller: Caller, path: Path<SessionId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            Sessions::new(&mut *work, &caller.0, &app.core.env, app.lifetimes).end(path.into_inner()).await?;
            Ok(HttpResponse::NoContent().finish())
        })
        .await
}

/// Get a ticket
///
/// For one GET of a download or of the event stream within a minute, where the client cannot send a header: a link, or
/// `EventSource`. It acts in the caller's session and in the tenant of this request. `EventSource` needs another one to connect
/// again.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "createTicket",
    request_body = NewTicket,
    responses((status = 201, description = "Good for one GET.", body = TicketLink)),
    security(("bearer" = [])),
)]
#[post("/auth/tickets")]
async fn create_ticket(
    app: Data<App>,
    caller: Caller,
    body: Body<NewTicket>,
) -> Result<HttpResponse, Problem> {
    let target = body.0.path;
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let operation = app.api.document.path(path).and_then(|documented| documented.operation(&Method::GET));
    let takes_tickets = operation.is_some_and(|operation| operation.by_ticket);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let is_plain = target.len() <= MAX_TARGET
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && !query.split('&').any(|pair| pair.starts_with("ticket="));
    if !takes_tickets || !is_plain {
        let message = "Use path and query of a download or of the event stream, as in a URL.";
        return Err(Problem::invalid(vec![FieldError::new("path", "invalid_path", message)]));
    }
    let mut work = app.core.begin().await?;
    let (ticket, expires_at) = Sessions::new(&mut *work, &caller.0, &app.core.env, app.lifetimes)
        .grant_ticket(&target, &*app.tokens)
        .await?;
    work.commit().await?;
    let separator = if target.contains('?') { '&' } else { '?' };
    let url = format!("{}{target}{separator}ticket={ticket}", app.api.public_url);
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .with_json(&TicketLink { url, expires_at }))
}

/// Switch to another tenant
///
/// The session acts in it from now on, and the next sign-in begins there. Answers an access token for it; the refresh token
/// of the session stays valid, and gives tokens for the new tenant too.
#[utoipa::path(
    tag = "Sessions",
    operation_id = "switchTenant",
    request_body = SwitchTenant,
    responses((status = 200, body = SwitchedTenant)),
    security(("bearer" = [])),
)]
#[post("/auth/switch-tenant")]
async fn switch_tenant(
    app: Data<App>,
    caller: Caller,
    body: Body<SwitchTenant>,
) -> Result<HttpResponse, Problem> {
    let lifetimes = app.lifetimes;
    caller
        .write(&app.core, async |work| {
            let signed_in =
                Sessions::new(&mut *work, &caller.0, &app.core.env, lifetimes).switch_tenant(body.0).await?;
            let switched = SwitchedTenant::issue(&*app.tokens, &signed_in, lifetimes, app.core.env.now())?;
            // As for every answer with a token (RFC 6749 section 5.1).
            Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).with_json(&switched))
        })
        .await
}
