//! Ports of support.

use async_trait::async_trait;
use portico_kernel::{
    CannedReplyId, List, Outbox, PageRequest, StoreError, SupportMessageId, SupportTicketId, TenantId,
    Timestamp, UserId,
};

use crate::{
    canned_reply::CannedReply,
    desk::QueueFilter,
    inbound::StoredMail,
    message::{Attachment, SupportMessage},
    thread::DeskTicket,
    ticket::SupportTicket,
    tickets::TicketFilter,
};

/// Tickets.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TicketRepository: Send {
    /// The number of the tenant's next ticket: 1, 2, 3 and so on. MUST NOT answer the same to two units of work that commit, and MUST
    /// answer one again that was answered to a unit of work that did not: it waits for those that have got one.
    async fn next_number(&mut self, tenant: TenantId) -> Result<u64, StoreError>;

    /// Stores a new ticket. MUST answer `MissingReference` when it follows a ticket of another tenant.
    async fn insert(&mut self, ticket: &SupportTicket) -> Result<(), StoreError>;

    /// The ticket. MUST answer `None` for one of another tenant.
    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it,
    /// and answer what that has stored.
    async fn lock(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError>;

    /// Stores category, priority, status, assignee, tags, where it was merged to, satisfaction and times. MUST leave number, author and
    /// what the customer wrote as they are.
    async fn update(&mut self, ticket: &SupportTicket) -> Result<(), StoreError>;

    /// Stores what is said of the files that came with the description. MUST leave a ticket of another tenant as it is.
    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError>;

    /// One page of the tickets of a tenant, those of one author where one is given; the newest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        author: Option<UserId>,
        filter: TicketFilter,
        page: PageRequest,
    ) -> Result<List<SupportTicket>, StoreError>;

    /// How many tickets of an author in the tenant have not ended.
    async fn open_of(&mut self, tenant: TenantId, author: UserId) -> Result<u64, StoreError>;

    /// The ticket as staff see it. MUST answer `None` for one of another tenant.
    async fn desk(&mut self, tenant: TenantId, id: SupportTicketId)
    -> Result<Option<DeskTicket>, StoreError>;

    /// One page of the tickets of all tenants: those that have waited longest for their last change first, or the other way round where
    /// the filter says so. MUST leave out those of tenants that somebody with a role of the platform owns, unless `all` are to be seen.
    async fn queue(
        &mut self,
        all: bool,
        filter: QueueFilter,
        page: PageRequest,
    ) -> Result<List<DeskTicket>, StoreError>;

    /// Tickets of all tenants that were to be answered by `now`, were not, and are not noted as such; the longest overdue first, at most
    /// `limit`.
    async fn overdue(&mut self, now: Timestamp, limit: u64) -> Result<Vec<SupportTicket>, StoreError>;

    /// Notes that a ticket is overdue, and answers whether it was to be answered by `now`, was not, and was not noted before. MUST
    /// answer `true` to one unit of work only, also under concurrency.
    async fn breach(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The tenant of a ticket: for mails, whose address names the ticket only.
    async fn tenant_of(&mut self, id: SupportTicketId) -> Result<Option<TenantId>, StoreError>;
}

/// What was written to tickets.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MessageRepository: Send {
    /// Stores a new message. The name of its author is not stored. MUST answer `MissingReference` for a ticket of another tenant.
    async fn insert(&mut self, message: &SupportMessage) -> Result<(), StoreError>;

    /// The message, with the name of its author as it is now. MUST answer `None` for one of another tenant.
    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
    ) -> Result<Option<SupportMessage>, StoreError>;

    /// The messages of a ticket, the oldest first, with the names of their authors as they are now. MUST leave out internal ones unless
    /// `internal` is set.
    async fn list(
        &mut self,
        tenant: TenantId,
        ticket: SupportTicketId,
        internal: bool,
    ) -> Result<Vec<SupportMessage>, StoreError>;

    /// Stores what is said of the files that came with a message. MUST leave a message of another tenant as it is.
    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError>;

    /// How many messages a ticket has, internal ones included.
    async fn count(&mut self, tenant: TenantId, ticket: SupportTicketId) -> Result<u64, StoreError>;

    /// Makes all messages of one ticket messages of another one, with the mails that they came by.
    async fn move_all(
        &mut self,
        tenant: TenantId,
        from: SupportTicketId,
        to: SupportTicketId,
    ) -> Result<(), StoreError>;
}

/// Mails that messages came by, as they came.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InboundMailRepository: Send {
    /// Stores a mail, and answers whether the tenant had none with this digest before. MUST answer `true` to one unit of work only, also
    /// under concurrency.
    async fn insert(&mut self, mail: &StoredMail) -> Result<bool, StoreError>;

    /// Whether the tenant had a mail with this digest before: one that was stored, or one that was refused.
    async fn has(&mut self, tenant: TenantId, digest: [u8; 32]) -> Result<bool, StoreError>;

    /// Notes that a mail was refused, and answers whether that was not noted before. MUST answer `true` to one unit of work only, also
    /// under concurrency.
    async fn refuse(
        &mut self,
        tenant: TenantId,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The mail that a message came by. MUST answer `None` for one of another tenant.
    async fn find(
        &mut self,
        tenant: TenantId,
        message: SupportMessageId,
    ) -> Result<Option<StoredMail>, StoreError>;

    /// Stores what came of scanning a mail, and what is left of it, and answers whether that was still to be said. MUST answer `true` to
    /// one unit of work only, also under concurrency.
    async fn scanned(&mut self, mail: &StoredMail) -> Result<bool, StoreError>;
}

/// Answers that are kept ready.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CannedReplyRepository: Send {
    /// Stores a new one.
    async fn insert(&mut self, reply: &CannedReply) -> Result<(), StoreError>;

    /// One page of them by title; those that have the part in title or text, where one is given, ignoring case.
    async fn list(
        &mut self,
        part: Option<String>,
        page: PageRequest,
    ) -> Result<List<CannedReply>, StoreError>;

    /// One of them.
    async fn find(&mut self, id: CannedReplyId) -> Result<Option<CannedReply>, StoreError>;

    /// Stores title, text and time of the last change.
    async fn update(&mut self, reply: &CannedReply) -> Result<(), StoreError>;

    /// Deletes one.
    async fn delete(&mut self, id: CannedReplyId) -> Result<(), StoreError>;
}

/// The repositories of support, over one unit of work.
pub trait SupportRepositories: Outbox {
    /// Tickets.
    fn tickets<'c>(&'c mut self) -> Box<dyn TicketRepository + 'c>;
    /// What was written to them.
    fn support_messages<'c>(&'c mut self) -> Box<dyn MessageRepository + 'c>;
    /// Mails that messages came by.
    fn inbound_mails<'c>(&'c mut self) -> Box<dyn InboundMailRepository + 'c>;
    /// Answers that are kept ready.
    fn canned_replies<'c>(&'c mut self) -> Box<dyn CannedReplyRepository + 'c>;
}
