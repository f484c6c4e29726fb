//! Mails that messages of support tickets came by.

use async_trait::async_trait;
use portico_kernel::{StoreError, SupportMessageId, SupportTicketId, TenantId, Timestamp};
use portico_support::{inbound::StoredMail, ports::InboundMailRepository};
use sea_orm::ConnectionTrait;

use crate::db::Db;

/// Mails over one connection.
pub(crate) struct InboundMails<'c, C> {
    pub db: Db<'c, C>,
}

const COLUMNS: &str = "tenant_id, message_id, ticket_id, digest, raw, received_at";

/// A row of [`COLUMNS`].
type Row = (TenantId, SupportMessageId, SupportTicketId, [u8; 32], Vec<u8>, Timestamp);

fn mail((tenant_id, message_id, ticket_id, digest, raw, received_at): Row) -> StoredMail {
    StoredMail { tenant_id, message_id, ticket_id, digest, raw, received_at }
}

#[async_trait]
impl<C: ConnectionTrait + Send> InboundMailRepository for InboundMails<'_, C> {
    async fn insert(&mut self, mail: &StoredMail) -> Result<bool, StoreError> {
        let sql = format!(
            "insert into support_mails ({COLUMNS}) values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, digest) do nothing"
        );
        let values =
            (mail.tenant_id, mail.message_id, mail.ticket_id, mail.digest, &mail.raw, mail.received_at);
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        message: SupportMessageId,
    ) -> Result<Option<StoredMail>, StoreError> {
        let sql = format!("select {COLUMNS} from support_mails where tenant_id = $1 and message_id = $2");
        Ok(self.db.row(&sql, (tenant, message)).await?.map(mail))
    }
}
