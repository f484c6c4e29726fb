//! Support tickets.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, SupportTicketId, TenantId, Timestamp, UserId};
use portico_support::{
    desk::QueueFilter,
    message::Attachment,
    ports::TicketRepository,
    priority::TicketPriority,
    status::TicketStatus,
    thread::DeskTicket,
    ticket::{Satisfaction, SupportTicket, TicketCategory, TicketTimes},
    tickets::TicketFilter,
};
use sea_orm::{QueryResult, TryGetError};

use super::search::Conditions;
use crate::{
    columns::{documents, read, words},
    db::{Db, Param, Params, in_pages, placeholders},
};

words!(TicketCategory, TicketPriority, TicketStatus);
documents!(Vec<Attachment>, Satisfaction);

/// Tickets over one connection.
pub(crate) struct Tickets<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "t.tenant_id, t.id, t.number, t.author_id, t.subject, t.description, t.attachments, t.category, t.priority, \
    t.status, t.assignee_id, t.tags, t.follows, t.merged_into, t.satisfaction, t.first_reply_at, t.resolved_at, t.closed_at, \
    t.created_at, t.updated_at, t.reply_due_at, t.breached_at";

/// With the names that staff see.
const DESK: &str = "c.name as customer_name, u.full_name as author_name from support_tickets t \
    join tenants c on c.id = t.tenant_id join users u on u.id = t.author_id";

fn ticket(row: &QueryResult) -> Result<SupportTicket, TryGetError> {
    Ok(SupportTicket {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        number: read(row, "number")?,
        author_id: read(row, "author_id")?,
        subject: read(row, "subject")?,
        description: read(row, "description")?,
        attachments: read(row, "attachments")?,
        category: read(row, "category")?,
        priority: read(row, "priority")?,
        status: read(row, "status")?,
        assignee_id: read(row, "assignee_id")?,
        tags: read(row, "tags")?,
        follows: read(row, "follows")?,
        merged_into: read(row, "merged_into")?,
        satisfaction: read(row, "satisfaction")?,
        times: TicketTimes {
            first_reply_at: read(row, "first_reply_at")?,
            resolved_at: read(row, "resolved_at")?,
            closed_at: read(row, "closed_at")?,
            created_at: read(row, "created_at")?,
            updated_at: read(row, "updated_at")?,
            reply_due_at: read(row, "reply_due_at")?,
            breached_at: read(row, "breached_at")?,
        },
    })
}

fn desk_ticket(row: &QueryResult) -> Result<DeskTicket, TryGetError> {
    let ticket = ticket(row)?;
    Ok(DeskTicket {
        customer_id: ticket.tenant_id,
        customer_name: read(row, "customer_name")?,
        author_name: read(row, "author_name")?,
        reply_due_at: ticket.times.reply_due_at,
        breached_at: ticket.times.breached_at,
        ticket,
    })
}

impl Tickets<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<SupportTicket>, StoreError> {
        let sql =
            format!("select {COLUMNS} from support_tickets t where t.tenant_id = $1 and t.id = $2 {rest}");
        Ok(self.db.rows_with(&sql, values, ticket).await?.into_iter().next())
    }
}

#[async_trait]
impl TicketRepository for Tickets<'_> {
    async fn next_number(&mut self, tenant: TenantId) -> Result<u64, StoreError> {
        // The row is held until the transaction ends: whoever comes next waits, and gets the same number where it was rolled back.
        let sql = "insert into support_numbers (tenant_id, last_number) values ($1, 1) \
             on conflict (tenant_id) do update set last_number = support_numbers.last_number + 1 returning last_number";
        self.db.total(sql, [tenant]).await
    }

    async fn insert(&mut self, ticket: &SupportTicket) -> Result<(), StoreError> {
        let columns = COLUMNS.replace("t.", "");
        let sql = format!("insert into support_tickets ({columns}) values ({})", placeholders(1, 22));
        // More than a tuple takes.
        let values = vec![
            ticket.tenant_id.value(),
            ticket.id.value(),
            ticket.number.value(),
            ticket.author_id.value(),
            (&ticket.subject).value(),
            (&ticket.description).value(),
            ticket.attachments.clone().value(),
            ticket.category.value(),
            ticket.priority.value(),
            ticket.status.value(),
            ticket.assignee_id.value(),
            ticket.tags.clone().value(),
            ticket.follows.value(),
            ticket.merged_into.value(),
            ticket.satisfaction.clone().value(),
            ticket.times.first_reply_at.value(),
            ticket.times.resolved_at.value(),
            ticket.times.closed_at.value(),
            ticket.times.created_at.value(),
            ticket.times.updated_at.value(),
            ticket.times.reply_due_at.value(),
            ticket.times.breached_at.value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError> {
        self.one("", (tenant, id)).await
    }

    async fn lock(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<SupportTicket>, StoreError> {
        self.one(self.db.dialect().for_update, (tenant, id)).await
    }

    async fn update(&mut self, ticket: &SupportTicket) -> Result<(), StoreError> {
        let sql = "update support_tickets set category = $3, priority = $4, status = $5, assignee_id = $6, tags = $7, \
             merged_into = $8, satisfaction = $9, first_reply_at = $10, resolved_at = $11, closed_at = $12, updated_at = $13, \
             reply_due_at = $14, breached_at = $15 where tenant_id = $1 and id = $2";
        let values = vec![
            ticket.tenant_id.value(),
            ticket.id.value(),
            ticket.category.value(),
            ticket.priority.value(),
            ticket.status.value(),
            ticket.assignee_id.value(),
            ticket.tags.clone().value(),
            ticket.merged_into.value(),
            ticket.satisfaction.clone().value(),
            ticket.times.first_reply_at.value(),
            ticket.times.resolved_at.value(),
            ticket.times.closed_at.value(),
            ticket.times.updated_at.value(),
            ticket.times.reply_due_at.value(),
            ticket.times.breached_at.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError> {
        let sql = "update support_tickets set attachments = $3 where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, id, attachments.to_vec())).await.map(drop)
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        author: Option<UserId>,
        filter: TicketFilter,
        page: PageRequest,
    ) -> Result<List<SupportTicket>, StoreError> {
        let conditions = Conditions::of_tenant(tenant, author, &filter);
        let where_ = conditions.sql();
        let count = format!("select count(*) from support_tickets t where {where_}");
        let (bounds, values) = conditions.with_page(page.limit, page.offset());
        let rows =
            format!("select {COLUMNS} from support_tickets t where {where_} order by t.id desc {bounds}");
        let rows = self.db.rows_with(&rows, values, ticket);
        in_pages(page, self.db.total(&count, conditions.values()), rows).await
    }

    async fn open_of(&mut self, tenant: TenantId, author: UserId) -> Result<u64, StoreError> {
        let sql = "select count(*) from support_tickets \
             where tenant_id = $1 and author_id = $2 and status not in ('resolved', 'closed')";
        self.db.total(sql, (tenant, author)).await
    }

    async fn desk(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
    ) -> Result<Option<DeskTicket>, StoreError> {
        let sql = format!("select {COLUMNS}, {DESK} where t.tenant_id = $1 and t.id = $2");
        Ok(self.db.rows_with(&sql, (tenant, id), desk_ticket).await?.into_iter().next())
    }

    async fn queue(
        &mut self,
        all: bool,
        filter: QueueFilter,
        page: PageRequest,
    ) -> Result<List<DeskTicket>, StoreError> {
        let conditions = Conditions::of_queue(all, &filter);
        let where_ = conditions.sql();
        let count = format!("select count(*) from support_tickets t where {where_}");
        let (bounds, values) = conditions.with_page(page.limit, page.offset());
        let order = if filter.latest_first { "t.updated_at desc, t.id desc" } else { "t.updated_at, t.id" };
        // The names are looked up for the tickets of the page only.
        let rows = format!(
            "select {COLUMNS}, {DESK} where (t.tenant_id, t.id) in (\
             select t.tenant_id, t.id from support_tickets t where {where_} order by {order} {bounds}) order by {order}"
        );
        let rows = self.db.rows_with(&rows, values, desk_ticket);
        in_pages(page, self.db.total(&count, conditions.values()), rows).await
    }

    async fn overdue(&mut self, now: Timestamp, limit: u64) -> Result<Vec<SupportTicket>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from support_tickets t where t.reply_due_at <= $1 and t.first_reply_at is null \
             and t.breached_at is null order by t.reply_due_at limit $2"
        );
        self.db.rows_with(&sql, (now, limit), ticket).await
    }

    async fn breach(
        &mut self,
        tenant: TenantId,
        id: SupportTicketId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update support_tickets set breached_at = $3 where tenant_id = $1 and id = $2 and reply_due_at <= $3 \
             and first_reply_at is null and breached_at is null";
        Ok(self.db.execute(sql, (tenant, id, now)).await? == 1)
    }

    async fn tenant_of(&mut self, id: SupportTicketId) -> Result<Option<TenantId>, StoreError> {
        self.db.row("select tenant_id from support_tickets where id = $1", [id]).await
    }
}
