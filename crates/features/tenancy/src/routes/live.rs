//! Live updates.

use actix_web::{HttpRequest, HttpResponse, get, web::Data};
use portico_runtime::live::Selection;
use portico_web::{
    caller::Caller,
    live_caller::LiveCaller,
    problem::{Problem, ProblemBody},
    query::Query,
    routing::{READ, Routes},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    live_stream::{self, Topic},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config.service(READ.unqueued().by_ticket(), listen).service(READ.unqueued(), listen_at_desk);
}

/// Selection of events.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Listen {
    /// Types of events, separated by commas; `page.*` is all events of pages. Where absent, everything that the caller may
    /// read.
    #[param(example = "page.*,member.created")]
    types: Option<String>,
    /// The last id received, for clients that cannot send the header `Last-Event-ID`, which takes precedence.
    last_event_id: Option<String>,
}

/// Listen to events
///
/// Events of the tenant as they happen, as server-sent events: for each, the `id`, the type as `event`, and as `data` the
/// same JSON as in webhooks. Only what the caller may read. After `Last-Event-ID` the stream resumes where it left off, on
/// any instance; where that is impossible, the first message is of the type `reset`, and the client reloads everything. The
/// stream ends when the access token expires, or the session, membership, key or permission ends. See docs/live-updates.md.
#[utoipa::path(
    tag = "Events",
    operation_id = "listenToEvents",
    params(
        Listen,
        ("Last-Event-ID" = Option<String>, Header, description = "The last id that was heard of."),
    ),
    responses(
        (
            status = 200, body = String, content_type = "text/event-stream", description = "The stream.",
            example = json!("id: 0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d\nevent: page.updated\ndata: {\"id\":\"0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d\",\"type\":\"page.updated\"}\n\n"),
        ),
        (
            status = 429, description = "Too many requests, or too many streams of the caller or the tenant.",
            body = ProblemBody, content_type = "application/problem+json",
        ),
    ),
    security(("bearer" = ["tenant:read"])),
)]
#[get("/events")]
async fn listen(
    app: Data<App>,
    caller: Caller,
    live_caller: LiveCaller,
    query: Query<Listen>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let selection = match &query.0.types {
        Some(types) => Selection::read(types).map_err(Problem::invalid)?,
        None => Selection::all(),
    };
    let last = last_heard(&request, query.0.last_event_id.as_deref());
    live_stream::open(app, caller.0, live_caller, Topic::Tenant(selection), last).await
}

/// The id after which the stream goes on. A header that is not valid text matches no event id.
fn last_heard<'a>(request: &'a HttpRequest, parameter: Option<&'a str>) -> Option<&'a str> {
    let header = request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    header.or(parameter).filter(|id| !id.is_empty())
}

/// Where a stream of the desk goes on.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListenAtDesk {
    /// The last id received, for clients that cannot send the header `Last-Event-ID`, which takes precedence.
    last_event_id: Option<String>,
}

/// Listen to support tickets
///
/// For staff: what happens to the tickets of all customers, as it happens, as server-sent events like those of a tenant. Also the notes
/// that staff write for each other (`support_ticket.noted`, with the ids of ticket and customer in its `data`). No event has a word that
/// anybody wrote. See docs/live-updates.md.
#[utoipa::path(
    tag = "Support",
    operation_id = "listenToSupportTickets",
    params(
        ListenAtDesk,
        ("Last-Event-ID" = Option<String>, Header, description = "The last id that was heard of."),
    ),
    responses(
        (
            status = 200, body = String, content_type = "text/event-stream", description = "The stream.",
            example = json!("id: 0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d\nevent: support_ticket.created\ndata: {\"id\":\"0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d\",\"type\":\"support_ticket.created\"}\n\n"),
        ),
        (
            status = 429, description = "Too many requests, or too many streams of the caller or of staff.",
            body = ProblemBody, content_type = "application/problem+json",
        ),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/support/events")]
async fn listen_at_desk(
    app: Data<App>,
    caller: Caller,
    live_caller: LiveCaller,
    query: Query<ListenAtDesk>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let last = last_heard(&request, query.0.last_event_id.as_deref());
    live_stream::open(app, caller.0, live_caller, Topic::Tickets, last).await
}
