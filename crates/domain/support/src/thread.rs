//! A ticket with what was written to it, and the one way to write to it.

use portico_kernel::{Env, Event, Scope, SupportMessageId, TenantId, Timestamp, UserId};
use serde::Serialize;

use crate::{
    SupportError, events,
    message::{Attachment, AuthorKind, MessageAuthor, SupportMessage},
    ports::SupportRepositories,
    scan_job,
    status::Act,
    ticket::SupportTicket,
};

/// Most messages of a ticket, so that it can be answered as a whole.
pub const MESSAGES_MAX: u64 = 200;

/// A ticket with what was written to it, as the customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SupportThread {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: SupportTicket,
    /// The oldest first. Without what staff wrote for each other.
    pub messages: Vec<SupportMessage>,
}

/// A ticket as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeskTicket {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: SupportTicket,
    /// The customer.
    pub customer_id: TenantId,
    /// Name of the customer.
    #[cfg_attr(feature = "openapi", schema(example = "Panadería Luz"))]
    pub customer_name: String,
    /// Name of the author.
    #[cfg_attr(feature = "openapi", schema(example = "Ada Lovelace"))]
    pub author_name: String,
    /// Until when it is to be answered first; absent where there is no target.
    pub reply_due_at: Option<Timestamp>,
    /// When it was found that it was not.
    pub breached_at: Option<Timestamp>,
}

/// A ticket with what was written to it, as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeskThread {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: DeskTicket,
    /// The oldest first.
    pub messages: Vec<SupportMessage>,
}

/// Something to be written to a ticket.
pub(crate) struct Writing {
    /// Which side.
    pub kind: AuthorKind,
    /// Who.
    pub author: UserId,
    /// Text.
    pub body: String,
    /// Files.
    pub attachments: Vec<Attachment>,
}

impl Writing {
    pub(crate) fn into_message(self, env: &Env, ticket: &SupportTicket, internal: bool) -> SupportMessage {
        SupportMessage {
            id: env.new_id(),
            tenant_id: ticket.tenant_id,
            ticket_id: ticket.id,
            author: MessageAuthor { kind: self.kind, id: self.author, name: String::new() },
            body: self.body.trim().to_owned(),
            attachments: self.attachments,
            internal,
            created_at: env.now(),
        }
    }
}

/// Writes to a ticket that the caller has locked, and answers the ticket as it is then with the id of the message. The other side sees it,
/// and an event tells of it.
///
/// # Errors
/// `TicketEnded`; `TicketFull`.
pub(crate) async fn write(
    repositories: &mut dyn SupportRepositories,
    (scope, env): (&Scope, &Env),
    ticket: &SupportTicket,
    writing: Writing,
) -> Result<(SupportTicket, SupportMessageId), SupportError> {
    let act = match writing.kind {
        AuthorKind::Customer => Act::CustomerWrites,
        AuthorKind::Staff => Act::StaffWrites,
    };
    let next = ticket.after(act, env.now())?;
    let (kind, author) = (writing.kind, writing.author);
    scan_job::scan_attachments(repositories, (scope, env), ticket, &writing.attachments).await?;
    let message = insert(repositories, env, ticket, writing, false).await?;
    repositories.tickets().update(&next).await?;
    let mut after = next.trace();
    after["messageId"] = message.to_string().into();
    after["by"] = kind.as_str().into();
    let event =
        Event::new(env, scope, &events::TICKET_ANSWERED, ticket.id.uuid()).in_tenant(ticket.tenant_id);
    // What came by mail is the act of whoever sent it.
    let event = if scope.require_user().is_ok() { event } else { event.by_user(author) };
    repositories.events().append(event.before(&ticket.trace()).after(&after)).await?;
    Ok((next, message))
}

/// Stores a message, where there is room.
///
/// # Errors
/// `TicketFull`.
pub(crate) async fn insert(
    repositories: &mut dyn SupportRepositories,
    env: &Env,
    ticket: &SupportTicket,
    writing: Writing,
    internal: bool,
) -> Result<SupportMessageId, SupportError> {
    if repositories.support_messages().count(ticket.tenant_id, ticket.id).await? >= MESSAGES_MAX {
        return Err(SupportError::TicketFull);
    }
    let message = writing.into_message(env, ticket, internal);
    repositories.support_messages().insert(&message).await?;
    Ok(message.id)
}

/// A message as it was stored, with the name of its author.
pub(crate) async fn stored(
    repositories: &mut dyn SupportRepositories,
    tenant: TenantId,
    id: SupportMessageId,
) -> Result<SupportMessage, SupportError> {
    repositories.support_messages().find(tenant, id).await?.ok_or(SupportError::NotFound("message"))
}
