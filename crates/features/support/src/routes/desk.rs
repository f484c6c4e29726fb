//! Support tickets as staff see and answer them.

use actix_web::{
    HttpResponse, Responder, get, post, put,
    web::{Data, Path},
};
use portico_kernel::{
    AssetId, FieldError, List, Permission, SupportMessageId, SupportTicketId, TenantId, UserId,
};
use portico_support::{
    desk::{Assigned, Desk, DeskMessage, QueueFilter, TicketUpdate},
    message::SupportMessage,
    priority::TicketPriority,
    status::TicketStatus,
    thread::{DeskThread, DeskTicket},
    ticket::TicketCategory,
};
use portico_web::{
    body::Body,
    caller::Caller,
    list::Listed,
    problem::{Problem, ProblemBody},
    query::{Paged, Paging},
    routing::{KEYED, MERGE, READ, Routes},
    write::WithJson,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    flows::{
        files::{self, AttachmentLink},
        staff::{check_assignee, check_customer},
    },
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(READ, queue)
        .service(READ, read)
        .service(MERGE, update)
        .service(KEYED, write)
        .service(KEYED, resolve)
        .service(KEYED, close)
        .service(KEYED, merge)
        .service(READ, attachment)
        .service(READ, mail);
}

/// Query of the queue.
#[derive(Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct ListQueue {
    /// Only those that stand here.
    status: Option<TicketStatus>,
    /// Only those that this person looks after.
    assignee_id: Option<UserId>,
    /// With `true` only those that nobody looks after. Not together with `assigneeId`.
    unassigned: Option<bool>,
    /// Only those about this.
    category: Option<TicketCategory>,
    /// Only those that hurry so much.
    priority: Option<TicketPriority>,
    /// Only those with this tag.
    #[param(example = "update", max_length = 30)]
    tag: Option<String>,
    /// Only those of this customer.
    customer_id: Option<TenantId>,
    /// Only those that were not answered in time, or only those that were or still can be.
    breached: Option<bool>,
    /// A part of subject, description or any message, also of those that only staff see; or the number.
    #[param(example = "update", max_length = 100)]
    q: Option<String>,
}

impl ListQueue {
    fn filter(self) -> Result<QueueFilter, Problem> {
        let assigned = match (self.assignee_id, self.unassigned == Some(true)) {
            (Some(_), true) => {
                let message = "Leave this out, or `unassigned`.";
                return Err(Problem::invalid(vec![FieldError::new("assigneeId", "contradiction", message)]));
            }
            (Some(user), false) => Some(Assigned::To(user)),
            (None, true) => Some(Assigned::ToNobody),
            (None, false) => None,
        };
        Ok(QueueFilter {
            status: self.status,
            assigned,
            category: self.category,
            priority: self.priority,
            tag: self.tag,
            customer: self.customer_id,
            breached: self.breached,
            q: self.q,
            latest_first: false,
        })
    }
}

/// Where a ticket is merged to.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"into": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"}))]
struct TicketMerge {
    /// The ticket that goes on.
    #[schema(required = true, value_type = SupportTicketId)]
    into: Option<SupportTicketId>,
}

/// List the support queue
///
/// For staff: the tickets of all customers, those first that have waited longest for their last message or change.
#[utoipa::path(
    tag = "Support",
    operation_id = "listSupportQueue",
    params(ListQueue, Paging),
    responses((status = 200, body = List<DeskTicket>)),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/support/tickets")]
async fn queue(app: Data<App>, caller: Caller, query: Paged<ListQueue>) -> Result<impl Responder, Problem> {
    let Paged(query, paging) = query;
    let (page, filter) = (paging.request()?, query.filter()?);
    let mut repositories = app.core.reader();
    let tickets = Desk::new(&mut *repositories, &caller.0, &app.core.env).queue(filter, page).await?;
    Ok(Listed(tickets))
}

/// Read a support ticket of a customer
///
/// For staff: with all that was written to it, also what staff wrote for each other.
#[utoipa::path(
    tag = "Support",
    operation_id = "getCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    responses((status = 200, body = DeskThread)),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/customers/{customerId}/tickets/{ticketId}")]
async fn read(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    let mut repositories = app.core.reader();
    check_customer(&app, &caller, &mut *repositories, customer).await?;
    let thread = Desk::new(&mut *repositories, &caller.0, &app.core.env).get(customer, id).await?;
    Ok(HttpResponse::Ok().with_json(&thread))
}

/// Update a support ticket
///
/// For staff: category, priority, tags, and who looks after it.
#[utoipa::path(
    tag = "Support",
    operation_id = "updateCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    request_body = TicketUpdate,
    responses((status = 200, body = DeskTicket)),
    security(("bearer" = ["platform:support"])),
)]
#[put("/admin/customers/{customerId}/tickets/{ticketId}")]
async fn update(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
    body: Body<TicketUpdate>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            check_customer(&app, &caller, &mut *work, customer).await?;
            check_assignee(&mut *work, body.0.assignee_id.flatten()).await?;
            let ticket = Desk::new(&mut *work, &caller.0, &app.core.env)
                .update(customer, id, body.0, &app.rule.targets)
                .await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}

/// Answer a support ticket
///
/// For staff. With `internal` it is a note that customers never see; otherwise the author gets it by mail, too.
#[utoipa::path(
    tag = "Support",
    operation_id = "answerCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    request_body = DeskMessage,
    responses(
        (status = 201, description = "Written.", body = SupportMessage),
        (status = 409, description = "The ticket ended more than 14 days ago or was merged (`ticket_ended`), or has 200 messages (`ticket_full`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[post("/admin/customers/{customerId}/tickets/{ticketId}/messages")]
async fn write(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
    body: Body<DeskMessage>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            check_customer(&app, &caller, &mut *work, customer).await?;
            let message = Desk::new(&mut *work, &caller.0, &app.core.env).write(customer, id, body.0).await?;
            Ok(HttpResponse::Created().with_json(&message))
        })
        .await
}

/// Resolve a support ticket
///
/// For staff: takes it for done. The author gets a mail, and opens it again by answering within 14 days.
#[utoipa::path(
    tag = "Support",
    operation_id = "resolveCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    responses(
        (status = 200, body = DeskTicket),
        (status = 409, description = "The ticket has ended (`ticket_status`, `ticket_ended`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[post("/admin/customers/{customerId}/tickets/{ticketId}/resolve")]
async fn resolve(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            check_customer(&app, &caller, &mut *work, customer).await?;
            let ticket = Desk::new(&mut *work, &caller.0, &app.core.env).resolve(customer, id).await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}

/// Close a support ticket of a customer
///
/// For staff.
#[utoipa::path(
    tag = "Support",
    operation_id = "closeCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    responses(
        (status = 200, body = DeskTicket),
        (status = 409, description = "The ticket is closed (`ticket_status`) or was merged (`ticket_ended`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[post("/admin/customers/{customerId}/tickets/{ticketId}/close")]
async fn close(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, id) = path.into_inner();
    caller
        .write(&app.core, async |work| {
            check_customer(&app, &caller, &mut *work, customer).await?;
            let ticket = Desk::new(&mut *work, &caller.0, &app.core.env).close(customer, id).await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}

/// Merge a support ticket into another one
///
/// For staff: what was written to it is written to the other one from then on, and it is closed for good. Both are of one customer and
/// were opened by one person. Answers the other one.
#[utoipa::path(
    tag = "Support",
    operation_id = "mergeCustomerTicket",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("ticketId" = SupportTicketId, Path, description = "Id of the ticket.")),
    request_body = TicketMerge,
    responses(
        (status = 200, body = DeskTicket),
        (status = 409, description = "The two cannot be merged (`tickets_not_mergeable`), the other one has ended for good (`ticket_ended`), or there are too many messages (`ticket_full`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[post("/admin/customers/{customerId}/tickets/{ticketId}/merge")]
async fn merge(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId)>,
    body: Body<TicketMerge>,
) -> Result<HttpResponse, Problem> {
    caller.0.require_platform(Permission::PlatformSupport)?;
    let (customer, id) = path.into_inner();
    let Some(into) = body.0.into else {
        let message = "This field is required.";
        return Err(Problem::invalid(vec![FieldError::new("into", "required", message)]));
    };
    caller
        .write(&app.core, async |work| {
            check_customer(&app, &caller, &mut *work, customer).await?;
            let ticket = Desk::new(&mut *work, &caller.0, &app.core.env).merge(customer, id, into).await?;
            Ok(HttpResponse::Ok().with_json(&ticket))
        })
        .await
}

/// Get a link to a file of a support ticket
///
/// For staff: a file that came with the ticket or with a message of it, and no other one of the customer.
#[utoipa::path(
    tag = "Support",
    operation_id = "getCustomerTicketAttachment",
    params(
        ("customerId" = TenantId, Path, description = "Id of the tenant."),
        ("ticketId" = SupportTicketId, Path, description = "Id of the ticket."),
        ("assetId" = AssetId, Path, description = "Id of the file."),
    ),
    responses(
        (status = 200, body = AttachmentLink),
        (status = 409, description = "A scanner for malware has not passed it (`attachment_not_scanned`, with the `scan`). While that is `pending`, try again after `Retry-After`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "Malware was found in it, and it is deleted (`attachment_infected`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/customers/{customerId}/tickets/{ticketId}/attachments/{assetId}")]
async fn attachment(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportTicketId, AssetId)>,
) -> Result<HttpResponse, Problem> {
    let link = files::link_for_staff(&app, &caller, path.into_inner()).await?;
    Ok(HttpResponse::Ok().with_json(&link))
}

/// Read the mail that a message came by
///
/// For staff: as it came, with all of its headers and what it quotes.
#[utoipa::path(
    tag = "Support",
    operation_id = "getCustomerTicketMail",
    params(("customerId" = TenantId, Path, description = "Id of the tenant."), ("messageId" = SupportMessageId, Path, description = "Id of the message.")),
    responses(
        (
            status = 200, description = "The mail (RFC 5322).", body = String, content_type = "message/rfc822",
            example = json!("From: ada@example.com\r\n\r\nIt is 2.4.1."),
        ),
        (status = 409, description = "A scanner for malware has not passed it (`attachment_not_scanned`, with the `scan`). While that is `pending`, try again after `Retry-After`.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "Malware was found in it, and it is deleted (`attachment_infected`).", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["platform:support"])),
)]
#[get("/admin/customers/{customerId}/ticket-mails/{messageId}")]
async fn mail(
    app: Data<App>,
    caller: Caller,
    path: Path<(TenantId, SupportMessageId)>,
) -> Result<HttpResponse, Problem> {
    let (customer, message) = path.into_inner();
    let mut repositories = app.core.reader();
    check_customer(&app, &caller, &mut *repositories, customer).await?;
    let mail = Desk::new(&mut *repositories, &caller.0, &app.core.env)
        .mail(customer, message, app.serve_unscannable)
        .await?;
    // A browser saves it, and shows nothing of it.
    Ok(HttpResponse::Ok()
        .content_type("message/rfc822")
        .insert_header(("content-disposition", format!("attachment; filename=\"{message}.eml\"")))
        .body(mail.raw))
}
