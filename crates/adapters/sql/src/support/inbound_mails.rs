//! Mails that messages of support tickets came by.

use async_trait::async_trait;
use portico_kernel::{StoreError, SupportMessageId, SupportTicketId, TenantId, Timestamp};
use portico_support::{inbound::StoredMail, ports::InboundMailRepository, scan_state::AttachmentScan};

use crate::{columns::words, db::Db};

words!(AttachmentScan);

/// Mails over one connection.
pub(crate) struct InboundMails<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, message_id, ticket_id, digest, raw, scan, signature, received_at";

/// A row of [`COLUMNS`].
type Row = (
    TenantId,
    SupportMessageId,
    SupportTicketId,
    [u8; 32],
    Vec<u8>,
    AttachmentScan,
    Option<String>,
    Timestamp,
);

fn mail((tenant_id, message_id, ticket_id, digest, raw, scan, signature, received_at): Row) -> StoredMail {
    StoredMail { tenant_id, message_id, ticket_id, digest, raw, scan, signature, received_at }
}

#[async_trait]
impl InboundMailRepository for InboundMails<'_> {
    async fn insert(&mut self, mail: &StoredMail) -> Result<bool, StoreError> {
        let sql = format!(
            "insert into support_mails ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8) \
             on conflict (tenant_id, digest) do nothing"
        );
        let values = (
            mail.tenant_id,
            mail.message_id,
            mail.ticket_id,
            mail.digest,
            &mail.raw,
            mail.scan,
            &mail.signature,
            mail.received_at,
        );
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn has(&mut self, tenant: TenantId, digest: [u8; 32]) -> Result<bool, StoreError> {
        let sql = "select 1 from support_mails where tenant_id = $1 and digest = $2 \
             union all select 1 from support_refused_mails where tenant_id = $1 and digest = $2 limit 1";
        self.db.exists(sql, (tenant, digest)).await
    }

    async fn refuse(
        &mut self,
        tenant: TenantId,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "insert into support_refused_mails (tenant_id, digest, refused_at) values ($1, $2, $3) \
             on conflict (tenant_id, digest) do nothing";
        Ok(self.db.execute(sql, (tenant, digest, now)).await? == 1)
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        message: SupportMessageId,
    ) -> Result<Option<StoredMail>, StoreError> {
        let sql = format!("select {COLUMNS} from support_mails where tenant_id = $1 and message_id = $2");
        Ok(self.db.row(&sql, (tenant, message)).await?.map(mail))
    }

    async fn scanned(&mut self, mail: &StoredMail) -> Result<bool, StoreError> {
        let sql = "update support_mails set scan = $3, signature = $4, raw = $5 \
             where tenant_id = $1 and message_id = $2 and scan = 'pending'";
        let values = (mail.tenant_id, mail.message_id, mail.scan, &mail.signature, &mail.raw);
        Ok(self.db.execute(sql, values).await? == 1)
    }
}
