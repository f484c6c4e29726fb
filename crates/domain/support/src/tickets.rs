//! What customers do with tickets.

use portico_kernel::{
    Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, SupportTicketId, TenantId, UserId,
    Violations,
};
use serde::Deserialize;

use crate::{
    SupportError, events,
    message::{Attachment, AuthorKind, NewMessage, SupportMessage, attached, check_text},
    ports::SupportRepositories,
    priority::ReplyTargets,
    scan_job,
    status::{Act, TicketStatus},
    thread::{self, SupportThread, Writing},
    ticket::{NewTicket, SUBJECT_MAX, Satisfaction, SupportTicket, TicketCategory, opened},
};

/// Most tickets of a person in a tenant that have not ended, so that nobody floods the desk.
pub const OPEN_MAX: u64 = 50;

/// Most characters of a search word.
pub(crate) const SEARCH_MAX: usize = 100;

/// Most characters of what a customer says about a ticket that has ended.
const COMMENT_MAX: usize = 1000;

/// Which tickets to list. Every field that is set narrows the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// Where they stand.
    pub status: Option<TicketStatus>,
    /// What they are about.
    pub category: Option<TicketCategory>,
    /// Part of subject, description or a message that the customer sees, ignoring case; or the number.
    pub q: Option<String>,
}

/// What a customer says about a ticket that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"rating": 5, "comment": "Quick and friendly."})))]
pub struct Rating {
    /// 1 (not at all satisfied) to 5 (very).
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = u16, minimum = 1, maximum = 5))]
    pub rating: Option<u16>,
    /// At most 1,000 characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub comment: Option<String>,
}

/// Use cases of customers around tickets.
///
/// A ticket is seen by its author and by those who have `support:read` in the tenant, its admins and owners. For everybody else it is not
/// there. Whoever sees it may answer, close and rate it.
pub struct Tickets<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Tickets<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The tenant and the person of a caller who may ask support.
    ///
    /// # Errors
    /// `Denied` without `support:write`, or for a caller who is no person.
    pub fn customer(scope: &Scope) -> Result<(TenantId, UserId), SupportError> {
        let tenant = scope.require(Permission::SupportWrite)?;
        Ok((tenant, scope.require_user()?.0))
    }

    /// The tickets that the caller sees, the newest first.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `Invalid`.
    pub async fn list(
        &mut self,
        filter: TicketFilter,
        page: PageRequest,
    ) -> Result<List<SupportTicket>, SupportError> {
        let (tenant, user) = Self::customer(self.scope)?;
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), SEARCH_MAX);
        violations.into_result()?;
        let author = (!self.scope.allows(Permission::SupportRead)).then_some(user);
        Ok(self.repositories.tickets().list(tenant, author, filter, page).await?)
    }

    /// A ticket with what was written to it.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `NotFound`.
    pub async fn get(&mut self, id: SupportTicketId) -> Result<SupportThread, SupportError> {
        let (tenant, _) = Self::customer(self.scope)?;
        let found = self.repositories.tickets().find(tenant, id).await?;
        let ticket = self.seen(found)?;
        let messages = self.repositories.support_messages().list(tenant, id, false).await?;
        Ok(SupportThread { ticket, messages })
    }

    /// Opens a ticket. `files` are those of the tenant that the input names, as far as there are any.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `Invalid`; `TooManyTickets`.
    pub async fn open(
        &mut self,
        input: NewTicket,
        files: &[Attachment],
        targets: &ReplyTargets,
    ) -> Result<SupportTicket, SupportError> {
        let (tenant, user) = Self::customer(self.scope)?;
        let mut violations = Violations::default();
        violations.line("subject", &input.subject, 1, SUBJECT_MAX);
        check_text(&mut violations, "description", &input.description);
        if let Some(id) = input.follows {
            let found = self.repositories.tickets().find(tenant, id).await?;
            violations.check(
                self.seen(found).is_ok(),
                "follows",
                "unknown_ticket",
                "There is no such ticket.",
            );
        }
        let attachments = take_attached(&mut violations, &input.attachments, files);
        violations.into_result()?;
        // First, so that those who open tickets at once are counted one after the other.
        let number = self.repositories.tickets().next_number(tenant).await?;
        if self.repositories.tickets().open_of(tenant, user).await? >= OPEN_MAX {
            return Err(SupportError::TooManyTickets);
        }
        let ticket = opened(self.env, (tenant, user), number, input, attachments, targets);
        self.repositories.tickets().insert(&ticket).await?;
        let context = (self.scope, self.env);
        scan_job::scan_attachments(self.repositories, context, &ticket, &ticket.attachments).await?;
        let event = Event::new(self.env, self.scope, &events::TICKET_CREATED, ticket.id.uuid());
        self.repositories.events().append(event.after(&ticket.trace())).await?;
        Ok(ticket)
    }

    /// Writes to a ticket. One that has ended is open again by that, for 14 days.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `NotFound`; `Invalid`; `TicketEnded`; `TicketFull`.
    pub async fn answer(
        &mut self,
        id: SupportTicketId,
        input: NewMessage,
        files: &[Attachment],
    ) -> Result<SupportMessage, SupportError> {
        let (tenant, author) = Self::customer(self.scope)?;
        let ticket = self.lock(tenant, id).await?;
        let mut violations = Violations::default();
        check_text(&mut violations, "body", &input.body);
        let attachments = take_attached(&mut violations, &input.attachments, files);
        violations.into_result()?;
        let writing = Writing { kind: AuthorKind::Customer, author, body: input.body, attachments };
        let (_, message) = thread::write(self.repositories, (self.scope, self.env), &ticket, writing).await?;
        thread::stored(self.repositories, tenant, message).await
    }

    /// Ends a ticket.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `NotFound`; `TicketStatus` for one that is closed; `TicketEnded` for one that was merged.
    pub async fn close(&mut self, id: SupportTicketId) -> Result<SupportTicket, SupportError> {
        let (tenant, _) = Self::customer(self.scope)?;
        let ticket = self.lock(tenant, id).await?;
        let closed = ticket.after(Act::Close, self.env.now())?;
        self.store(&events::TICKET_CLOSED, &ticket, closed).await
    }

    /// Says how satisfied the customer is with a ticket that has ended; said again, the last one counts.
    ///
    /// # Errors
    /// `Denied` without `support:write`; `NotFound`; `Invalid`; `TicketStatus` for one that has not ended.
    pub async fn rate(&mut self, id: SupportTicketId, input: Rating) -> Result<SupportTicket, SupportError> {
        let (tenant, _) = Self::customer(self.scope)?;
        let ticket = self.lock(tenant, id).await?;
        let mut violations = Violations::default();
        let rating = input.rating.filter(|rating| (1..=5).contains(rating));
        violations.check(
            rating.is_some(),
            "rating",
            "out_of_range",
            portico_kernel::RuleMessage::number(1, 5),
        );
        violations.optional_text("comment", input.comment.as_deref(), COMMENT_MAX);
        violations.into_result()?;
        if !ticket.status.is_ended() {
            return Err(SupportError::TicketStatus);
        }
        let comment = input.comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let satisfaction = rating.map(|rating| Satisfaction { rating, comment, at: self.env.now() });
        let rated = SupportTicket { satisfaction, ..ticket.clone() };
        self.store(&events::TICKET_RATED, &ticket, rated).await
    }

    /// Stores a ticket that was changed, with its event.
    async fn store(
        &mut self,
        declared: &'static EventDeclaration,
        before: &SupportTicket,
        after: SupportTicket,
    ) -> Result<SupportTicket, SupportError> {
        self.repositories.tickets().update(&after).await?;
        let event = Event::new(self.env, self.scope, declared, after.id.uuid());
        self.repositories.events().append(event.before(&before.trace()).after(&after.trace())).await?;
        Ok(after)
    }

    async fn lock(&mut self, tenant: TenantId, id: SupportTicketId) -> Result<SupportTicket, SupportError> {
        let found = self.repositories.tickets().lock(tenant, id).await?;
        self.seen(found)
    }

    /// The ticket, if the caller sees it.
    fn seen(&self, found: Option<SupportTicket>) -> Result<SupportTicket, SupportError> {
        let (_, user) = Self::customer(self.scope)?;
        let all = self.scope.allows(Permission::SupportRead);
        found.filter(|ticket| all || ticket.author_id == user).ok_or(SupportError::NotFound("ticket"))
    }
}

/// The files that an input names, or nothing with an error for each that is wrong.
fn take_attached(
    violations: &mut Violations,
    ids: &[portico_kernel::AssetId],
    files: &[Attachment],
) -> Vec<Attachment> {
    attached(ids, files).unwrap_or_else(|errors| {
        violations.extend(errors);
        Vec::new()
    })
}

#[cfg(test)]
#[path = "tickets_tests.rs"]
mod tests;
