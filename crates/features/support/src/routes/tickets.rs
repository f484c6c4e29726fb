//! Support tickets of customers.

use actix_web::{
    HttpResponse, Responder, get,
    http::header,
    post, put,
    web::{Data, Path},
};
use portico_kernel::{List, SupportTicketId};
use portico_support::{
    message::{NewMessage, SupportMessage},
    status::TicketStatus,
    thread::SupportThread,
    ticket::{NewTicket, SupportTicket, TicketCategory},
    tickets::{Rating, TicketFilter, Tickets},
};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging},
    routing::{KEYED, READ, Routes, WRITE},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{flows::files, state::App};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, list)
        .service(KEYED, open)
        .service(READ, read)
        .service(KEYED, answer)
        .service(KEYED, close)
        .service(WRITE, rate);
}

/// Query of the list of tickets.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListTickets {
    /// Only those that stand here.
    status: Option<TicketStatus>,
    /// Only those about this.
    category: Option<TicketCategory>,
    /// A part of subject, description or a message; or the number.
    #[param(example = "update", max_length = 100)]
    q: Option<String>,
}

/// List support tickets
///
/// One's own in the active tenant, the newest first; for admins and owners those of everybody in it.
#[utoipa::path(
    tag = "Support",
    operation_id = "listSupportTickets",
    params(ListTickets, Paging),
    responses((status = 200, body = List<SupportTicket>)),
    security(("bearer" = ["support:write"])),
)]
#[get("/support/tickets")]
async fn list(app: Data<App>, caller: Caller, query: Paged<ListTickets>) -> Result<impl Responder, Problem> {
    let Paged(ListTickets { status, category, q }, paging) = query;
    let page = paging.request()?;
    let mut repositories = app.core.reader();
    let filter = TicketFilter { status, category, q };
    let tickets = Tickets::new(&mut *repositories, &caller.0, &app.core.env).list(filter, page).await?;
    Ok(Listed(tickets))
}

/// Open a support ticket
///
/// Staff are told of it, and whoever opened it by mail. At most 50 tickets of a person can be open at a time.
#[utoipa::path(
    tag = "Support",
    operation_id = "openSupportTicket",
    request_body = NewTicket,
    responses(
        (status = 201, body = SupportTicket, headers(("Location" = String))),
        (status = 409, description = "Too many tickets of the caller are open (`too_many_tickets`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["support:write"])),
)]
#[post("/support/tickets")]
async fn open(app: Data<App>, caller: Caller, body: Body<NewTicket>) -> Result<HttpResponse, Problem> {
    let (tenant, _) = Tickets::customer(&caller.0)?;
    caller
        .write(&app.core, async |work| {
            let files = files::of_tenant(&app, &mut *work, tenant, &body.0.attachments).await?;
            let ticket = Tickets::new(&mut *work, &caller.0, &app.core.env)
                .open(body.0, &files, &app.rule.targets)
                .await?;
            Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, format!("/api/v1/support/tickets/{}", ticket.id)))
                .with_json(&ticket))
        })
        .await
}

/// Read a support ticket
///
/// With what was written to it. It is there for its author, and for admins and owners of the tenant.
#[utoipa::path(
    tag = "Support",
    operation_id = "getSupportTicket",
    params(("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    responses((status = 200, body = SupportThread)),
    security(("bearer" = ["support:write"])),
)]
#[get("/support/tickets/{ticketId}")]
async fn read(app: Data<App>, caller: Caller, path: Path<SupportTicketId>) -> Result<HttpResponse, Problem> {
    let mut repositories = app.core.reader();
    let thread = Tickets::new(&mut *repositories, &caller.0, &app.core.env).get(*path).await?;
    Ok(HttpResponse::Ok().with_json(&thread))
}

/// Write to a support ticket
///
/// A ticket that was resolved or closed is open again by that, for 14 days. After that one opens a new one that `follows` it.
#[utoipa::path(
    tag = "Support",
    operation_id = "answerSupportTicket",
    params(("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    request_body = NewMessage,
    responses(
        (status = 201, description = "Written.", body = SupportMessage),
        (status = 409, description = "The ticket ended more than 14 days ago or was merged (`ticket_ended`), or has 200 messages (`ticket_full`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["support:write"])),
)]
#[post("/support/tickets/{ticketId}/messages")]
async fn answer(
    app: Data<App>,
    caller: Caller,
    path: Path<SupportTicketId>,
    body: Body<NewMessage>,
) -> Result<HttpResponse, Problem> {
    let (tenant, _) = Tickets::customer(&caller.0)?;
    caller
        .write(&app.core, async |work| {
            let files = files::of_tenant(&app, &mut *work, tenant, &body.0.attachments).await?;
            let message =
                Tickets::new(&mut *work, &caller.0, &app.core.env).answer(*path, body.0, &files).await?;
            Ok(HttpResponse::Created().with_json(&message))
        })
        .await
}

/// Close a support ticket
#[utoipa::path(
    tag = "Support",
    operation_id = "closeSupportTicket",
    params(("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    responses(
        (status = 200, body = SupportTicket),
        (status = 409, description = "The ticket is closed (`ticket_status`) or was merged (`ticket_ended`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["support:write"])),
)]
#[post("/support/tickets/{ticketId}/close")]
async fn close(app: Data<App>, caller: Caller, path: Path<SupportTicketId>) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let ticket = Tickets::new(&mut *work, &caller.0, &app.core.env).close(*path).await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}

/// Rate a support ticket
///
/// Says how satisfied one is with a ticket that was resolved or closed. Sent again, the last one counts.
#[utoipa::path(
    tag = "Support",
    operation_id = "updateSupportTicketSatisfaction",
    params(("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    request_body = Rating,
    responses(
        (status = 200, body = SupportTicket),
        (status = 409, description = "The ticket has not ended (`ticket_status`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["support:write"])),
)]
#[put("/support/tickets/{ticketId}/satisfaction")]
async fn rate(
    app: Data<App>,
    caller: Caller,
    path: Path<SupportTicketId>,
    body: Body<Rating>,
) -> Result<HttpResponse, Problem> {
    caller
        .write(&app.core, async |work| {
            let ticket = Tickets::new(&mut *work, &caller.0, &app.core.env).rate(*path, body.0).await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}
