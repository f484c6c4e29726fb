//! What the unit tests of this crate share.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use portico_kernel::{
    Actor, CannedReplyId, Clock, Env, Event, EventLog, Id, JobQueue, List, NewJob, Outbox, PageRequest,
    Permission, Permissions, PlatformRole, Random, RequestInfo, Scope, StoreError, SupportMessageId,
    SupportTicketId, TenantId, TenantRole, Timestamp, UserId,
};
use time::Duration;

use crate::{
    canned_reply::CannedReply,
    desk::QueueFilter,
    inbound::StoredMail,
    message::{Attachment, SupportMessage},
    ports::{
        CannedReplyRepository, InboundMailRepository, MessageRepository, SupportRepositories,
        TicketRepository,
    },
    scan_state::AttachmentScan,
    thread::DeskTicket,
    ticket::SupportTicket,
    tickets::TicketFilter,
};

/// A clock that a test moves.
#[derive(Clone, Default)]
pub struct Moved(Arc<AtomicI64>);

impl Moved {
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.whole_seconds(), Ordering::Relaxed);
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000 + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Counts, so that no two ids are the same.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        buffer.fill(0);
        buffer.iter_mut().rev().zip(number).for_each(|(byte, part)| *byte = part);
    }
}

pub fn env() -> Env {
    moved().0
}

/// With a clock that can be moved.
pub fn moved() -> (Env, Moved) {
    let clock = Moved::default();
    (Env::new(Arc::new(clock.clone()), Arc::new(Counting(AtomicU64::new(1)))), clock)
}

fn scope(tenant: TenantId, user: UserId, role: PlatformRole, permissions: Permissions) -> Scope {
    let session = Id::from_uuid(user.uuid());
    let actor = Actor::User { id: user, session, email_verified: true, role, impersonator: None };
    Scope::user(actor, Some(tenant), permissions, RequestInfo::default())
}

/// Somebody who sees their own tickets only.
pub fn customer(tenant: TenantId, user: UserId) -> Scope {
    scope(tenant, user, PlatformRole::Customer, TenantRole::Editor.permissions())
}

/// Somebody who sees all tickets of the tenant.
pub fn admin(tenant: TenantId, user: UserId) -> Scope {
    scope(tenant, user, PlatformRole::Customer, TenantRole::Admin.permissions())
}

/// One of the operator's people, in a tenant of their own.
pub fn staff(user: UserId) -> Scope {
    let permissions = Permissions::from_list(&[Permission::PlatformSupport]);
    scope(Id::from_uuid(user.uuid()), user, PlatformRole::Staff, permissions)
}

/// What is stored, in memory: what is done with a ticket takes several steps, which mocks would have to repeat.
#[derive(Default)]
pub struct Rows {
    pub numbers: Vec<(TenantId, u64)>,
    pub tickets: Vec<SupportTicket>,
    pub messages: Vec<SupportMessage>,
    pub mails: Vec<StoredMail>,
    pub refused: Vec<(TenantId, [u8; 32])>,
    pub replies: Vec<CannedReply>,
    pub events: Vec<Event>,
    pub jobs: Vec<NewJob>,
}

/// Repositories over the same rows.
#[derive(Clone, Default)]
pub struct Repositories(Arc<Mutex<Rows>>);

impl Repositories {
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap()
    }

    /// The events appended so far.
    pub fn events(&self) -> Vec<Event> {
        self.rows().events.clone()
    }
}

#[async_trait]
impl EventLog for Repositories {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.rows().events.push(event);
        Ok(())
    }
}

#[async_trait]
impl JobQueue for Repositories {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.rows().jobs.push(job);
        Ok(())
    }
}

impl Outbox for Repositories {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(self.clone())
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(self.clone())
    }
}

impl SupportRepositories for Repositories {
    fn tickets<'c>(&'c mut self) -> Box<dyn TicketRepository + 'c> {
        Box::new(self.clone())
    }
    fn support_messages<'c>(&'c mut self) -> Box<dyn MessageRepository + 'c> {
        Box::new(self.clone())
    }
    fn inbound_mails<'c>(&'c mut self) -> Box<dyn InboundMailRepository + 'c> {
        Box::new(self.clone())
    }
    fn canned_replies<'c>(&'c mut self) -> Box<dyn CannedReplyRepository + 'c> {
        Box::new(self.clone())
    }
}

fn desk_ticket(ticket: &SupportTicket) -> DeskTicket {
    DeskTicket {
        ticket: ticket.clone(),
        customer_id: ticket.tenant_id,
        customer_name: "Engines".to_owned(),
        author_name: "Ada".to_owned(),
        reply_due_at: ticket.times.reply_due_at,
        breached_at: ticket.times.breached_at,
    }
}

#[async_trait]
impl TicketRepository for Repositories {
    async fn next_number(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        if let Some((_, last)) = rows.numbers.iter_mut().find(|(of, _)| *of == tenant) {
            *last += 1;
            return Ok(*last);
        }
        rows.numbers.push((tenant, 1));
        Ok(1)
    }

    async fn insert(&mut self, ticket: &SupportTicket) -> Result<(), StoreError> {
        self.rows().tickets.push(ticket.clone());
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError> {
        let rows = self.rows();
        Ok(rows.tickets.iter().find(|ticket| (ticket.tenant_id, ticket.id) == (tenant, id)).cloned())
    }

    async fn lock(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError> {
        TicketRepository::find(self, tenant, id).await
    }

    async fn update(&mut self, ticket: &SupportTicket) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.tickets.iter_mut().find(|stored| stored.id == ticket.id).unwrap() = ticket.clone();
        Ok(())
    }

    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.tickets
            .iter_mut()
            .filter(|ticket| (ticket.tenant_id, ticket.id) == (tenant, id))
            .for_each(|ticket| ticket.attachments = attachments.to_vec());
        Ok(())
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        author: Option<UserId>,
        _: TicketFilter,
        page: PageRequest,
    ) -> Result<List<SupportTicket>, StoreError> {
        let rows = self.rows();
        let items: Vec<SupportTicket> = rows
            .tickets
            .iter()
            .filter(|ticket| {
                ticket.tenant_id == tenant && author.is_none_or(|author| author == ticket.author_id)
            })
            .cloned()
            .collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn open_of(&mut self, tenant: TenantId, author: UserId) -> Result<u64, StoreError> {
        let rows = self.rows();
        let open = rows.tickets.iter().filter(|ticket| {
            (ticket.tenant_id, ticket.author_id) == (tenant, author) && !ticket.status.is_ended()
        });
        Ok(open.count() as u64)
    }

    async fn desk(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<DeskTicket>, StoreError> {
        Ok(TicketRepository::find(self, tenant, id).await?.as_ref().map(desk_ticket))
    }

    async fn queue(
        &mut self,
        _: bool,
        _: QueueFilter,
        page: PageRequest,
    ) -> Result<List<DeskTicket>, StoreError> {
        let items: Vec<DeskTicket> = self.rows().tickets.iter().map(desk_ticket).collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn overdue(&mut self, now: Timestamp, _: u64) -> Result<Vec<SupportTicket>, StoreError> {
        let rows = self.rows();
        Ok(rows.tickets.iter().filter(|ticket| is_overdue(ticket, now)).cloned().collect())
    }

    async fn breach(&mut self, _: TenantId, id: SupportTicketId, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let ticket = rows.tickets.iter_mut().find(|ticket| ticket.id == id).unwrap();
        let overdue = is_overdue(ticket, now);
        if overdue {
            ticket.times.breached_at = Some(now);
        }
        Ok(overdue)
    }

    async fn tenant_of(&mut self, id: SupportTicketId) -> Result<Option<TenantId>, StoreError> {
        Ok(self.rows().tickets.iter().find(|ticket| ticket.id == id).map(|ticket| ticket.tenant_id))
    }
}

fn is_overdue(ticket: &SupportTicket, now: Timestamp) -> bool {
    let times = &ticket.times;
    times.first_reply_at.is_none()
        && times.breached_at.is_none()
        && times.reply_due_at.is_some_and(|due| due <= now)
}

#[async_trait]
impl MessageRepository for Repositories {
    async fn insert(&mut self, message: &SupportMessage) -> Result<(), StoreError> {
        self.rows().messages.push(message.clone());
        Ok(())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
    ) -> Result<Option<SupportMessage>, StoreError> {
        let rows = self.rows();
        Ok(rows.messages.iter().find(|message| (message.tenant_id, message.id) == (tenant, id)).cloned())
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        ticket: SupportTicketId,
        internal: bool,
    ) -> Result<Vec<SupportMessage>, StoreError> {
        let rows = self.rows();
        let mut found: Vec<SupportMessage> = rows
            .messages
            .iter()
            .filter(|message| (message.tenant_id, message.ticket_id) == (tenant, ticket))
            .filter(|message| internal || !message.internal)
            .cloned()
            .collect();
        found.sort_by_key(|message| message.created_at);
        Ok(found)
    }

    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.messages
            .iter_mut()
            .filter(|message| (message.tenant_id, message.id) == (tenant, id))
            .for_each(|message| message.attachments = attachments.to_vec());
        Ok(())
    }

    async fn count(&mut self, tenant: TenantId, ticket: SupportTicketId) -> Result<u64, StoreError> {
        Ok(MessageRepository::list(self, tenant, ticket, true).await?.len() as u64)
    }

    async fn move_all(
        &mut self,
        _: TenantId,
        from: SupportTicketId,
        to: SupportTicketId,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.messages
            .iter_mut()
            .filter(|message| message.ticket_id == from)
            .for_each(|message| message.ticket_id = to);
        Ok(())
    }
}

#[async_trait]
impl InboundMailRepository for Repositories {
    async fn insert(&mut self, mail: &StoredMail) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let new = rows
            .mails
            .iter()
            .all(|stored| (stored.tenant_id, stored.digest) != (mail.tenant_id, mail.digest));
        if new {
            rows.mails.push(mail.clone());
        }
        Ok(new)
    }

    async fn has(&mut self, tenant: TenantId, digest: [u8; 32]) -> Result<bool, StoreError> {
        let rows = self.rows();
        let is_stored = rows.mails.iter().any(|mail| (mail.tenant_id, mail.digest) == (tenant, digest));
        Ok(is_stored || rows.refused.contains(&(tenant, digest)))
    }

    async fn refuse(&mut self, tenant: TenantId, digest: [u8; 32], _: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let new = !rows.refused.contains(&(tenant, digest));
        rows.refused.push((tenant, digest));
        Ok(new)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        message: SupportMessageId,
    ) -> Result<Option<StoredMail>, StoreError> {
        let rows = self.rows();
        Ok(rows.mails.iter().find(|mail| (mail.tenant_id, mail.message_id) == (tenant, message)).cloned())
    }

    async fn scanned(&mut self, mail: &StoredMail) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let mut mails = rows.mails.iter_mut();
        let stored = mails.find(|stored| stored.message_id == mail.message_id).unwrap();
        let is_new = stored.scan == AttachmentScan::Pending;
        if is_new {
            *stored = mail.clone();
        }
        Ok(is_new)
    }
}

#[async_trait]
impl CannedReplyRepository for Repositories {
    async fn insert(&mut self, reply: &CannedReply) -> Result<(), StoreError> {
        self.rows().replies.push(reply.clone());
        Ok(())
    }

    async fn list(&mut self, _: Option<String>, page: PageRequest) -> Result<List<CannedReply>, StoreError> {
        let items = self.rows().replies.clone();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(&mut self, id: CannedReplyId) -> Result<Option<CannedReply>, StoreError> {
        Ok(self.rows().replies.iter().find(|reply| reply.id == id).cloned())
    }

    async fn update(&mut self, reply: &CannedReply) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.replies.iter_mut().find(|stored| stored.id == reply.id).unwrap() = reply.clone();
        Ok(())
    }

    async fn delete(&mut self, id: CannedReplyId) -> Result<(), StoreError> {
        self.rows().replies.retain(|reply| reply.id != id);
        Ok(())
    }
}
