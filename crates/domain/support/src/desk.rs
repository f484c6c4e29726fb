//! What staff do with tickets.

use portico_kernel::{
    AssetId, Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, SupportMessageId,
    SupportTicketId, TenantId, UserId, Violations,
};
use serde::Deserialize;

use crate::{
    SupportError, events,
    inbound::StoredMail,
    message::{Attachment, AuthorKind, SupportMessage, check_text},
    ports::SupportRepositories,
    priority::{ReplyTargets, TicketPriority},
    scan_state::AttachmentScan,
    status::{Act, TicketStatus},
    thread::{self, DeskThread, DeskTicket, MESSAGES_MAX, Writing},
    ticket::{SupportTicket, TicketCategory},
    tickets::SEARCH_MAX,
};

/// Most tags of a ticket, and most characters of each.
const TAGS_MAX: usize = 10;
const TAG_MAX: usize = 30;

/// Who is to look after the tickets that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Nobody does.
    ToNobody,
    /// This person does.
    To(UserId),
}

/// Which tickets of the queue to list, and in which order. Every field that is set narrows the list, but for the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// Where they stand.
    pub status: Option<TicketStatus>,
    /// Who looks after them.
    pub assigned: Option<Assigned>,
    /// What they are about.
    pub category: Option<TicketCategory>,
    /// How much they hurry.
    pub priority: Option<TicketPriority>,
    /// A tag that they have.
    pub tag: Option<String>,
    /// The customer.
    pub customer: Option<TenantId>,
    /// Whether they were not answered in time.
    pub breached: Option<bool>,
    /// Part of subject, description or any message, internal ones included, ignoring case; or the number.
    pub q: Option<String>,
    /// Whether those that were changed last are first, and not those that have waited longest.
    pub latest_first: bool,
}

/// Changes a ticket; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"priority": "high", "tags": ["update"]})))]
pub struct TicketUpdate {
    /// What it is about.
    pub category: Option<TicketCategory>,
    /// How much it hurries. As long as nobody has answered, its target is counted from when it was opened.
    pub priority: Option<TicketPriority>,
    /// All of its tags: at most 10 of 1 to 30 characters. The customer sees them.
    #[cfg_attr(feature = "openapi", schema(max_items = 10, min_length = 1, max_length = 30))]
    pub tags: Option<Vec<String>>,
    /// Who of the staff looks after it; null for nobody.
    #[serde(alias = "assignee_id", deserialize_with = "portico_kernel::patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<UserId>))]
    pub assignee_id: Option<Option<UserId>>,
}

/// An answer, or a note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"body": "Which version do you use?"})))]
pub struct DeskMessage {
    /// 1 to 10,000 characters of plain text.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 10_000))]
    pub body: String,
    /// Whether only staff see it; not, where absent.
    pub internal: Option<bool>,
}

/// Use cases of staff around tickets, of whichever tenant.
pub struct Desk<'a> {
    repositories: &'a mut dyn SupportRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Desk<'a> {
    /// Over an open unit of work, for a caller.
    pub fn new(repositories: &'a mut dyn SupportRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The tickets of all customers: those that have waited longest for their last change first, unless the filter says otherwise.
    /// Tenants of the operator's own people are no customers, except to super admins.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `Invalid`.
    pub async fn queue(
        &mut self,
        filter: QueueFilter,
        page: PageRequest,
    ) -> Result<List<DeskTicket>, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let mut violations = Violations::default();
        violations.optional_text("q", filter.q.as_deref(), SEARCH_MAX);
        violations.optional_text("tag", filter.tag.as_deref(), TAG_MAX);
        violations.into_result()?;
        let filter = QueueFilter { tag: filter.tag.as_deref().map(spelling), ..filter };
        let all = self.scope.crosses_tenants();
        Ok(self.repositories.tickets().queue(all, filter, page).await?)
    }

    /// A ticket with all that was written to it, notes included.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`.
    pub async fn get(&mut self, customer: TenantId, id: SupportTicketId) -> Result<DeskThread, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let ticket = self.seen(customer, id).await?;
        let messages = self.repositories.support_messages().list(customer, id, true).await?;
        Ok(DeskThread { ticket, messages })
    }

    /// A file that came with a ticket or with a message of it, to be loaded. `unscannable` says whether it may be too large for the
    /// scanner.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`, also for any other file of the customer; `AttachmentNotScanned`;
    /// `AttachmentInfected`.
    pub async fn attachment(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
        asset: AssetId,
        unscannable: bool,
    ) -> Result<Attachment, SupportError> {
        let thread = self.get(customer, id).await?;
        let written = thread.messages.into_iter().flat_map(|message| message.attachments);
        let mut all = thread.ticket.ticket.attachments.into_iter().chain(written);
        let found = all.find(|attachment| attachment.asset_id == asset);
        let attachment = found.ok_or(SupportError::NotFound("attachment"))?;
        check_scan(attachment.scan, unscannable)?;
        Ok(attachment)
    }

    /// The mail that a message came by. `unscannable` says whether it may be too large for the scanner.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `AttachmentNotScanned`; `AttachmentInfected`.
    pub async fn mail(
        &mut self,
        customer: TenantId,
        message: SupportMessageId,
        unscannable: bool,
    ) -> Result<StoredMail, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let mail = self.repositories.inbound_mails().find(customer, message).await?;
        let mail = mail.ok_or(SupportError::NotFound("mail"))?;
        check_scan(mail.scan, unscannable)?;
        Ok(mail)
    }

    /// Changes a ticket. Whether the assignee is one of the staff was checked before: accounts are not known here.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `Invalid`.
    pub async fn update(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
        input: TicketUpdate,
        targets: &ReplyTargets,
    ) -> Result<DeskTicket, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let before = self.lock(customer, id).await?;
        let mut violations = Violations::default();
        let tags = input.tags.map(|tags| checked_tags(&mut violations, &tags));
        violations.into_result()?;
        let mut after = before.clone().with_priority(input.priority.unwrap_or(before.priority), targets);
        after.category = input.category.unwrap_or(before.category);
        after.tags = tags.unwrap_or(after.tags);
        after.assignee_id = input.assignee_id.unwrap_or(before.assignee_id);
        if after != before {
            after.times.updated_at = self.env.now();
            self.store(&events::TICKET_UPDATED, &before, &after).await?;
        }
        self.seen(customer, id).await
    }

    /// Answers a customer, or writes a note that no customer ever sees. A note moves nothing, and its event is outside of the tenant.
    ///
    /// # Errors
    /// `Denied` without `platform:support`, or for a caller who is no person; `NotFound`; `Invalid`; `TicketEnded`; `TicketFull`.
    pub async fn write(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
        input: DeskMessage,
    ) -> Result<SupportMessage, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let (author, _) = self.scope.require_user()?;
        let ticket = self.lock(customer, id).await?;
        let mut violations = Violations::default();
        check_text(&mut violations, "body", &input.body);
        violations.into_result()?;
        let writing = Writing { kind: AuthorKind::Staff, author, body: input.body, attachments: Vec::new() };
        let message = if input.internal == Some(true) {
            let note = thread::insert(self.repositories, self.env, &ticket, writing, true).await?;
            let about = serde_json::json!({"ticketId": id, "customerId": customer, "messageId": note});
            let event = Event::new(self.env, self.scope, &events::TICKET_NOTED, id.uuid());
            self.repositories.events().append(event.in_tenant(TenantId::PLATFORM).after(&about)).await?;
            note
        } else {
            thread::write(self.repositories, (self.scope, self.env), &ticket, writing).await?.1
        };
        thread::stored(self.repositories, customer, message).await
    }

    /// Takes a ticket for done. The customer may still answer, which opens it again.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `TicketStatus` for one that has ended.
    pub async fn resolve(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
    ) -> Result<DeskTicket, SupportError> {
        self.end(customer, id, Act::Resolve, &events::TICKET_RESOLVED).await
    }

    /// Ends a ticket.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `TicketStatus` for one that is closed; `TicketEnded` for one that was merged.
    pub async fn close(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
    ) -> Result<DeskTicket, SupportError> {
        self.end(customer, id, Act::Close, &events::TICKET_CLOSED).await
    }

    /// Merges a ticket into another one of the same customer and author: what was written to it is written to the other one from then on,
    /// and it is closed for good. Where it had not ended, the other one waits for staff again.
    ///
    /// # Errors
    /// `Denied` without `platform:support`; `NotFound`; `NotMergeable`; `TicketEnded` where the other one cannot be reopened;
    /// `TicketFull`.
    pub async fn merge(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
        into: SupportTicketId,
    ) -> Result<DeskTicket, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        // In the order of their ids, so that two who merge them both ways do not wait for each other.
        let low = self.lock(customer, id.min(into)).await?;
        let high = self.lock(customer, id.max(into)).await?;
        let (from, to) = if low.id == id { (low, high) } else { (high, low) };
        let is_merged = from.merged_into.is_some() || to.merged_into.is_some();
        if id == into || is_merged || from.author_id != to.author_id {
            return Err(SupportError::NotMergeable);
        }
        let now = self.env.now();
        let mut messages = self.repositories.support_messages();
        let number = messages.count(customer, from.id).await? + messages.count(customer, to.id).await?;
        if number >= MESSAGES_MAX {
            return Err(SupportError::TicketFull);
        }
        messages.move_all(customer, from.id, to.id).await?;
        drop(messages);
        let description = Writing {
            kind: AuthorKind::Customer,
            author: from.author_id,
            body: format!("{}\n\n{}", from.subject, from.description),
            attachments: from.attachments.clone(),
        };
        // Among the messages it stands where it was written.
        let mut description = description.into_message(self.env, &to, false);
        description.created_at = from.times.created_at;
        self.repositories.support_messages().insert(&description).await?;
        let mut target = match from.status.is_ended() {
            true => to.clone(),
            false => to.after(Act::CustomerWrites, now)?,
        };
        target.times.updated_at = now;
        let mut merged =
            if from.status == TicketStatus::Closed { from.clone() } else { from.after(Act::Close, now)? };
        merged.merged_into = Some(to.id);
        merged.times.updated_at = now;
        self.store(&events::TICKET_MERGED, &from, &merged).await?;
        self.store(&events::TICKET_UPDATED, &to, &target).await?;
        self.seen(customer, to.id).await
    }

    async fn end(
        &mut self,
        customer: TenantId,
        id: SupportTicketId,
        act: Act,
        declared: &'static EventDeclaration,
    ) -> Result<DeskTicket, SupportError> {
        self.scope.require_platform(Permission::PlatformSupport)?;
        let ticket = self.lock(customer, id).await?;
        let ended = ticket.after(act, self.env.now())?;
        self.store(declared, &ticket, &ended).await?;
        self.seen(customer, id).await
    }

    async fn store(
        &mut self,
        declared: &'static EventDeclaration,
        before: &SupportTicket,
        after: &SupportTicket,
    ) -> Result<(), SupportError> {
        self.repositories.tickets().update(after).await?;
        let event = Event::new(self.env, self.scope, declared, after.id.uuid()).in_tenant(after.tenant_id);
        Ok(self.repositories.events().append(event.before(&before.trace()).after(&after.trace())).await?)
    }

    async fn lock(&mut self, customer: TenantId, id: SupportTicketId) -> Result<SupportTicket, SupportError> {
        let found = self.repositories.tickets().lock(customer, id).await?;
        found.ok_or(SupportError::NotFound("ticket"))
    }

    async fn seen(&mut self, customer: TenantId, id: SupportTicketId) -> Result<DeskTicket, SupportError> {
        self.repositories.tickets().desk(customer, id).await?.ok_or(SupportError::NotFound("ticket"))
    }
}

/// Fails for a file that nobody loads.
fn check_scan(scan: AttachmentScan, unscannable: bool) -> Result<(), SupportError> {
    match scan {
        scan if scan.may_be_loaded(unscannable) => Ok(()),
        AttachmentScan::Infected => Err(SupportError::AttachmentInfected),
        scan => Err(SupportError::AttachmentNotScanned(scan)),
    }
}

/// How a tag is stored and looked for.
fn spelling(tag: &str) -> String {
    tag.trim().to_lowercase()
}

fn checked_tags(violations: &mut Violations, tags: &[String]) -> Vec<String> {
    let message = format!("Use {TAGS_MAX} tags at most.");
    violations.check(tags.len() <= TAGS_MAX, "tags", "too_many", message);
    let mut kept: Vec<String> = Vec::new();
    for (place, tag) in tags.iter().enumerate().take(TAGS_MAX) {
        violations.line(format!("tags[{place}]"), tag, 1, TAG_MAX);
        let tag = spelling(tag);
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
