//! What was written to support tickets.

use async_trait::async_trait;
use portico_kernel::{StoreError, SupportMessageId, SupportTicketId, TenantId};
use portico_support::{
    message::{Attachment, AuthorKind, MessageAuthor, SupportMessage},
    ports::MessageRepository,
};
use sea_orm::{QueryResult, TryGetError};

use crate::{
    columns::{read, words},
    db::{Db, Param},
};

words!(AuthorKind);

/// Messages over one connection.
pub(crate) struct Messages<'c> {
    pub db: Db<'c>,
}

/// With the name of the author as it is now.
const SELECT: &str = "select m.tenant_id, m.id, m.ticket_id, m.author_kind, m.author_id, u.full_name, m.body, m.attachments, \
    m.internal, m.created_at from support_messages m join users u on u.id = m.author_id";

fn message(row: &QueryResult) -> Result<SupportMessage, TryGetError> {
    Ok(SupportMessage {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        ticket_id: read(row, "ticket_id")?,
        author: MessageAuthor {
            kind: read(row, "author_kind")?,
            id: read(row, "author_id")?,
            name: read(row, "full_name")?,
        },
        body: read(row, "body")?,
        attachments: read(row, "attachments")?,
        internal: read(row, "internal")?,
        created_at: read(row, "created_at")?,
    })
}

#[async_trait]
impl MessageRepository for Messages<'_> {
    async fn insert(&mut self, message: &SupportMessage) -> Result<(), StoreError> {
        let sql = "insert into support_messages (tenant_id, id, ticket_id, author_kind, author_id, body, attachments, internal, \
             created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let values = vec![
            message.tenant_id.value(),
            message.id.value(),
            message.ticket_id.value(),
            message.author.kind.value(),
            message.author.id.value(),
            (&message.body).value(),
            message.attachments.clone().value(),
            message.internal.value(),
            message.created_at.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
    ) -> Result<Option<SupportMessage>, StoreError> {
        let sql = format!("{SELECT} where m.tenant_id = $1 and m.id = $2");
        Ok(self.db.rows_with(&sql, (tenant, id), message).await?.into_iter().next())
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        ticket: SupportTicketId,
        internal: bool,
    ) -> Result<Vec<SupportMessage>, StoreError> {
        let seen = if internal { "" } else { "and not m.internal" };
        let sql = format!(
            "{SELECT} where m.tenant_id = $1 and m.ticket_id = $2 {seen} order by m.created_at, m.id"
        );
        self.db.rows_with(&sql, (tenant, ticket), message).await
    }

    async fn set_attachments(
        &mut self,
        tenant: TenantId,
        id: SupportMessageId,
        attachments: &[Attachment],
    ) -> Result<(), StoreError> {
        let sql = "update support_messages set attachments = $3 where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, id, attachments.to_vec())).await.map(drop)
    }

    async fn count(&mut self, tenant: TenantId, ticket: SupportTicketId) -> Result<u64, StoreError> {
        let sql = "select count(*) from support_messages where tenant_id = $1 and ticket_id = $2";
        self.db.total(sql, (tenant, ticket)).await
    }

    async fn move_all(
        &mut self,
        tenant: TenantId,
        from: SupportTicketId,
        to: SupportTicketId,
    ) -> Result<(), StoreError> {
        for table in ["support_messages", "support_mails"] {
            let sql = format!("update {table} set ticket_id = $3 where tenant_id = $1 and ticket_id = $2");
            self.db.execute(&sql, (tenant, from, to)).await?;
        }
        Ok(())
    }
}
